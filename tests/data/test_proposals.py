"""Proposals of dates and windows that the pipeline's own functions then run with."""

import numpy as np
import pandas as pd
import pytest

from quantlab.cointegration import screen_formations
from quantlab.data import Panel, before, market_panel, propose_dates
from quantlab.errors import DataError, SpecificationError
from quantlab.factors import learned_combination
from quantlab.volatility import markov_regimes, rolling_garch

KEYS = {
    "base.periods_per_year", "base.holdout_start", "base.evaluate_from", "fit_volatility.window",
    "fit_volatility.refit_every", "screen_pairs.formation", "screen_pairs.trading",
    "evaluate_factors.learned.train_size", "evaluate_factors.learned.test_size",
}  # fmt: skip


def panel_of(n, freq="B", names=4, seed=0):
    days = pd.date_range("1990-01-01", periods=n, freq=freq)
    rng = np.random.default_rng(seed)
    size = 0.01 * np.exp(np.repeat(rng.normal(0, 0.5, -(-n // 40)), 40)[:n, None])
    returns = pd.DataFrame(
        size * rng.standard_normal((n, names)), days, [f"S{i}" for i in range(names)]
    )
    return Panel({"returns": returns})


CASES = [
    (300, "B", 252), (600, "B", 252), (1000, "B", 252), (2000, "B", 252), (8000, "B", 252),
    (600, "W-FRI", 52), (1500, "D", 365), (360, "ME", 12),
]  # fmt: skip


@pytest.mark.parametrize(("n", "freq", "per_year"), CASES)
def test_the_layout_holds_together(n, freq, per_year):
    panel = panel_of(n, freq)
    p = propose_dates(panel)
    assert p.periods_per_year == per_year
    assert 0.15 <= p.n_holdout / n <= 0.25
    assert len(panel.between(p.holdout_start).index) == p.n_holdout
    past = before(panel, p.holdout_start)
    evaluated = past.between(p.evaluate_from)
    assert len(evaluated.index) == p.n_evaluated >= 0.5 * len(past.index) - 1
    warm_up = len(past.index) - p.n_evaluated
    assert warm_up >= max(p.volatility_window, p.formation)
    assert set(p.to_params()) >= {k for k in KEYS if "learned" not in k}
    assert set(p.to_params()) == set(p.reasons) <= KEYS
    assert list(p.table().columns) == ["proposed", "why"]
    assert all("\n" not in text and text.endswith(".") for text in p.shortfalls)
    if n == 8000:
        assert not p.shortfalls and p.n_holdout == round(0.18 * n)
    if n == 1000:
        assert p.n_holdout == 250


@pytest.mark.parametrize(("n", "freq", "per_year"), [c for c in CASES if c[0] <= 1000])
def test_the_pipeline_s_functions_run_with_what_is_proposed(n, freq, per_year):
    panel = panel_of(n, freq)
    p = propose_dates(panel)
    past = before(market_panel(panel), p.holdout_start)
    volatility = rolling_garch(past.returns, window=p.volatility_window, refit_every=p.refit_every)
    first = volatility.volatility.dropna(how="all").index[0]
    assert first <= p.evaluate_from
    equal = past.returns.mean(axis=1)
    markov_regimes(equal, n_regimes=3, estimate_until=equal.index[p.volatility_window - 1])
    screen = screen_formations(
        past.log_prices, past.member == 1, formation=p.formation, trading=p.trading, method="bic"
    )
    assert screen.windows["trade_start"].iloc[0] <= p.evaluate_from
    steps = past.index[p.periods_per_year :: 5]
    if p.train_size is None:
        assert "evaluate_factors.learned.train_size" not in p.to_params()
        assert any("no sizes are proposed" in text for text in p.shortfalls)
        return
    rng = np.random.default_rng(0)
    weekly = {"x": pd.DataFrame(rng.standard_normal((len(steps), 4)), steps, panel.columns)}
    ahead = past.returns.rolling(21).sum().shift(-21).loc[steps]
    sizes = {"train_size": p.train_size, "test_size": p.test_size, "embargo": 1}
    found = learned_combination(weekly, {5: ahead}, params={"num_iterations": 2}, seed=0, **sizes)
    assert found.n_folds >= 1 and found.factor.notna().any(axis=None)


def test_what_is_short_is_said_in_numbers():
    p = propose_dates(panel_of(300))
    text = " ".join(p.shortfalls)
    assert "225 days lie before the holdout: a volatility window of 500 needs 275 more" in text
    assert "110 is proposed, and the estimates are rougher" in text
    assert "The holdout has 75 days, 177 fewer than a year" in text
    assert "The learned combination needs 372 days before the holdout and has 225: 147" in text
    weekly = " ".join(propose_dates(panel_of(600, "W-FRI")).shortfalls)
    assert "252 are a year of days, and here 4.85 years of weeks" in weekly


def test_the_least_history_that_is_said_to_be_missing_is_enough():
    with pytest.raises(DataError, match="are too few") as caught:
        propose_dates(panel_of(180))
    more = int(str(caught.value).split("give about ")[1].split()[0])
    assert propose_dates(panel_of(180 + more)).n_evaluated >= 60
    with pytest.raises(DataError, match="are too few"):
        propose_dates(panel_of(180 + more - 5))


def test_returns_are_not_looked_at():
    "Proposals made from results would be choices that nobody counts"
    one, other = panel_of(1000, seed=0), panel_of(1000, seed=1)
    assert propose_dates(one).to_dict() == propose_dates(other).to_dict()


def test_own_lengths_are_taken_where_they_fit():
    p = propose_dates(
        panel_of(2000), volatility_window=250, formation=252, trading=21, refit_every=5,
        train_size=52, test_size=26, holdout_share=0.2,
    )  # fmt: skip
    assert (p.volatility_window, p.formation, p.trading, p.refit_every) == (250, 252, 21, 5)
    assert (p.train_size, p.test_size, p.n_holdout) == (52, 26, 400)
    assert p.evaluate_from == panel_of(2000).index[252]


def test_a_ragged_panel_begins_where_names_do():
    returns = panel_of(1400).returns
    returns.iloc[:400, 1:] = np.nan
    p = propose_dates(Panel({"returns": returns}))
    assert p.n_rows == 1000 and f"{returns.index[400]:%Y-%m-%d}" in p.shortfalls[-1]
    assert propose_dates(Panel({"returns": returns}), least_names=1).n_rows == 1400


BAD = [
    ({"holdout_share": 0}, "must be above 0"), ({"holdout_share": 20}, r"in \[0, 0.5\]"),
    ({"warm_up_share": 0.9}, r"in \[0, 0.8\]"), ({"volatility_window": 50}, "at least 110"),
    ({"formation": 10}, "at least 60"), ({"trading": 0}, "at least 1"),
    ({"train_size": 1}, "at least 2"), ({"horizon": 0}, "at least 1"),
    ({"least_names": 9}, "from 1 to 4"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD)
def test_bad_input_ends_in_one_sentence(given, message):
    with pytest.raises(SpecificationError, match=message):
        propose_dates(panel_of(1000), **given)


def test_bad_panels():
    with pytest.raises(SpecificationError, match="must be a Panel"):
        propose_dates(panel_of(1000).returns)
    with pytest.raises(DataError, match="more than one a day"):
        propose_dates(panel_of(2000, "h"))
