"Regimes as an exposure rule: filtered, from the past alone, and the book in plain Python"

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import Market, lookahead_audit
from quantlab.backtest.regimes_family import (
    REGIMES,
    regime_report,
    regime_weights,
    turbulence,
)
from quantlab.data import Panel
from quantlab.errors import MisalignedError, SpecificationError
from quantlab.simulate import factor_world
from quantlab.volatility import markov_regimes


def switching(n: int = 1100, n_assets: int = 8, seed: int = 4) -> pd.DataFrame:
    "Returns with a calm and a turbulent regime"
    rng, wild = np.random.default_rng(seed), np.zeros(n, dtype=bool)
    for t in range(1, n):
        wild[t] = wild[t - 1] ^ (rng.random() < (0.01, 0.03)[int(wild[t - 1])])
    world = factor_world(n, n_assets, market_volatility=0.006, rng=rng)
    return (world.returns + np.where(wild, rng.normal(0, 0.02, n), 0.0)[:, None]).clip(-0.9)


def market_of(returns: pd.DataFrame, start: int) -> Market:
    member = returns.notna().astype(float)
    member.iloc[700:760, 2] = 0.0
    prices = np.log1p(returns).cumsum()
    panel = Panel({"returns": returns, "log_prices": prices, "member": member})
    forecast = returns.rolling(50, min_periods=5).std().shift(1)
    return Market.from_panel(panel, volatility=forecast, start=returns.index[start])


RETURNS = switching()
MARKET = market_of(RETURNS, 600)


def test_the_probability_is_that_of_fits_on_the_past():
    average = RETURNS.mean(axis=1)
    got = turbulence(average)
    assert got.iloc[:503].isna().all()
    fit = None
    for t in (503, 650, 754, 755, 900, 1006, 1007, 1099):
        end = 504 + (t - 503) // 252 * 252
        fit = markov_regimes(average.iloc[:end], max_iterations=100)
        assert fit.certificate == "passed"
        expected = fit.filter(average.iloc[: t + 1]).iloc[-1, -1]
        assert got.iloc[t] == pytest.approx(expected, abs=1e-9)


def test_a_series_without_regimes_or_with_little_past_gives_none():
    short = turbulence(RETURNS.mean(axis=1).iloc[:300])
    assert short.isna().all()
    book = regime_weights(market_of(RETURNS.iloc[:400], 200))
    assert (book.dropna().sum(axis=1) - 1).abs().max() < 1e-12  # all is held where nothing is known


@pytest.mark.parametrize("low, threshold, every", [(0.0, 0.5, 21), (0.5, 0.9, 5)])
def test_the_book_is_that_of_plain_python(low, threshold, every):
    got = regime_weights(MARKET, low=low, threshold=threshold, rebalance_every=every)
    member, returns = MARKET.membership, MARKET.panel.returns
    average = [0.0] + [
        np.mean([returns.iloc[t, j] for j in range(8) if member.iloc[t - 1, j]])
        for t in range(1, len(returns))
    ]
    wild = (turbulence(pd.Series(average, returns.index)) > threshold).to_numpy()
    expected = pd.DataFrame(np.nan, got.index, got.columns)
    for k, t in enumerate(range(600, len(returns))):
        here, before = member.iloc[t].to_numpy(), member.iloc[t - 1].to_numpy()
        if k % every == 0 or wild[t] != wild[t - 1]:
            expected.iloc[k] = here / here.sum() * (low if wild[t] else 1.0)
        elif (before & ~here).any():
            expected.iloc[k, before & ~here] = 0.0
    pd.testing.assert_frame_equal(got, expected)
    assert wild[600:].any() and not wild[600:].all()


def test_the_past_alone_decides():
    decide = lambda data: REGIMES.weights(MARKET.with_panel(data), low=0.5, rebalance_every=10**6)
    audit = lookahead_audit(decide, MARKET.panel, n_cuts=4, seed=0)
    assert audit.first_leak is None, audit


def test_the_report_uses_the_state_of_the_day_before():
    days = pd.bdate_range("2020-01-01", periods=6)
    returns = pd.Series([9.0, 0.1, 0.3, -0.2, 0.2, 0.0], days)
    seen = pd.Series([False, False, True, True, True, False], days)
    report = regime_report(returns, seen)
    assert report["days"].to_dict() == {"calm": 2, "turbulent": 3}
    assert report["mean"].to_list() == pytest.approx([0.2, 0.0])
    assert report["share"].to_list() == pytest.approx([0.4, 0.6])
    with pytest.raises(MisalignedError):
        regime_report(returns, seen.iloc[1:])
    never = regime_report(returns, seen & False)
    assert never.loc["turbulent"].isna().all() and never.loc["calm", "days"] == 5


@pytest.mark.parametrize("wrong", [{"low": -0.1}, {"threshold": 1.1}, {"rebalance_every": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SpecificationError, match=f"`{next(iter(wrong))}`"):
        regime_weights(MARKET, **wrong)
