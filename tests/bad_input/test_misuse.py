"""Input that is wrong in a way that would give a plausible number."""

import numpy as np
import pandas as pd
import pytest

from quantlab import backtest as b
from quantlab import data as d
from quantlab import factors as f
from quantlab import validation as v
from quantlab.errors import DataError, MisalignedError
from quantlab.simulate import random_walks

RNG = np.random.default_rng(0)
DAYS = pd.bdate_range("2020-01-01", periods=120)
WIDE = pd.DataFrame(RNG.normal(0, 0.01, (120, 6)), index=DAYS, columns=list("ABCDEF"))
LONG = WIDE.rename_axis("date").rename_axis("asset", axis=1).stack()


@pytest.mark.parametrize(
    "call",
    [
        lambda: d.simple_returns(np.exp(LONG)),
        lambda: d.forward_returns(np.exp(LONG)),
        lambda: v.sharpe_ratio(LONG),
        lambda: b.performance_summary(LONG, periods_per_year=252),
        lambda: b.run_backtest(LONG.to_frame(), LONG.to_frame()),
    ],
)
def test_a_long_table_is_no_series(call):
    with pytest.raises(DataError, match="is long"):
        call()


def test_a_long_factor_is_the_wide_one_however_it_comes():
    for given in (
        LONG,
        LONG.to_frame("x"),
        LONG.swaplevel(),
        LONG.swaplevel().rename_axis([None, None]),
    ):
        for function in (f.rank, lambda x: f.lag(x, 1), f.zscore):
            np.testing.assert_allclose(function(given), function(WIDE), atol=1e-14)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: f.rank(t),
        lambda t: f.zscore(t),
        lambda t: f.winsorize(t),
        lambda t: f.evaluate_factor(t, {1: t}),
        lambda t: b.run_backtest(t, t),
        lambda t: b.lookahead_audit(lambda x: x.shift(1), t),
        lambda t: d.forward_returns(np.exp(t)),
        lambda t: v.probability_of_backtest_overfitting(t, n_blocks=4),
    ],
)
def test_a_transposed_panel_is_refused(call):
    with pytest.raises(DataError, match="no date|transpose|time"):
        call(WIDE.T)


@pytest.mark.parametrize("wrong", [WIDE["A"] + 1j, WIDE["A"] > 0, WIDE["A"].astype(str)])
def test_only_real_numbers_are_numbers(wrong):
    with pytest.raises(DataError):
        v.sharpe_ratio(wrong)
    with pytest.raises(DataError):
        b.performance_summary(wrong, periods_per_year=252)


def test_labels_go_with_their_rows():
    groups = pd.Series(np.repeat(np.arange(20), 10))
    x = pd.DataFrame({"x": RNG.normal(size=200) + RNG.normal(size=20)[groups]})
    y = pd.Series(RNG.normal(size=200) + RNG.normal(size=20)[groups])
    mixed = groups.sample(frac=1, random_state=0)
    by_series = f.clustered_standard_errors(y, x, clusters=groups)
    by_array = f.clustered_standard_errors(y, x, clusters=groups.to_numpy())
    np.testing.assert_array_equal(by_series, by_array)
    for call in (
        lambda: f.clustered_standard_errors(y, x, clusters=mixed),
        lambda: f.fama_macbeth(y, x, time=mixed),
        lambda: f.fama_macbeth(y, x, time=groups, entity=mixed),
    ):
        with pytest.raises(MisalignedError, match="must share the index of the data"):
            call()


def test_autocorrelation_needs_order():
    y, x = WIDE["A"], WIDE[["B"]]
    f.hac_standard_errors(y, x, lags=3)
    for rows in (DAYS[::-1], DAYS.append(DAYS[:1])):
        with pytest.raises(DataError, match="time order|more than once"):
            f.hac_standard_errors(y.loc[rows], x.loc[rows], lags=3)


def test_a_name_counts_once_a_period():
    twice = pd.concat([LONG, LONG.iloc[:1]])
    with pytest.raises(DataError, match="more than once in a period"):
        f.fama_macbeth(twice, (twice * 2 + RNG.normal(size=len(twice))).to_frame("x"))


def test_a_haircut_survives_a_p_value_of_zero():
    near, far, farther = (
        v.haircut_sharpe(s, n_obs=5040, periods_per_year=252, n_tests=100) for s in (7.9, 8.4, 12.0)
    )
    assert near.pvalue > 0 and farther.pvalue == 0
    assert near.haircut > far.haircut > farther.haircut > 0
    assert near.haircut_sharpe < far.haircut_sharpe < farther.haircut_sharpe < 12


def at_month_ends(p):
    month = p.index.to_series().dt.month
    return p.mask(month != month.shift(-1), p.shift(-1))


LATE = {
    "a warm-up filled from later": lambda p: p.expanding(50).mean().bfill(),
    "an average filled from later": lambda p: p.ewm(20, min_periods=50).mean().bfill(),
    "scaled by the first rows": lambda p: (p - p.iloc[:60].mean()) / p.iloc[:60].std(),
    "the next price, at a month's end": at_month_ends,
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", LATE)
def test_the_audit_sees_what_only_the_beginning_or_a_month_end_shows(name, seed):
    prices = random_walks(400, 3, rng=np.random.default_rng(seed)).add(5)
    assert not b.lookahead_audit(LATE[name], prices, seed=seed).passed


def test_an_honest_strategy_may_need_many_days():
    def needs(p):
        if len(p) < 90:
            raise ValueError("too short")
        return p.rolling(90).mean()

    audit = b.lookahead_audit(needs, random_walks(400, 3, rng=np.random.default_rng(1)).add(5))
    assert audit.passed and audit.n_runs > 0
