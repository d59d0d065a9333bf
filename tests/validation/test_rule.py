"The whole rule: what is known of it beforehand, and what worlds with a known truth say"

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantlab.errors import DataError
from quantlab.validation import deflated_sharpe_test, min_years, simulate_rule


def trials(n: int = 500, k: int = 5, seed: int = 0) -> pd.DataFrame:
    x = np.random.default_rng(seed).standard_normal((n, k)) * 0.01
    return pd.DataFrame(x, pd.bdate_range("2015-01-01", periods=n), list("abcdefgh")[:k])


@given(
    sharpe=st.floats(0.1, 5),
    n_trials=st.integers(1, 10_000),
    power=st.floats(0.5, 0.99),
    size=st.floats(0.001, 0.2),
)
def test_the_years_give_the_power_that_was_asked_for(sharpe, n_trials, power, size):
    years = min_years(sharpe, n_trials=n_trials, power=power, size=size)
    critical = stats.norm.isf(1 - (1 - size) ** (1 / n_trials))
    assert stats.norm.sf(critical - sharpe * years**0.5) == pytest.approx(power, abs=1e-9)


def test_the_published_years():
    "(1.645 + 0.842)^2 / S^2, as printed in any table of sample sizes"
    assert [round(min_years(s), 1) for s in (0.5, 1, 1.5, 2)] == [24.7, 6.2, 2.7, 1.5]


def test_one_normal_trial_has_the_power_of_a_t_test():
    "Without selection: test at 5 % and a positive holdout, both known in closed form"
    x = trials(1000, 1)
    got = simulate_rule(
        x,
        n_holdout=250,
        periods_per_year=250,
        true_sharpe=(1.0, 2.0),
        n_worlds=400,
        n_resamples=499,
        block_length=1,
        seed=0,
    )
    for ratio in (0.0, 1.0, 2.0):
        tested = stats.norm.sf(1.645 - ratio * 2)
        confirmed = stats.norm.cdf(ratio)
        seen = got.table.loc[("shared", ratio)]
        for name, share in {
            "tested": tested,
            "confirmed": confirmed,
            "passes": tested * confirmed,
        }.items():
            assert abs(seen[name] - share) <= 3.5 * (share * (1 - share) / 400) ** 0.5 + 0.005, name


def test_a_further_opening_asks_for_more():
    x = trials()
    asked = {"n_holdout": 250, "periods_per_year": 250, "n_worlds": 100, "n_resamples": 99}
    first, third = (simulate_rule(x, n_openings=k, block_length=1, seed=0, **asked) for k in (1, 3))
    assert (third.table["confirmed"] <= first.table["confirmed"]).all()
    assert (third.table["tested"] == first.table["tested"]).all()
    none = third.table.loc[("shared", 0.0), "confirmed"]
    assert none <= 0.06 < first.table.loc[("shared", 0.0), "confirmed"]


def test_the_rule_judges_as_the_test_does():
    "In the world that repeats the sample the p-value is the test's own"
    x = trials(400, 4)
    test = deflated_sharpe_test(x, n_trials=9, block_length=5, n_resamples=999, seed=0)
    rule = simulate_rule(
        x,
        n_trials=9,
        n_holdout=100,
        periods_per_year=250,
        block_length=5,
        n_worlds=60,
        n_resamples=999,
        seed=1,
    )
    assert rule.n_trials == test.n_trials == 9
    assert rule.luck.min() >= 1 / 1000 and 0 < rule.calibrate(test.pvalue) <= 1
    share = rule.calibrate(0.5)
    assert 0.25 < share < 0.75


def test_an_idle_book_is_a_hidden_one_and_workers_change_nothing():
    x = trials()
    asked = {"n_holdout": 100, "periods_per_year": 250, "n_worlds": 20, "n_resamples": 99}
    one = simulate_rule(x, seed=5, block_length=3, n_trials=x.shape[1] + 1, **asked)
    two = simulate_rule(x.assign(idle=0.0), seed=5, block_length=3, n_jobs=2, **asked)
    assert two.n_trials == one.n_trials and np.array_equal(one.luck, two.luck)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_a_trial_that_seldom_trades_bends_nothing():
    "It has worlds in which it never moves: there it has no Sharpe ratio, and is not the best"
    x = trials(750, 8)
    asked = {"n_holdout": 250, "periods_per_year": 252, "n_worlds": 200, "n_resamples": 199}
    plain = simulate_rule(x, true_sharpe=(1.0,), seed=0, **asked)
    for days in (range(300, 303), range(300, 301)):
        rare = x.assign(rare=0.0)
        rare.iloc[list(days), -1] = -0.01
        got = simulate_rule(rare, true_sharpe=(1.0,), seed=0, **asked)
        assert got.size <= plain.size + 0.03 and got.table.notna().all(axis=None)
        assert (got.hidden_losers <= plain.hidden_losers + 0.08).all()
        assert deflated_sharpe_test(rare, n_resamples=500, seed=0).pvalue <= 1


@pytest.mark.parametrize("units", [1e-12, 1e-6, 1.0])
def test_units_of_all_trials_change_nothing(units):
    x = trials(400, 4)
    one, other = (
        deflated_sharpe_test(t, block_length=5, n_resamples=500, seed=0) for t in (x, x * units)
    )
    assert one.pvalue == other.pvalue and other.adjusted_pvalues.lt(1).all()


def test_a_few_lucky_trades_are_no_record():
    "Two wins of two trades have a p-value near 1 %, and come up in a quarter of the worlds"
    x = pd.DataFrame({"a": 0.0}, pd.bdate_range("2015-01-01", periods=1000))
    x.iloc[[300, 700], 0] = 0.02, 0.018
    with pytest.raises(DataError, match="on as many as 10 rows"):
        deflated_sharpe_test(x, seed=0)
    both = trials(1000, 2).assign(lucky=x["a"].to_numpy())
    found = deflated_sharpe_test(both, n_resamples=500, seed=0)
    assert found.adjusted_pvalues["lucky"] == 1.0 and found.n_hidden == 1
    rng, passed = np.random.default_rng(1), 0
    for k in range(200):
        trades = pd.Series(0.0, range(1000))
        trades[rng.choice(1000, 10, replace=False)] = rng.choice([-0.02, 0.02], 10)
        test = deflated_sharpe_test(trades.to_frame("t"), n_resamples=500, block_length=5, seed=k)
        passed += test.passed
    assert passed <= stats.binom.ppf(0.999, 200, 0.07)


def test_worlds_in_which_the_only_trial_does_not_move_are_judged():
    x = pd.DataFrame({"a": 0.0}, pd.bdate_range("2015-01-01", periods=600))
    x.iloc[100:110, 0] = np.linspace(0.01, 0.03, 10)  # one block of days, absent from many worlds
    got = simulate_rule(x, n_holdout=100, periods_per_year=252, n_worlds=60, n_resamples=99, seed=0)
    assert got.table.notna().all(axis=None)
