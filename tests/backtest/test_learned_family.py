"Learned forecasts as a family: known at the close, learned again the same, and audited so"

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import Market, factor_values, long_short_weights, lookahead_audit
from quantlab.backtest.learned_family import LEARNED, learned_forecast, learned_weights
from quantlab.data import Panel, forward_returns_from_returns
from quantlab.errors import DataError, SpecificationError
from quantlab.factors import learned_combination
from quantlab.simulate import factor_world

RULES = {
    "factors": ["momentum_6_1", "short_term_reversal"],
    "horizon": 10,
    "step": 5,
    "warm_up": 130,
    "train_size": 40,
    "test_size": 20,
    "embargo": 1,
    "num_leaves": 4,
    "num_iterations": 10,
    "seed": 1,
}


@pytest.fixture(scope="module")
def panel():
    world = factor_world(620, 30, edge=0.001, rng=np.random.default_rng(7))
    member = world.returns.notna().astype(float)
    member.iloc[:450, 25:] = 0.0
    fields = {"returns": world.returns, "log_prices": np.log1p(world.returns).cumsum()}
    return Panel({**fields, "dollar_volume": world.dollar_volume, "member": member})


@pytest.fixture(scope="module")
def market(panel):
    settings = {"evaluate_factors": RULES}
    made = LEARNED.carry_on(panel, first_trade=panel.index[420], settings=settings)
    forecast = panel.returns.rolling(50).std().shift(1)
    return Market.from_panel(
        panel, volatility=forecast, artifacts=made, start=panel.index[420], settings=settings
    )


def test_the_forecasts_are_those_of_the_stage(panel):
    weeks, member = panel.index[130::5], panel.member == 1
    values = {n: factor_values(n, panel, member).loc[weeks] for n in RULES["factors"]}
    ahead = {2: forward_returns_from_returns(panel.returns, periods=[10])[10].loc[weeks]}
    learned = learned_combination(
        values,
        ahead,
        train_size=40,
        test_size=20,
        embargo=1,
        seed=1,
        params={"num_leaves": 4, "num_iterations": 10},
    )
    expected = learned.factor.dropna(how="all")
    pd.testing.assert_frame_equal(learned_forecast(panel, **RULES), expected, check_exact=True)


@pytest.mark.parametrize("end", [360, 415, 500, 501, 589])
def test_a_row_is_the_same_on_data_that_end_with_it(panel, end):
    whole, last = learned_forecast(panel, **RULES), panel.index[end]
    try:
        cut = learned_forecast(panel.between(end=last), **RULES)
    except DataError as error:
        assert "too few" in str(error) and whole.loc[:last].empty
        return
    pd.testing.assert_frame_equal(cut, whole.loc[:last], check_exact=True)


def test_a_return_that_has_not_ended_has_no_part(panel):
    whole, t = learned_forecast(panel, **RULES), 500
    later = panel.returns.copy()
    later.iloc[t + 1 :] = 0.5
    changed = panel.with_fields({"returns": later, "log_prices": np.log1p(later).cumsum()})
    again = learned_forecast(changed, **RULES)
    before = slice(None, panel.index[t])
    pd.testing.assert_frame_equal(again.loc[before], whole.loc[before], check_exact=True)
    assert not again.equals(whole)


def test_the_book_trades_the_last_forecast_of_the_members(market):
    got = learned_weights(market, rebalance_every=7, quantile=0.25)
    forecast, rows = market.artifacts["learned_forecast"], {}
    for day in market.returns.index:
        known = forecast.loc[:day].iloc[-1]
        rows[day] = known.where(market.membership.loc[day])
    expected = long_short_weights(
        pd.DataFrame(rows).T,
        quantile=0.25,
        rebalance_every=7,
        membership=market.membership.loc[market.start :],
    )
    np.testing.assert_array_equal(got.to_numpy(), expected.to_numpy())


def test_an_audit_learns_again(market, panel):
    again = lookahead_audit(lambda data: LEARNED.weights(LEARNED.on(market, data)), panel, n_cuts=4)
    assert again.verdict == "passed"
    few = market.of_names(market.returns.columns[::2])
    there = LEARNED.on(few, few.panel)
    assert list(there.artifacts["learned_forecast"]) == list(few.returns)


def test_where_nothing_was_learned_there_is_one_sentence(market, panel):
    empty = {"learned_forecast": market.artifacts["learned_forecast"].iloc[:0]}
    nothing = Market.from_panel(
        panel, volatility=panel.returns, artifacts=empty, start=panel.index[420]
    )
    with pytest.raises(SpecificationError, match="history is too short for"):
        learned_weights(nothing)
