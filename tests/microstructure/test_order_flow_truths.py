"""Each estimator of order flow finds what the simulated market was made with."""

import numpy as np
import pytest

from quantlab.microstructure import (
    OrderFlowModel,
    fit_pin,
    kyle_lambda,
    sign_trades,
    simulate_order_flow,
    trade_costs,
    vpin,
)


@pytest.fixture(scope="module")
def market():
    return simulate_order_flow(60, rng=np.random.default_rng(7), model=OrderFlowModel())


def test_pin(market):
    fit = fit_pin(market.days["buys"].to_numpy(), market.days["sells"].to_numpy())
    assert abs(fit.pin - market.pin) < 4 * fit.std_error < 0.06


def test_lambda(market):
    table = market.ticks.table
    five = [market.ticks.sessions, table.index.floor("5min")]
    flow = (table["side"] * table["volume"]).groupby(five).sum().to_numpy()
    first = table["price"].groupby(five).size().cumsum().shift(fill_value=0).to_numpy()
    session = market.ticks.sessions[first]
    # a window's move: from the mid that its first trade met to that which the next window's met
    same = session[1:] == session[:-1]
    move = np.diff(market.mid[first])[same]
    fit = kyle_lambda(move, flow[:-1][same], hac_lags=5)
    assert abs(fit.kyle_lambda - market.kyle_lambda) < 4 * fit.std_error
    assert fit.std_error < 0.2 * market.kyle_lambda


def test_signs(market):
    side = market.ticks.table["side"].to_numpy()
    by_quotes = sign_trades(market.ticks, method="lee_ready").to_numpy()
    by_price = sign_trades(market.ticks).to_numpy()
    right = {"quotes": (by_quotes == side).mean(), "price": (by_price == side).mean()}
    assert right["quotes"] > 0.97 and 0.6 < right["price"] < right["quotes"]


def test_spread_and_impact(market):
    costs = trade_costs(market.ticks, horizon="30s")
    mid = market.mid.mean()
    assert costs.effective * mid == pytest.approx(2 * market.half_spread, rel=0.15)
    assert costs.realised + costs.impact == pytest.approx(costs.effective, abs=1e-12)
    assert costs.impact > 0


def test_vpin_is_higher_where_more_is_informed():
    levels = []
    for mu in (0.0, 300.0, 900.0):
        model = OrderFlowModel(mu=mu, alpha=1.0)
        ticks = simulate_order_flow(8, rng=np.random.default_rng(3), model=model).ticks
        size = float(ticks.table["volume"].sum() / 400)
        levels.append(vpin(ticks, bucket_volume=size, classification="side").mean)
    assert levels[0] < levels[1] < levels[2]
