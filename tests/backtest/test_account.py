"""The account of shares and cash: two engines that share no line, and money that never appears."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantlab.backtest import CostModel, run_account, run_backtest
from quantlab.backtest.double_entry import REASONS
from quantlab.backtest.fills import FILLS
from quantlab.errors import MisalignedError, ScaleWarning

COSTS = st.builds(
    CostModel,
    commission_bps=st.sampled_from([0.0, 1.0]),
    half_spread_bps=st.sampled_from([0.0, 5.0]),
    impact_coefficient=st.sampled_from([0.0, 0.5]),
    borrow_bps_per_year=st.sampled_from([0.0, 100.0]),
    commission_per_share=st.sampled_from([0.0, 0.005]),
    minimum_commission=st.sampled_from([0.0, 1.0]),
    financing_bps_per_year=st.sampled_from([0.0, 150.0]),
    impact_exponent=st.sampled_from([0.5, 0.6, 1.0]),
)
RULES = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(FILLS),
        "stop_loss": st.sampled_from([None, 0.03, 0.1]),
        "take_profit": st.sampled_from([None, 0.04]),
        "lot_size": st.sampled_from([None, 1, 100]),
        "short_rebate": st.sampled_from([0.0, 0.7]),
        "cash_rate": st.sampled_from([0.0, 0.05]),
        "delisting_return": st.sampled_from([0.0, -0.3]),
        "rebalance": st.sampled_from(["daily", "weekly", 3]),
        "costs": COSTS,
    }
)


def world(seed: int, n_days: int = 40, n_assets: int = 4, volatility: float = 0.03) -> dict:
    "Bars with halts, beginnings and ends; targets; what can be borrowed; dividends"
    rng = np.random.default_rng(seed)
    days, names = pd.bdate_range("2020-01-01", periods=n_days), list("ABCD")[:n_assets]
    table = lambda values: pd.DataFrame(values, days, names)
    shape = (n_days, n_assets)
    close = table(50 * np.exp((volatility * rng.standard_normal(shape)).cumsum(axis=0)))
    before = close.shift(1, fill_value=50.0)
    opening = before * np.exp(volatility / 3 * rng.standard_normal(shape))
    reach = np.abs(volatility / 3 * rng.standard_normal((2, *shape)))
    high = np.maximum(opening, close) * (1 + reach[0])
    low = np.minimum(opening, close) * (1 - reach[1])
    bars = {"close": close, "open": opening, "high": high, "low": low, "vwap": (high + low) / 2}
    gone = np.zeros(shape, dtype=bool)
    gone[rng.integers(5, n_days) :, 0] = True
    gone[rng.integers(5, n_days - 4) :, 1][:3] = True
    gone[: rng.integers(1, n_days), 2] = True
    bars = {name: bar.mask(gone) for name, bar in bars.items()}
    weights = table(rng.normal(0, 0.4, shape)).mask(rng.random(shape) < 0.3)
    return {
        "weights": weights.mask(rng.random(shape) < 0.2, 0.0),
        "panel": bars,
        "tables": {
            "borrowable": table(rng.random(shape) < 0.9),
            "dividends": table(np.where(rng.random(shape) < 0.05, 0.5, 0.0)),
            "dollar_volume": table(rng.uniform(1e6, 1e8, shape)),
            "volatility": volatility or 0.01,
        },
    }


def run(made: dict, rules: dict, **more):
    limit = 15 if rules["fill"] == "limit" else None
    return run_account(
        made["weights"], made["panel"], limit_bps=limit, **made["tables"], **rules, **more
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rules=RULES)
def test_kernel_and_ledger_keep_the_same_books(seed, rules):
    made = world(seed)
    fast, slow = (run(made, rules, engine=engine) for engine in ("kernel", "double_entry"))
    pd.testing.assert_frame_equal(fast.trades, slow.trades, rtol=1e-9)
    pd.testing.assert_frame_equal(fast.charges, slow.charges, rtol=0, atol=1e-11)
    for part in ("returns", "gross_returns", "turnover", "costs"):
        pd.testing.assert_series_equal(
            getattr(fast, part), getattr(slow, part), rtol=0, atol=1e-10, check_freq=False
        )
    assert fast.delisting_loss == pytest.approx(slow.delisting_loss, abs=1e-4)
    assert fast.to_dict().keys() == slow.to_dict().keys()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rules=RULES)
def test_money_never_appears(seed, rules):
    "Prices that do not move, no interest and no dividends: what is traded can only cost"
    made = world(seed, volatility=0.0)
    made["tables"]["dividends"] = None
    quiet = {**rules, "cash_rate": 0.0, "delisting_return": 0.0}
    result = run(made, quiet)
    assert (result.returns <= 1e-13).all()
    assert result.equity.iloc[-1] <= result.capital * (1 + 1e-12)
    cost = (result.costs - result.charges["interest"]) * result.equity.shift(1).fillna(1e7)
    assert result.capital - result.equity.iloc[-1] == pytest.approx(cost.sum(), abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rules=RULES)
def test_what_assets_brought_is_the_gross_return(seed, rules):
    result = run(world(seed), rules)
    brought = result.contributions.sum(axis=1) + result.charges["interest"]
    assert (brought - result.gross_returns).abs().max() < 1e-11
    charged = ["commission", "spread", "impact", "borrow"]
    assert (result.charges[charged].sum(axis=1) - result.costs).abs().max() < 1e-13
    assert (result.gross_returns - result.costs - result.returns).abs().max() < 1e-13


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rules=RULES, cut=st.integers(10, 38))
def test_the_past_does_not_know_the_future(seed, rules, cut):
    made = world(seed)
    close = made["panel"]["close"]
    day = close.index[cut]
    # data that end in the middle of a halt do not tell it from the end of the name
    assume(
        not (
            close.loc[day].isna() & close.loc[day:].notna().any() & close.loc[:day].notna().any()
        ).any()
    )
    whole = run(made, rules)
    head = lambda x: x.loc[:day] if isinstance(x, pd.DataFrame) else x
    early = {
        "weights": head(made["weights"]),
        "panel": {name: head(bar) for name, bar in made["panel"].items()},
        "tables": {name: head(table) for name, table in made["tables"].items()},
    }
    part = run(early, rules)
    pd.testing.assert_series_equal(part.equity, whole.equity.loc[:day], check_freq=False)
    pd.testing.assert_frame_equal(part.shares, whole.shares.loc[:day], check_freq=False)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), lag=st.integers(1, 3), costs=COSTS)
def test_three_engines_of_a_book_agree(seed, lag, costs):
    from dataclasses import replace

    costs = replace(
        costs, commission_per_share=0.0, minimum_commission=0.0, financing_bps_per_year=0.0
    )
    made = world(seed)
    returns = made["panel"]["close"].ffill().pct_change(fill_method=None)
    account = {
        "costs": costs,
        "decision_lag": lag,
        "dollar_volume": made["tables"]["dollar_volume"],
        "volatility": 0 * returns.fillna(0) + 0.02,
        "periods_per_year": 252,
    }
    kernel, *others = (
        run_backtest(made["weights"], returns, engine=engine, **account)
        for engine in ("kernel", "vectorbt", "double_entry")
    )
    for other in others:
        for part in ("returns", "gross_returns", "turnover", "costs"):
            apart = (getattr(kernel, part) - getattr(other, part)).abs().max()
            assert apart < 1e-9, (other.engine, part)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rules=RULES)
def test_fills_lie_in_the_day(seed, rules):
    made = world(seed)
    result = run(made, rules)
    traded = result.trades[~result.trades["reason"].isin(["delisting", "lapsed"])]
    if rules["fill"] == "close":
        traded = traded[~traded["reason"].isin(["order", "recall"])]
    for trade in traded.itertuples():
        low, high = (made["panel"][n].loc[trade.date, trade.asset] for n in ("low", "high"))
        assert low * (1 - 1e-12) <= trade.price <= high * (1 + 1e-12), trade
    assert set(result.trades["reason"]) <= set(REASONS)
    if rules["lot_size"]:
        orders = result.trades[result.trades["reason"].isin(["order", "lapsed"])]
        lots = orders["shares"] / rules["lot_size"]
        assert np.allclose(lots, lots.round(), atol=1e-9)


def test_a_limit_buys_below_and_sells_above_the_close_of_its_decision():
    made = world(5, n_days=200)
    rules = {"fill": "limit", "capital": 1e6}
    trades = run(made, rules).trades
    done = trades[trades["reason"] == "order"]
    edge = np.sign(done["shares"]) * (done["decision_price"] / done["price"] - 1)
    assert len(done) > 20 and (edge >= 0.0015 - 1e-4).all()
    assert (trades["reason"] == "lapsed").any()


def simple(n_days: int = 10, price: float = 100.0) -> tuple[pd.DataFrame, dict]:
    days = pd.bdate_range("2024-01-01", periods=n_days)
    close = pd.DataFrame({"A": price}, index=days)
    bars = {"close": close, "open": close, "high": close * 1.01, "low": close * 0.99}
    return pd.DataFrame({"A": 0.5}, index=days), bars


def test_weights_may_not_skip_days_of_the_panel():
    weights, bars = simple()
    with pytest.raises(MisalignedError, match="skips 4 of the 9 days"):
        run_account(weights.iloc[::2], bars)
    run_account(weights.iloc[2:6], bars)  # a part of them is no gap


def test_a_bar_without_its_open_fills_nothing():
    weights, bars = simple(6)
    gap = {name: bar.copy() for name, bar in bars.items()}
    day = weights.index[3]
    gap["open"].loc[day], gap["high"].loc[day] = np.nan, 82.0
    gap["low"].loc[day], gap["close"].loc[day] = 78.0, 80.0
    for name, value in {"open": 90.0, "high": 96.0, "low": 89.0, "close": 95.0}.items():
        gap[name].loc[weights.index[4]] = value
    held = run_account(weights.iloc[:1].reindex(weights.index), gap, stop_loss=0.05, capital=1e5)
    assert held.n_stopped == 1
    exit_ = held.trades.iloc[-1]
    assert exit_["date"] == weights.index[4] and exit_["price"] == 90.0


def test_a_steady_position_is_no_string_of_trades():
    made = world(11, n_days=200)
    weights = made["weights"].copy() * np.nan
    weights["D"] = 1.0
    for fill in ("close", "next_open"):
        result = run_account(weights, made["panel"], fill=fill)
        traded = (result.trades["shares"].abs() * result.trades["price"]).iloc[1:]
        assert not len(traded) or traded.min() > 1e-4


def test_whole_lots_are_not_lost_to_rounding():
    weights, bars = simple(3, price=1.0)
    result = run_account(weights * 0 + 0.29, bars, lot_size=1, capital=100)
    assert result.trades["shares"].tolist() == [29.0]


def test_an_order_without_a_price_is_counted():
    weights, bars = simple(6)
    halted = {name: bar.copy() for name, bar in bars.items()}
    for bar in halted.values():
        bar.iloc[3] = np.nan
    rows = weights * np.nan
    rows.iloc[0], rows.iloc[3] = 0.5, 0.2
    for engine in ("kernel", "double_entry"):
        result = run_account(rows, halted, engine=engine)
        assert (result.n_unpriced, result.n_trades) == (1, 1)


def test_a_trade_at_the_close_carries_its_day():
    weights, bars = simple(4)
    result = run_account(weights.iloc[:1].reindex(weights.index), bars, fill="close")
    assert result.trades["date"].tolist() == [weights.index[0]]
    assert result.start == weights.index[1]  # the first day that it earns


def test_rates_and_dates_that_deny_each_other_are_said():
    weights, bars = simple(300)
    with pytest.warns(ScaleWarning, match="`periods_per_year` is 12"):
        run_account(weights, bars, cash_rate=0.05, periods_per_year=12)
    with pytest.warns(ScaleWarning, match="`cash_rate` reaches 500%"):
        run_account(weights, bars, cash_rate=5.0)
