"""What a backtest does without traded value, with names that end, and on small universes."""

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import (
    CostModel,
    Market,
    candidate_weights,
    declare_candidates,
    grid_returns,
    lookahead_audit,
    run_backtest,
)
from quantlab.data import Panel, market_panel
from quantlab.errors import MissingDataError
from quantlab.simulate import factor_world
from quantlab.trading.broker import ReferenceBroker, bars, load_feed, save_feed

COSTS = CostModel(
    commission_bps=0.5, half_spread_bps=2.5, impact_coefficient=0.5, borrow_bps_per_year=50
)
MONEY = {"capital": 1e7, "periods_per_year": 252}


def small_market(names=12, n=420, ends=None, **fields):
    "A market of a few names; those in `ends` have no return after that row"
    returns = factor_world(n, names, rng=np.random.default_rng(5)).returns
    for name, row in (ends or {}).items():
        returns.iloc[row + 1 :, returns.columns.get_loc(name)] = np.nan
    panel = market_panel(Panel({"returns": returns, **fields}))
    return Market.from_panel(
        panel, volatility=returns.rolling(50).std().shift(1), start=returns.index[280]
    )


def test_impact_without_traded_value_is_refused_and_never_taken_for_zero():
    market = small_market()
    (point,) = declare_candidates({"factors": {"factor": ["momentum_6_1"]}})
    weights = candidate_weights(point, market)
    with pytest.raises(MissingDataError, match="Without it charge none, by `costs.without_impact"):
        run_backtest(weights, market.returns, costs=COSTS, **MONEY)
    with pytest.raises(MissingDataError, match="`dollar_volume` is needed"):
        grid_returns({"a": point}, market, costs=COSTS, **MONEY)
    charged = market.chargeable(COSTS)
    result = run_backtest(weights, market.returns, costs=charged, **MONEY)
    assert result.impact_costs.eq(0).all() and np.isnan(result.capacity)
    assert (result.costs > 0).any()
    net = grid_returns({"a": point}, market, costs=charged, **MONEY)["a"]
    pd.testing.assert_series_equal(net, result.returns, check_names=False, atol=1e-15)


def test_a_name_that_ends_is_sold_at_its_last_price_and_the_day_is_counted():
    whole = small_market()
    (point,) = declare_candidates(
        {"factors": {"factor": ["momentum_6_1"], "rebalance_every": [63]}}
    )
    held = run_backtest(candidate_weights(point, whole), whole.returns, **MONEY).weights
    name = held.iloc[30].abs().idxmax()
    last = held.index[30]
    market = small_market(ends={name: 280 + 30})
    weights = candidate_weights(point, market)
    day_after = weights.index[31]
    assert weights.loc[day_after, name] == 0  # decided at the first close without a price
    result = run_backtest(weights, market.returns, costs=CostModel(half_spread_bps=10), **MONEY)
    assert result.weights.loc[last, name] != 0 and result.weights.loc[day_after, name] != 0
    assert result.weights.iloc[32:][name].eq(0).all()
    assert result.n_missing_returns == 1  # the one day held without a price earns nothing
    others = (result.weights.loc[day_after] * market.returns.loc[day_after]).drop(name).sum()
    assert result.gross_returns.loc[day_after] == pytest.approx(others, abs=1e-15)
    sold = abs(result.weights.loc[day_after, name])
    assert result.turnover.iloc[32] == pytest.approx(sold, rel=0.05)
    assert result.costs.iloc[32] == pytest.approx(1e-3 * result.turnover.iloc[32])


@pytest.mark.parametrize("names", [10, 11, 40])
def test_small_universes_have_books_that_do_not_look_ahead(names):
    market = small_market(names, ends={"S001": 350})
    for point in declare_candidates({"factors": {"factor": ["momentum_6_1", "low_beta"]}}):
        weights = candidate_weights(point, market)
        gross = weights.abs().sum(axis=1)
        assert gross.max() == pytest.approx(1.0)
        places = int(names * 0.2)
        assert weights.gt(0).sum(axis=1).max() == places == weights.lt(0).sum(axis=1).max()
        audit = lookahead_audit(
            lambda data, p=point: candidate_weights(p, market.with_panel(data)),
            market.panel, n_cuts=4, seed=1,
        )  # fmt: skip
        assert audit.passed, audit


def test_a_total_loss_in_the_data_does_not_stop_an_audit():
    returns = factor_world(420, 10, rng=np.random.default_rng(5)).returns
    returns.iloc[330, 2], returns.iloc[331:, 2] = -1.0, np.nan
    market = Market.from_panel(
        market_panel(Panel({"returns": returns})),
        volatility=returns.rolling(50).std().shift(1), start=returns.index[280],
    )  # fmt: skip
    (point,) = declare_candidates({"factors": {"factor": ["momentum_6_1"]}})
    audit = lookahead_audit(
        lambda data: candidate_weights(point, market.with_panel(data)),
        market.panel,
        n_cuts=6,
        seed=0,
    )
    assert audit.verdict != "failed"


def test_a_feed_without_traded_value_is_written_read_and_traded_without_impact(tmp_path):
    market = small_market()
    path = save_feed(tmp_path / "feed.parquet", bars(market.returns, volatility=market.volatility))
    feed = load_feed(path)
    assert len(feed) == len(market.returns) and not feed[0].dollar_volume
    broker = ReferenceBroker(market.chargeable(COSTS), capital=1e7, periods_per_year=252)
    assert broker.advance(feed[0]) == [] and broker.equity() == 1e7
