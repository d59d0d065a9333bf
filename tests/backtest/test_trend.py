"Time-series momentum: the past alone, the volatility target, and the same book in plain Python"

import statistics

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import Market, load_families, lookahead_audit, run_backtest
from quantlab.backtest.trend_family import TREND, trend_weights
from quantlab.data import Panel
from quantlab.errors import SpecificationError
from quantlab.simulate import factor_world, random_walks


def market_of(returns: pd.DataFrame, start: int, member: pd.DataFrame | None = None) -> Market:
    "A market of these returns, with a trailing forecast"
    prices = np.log1p(returns.fillna(0.0)).cumsum().where(returns.notna().cummax())
    held = returns.notna().astype(float) if member is None else member
    panel = Panel({"returns": returns, "log_prices": prices, "member": held})
    forecast = returns.rolling(50, min_periods=5).std().shift(1)
    return Market.from_panel(panel, volatility=forecast, start=returns.index[start])


def ragged(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    "Returns of twelve names with holes, late listings and an end, and who is a member"
    returns = factor_world(500, 12, rng=np.random.default_rng(seed)).returns
    returns.iloc[:350, 3] = np.nan
    returns.iloc[400:, 4] = np.nan
    returns.iloc[260:270, 5] = np.nan
    member = returns.notna().astype(float)
    member.iloc[300:340, 6] = 0.0
    return returns, member


def plain(market: Market, window: int, target: float, every: int, most: float) -> pd.DataFrame:
    "The rule, one day and one name at a time"
    panel, days = market.panel, market.panel.index
    returns, prices = panel.returns, panel.log_prices
    first = days.get_loc(market.start)
    forecast = {
        t: market.volatility.iloc[t - first]
        if t >= first
        else (returns.iloc[max(0, t - 62) : t + 1] ** 2).mean() ** 0.5
        for t in range(first - 64, len(days))
    }

    def unscaled(t: int) -> dict:
        sides = {}
        for name in returns:
            began = returns[name].first_valid_index()
            young = began is None or t - window < days.get_loc(began) - 1
            change = prices[name].iloc[t] - prices[name].iloc[t - window]
            if market.membership[name].iloc[t] and not young and change == change and change:
                sides[name] = np.sign(change)
        least = statistics.median(forecast[t][n] for n in sides) / 2 if sides else 0.0
        return {n: s / len(sides) / max(forecast[t][n], least) for n, s in sides.items()}

    books = {t: unscaled(t) for t in forecast}
    earned = {
        t: sum(w * np.nan_to_num(returns[n].iloc[t]) for n, w in books[t - 1].items())
        for t in range(first - 63, len(days))
        if books[t - 1]
    }
    out = pd.DataFrame(np.nan, days[first:], returns.columns)
    for t in range(first, len(days)):
        if (t - first) % every == 0:
            seen = [earned[s] for s in range(t - 62, t + 1) if s in earned]
            gross = sum(map(abs, books[t].values()))
            scale = 0.0
            if len(seen) >= 21 and gross:
                daily = np.mean(np.square(seen)) ** 0.5
                scale = min(target / 252**0.5 / daily, most / gross)
            out.iloc[t - first] = [books[t].get(n, 0.0) * scale for n in returns]
        else:
            here, before = market.membership.iloc[t], market.membership.iloc[t - 1]
            out.iloc[t - first, (before & ~here).to_numpy()] = 0.0
    return out


@pytest.mark.parametrize("window, every, most", [(30, 5, 2.0), (120, 21, 0.7), (1, 1, 20.0)])
def test_the_book_is_that_of_plain_python(window, every, most):
    returns, member = ragged()
    market = market_of(returns, 200, member)
    got = trend_weights(market, window=window, target=0.1, rebalance_every=every, max_gross=most)
    expected = plain(market, window, 0.1, every, most)
    pd.testing.assert_frame_equal(got, expected, rtol=1e-10, atol=1e-12)


def test_the_past_alone_decides():
    returns, member = ragged(1)
    market = market_of(returns, 150, member)
    decide = lambda data: TREND.weights(market.with_panel(data), window=60, rebalance_every=5)
    assert lookahead_audit(decide, market.panel, n_cuts=12, seed=0).passed


@pytest.mark.slow
def test_the_target_is_met_where_the_volatility_is_constant():
    ratios = []
    for seed in range(8):
        prices = random_walks(1600, 15, rng=np.random.default_rng(seed))
        returns = np.expm1(prices.diff())
        panel = Panel(
            {"returns": returns, "log_prices": prices, "member": returns.notna().astype(float)}
        )
        market = Market.from_panel(panel, volatility=returns * 0 + 0.01, start=panel.index[320])
        weights = trend_weights(market, target=0.12, rebalance_every=1, max_gross=50.0)
        net = run_backtest(weights, market.returns).returns.iloc[1:]
        ratios.append(net.std() * 252**0.5 / 0.12)
    error = 1 / (2 * 8 * 1279) ** 0.5
    assert abs(np.mean(ratios) - (63 / 61) ** 0.5) < 3 * error


def test_no_more_than_the_largest_gross_and_flat_until_it_can_be_measured():
    returns, member = ragged(2)
    early = trend_weights(market_of(returns, 10, member), window=30, max_gross=0.5)
    assert (early.iloc[:40].fillna(0.0) == 0).all(axis=None)  # 30 of the window, 21 to measure
    assert early.abs().sum(axis=1).max() <= 0.5 + 1e-12
    assert early.abs().sum(axis=1).max() > 0.1


def test_a_member_that_leaves_is_sold_at_once():
    returns, member = ragged(3)
    weights = trend_weights(market_of(returns, 200, member), window=30, rebalance_every=50)
    assert weights.iloc[100, 6] == 0.0 and weights.iloc[101:140, 6].dropna().abs().sum() == 0


def test_its_name_leaves_a_project_its_own_trend(tmp_path, monkeypatch):
    from quantlab.starter import starter_family

    (tmp_path / "own_trend.py").write_text(starter_family(), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    both = load_families(["quantlab.backtest.trend_family", "own_trend"])
    assert list(both) == ["time_series_momentum", "trend"]


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"target": 0.0}, {"rebalance_every": 0}, {"max_gross": 0.0}]
)
def test_numbers_out_of_range_are_refused(wrong):
    market = market_of(ragged()[0], 200)
    with pytest.raises(SpecificationError, match=f"`{next(iter(wrong))}`"):
        trend_weights(market, **wrong)
    with pytest.raises(SpecificationError, match=f"time_series_momentum.{next(iter(wrong))}"):
        TREND.point(wrong)
