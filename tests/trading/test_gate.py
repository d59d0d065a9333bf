"""The gate: each rule beyond its limit and on it, three states that keep their word."""

import dataclasses
import datetime as dt
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import HandoffError, SpecificationError
from quantlab.trading import Account, DeskRules, Limits, PreTradeGate, State, make_order
from quantlab.trading.limits import limits_from

DAY = pd.Timestamp("2016-01-04")
LIMITS = Limits(
    max_order_notional=1e6,
    max_gross=5.0,
    max_position_weight=1.0,
    max_daily_turnover=5.0,
    price_collar=0.5,
    max_orders_per_day=100,
    max_stale_days=0,
    max_daily_loss=0.5,
    max_drawdown=0.5,
)
OPTIONAL = ("max_daily_notional", "max_net", "max_concentration", "max_participation")
NOON = dt.time(12, 0)


def account(**changes):
    "A million, long A and short B"
    values = {
        "date": DAY,
        "equity": 1e6,
        "positions": {"A": 200_000.0, "B": -100_000.0},
        "price_change": {"A": 0.01, "B": 0.0},
        "stale_days": {"A": 0, "B": 0},
        "dollar_volume": {"A": 1e7, "B": 1e7},
        "time": NOON,
    }
    return Account(**values | changes)


def check(asset, notional, *, limits=None, rules=None, before=(), **changes):
    gate = PreTradeGate(dataclasses.replace(LIMITS, **limits or {}), DeskRules(**rules or {}))
    book = account(**changes)
    for order in before:
        book.accept(make_order("seal", DAY, *order))
    return gate.check(make_order("seal", DAY, asset, notional), book)


def agreed(**limits):
    return {"limits": limits}


def told(**rules):
    return {"rules": rules}


SOLD = {"before": [("B", -5e4)]}  # an order accepted before
NO_CROSS = told(forbid_self_cross=True)
# rule: what trips it, the same just inside, the value and the limit told; of an order A +100,000
RULES = {
    "notional": (agreed(max_order_notional=99_999), agreed(max_order_notional=1e5), 1e5, 99_999),
    "daily_notional": (
        agreed(max_daily_notional=149_999) | SOLD,
        agreed(max_daily_notional=1.5e5) | SOLD,
        1.5e5,
        149_999,
    ),
    "position": (agreed(max_position_weight=0.29), agreed(max_position_weight=0.3), 0.3, 0.29),
    "gross": (agreed(max_gross=0.39), agreed(max_gross=0.4), 0.4, 0.39),
    "net": (agreed(max_net=0.19), agreed(max_net=0.2), 0.2, 0.19),
    "concentration": (agreed(max_concentration=0.099), agreed(max_concentration=0.1), 0.1, 0.099),
    "participation": (agreed(max_participation=9e-3), agreed(max_participation=0.01), 0.01, 9e-3),
    "turnover": (agreed(max_daily_turnover=0.09), agreed(max_daily_turnover=0.1), 0.1, 0.09),
    "collar": (agreed(price_collar=9e-3), agreed(price_collar=0.01), 0.01, 9e-3),
    "duplicate": ({"before": [("A", 5e4)]}, {"before": [("B", 5e4)]}, None, None),
    "rate": (agreed(max_orders_per_day=1) | SOLD, agreed(max_orders_per_day=2) | SOLD, 1, 1),
    "self_cross": (NO_CROSS | {"before": [("A", -1e4)]}, NO_CROSS | SOLD, "buy", "sell"),
    "restricted": (told(restricted=["A"]), told(restricted=["B"]), "A", "restricted list of 1"),
    "locate": (told(locates={"A": 99_999}), told(locates={"A": 1e5}), 1e5, 99_999),
    "stale": ({"stale_days": {"A": 1}}, {"stale_days": {"A": 0}}, 1, 0),
    "hours": (
        told(hours=("12:01", "20:00")),
        told(hours=("12:00", "12:00")),
        "12:00",
        "12:01-20:00",
    ),
    "daily_loss": ({"day_return": -0.51}, {"day_return": -0.5}, 0.51, 0.5),
    "drawdown": ({"drawdown": 0.51}, {"drawdown": 0.5}, 0.51, 0.5),
    "instrument": (told(instruments=["B"]), told(instruments=["A"]), "A", "1 known instruments"),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_refuses_beyond_its_limit_and_passes_on_it(rule):
    beyond, inside, value, limit = RULES[rule]
    size = -3e5 if rule == "locate" else 1e5  # from long 200,000 to short 100,000
    said = check("A", size, **beyond)
    assert (said.allowed, said.rule) == (False, rule) and said.reason
    assert check("A", size, **inside).allowed
    if value is not None:
        close = pytest.approx(value) if isinstance(value, (int, float)) else value
        assert said.numbers() == {"value": close, "limit": limit}


def test_there_is_a_test_for_every_rule_that_can_be_asked():
    named = set(RULES)
    assert len(named) == 19
    assert {name.removeprefix("max_") for name in OPTIONAL} <= named
    lists = {"instruments": "instrument", "locates": "locate", "forbid_self_cross": "self_cross"}
    assert {lists.get(name, name) for name in DeskRules.LABELS} <= named


def test_what_nobody_knows_is_not_permitted():
    for volume in ({}, {"A": math.nan}, {"A": 0.0}, {"A": -1.0}):
        said = check("A", 1e4, limits={"max_participation": 0.5}, dollar_volume=volume)
        assert said.rule == "participation" and "no known traded value" in said.reason
        assert check("A", 1e4, dollar_volume=volume).allowed  # not asked
    assert check("A", 1e4, rules={"hours": ("00:00", "23:59")}, time=None).rule == "hours"
    assert check("C", 1e4).rule == "stale"  # never had a price
    assert check("B", -1e4, rules={"locates": {}}).rule == "locate"
    assert check("B", -1e4, rules={"instruments": []}).rule == "instrument"
    for notional in (math.nan, math.inf, -math.inf, 0.0):
        assert check("A", notional).rule == "order"


@pytest.mark.parametrize(
    ("now", "inside"),
    [("21:59", False), ("22:00", True), ("00:00", True), ("04:00", True), ("04:01", False)],
)
def test_hours_span_midnight(now, inside):
    said = check("A", 1e4, rules={"hours": ("22:00", "04:00")}, time=dt.time.fromisoformat(now))
    assert said.allowed == inside


def test_an_order_that_reduces_is_not_held_by_the_risk_it_reduces():
    small = {
        "max_position_weight": 0.001,
        "max_gross": 0.001,
        "max_net": 0.001,
        "max_concentration": 1e-6,
        "max_daily_loss": 0.001,
        "max_drawdown": 0.001,
    }
    trouble = {"day_return": -0.4, "drawdown": 0.4, "state": State.REDUCING}
    for asset, notional in (("A", -1e5), ("A", -2e5), ("B", 1e5), ("B", 1.0)):
        assert check(asset, notional, limits=small, rules={"locates": {}}, **trouble).allowed
    for asset, notional in (("A", 1.0), ("A", -2e5 - 1), ("B", -1.0), ("B", 1e5 + 1)):
        assert check(asset, notional, limits=small, **trouble).rule == "reducing"
    # a net beyond its limit may come nearer by a new position, and only nearer
    one = {"positions": {"A": 2e5}, "limits": {"max_net": 0.05}}
    assert check("B", -1e5, **one).allowed and check("B", -2.4e5, **one).allowed
    assert check("B", -4.1e5, **one).rule == "net" and check("B", 1e4, **one).rule == "net"


# -- three states

ASSETS = st.sampled_from(["A", "B", "C"])
AMOUNTS = st.one_of(
    st.floats(-1e7, 1e7),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-300, math.nan, math.inf, -math.inf]),
)
BOOKS = st.dictionaries(ASSETS, st.floats(-1e7, 1e7), max_size=3)
FREE = dataclasses.replace(
    LIMITS,
    max_order_notional=1e50,
    max_daily_turnover=1e50,
    max_gross=1e50,
    max_position_weight=1e50,
)


@settings(max_examples=400, deadline=None)
@given(
    positions=BOOKS,
    orders=st.lists(st.tuples(ASSETS, AMOUNTS, st.booleans(), st.floats(0, 1)), max_size=30),
    why=st.sampled_from(["switch", "loss", "drawdown"]),
)
def test_in_reducing_nothing_grows_and_nothing_changes_its_sign(positions, orders, why):
    trouble = {"switch": {"state": State.REDUCING}, "loss": {"day_return": -0.6}}
    trouble = trouble.get(why, {"drawdown": 0.6})
    stale = dict.fromkeys("ABC", 0)
    book = account(positions=dict(positions), stale_days=stale, price_change={}, **trouble)
    gate = PreTradeGate(FREE)
    assert gate.state(book) is State.REDUCING
    for number, (asset, amount, near, share) in enumerate(orders):
        before = book.positions.get(asset, 0.0)
        if near:  # around what is held: its whole, a hair more, a hair less, a share
            amount = -before * [1.0, math.nextafter(1, 2), 1 + 1e-9, share][number % 4]
        order = make_order(str(number), DAY, asset, amount)
        if gate.check(order, book).allowed:
            book.accept(order)
            after = book.positions[asset]
            assert abs(after) < abs(before) or (abs(after) == abs(before) and amount)
            assert after * before >= 0 and abs(after) <= abs(positions[asset])
            assert math.copysign(1, after) == math.copysign(1, positions[asset]) or after == 0
        else:
            assert book.positions.get(asset, 0.0) == before


@settings(max_examples=300, deadline=None)
@given(positions=BOOKS, asset=ASSETS, amount=AMOUNTS, rules=st.booleans(), loss=st.floats(-1, 1))
def test_in_halted_nothing_passes(positions, asset, amount, rules, loss):
    book = account(positions=dict(positions), state=State.HALTED, day_return=loss)
    lists = DeskRules(restricted=["C"], locates={"A": 1e9}) if rules else DeskRules()
    order = make_order("seal", DAY, asset, amount)
    assert PreTradeGate(FREE, lists).check(order, book).rule == "halted"
    assert not State.HALTED.passes(order, book.positions.get(asset, 0.0))


@settings(max_examples=300, deadline=None)
@given(positions=BOOKS, asset=ASSETS, amount=AMOUNTS)
def test_what_a_stricter_state_passes_a_milder_one_passes(positions, asset, amount):
    order, held = make_order("seal", DAY, asset, amount), positions.get(asset, 0.0)
    passes = [state.passes(order, held) for state in State]  # ACTIVE, REDUCING, HALTED
    assert passes == sorted(passes, reverse=True) and passes[0] and not passes[2]
    for state in State:
        assert [state.stricter_than(other) for other in State] == [
            list(State).index(state) > i for i in range(3)
        ]


@settings(max_examples=200, deadline=None)
@given(
    caps=st.tuples(*[st.floats(0.001, 1.0)] * 4),
    orders=st.lists(st.tuples(ASSETS, st.floats(-5e5, 5e5)), max_size=25),
    borrowed=st.floats(0, 5e5),
)
def test_no_order_that_passes_breaks_a_rule_that_is_asked(caps, orders, borrowed):
    "Each sum recomputed from the book, not taken from the account"
    daily, net, squares, share = caps[0] * 2e6, caps[1], caps[2], caps[3] / 10
    limits = dataclasses.replace(
        FREE,
        max_daily_notional=daily,
        max_net=net,
        max_concentration=squares,
        max_participation=share,
    )
    rules = DeskRules(locates={"A": borrowed}, restricted=["D"], forbid_self_cross=True)
    gate, sent = PreTradeGate(limits, rules), []
    book = account(stale_days=dict.fromkeys("ABC", 0), dollar_volume=dict.fromkeys("ABC", 1e7))
    for number, (asset, amount) in enumerate(orders):
        before = dict(book.positions)
        order = make_order(str(number), DAY, asset, amount)
        said = gate.check(order, book)
        assert said.allowed == (said.rule == "") == (said.reason == "")
        if not said.allowed:
            continue
        book.accept(order)
        sent.append((asset, amount))
        held, was = book.positions, before.get(asset, 0.0)
        smaller = was * amount < 0 and abs(amount) <= abs(was)
        slack = 1 + 1e-6
        assert sum(abs(x) for _, x in sent) <= daily * slack
        assert abs(amount) <= share * 1e7 * slack
        total = abs(sum(held.values()))
        assert smaller or total <= net * 1e6 * slack or total <= abs(sum(before.values()))
        assert smaller or sum((p / 1e6) ** 2 for p in held.values()) <= squares * slack
        short = max(0.0, -held[asset])
        located = borrowed if asset == "A" else 0.0
        assert smaller or amount > 0 or short <= located * slack
        assert not any(a == asset and x * amount < 0 for a, x in sent)
        assert book.net == pytest.approx(sum(held.values()), abs=1e-6)
        assert book.squares == pytest.approx(sum(p * p for p in held.values()), rel=1e-9, abs=1)


# -- what is asked, and what is not


def test_a_rule_that_is_not_asked_says_so_and_leaves_no_trace():
    assert list(LIMITS.to_dict()) == [f.name for f in dataclasses.fields(Limits)][:9]
    told = LIMITS.summary()
    assert (told == "not asked").sum() == 4 and len(told) == 13
    assert (DeskRules().summary() == "not asked").all() and DeskRules().to_dict() == {}
    full = dataclasses.replace(LIMITS, **dict.fromkeys(OPTIONAL, 0.5))
    assert not (full.summary() == "not asked").any() and full.asked == OPTIONAL
    assert limits_from(full.to_dict()) == full and limits_from(LIMITS.to_dict()) == LIMITS
    assert limits_from(LIMITS.to_dict() | dict.fromkeys(OPTIONAL)) == LIMITS  # None: not asked
    assert LIMITS.tighter(full) == full.tighter(LIMITS) == full
    with pytest.raises(HandoffError, match="'max_leverage' is unknown.*and may state max_conc"):
        limits_from(LIMITS.to_dict() | {"max_leverage": 1.0})


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf, "1", True, [1.0]])
def test_an_optional_limit_is_a_positive_number_or_none(name, wrong):
    with pytest.raises(SpecificationError, match=f"`{name}` must be a finite number"):
        dataclasses.replace(LIMITS, **{name: wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"instruments": 5}, "`instruments` must be a list of texts"),
        ({"restricted": [1]}, "`restricted` must be a list of texts"),
        ({"restricted": [""]}, "`restricted` must be a list of texts"),
        ({"locates": ["A"]}, "must map assets to the currency amount"),
        ({"locates": {1: 5.0}}, "`locates` must be a list of texts"),
        ({"locates": {"A": -1}}, r"`locates.A` must be a finite number"),
        ({"locates": {"A": math.nan}}, r"`locates.A` must be a finite number"),
        ({"hours": "14:30"}, "`hours` must be the first and the last minute"),
        ({"hours": ("14:30",)}, "`hours` must be the first and the last minute"),
        ({"hours": ("9:30", "16:00")}, "`hours` must be the first and the last minute"),
        ({"hours": ("09:30", "24:00")}, "`hours` must be the first and the last minute"),
        ({"hours": ("09:30\n", "16:00")}, "`hours` must be the first and the last minute"),
        ({"hours": (NOON, NOON)}, "`hours` must be the first and the last minute"),
        ({"forbid_self_cross": 1}, "`forbid_self_cross` must be one of True, False"),
    ],
)
def test_a_list_of_the_desk_that_is_none_is_refused_in_a_sentence(wrong, message):
    with pytest.raises(SpecificationError, match=message):
        DeskRules(**wrong)


def test_the_desks_rules_are_one_value_however_they_are_given():
    first = DeskRules(restricted=["X", "A"], locates={"B": 1, "A": 2}, hours=["09:30", "16:00"])
    second = DeskRules(
        restricted=("A", "X"), locates={"A": 2.0, "B": 1.0}, hours=("09:30", "16:00")
    )
    assert first == second and first.mark() == second.mark()
    assert DeskRules(**first.to_dict()) == first
    assert first.mark() != DeskRules(restricted=["X"]).mark()
    assert DeskRules(restricted=[]).asked == ("restricted",)  # an empty list was asked for
    assert DeskRules(forbid_self_cross=False).asked == ()
