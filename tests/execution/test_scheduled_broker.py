"""Orders worked inside the day: the shortfall's identity, the engine, restarts, leaks, halts."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from conftest import sequential_test
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, HandoffError, QuantlabError, SpecificationError
from quantlab.execution import (
    ScheduledBroker,
    ScheduleRule,
    reconcile_children,
    work_order,
)
from quantlab.handoff import PaperEngine, load_bundle, replay_bundle, write_bundle
from quantlab.trading import (
    CostModel,
    KillSwitch,
    Limits,
    PreTradeGate,
    State,
    bars,
    make_order,
)

WIDE = Limits(
    max_order_notional=1e9,
    max_gross=5.0,
    max_position_weight=5.0,
    max_daily_turnover=50.0,
    price_collar=0.95,
    max_orders_per_day=1000,
    max_stale_days=0,
    max_daily_loss=0.9,
    max_drawdown=0.9,
)
RULES = (
    {"kind": "twap"},
    {"kind": "vwap", "n_sessions": 3},
    {"kind": "pov", "participation": 0.05},
    {"kind": "almgren_chriss", "urgency": 2.0},
)
N_DAYS, PARTS = 12, 5
few = settings(max_examples=25, deadline=None)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    "A killed process loses nothing that was written: only a power cut needs the flush"
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def market(seed):
    "Prices and volumes inside days, and the daily bars that they make"
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2015-06-30", periods=N_DAYS + 1, name="date")
    times = pd.DatetimeIndex([d + pd.Timedelta(hours=15 + h) for d in days for h in range(PARTS)])
    steps = rng.normal(0, 0.004, (len(times), 2))
    prices = pd.DataFrame(50 * np.exp(steps.cumsum(axis=0)), index=times, columns=["A", "B"])
    volumes = pd.DataFrame(
        rng.integers(2e4, 9e4, prices.shape) * 1.0, index=times, columns=["A", "B"]
    )
    closes = prices.groupby(prices.index.normalize()).last().rename_axis("date")
    money = (prices * volumes).groupby(prices.index.normalize()).sum().rename_axis("date")
    return prices, volumes, closes.pct_change().fillna(0.0), money


PRICES, VOLUMES, RETURNS, MONEY = market(3)
DAYS = RETURNS.index[1:]


def feed(returns=RETURNS, money=MONEY):
    return list(bars(returns.loc[DAYS], dollar_volume=money.loc[DAYS]))


def save_bundle(folder):
    rng = np.random.default_rng(5)
    weights = pd.DataFrame(rng.normal(0, 0.4, (len(DAYS), 2)), index=DAYS, columns=["A", "B"])
    expected = pd.DataFrame({"returns": 0.0, "turnover": 0.1, "costs": 0.0}, index=DAYS)
    given = {"mean": 4e-4, "volatility": 0.01, "sequential_test": sequential_test()}
    return load_bundle(
        write_bundle(
            folder / "handoff",
            strategy="book",
            verdict="approved",
            parameters={},
            target_weights=weights,
            expected=expected,
            inputs={},
            code="tree",
            universe=["A", "B"],
            costs=CostModel(half_spread_bps=1),
            limits=WIDE,
            kill_rules={"daily_loss": 0.5, "sequential_test": False},
            expected_distribution=given,
            starts=str(DAYS[0].date()),
            expires="2030-12-31",
            capital=1e6,
        )
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return save_bundle(tmp_path_factory.mktemp("bundle"))


def venue(bundle, rule, **how):
    given = {"prices": PRICES, "volumes": VOLUMES} | how
    return ScheduledBroker(bundle.costs, capital=bundle.capital, rule=rule, **given)


def test_at_once_is_the_reference_broker(bundle):
    plain = replay_bundle(bundle, feed())
    broker = venue(bundle, "at_once")
    result = PaperEngine(bundle, broker).run(feed())
    assert result.journal == plain.journal
    both = reconcile_children(result.fills, broker.children())
    # the first day has no price before it: the venue knows no mark
    assert both.n_children <= len(result.fills) and abs(both.slippage_bps) < 1e-9


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["kind"])
def test_the_engine_trades_a_schedule_and_reconciles(bundle, rule):
    broker = venue(bundle, rule)
    result = PaperEngine(bundle, broker).run(feed())
    children = broker.children()
    both = reconcile_children(result.fills, children)
    assert both.reconciled and both.n_parents == len(result.fills) == 2 * (len(DAYS) - 1)
    assert both.n_children > 2 * both.n_parents and "agree" in both.sentence()
    assert children.loc[children["sent"], "date"].min() == str(DAYS[1].date())
    if rule["kind"] == "pov":  # of the volume there is not enough for the largest
        assert 0.5 < both.filled < 1
    else:
        assert both.filled == pytest.approx(1, abs=1e-12)
    # equity is cash and shares at the close, told by the children alone
    done = children[children["sent"]]
    shares = done.groupby("asset")["quantity"].sum()
    worth = (shares * PRICES.iloc[-1][shares.index]).sum()
    cash = bundle.capital - done["notional"].sum() - done["cost"].sum()
    assert result.final_equity == pytest.approx(cash + worth, rel=1e-9)


@few
@given(st.integers(0, 10_000), st.sampled_from(RULES), st.floats(0, 20))
def test_what_is_lost_against_the_reference_is_the_shortfall(seed, rule, spread):
    prices, volumes, returns, _ = market(seed)
    rng = np.random.default_rng(seed)
    costs = CostModel(half_spread_bps=spread)
    one, other = (
        ScheduledBroker(costs, capital=1e6, rule=r, prices=prices, volumes=volumes)
        for r in (rule, "at_once")
    )
    days = list(bars(returns))
    for broker in (one, other):
        for bar in days[:5]:
            broker.advance(bar)
    for asset in "AB":
        order = make_order("s", days[4].date, asset, float(rng.normal(0, 3e5)))
        one.submit(order)
        other.submit(order)
    one.advance(days[5])
    other.advance(days[5])
    c = one.children()
    q, p0 = c["quantity"], c["decision_price"].astype(float)
    close = c["asset"].map(prices.loc[prices.index.normalize() == days[5].date].iloc[-1])
    wished = other.children().set_index("asset")["quantity"]
    undone = wished - q.groupby(c["asset"]).sum().reindex(wished.index)
    moved = (close - p0).groupby(c["asset"]).first().reindex(wished.index)
    lost = (q * (c["price"].astype(float) - p0)).sum() + (undone * moved).sum()
    fees = c["cost"].sum() - other.children()["cost"].sum()
    assert other.equity() - one.equity() == pytest.approx(lost + fees, abs=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["kind"])
def test_no_child_knows_what_comes_after_it(bundle, rule):
    "Other prices and volumes from a time on leave every child up to it as it was"
    at = PRICES.index[8 * PARTS + 2]
    later = PRICES.index > at
    prices = PRICES.mask(pd.Series(later, PRICES.index), PRICES * 1.1)
    volumes = VOLUMES.mask(pd.Series(later, VOLUMES.index), VOLUMES * 0.2 + 7)
    closes = prices.groupby(prices.index.normalize()).last().rename_axis("date")
    returns = closes.pct_change().fillna(0.0)

    def before(prices, volumes, returns):
        broker = venue(bundle, rule, prices=prices, volumes=volumes)
        PaperEngine(bundle, broker).run(feed(returns))
        found = broker.children()
        return found[pd.to_datetime(found["time"]) <= at].reset_index(drop=True)

    one, other = before(PRICES, VOLUMES, RETURNS), before(prices, volumes, returns)
    day = str(at.date())
    assert (one["date"] == day).any()
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_a_restart_tells_the_same_story(bundle, tmp_path, stop):
    rule, record = RULES[0], tmp_path / "children.jsonl"
    broker = venue(bundle, rule)
    whole = PaperEngine(bundle, broker, folder=tmp_path / "whole").run(feed())

    class Killed(BaseException):
        "Ends the process where it is"

    def until(n):
        for k, bar in enumerate(feed()):
            if k == n:
                raise Killed
            yield bar

    with pytest.raises(Killed):
        PaperEngine(bundle, venue(bundle, rule, record=record), folder=tmp_path / "state").run(
            until(stop)
        )
    with record.open(
        "ab"
    ) as file:  # the children of a day whose session was not saved, and half a line
        file.write(
            json.dumps({**dict(broker._children[-1]), "date": "2099-01-01"}).encode() + b'\n{"pa'
        )
    again = venue(bundle, rule, record=record)
    result = PaperEngine(bundle, again, folder=tmp_path / "state").run(feed())
    assert result.journal == whole.journal
    pd.testing.assert_frame_equal(again.children(), broker.children())
    assert len(record.read_bytes().splitlines()) == len(broker.children())


def test_a_halt_in_the_course_of_a_day_stops_the_next_child(bundle):
    asked = []

    class Halting(KillSwitch):
        @property
        def state(self):
            asked.append(1)
            return State.HALTED if len(asked) > 7 else State.ACTIVE

    broker = venue(bundle, "twap", switch=Halting(None))
    result = PaperEngine(bundle, broker).run(feed())
    children = broker.children()
    assert children["sent"].sum() == 7 and set(children.loc[~children["sent"], "rule"]) == {
        "halted"
    }
    assert reconcile_children(result.fills, children).reconciled


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"max_order_notional": 3e4}, "notional"),
        ({"max_orders_per_day": 3}, "rate"),
        ({"max_participation": 1e-3}, "participation"),
        ({"max_daily_turnover": 0.1}, "turnover"),
        ({"price_collar": 1e-4}, "collar"),
    ],
)
def test_the_gate_judges_each_child(bundle, limits, rule):
    gate = PreTradeGate(Limits(**{**WIDE.to_dict(), **limits}))
    broker = venue(bundle, "twap", gate=gate)
    result = PaperEngine(bundle, broker).run(feed())
    children = broker.children()
    refused = children[~children["sent"]]
    assert rule in set(refused["rule"]) and refused["reason"].str.len().gt(0).all()
    both = reconcile_children(result.fills, children)
    assert both.reconciled and both.filled < 1 and both.n_refused == len(refused)
    value = children.loc[children["sent"], "notional"].abs()
    if rule == "notional":
        assert value.max() <= 3e4 * (1 + 1e-9)
    elif rule == "rate":
        assert children[children["sent"]].groupby("date").size().max() == 3


def test_a_borrow_fee_is_that_of_the_reference_broker_where_prices_stand_still():
    flat = PRICES * 0 + 50.0
    costs = CostModel(borrow_bps_per_year=300)
    how = {"capital": 1e6, "prices": flat, "volumes": VOLUMES, "periods_per_year": 252}
    days = list(bars(RETURNS * 0))
    ends = []
    for rule in ("twap", "at_once"):
        broker = ScheduledBroker(costs, rule=rule, **how)
        for k, bar in enumerate(days):
            broker.advance(bar)
            broker.submit(make_order("s", bar.date, "A", -1e5 if k % 3 else 1.5e5))
        ends.append(broker.equity())
    assert ends[0] == pytest.approx(ends[1], rel=1e-13) and ends[0] < 1e6


def test_an_impact_without_a_volume_has_no_price(bundle):
    costs = CostModel(impact_coefficient=0.5)
    none = VOLUMES.copy()
    none.loc[none.index.hour == 16] = 0.0
    broker = ScheduledBroker(costs, capital=1e6, rule="twap", prices=PRICES, volumes=none)
    PaperEngine(bundle, broker).run(feed())
    children = broker.children()
    unpriced = children[children["rule"] == "unpriced"]
    assert len(unpriced) and (pd.to_datetime(unpriced["time"]).dt.hour == 16).all()
    assert (children.loc[children["sent"], "cost"] > 0).all()


def test_a_day_without_prices_leaves_the_parent_undone(bundle):
    day = DAYS[3]
    gone = PRICES[PRICES.index.normalize() != day]
    broker = venue(bundle, "twap", prices=gone, volumes=VOLUMES.loc[gone.index])
    days = feed()
    for bar in days[:3]:
        broker.advance(bar)
    broker.submit(make_order("s", days[2].date, "A", 1e4))
    (fill,) = broker.advance(days[3])
    assert fill.notional == 0 and broker.children()["reason"].tolist() == [
        "A has no price inside the day"
    ]


WRONG = {
    "no rule": ({"rule": None}, SpecificationError),
    "an unknown rule": ({"rule": "iceberg"}, SpecificationError),
    "a parameter too many": ({"rule": {"kind": "twap", "participation": 0.1}}, SpecificationError),
    "no kind": ({"rule": {"participation": 0.1}}, SpecificationError),
    "a share above one": ({"rule": {"kind": "pov", "participation": 1.5}}, SpecificationError),
    "half a session": ({"rule": {"kind": "vwap", "n_sessions": 1.5}}, SpecificationError),
    "an urgency of nothing": (
        {"rule": {"kind": "almgren_chriss", "urgency": 0}},
        SpecificationError,
    ),
    "prices of nothing": ({"prices": PRICES * 0}, DataError),
    "prices that are text": ({"prices": PRICES.astype(str)}, DataError),
    "no times": ({"prices": PRICES.reset_index(drop=True), "volumes": None}, DataError),
    "other times": ({"volumes": VOLUMES.iloc[1:]}, QuantlabError),
    "volumes below zero": ({"volumes": -VOLUMES}, DataError),
    "no volumes": ({"rule": RULES[1], "volumes": None}, SpecificationError),
    "a gate that is none": ({"gate": WIDE}, QuantlabError),
    "a switch that is none": ({"switch": "halted"}, QuantlabError),
}


@pytest.mark.parametrize("how", WRONG)
def test_bad_input_is_refused_in_a_sentence(bundle, how):
    changed, error = WRONG[how]
    with pytest.raises(error) as refused:
        venue(bundle, **({"rule": "twap"} | changed))
    assert str(refused.value).endswith(".") and "`" in str(refused.value)


def test_prices_that_contradict_the_daily_bar_stop_the_day(bundle):
    with pytest.raises(HandoffError, match="adjust one as the other is"):
        PaperEngine(bundle, venue(bundle, "twap")).run(feed(RETURNS + 1e-4))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["kind"])
def test_children_add_up_and_have_one_sign(rule):
    seen = VOLUMES["A"].iloc[-PARTS:]
    past = VOLUMES["A"].iloc[:-PARTS]
    past = pd.DataFrame(
        past.to_numpy().reshape(-1, PARTS),
        index=past.index.normalize().unique(),
        columns=past.index[:PARTS].time,
    )
    for quantity in (1e4, -333.3):
        made = work_order(ScheduleRule(**rule), quantity, seen=seen, past=past)
        parts = made.table["quantity"]
        assert parts.sum() + made.unfilled == pytest.approx(quantity, rel=1e-12)
        assert (parts * np.sign(quantity) >= 0).all()
