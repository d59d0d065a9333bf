"""Schedules, the optimal plan, quotes and the book: published numbers, properties, bad input."""

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.execution import (
    OrderBookModel,
    almgren_chriss,
    avellaneda_stoikov,
    efficient_frontier,
    pov,
    schedule_cost,
    twap,
    volume_profile,
    vwap,
)
from quantlab.execution.book_kernel import WIDTH, run_book

quantities = st.integers(-100_000, 100_000).filter(bool)
volumes = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda v: sum(v) > 1)


def whole(found, quantity):
    "The children and what is left are the parent, all on its side, in whole shares"
    children = found.table["quantity"]
    assert children.sum() + found.unfilled == pytest.approx(quantity, abs=1e-6)
    assert (children * np.sign(quantity) >= 0).all()
    assert np.allclose(children, children.round(), atol=1e-9)


@settings(deadline=None)
@given(quantities, st.integers(1, 60))
def test_equal_children_add_up(quantity, n):
    found = twap(quantity, times=range(n))
    whole(found, quantity)
    assert found.unfilled == 0
    assert (found.table["quantity"].abs() - abs(quantity) / n).abs().max() <= 1 + 1e-9


@settings(deadline=None)
@given(quantities, volumes)
def test_children_by_volume_add_up(quantity, seen):
    profile = pd.Series(seen)
    shares = profile / profile.sum()
    found = vwap(quantity, volume_profile=shares)
    whole(found, quantity)
    assert found.unfilled == 0
    away = found.table["quantity"].cumsum() - quantity * shares.cumsum()
    assert away.abs().max() <= 1 + 1e-6


@settings(deadline=None)
@given(quantities, volumes, st.floats(0.01, 1), st.integers(0, 39))
def test_a_share_of_volume_answers_to_the_past_alone(quantity, seen, share, cut):
    flow = pd.Series(seen)
    if abs(quantity) > flow.sum():
        with pytest.raises(SpecificationError, match="traded in all"):
            pov(quantity, volumes=flow, participation=share)
        return
    found = pov(quantity, volumes=flow, participation=share)
    whole(found, quantity)
    assert abs(found.table["quantity"].sum()) <= share * flow.sum() + 1
    later = flow.copy()
    later.iloc[cut + 1 :] += 1e7
    again = pov(quantity, volumes=later, participation=share)
    pd.testing.assert_frame_equal(again.table.iloc[: cut + 1], found.table.iloc[: cut + 1])


def test_a_profile_knows_no_later_day():
    days = pd.bdate_range("2026-01-05", periods=30)
    rng = np.random.default_rng(0)
    seen = pd.DataFrame(rng.gamma(2, 1, (30, 5)), days)
    for day in days[1:]:
        later = seen.copy()
        later.loc[day:] = 1e9 * rng.random(later.loc[day:].shape)
        pd.testing.assert_series_equal(
            volume_profile(later, asof=day), volume_profile(seen, asof=day)
        )


PAPER = {"volatility": "sigma", "permanent_impact": "gamma", "temporary_impact": "eta"}


def model_of(entry):
    p = entry["params"]
    given = {ours: p[theirs] for ours, theirs in PAPER.items()}
    return p["X"], given | {"horizon": p["T_days"], "n_steps": p["N"], "fixed_cost": p["epsilon"]}


def test_almgren_chriss_published(reference):
    entry = reference("almgren_chriss_lambda_1e-06")
    quantity, model = model_of(entry)
    plan = almgren_chriss(quantity, risk_aversion=entry["params"]["lam"], **model)
    want, tol = entry["expected"], entry["tol"]
    assert close(plan.kappa, want["kappa"], tol)
    assert close(plan.half_life, want["half_life"], tol)
    assert close(plan.expected_cost, want["E"], tol)
    assert close(plan.variance, want["V"], tol)
    assert np.allclose(plan.holdings, want["holdings"], rtol=1e-9, atol=1e-6)
    naive = reference("almgren_chriss_naive")
    even = almgren_chriss(quantity, risk_aversion=0, **model)
    assert close(even.expected_cost, naive["expected"]["E_linear"], naive["tol"])
    assert close(even.variance, naive["expected"]["V_linear"], naive["tol"])


numbers = st.floats(0.05, 3)


@settings(deadline=None, max_examples=60)
@given(quantities, st.integers(2, 30), numbers, numbers, numbers, st.floats(0, 5), st.data())
def test_no_other_schedule_is_better(quantity, n, horizon, sigma, eta, aversion, data):
    model = {
        "horizon": horizon,
        "volatility": sigma,
        "permanent_impact": 0.3 * eta / horizon,
        "temporary_impact": eta,
        "fixed_cost": 0.0,
    }
    plan = almgren_chriss(quantity, n_steps=n, risk_aversion=aversion, **model)
    left = plan.holdings.abs()
    assert (left.diff().iloc[1:] <= 1e-9 * abs(quantity)).all()
    assert plan.trades.sum() == pytest.approx(quantity)
    best = plan.expected_cost + aversion * plan.variance
    move = data.draw(st.lists(st.floats(-0.5, 0.5), min_size=n - 1, max_size=n - 1))
    other = plan.holdings.to_numpy() + quantity * np.r_[0, move, 0]
    expected, variance = schedule_cost(other, **model)
    assert expected + aversion * variance >= best * (1 - 1e-9)


def test_the_frontier_has_no_free_lunch():
    model = {
        "horizon": 5,
        "n_steps": 20,
        "volatility": 0.95,
        "permanent_impact": 2.5e-7,
        "temporary_impact": 2.5e-6,
        "fixed_cost": 0.06,
    }
    found = efficient_frontier(1e6, risk_aversions=np.geomspace(1e-9, 1e-3, 13), **model)
    assert found["expected_cost"].is_monotonic_increasing
    assert found["deviation"].is_monotonic_decreasing


@pytest.mark.parametrize("gamma", ["0.1", "0.5"])
def test_quotes_published(reference, gamma):
    entry = reference(f"avellaneda_stoikov_g{gamma}")
    p, want, tol = entry["params"], entry["expected"], entry["tol"]
    model = {"volatility": p["sigma"], "risk_aversion": p["gamma"], "fill_decay": p["k"]}
    found = avellaneda_stoikov(p["s"], p["q"], time_left=p["T"] - p["t"], **model)
    assert close(found.reservation_price, want["reservation_price"], tol)
    begin = avellaneda_stoikov(p["s"], p["q"], time_left=p["T"], **model)
    end = avellaneda_stoikov(p["s"], p["q"], time_left=0, **model)
    assert close(begin.spread, want["spread_t0"], tol)
    assert close((begin.spread + end.spread) / 2, want["spread_mean_over_T"], tol)


def test_little_risk_aversion_tends_to_none():
    model = {"time_left": 1, "volatility": 2, "fill_decay": 1.5}
    tiny = avellaneda_stoikov(100, 5, risk_aversion=1e-9, **model)
    none = avellaneda_stoikov(100, 5, risk_aversion=0, **model)
    assert tiny.bid == pytest.approx(none.bid, abs=1e-6)
    assert none.ask - none.bid == pytest.approx(2 / 1.5)


BOOK = OrderBookModel.cont_stoikov_talreja()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_probabilities_of_the_book(bid, ask, spread):
    up = BOOK.probability_up(bid, ask, spread=spread)
    assert up + BOOK.probability_up(ask, bid, spread=spread) == pytest.approx(1, abs=1e-9)
    assert up < BOOK.probability_up(bid + 1, ask, spread=spread)
    filled = BOOK.probability_filled(bid, ask, spread=spread)
    both = BOOK.probability_both_filled(bid, ask, spread=spread)
    assert 0 < filled < BOOK.probability_filled(bid, ask + 1, spread=spread) < 1
    assert 0 < both < 1
    assert both == pytest.approx(BOOK.probability_both_filled(ask, bid, spread=spread), abs=1e-9)


def test_the_book_forgets_nothing_and_repeats_itself():
    once, again = (BOOK.simulate(50_000, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(once.events, again.events)
    events = once.events
    sizes = once.start.to_dict()
    for kind, side, price, bid, ask, bid_size, ask_size in events.head(5000).itertuples(
        index=False
    ):
        change = side if kind == "limit" else -side
        sizes[price] = sizes.get(price, 0) + change
        buys = [p for p, n in sizes.items() if n > 0]
        sells = [p for p, n in sizes.items() if n < 0]
        assert (max(buys), min(sells)) == (bid, ask)
        assert (sizes[bid], -sizes[ask]) == (bid_size, ask_size)


@pytest.mark.parametrize("place", [12, 40, WIDTH - 14])
def test_a_book_at_the_rim_of_its_rows_is_moved_and_no_other(place):
    rng = np.random.default_rng(0)
    limit, cancel, n = np.ones(10), np.ones(10), 20_000
    uniforms, waits = rng.random(n), rng.standard_exponential(n)
    played = []
    for at in (WIDTH // 2, place):
        bids, asks = np.zeros((2, WIDTH), np.int64)
        bids[at - 9 : at + 1], asks[at + 1 : at + 11] = 3, 3
        out, clock = np.zeros((n, 7), np.int64), np.zeros(n)
        best = np.array([at, at + 1, -at])
        assert run_book(bids, asks, best, limit, cancel, 1.0, uniforms, waits, out, clock) == n
        played.append(out)
    assert (played[0] == played[1]).all()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: twap("many", times=[1]), "quantity"),
        (lambda: twap(np.nan, times=[1]), "quantity"),
        (lambda: twap(10, times=[1, 1]), "must rise"),
        (lambda: twap(10, times=[1], lot=0), "lot"),
        (lambda: twap(10, times=[1], lot=3), "whole lots"),
        (lambda: vwap(10, volume_profile=[0.5, 0.5]), "volume_profile"),
        (lambda: vwap(10, volume_profile=pd.Series([0.5, np.nan])), "none missing"),
        (lambda: vwap(10, volume_profile=pd.Series([1.5, -0.5])), "at least 0"),
        (lambda: vwap(10, volume_profile=pd.Series([3.0, 2.0])), "above the 5"),
        (lambda: pov(10, volumes=pd.Series([50.0]), participation=0), "participation"),
        (lambda: pov(10, volumes=pd.Series([-1.0, 50]), participation=0.5), "at least 0"),
        (lambda: volume_profile(pd.DataFrame(), asof=None), "empty"),
        (lambda: volume_profile(pd.DataFrame({"a": [-1.0, 3.0], "b": 5.0})), "at least 0"),
        (lambda: schedule_cost([1.0], **dict.fromkeys(("horizon",), 1.0) | AC), "at least two"),
        (lambda: efficient_frontier(1, risk_aversions=[], n_steps=2, horizon=1, **AC), "is empty"),
        (lambda: avellaneda_stoikov("x", 0, **AS), "mid"),
        (lambda: avellaneda_stoikov(1, np.inf, **AS), "inventory"),
        (lambda: OrderBookModel([], [], 1), "limit_rates"),
        (lambda: OrderBookModel([1.0], [0.0], 1), "cancel_rates"),
        (lambda: OrderBookModel([np.nan], [1.0], 1), "limit_rates"),
        (lambda: OrderBookModel.cont_stoikov_talreja(4), "n_levels"),
        (lambda: BOOK.simulate(0, seed=0), "n_events"),
        (lambda: BOOK.simulate(10, seed=-1), "seed"),
        (lambda: BOOK.probability_filled(1.5, 1), "bid"),
        (lambda: BOOK.fit([1, 2], start=pd.Series([1])), "messages"),
    ],
)
def test_bad_input_is_one_sentence(call, why):
    with pytest.raises(QuantlabError, match=why) as raised:
        call()
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, (DataError, SpecificationError))


AC = {"volatility": 1, "permanent_impact": 0, "temporary_impact": 1, "fixed_cost": 0}
AS = {"time_left": 1, "volatility": 1, "risk_aversion": 0.1, "fill_decay": 1}
