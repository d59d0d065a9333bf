"""Fill models learned from censored attempts; an order split exactly, and not against oneself."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.execution import FillModel, fit_fill_model, route_order

MID = 20.0
chances = st.floats(0, 1)
means = st.floats(0.5, 20)
pennies = st.integers(-30, 30).map(lambda n: n / 1000)


@st.composite
def markets(draw):
    "Two lit venues, a queue and a pool, for a few lots"
    rows = [("A", "take", MID + draw(st.integers(1, 3)) / 100, draw(st.integers(0, 4)))]
    rows += [("B", "take", MID + draw(st.integers(1, 3)) / 100, draw(st.integers(0, 4)))]
    rows += [("B", "rest", MID - 0.01, np.nan), ("P", "dark", MID, np.nan)]
    venues = pd.DataFrame(rows, columns=["venue", "kind", "price", "size"])
    venues["queue"] = [0, 0, draw(st.integers(0, 5)), 0]
    venues["fee"] = [draw(pennies) for _ in range(4)]
    models = {
        name: FillModel.known(draw(chances), draw(means), adverse_selection=draw(pennies))
        for name in "BP"
    }
    return venues, models


def filled(model, size, queue):
    "Expected fill by numerical integration of the chance that so much arrives"
    u = np.linspace(0, size, 2001)
    chance = model.probability * np.exp(-(queue + u) / model.mean_size)
    return np.trapezoid(chance, u)


def cost_of(split, quantity, venues, models, unfilled, sign=1.0):
    cost, left = 0.0, float(quantity)
    for row, sent in zip(venues.itertuples(), split):
        model = models.get(row.venue)
        got = sent if row.kind == "take" else filled(model, sent, row.queue)
        adverse = 0.0 if row.kind == "take" else model.adverse_selection
        cost += got * (sign * (row.price - MID) + row.fee + adverse)
        left -= got
    return cost + unfilled * left


@settings(deadline=None, max_examples=40)
@given(markets(), st.integers(1, 6), st.integers(-20, 80).map(lambda n: n / 1000))
def test_no_other_split_is_better(market, quantity, unfilled):
    venues, models = market
    found = route_order(
        quantity, venues=venues, fill_models=models, mid=MID, unfilled_cost=unfilled
    )
    sent = found.table["sent"].to_numpy()
    assert sent.sum() + found.unsent == quantity and (sent == sent.round()).all()
    caps = [min(quantity, int(s)) if k == "take" else quantity
            for k, s in zip(venues["kind"], venues["size"])]  # fmt: skip
    assert (sent <= caps).all()
    own = cost_of(sent, quantity, venues, models, unfilled)
    assert found.expected_cost == pytest.approx(own, abs=1e-6)
    splits = (s for s in product(*(range(c + 1) for c in caps)) if sum(s) <= quantity)
    best = min(cost_of(s, quantity, venues, models, unfilled) for s in splits)
    assert found.expected_cost == pytest.approx(best, abs=1e-6)
    assert found.expected_cost <= found.displayed_cost_per_share * quantity + 1e-9


@settings(deadline=None, max_examples=30)
@given(markets(), st.integers(1, 40), st.floats(0.005, 0.08))
def test_buys_and_sells_are_mirrors(market, quantity, unfilled):
    venues, models = market
    settings_ = {"fill_models": models, "mid": MID, "unfilled_cost": unfilled}
    bought = route_order(quantity, venues=venues, **settings_)
    mirror = venues.assign(price=(2 * MID - venues["price"]).round(10))
    sold = route_order(-quantity, venues=mirror, **settings_)
    assert sold.expected_cost == pytest.approx(bought.expected_cost, abs=1e-9)
    assert sold.expected_fill == pytest.approx(bought.expected_fill, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(chances, means, st.floats(0, 30), st.floats(0.1, 50), st.floats(0, 50))
def test_an_expected_fill_is_concave_and_an_integral(chance, mean, queue, size, more):
    model = FillModel.known(chance, mean)
    found = model.expected_fill(size, queue=queue)
    assert found == pytest.approx(filled(model, size, queue), rel=1e-3, abs=1e-9)
    steps = np.diff(model.expected_fill(size * np.arange(6), queue=queue))
    assert (np.diff(steps) <= 1e-12).all() and (steps >= 0).all()
    assert model.expected_fill(size, queue=queue + more) <= found + 1e-12


def attempts(seed, n=120, p=0.6, mean=400.0, deepest=500):
    rng = np.random.default_rng(seed)
    size, queue = rng.choice([50.0, 200.0, 600.0], n), rng.integers(0, deepest + 1, n) * 1.0
    arrived = np.where(rng.random(n) < p, rng.exponential(mean, n), 0.0)
    return pd.DataFrame({"size": size, "queue": queue, "filled": np.clip(arrived - queue, 0, size)})


def loss(parameters, table):
    "Minus the log-likelihood, term by term"
    p, mean = parameters
    total = 0.0
    for size, queue, got in table[["size", "queue", "filled"]].itertuples(index=False):
        if got == 0:
            total -= np.log1p(-p * np.exp(-queue / mean))
        elif got < size:
            total -= np.log(p / mean) - (queue + got) / mean
        else:
            total -= np.log(p) - (queue + size) / mean
    return total


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_the_maximum_that_a_plain_search_finds(seed):
    table = attempts(seed, deepest=0 if seed % 2 else 500)
    found = fit_fill_model(table)
    best = optimize.minimize(
        loss, [0.5, 300.0], args=(table,), method="Nelder-Mead",
        bounds=[(1e-6, 1 - 1e-9), (1, 1e5)], options={"xatol": 1e-8, "fatol": 1e-10},
    )  # fmt: skip
    assert loss((found.probability, found.mean_size), table) <= best.fun + 1e-6
    assert found.probability == pytest.approx(best.x[0], rel=1e-3)
    assert found.mean_size == pytest.approx(best.x[1], rel=1e-3)
    for end in (found.probability_lower, found.probability_upper):
        inner = optimize.minimize_scalar(
            lambda m, end=end: loss((end, m), table), bounds=(1, 1e4), method="bounded"
        )
        assert end == 1 or inner.fun - best.fun == pytest.approx(3.841459 / 2, abs=2e-3)
    for end in (found.mean_size_lower, found.mean_size_upper):
        inner = optimize.minimize_scalar(
            lambda p, end=end: loss((p, end), table), bounds=(1e-6, 1 - 1e-9), method="bounded"
        )
        assert inner.fun - best.fun == pytest.approx(3.841459 / 2, abs=2e-3)


def test_without_a_queue_the_maximum_is_a_count():
    table = attempts(9, deepest=0)
    got = table["filled"] > 0
    part = got & (table["filled"] < table["size"])
    found = fit_fill_model(table)
    assert found.probability == pytest.approx(got.mean(), rel=1e-6)
    assert found.mean_size == pytest.approx(table["filled"].sum() / part.sum(), rel=1e-6)


def test_the_intervals_keep_their_word():
    hits = np.zeros(2)
    for seed in range(100):
        m = fit_fill_model(attempts(1000 + seed, n=80))
        hits += (
            m.probability_lower <= 0.6 <= m.probability_upper,
            m.mean_size_lower <= 400 <= m.mean_size_upper,
        )
    assert (hits >= 87).all() and (hits < 100).any(), hits  # of 100; 95 are expected


def test_attempts_at_the_edges():
    always = attempts(2, p=1.0, deepest=0)
    found = fit_fill_model(always)
    assert found.probability == 1 and found.probability_upper == 1
    assert 0.9 < found.probability_lower < 1
    whole = always.assign(filled=always["size"])
    found = fit_fill_model(whole)
    assert np.isinf(found.mean_size) and np.isinf(found.mean_size_upper)
    assert np.isfinite(found.mean_size_lower) and "more than any" in found.sentence()
    assert found.expected_fill(1e6) == found.expected_fill(600) == pytest.approx(600)
    assert "not measured" in found.sentence()
    with pytest.raises(DataError, match="no attempts to draw"):
        FillModel.known(0.5, 10).plot()


def lit(sign=1.0):
    venues = pd.DataFrame(
        [("A", "take", 1.0, 500.0), ("A", "take", 2.0, 500.0), ("B", "take", 2.0, 500.0),
         ("B", "rest", -1.0, np.nan), ("P", "dark", 0.0, np.nan)],
        columns=["venue", "kind", "price", "size"],
    )  # fmt: skip
    venues["price"] = MID + sign * venues["price"] / 100
    return venues


MODELS = {"B": FillModel.known(0.5, 300), "P": FillModel.known(0.3, 500)}
GOOD = {"fill_models": MODELS, "mid": MID, "unfilled_cost": 0.05}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("venue", "away", "out"),
    [
        ("A", 1.0, [0, 1]),  # an own offer at the best price: the second level walks through it
        ("A", 2.0, [1]),
        ("A", 3.0, []),
        ("B", 2.0, [2]),
        ("B", -1.0, [2, 3]),
        ("P", 0.0, [4]),
        ("P", 1.0, []),
        ("P", np.nan, [4]),
        ("C", -5.0, []),  # nothing goes there
    ],
)
def test_no_choice_meets_an_own_order(sign, venue, away, out):
    own = pd.DataFrame(
        {"venue": venue, "side": ["sell" if sign > 0 else "buy"], "price": MID + sign * away / 100}
    )
    found = route_order(1800 * sign, venues=lit(sign), own_orders=own, **GOOD)
    assert (found.table["sent"].iloc[out] == 0).all() and len(found.skipped) == len(out)
    assert (found.table["sent"].drop(out) > 0).all()
    same_side = own.assign(side="buy" if sign > 0 else "sell")
    assert not route_order(1800 * sign, venues=lit(sign), own_orders=same_side, **GOOD).skipped


def test_what_is_not_said_is_taken_from_what_is_displayed():
    found = route_order(2000, venues=lit(), fill_models=MODELS)
    assert found.mid == MID + 0.01 and found.unfilled_cost == pytest.approx(0.01)
    assert found.unsent == 2000 - found.table["sent"].sum()
    unknown = MODELS | {"P": fit_fill_model(attempts(0, deepest=0))}
    said = route_order(2000, venues=lit(), **(GOOD | {"fill_models": unknown})).sentence()
    assert "at P cost afterwards is unknown" in said


@pytest.mark.parametrize(
    ("quantity", "changes", "why"),
    [
        (0, {}, "must not be 0"),
        (np.nan, {}, "`quantity`"),
        (150, {"lot": 100}, "whole lots"),
        (100, {"lot": 0}, "`lot`"),
        (2e6, {}, "at most a million"),
        (100, {"fill_models": {}}, "no FillModel for B"),
        (100, {"fill_models": {"B": 0.5, "P": 0.5}}, "no FillModel for B"),
        (100, {"fill_models": [1]}, "`fill_models` must be a Mapping"),
        (100, {"venues": [1]}, "`venues` must be a DataFrame"),
        (100, {"venues": lit().drop(columns="kind")}, "`venues` lack kind"),
        (100, {"venues": lit().iloc[:0]}, "`venues` are empty"),
        (100, {"venues": lit().assign(kind="lit")}, "one of take, rest, dark; got lit"),
        (100, {"venues": lit().assign(price=np.nan)}, "twice at one price|`venues.price`"),
        (100, {"venues": lit().assign(size=np.nan)}, "`venues.size`"),
        (100, {"venues": lit().assign(queue=-1)}, "`venues.queue`"),
        (100, {"venues": lit().assign(fee=np.inf)}, "`venues.fee`"),
        (100, {"venues": pd.concat([lit(), lit()])}, "twice at one price"),
        (100, {"mid": -1}, "`mid`"),
        (100, {"unfilled_cost": "much"}, "`unfilled_cost`"),
        (100, {"venues": lit().iloc[3:], "mid": None}, "no offer is displayed"),
        (100, {"own_orders": [1]}, "`own_orders` must be a DataFrame"),
        (100, {"own_orders": pd.DataFrame({"venue": ["A"]})}, "`own_orders` lack side, price"),
        (-100, {}, "make it a take"),
    ],
)
def test_bad_input_is_one_sentence(quantity, changes, why):
    with pytest.raises(QuantlabError, match=why) as raised:
        route_order(quantity, **({"venues": lit()} | GOOD | changes))
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, (DataError, SpecificationError))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"size": 0.0}, "`attempts.size`"),
        ({"size": np.nan}, "`attempts.size`"),
        ({"queue": -1.0}, "`attempts.queue`"),
        ({"filled": 1e6}, "from 0 to the size"),
        ({"filled": -1.0}, "from 0 to the size"),
        ({"filled": 0.0}, "too few to learn from"),
        ({"adverse": np.nan}, "`attempts.adverse`"),
        ({"size": "many"}, "`attempts.size`"),
    ],
)
def test_bad_attempts_are_one_sentence(change, why):
    with pytest.raises(DataError, match=why) as raised:
        fit_fill_model(attempts(0).assign(**change))
    assert "\n" not in str(raised.value)


def test_bad_arguments_of_a_fill_model():
    with pytest.raises(SpecificationError, match="`confidence`"):
        fit_fill_model(attempts(0), confidence=0)
    with pytest.raises(SpecificationError, match="`attempts` must be a DataFrame"):
        fit_fill_model([1, 2])
    with pytest.raises(DataError, match="lack size"):
        fit_fill_model(attempts(0).drop(columns="size"))
    with pytest.raises(DataError, match="3 attempts"):
        fit_fill_model(attempts(0).iloc[:3])
    for chance, mean in ((-0.1, 10), (0.5, 0), (np.nan, 1)):
        with pytest.raises(SpecificationError):
            FillModel.known(chance, mean)
