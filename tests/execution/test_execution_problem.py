"""The execution problem: its optimum by brute force, no look ahead, one luck for all policies."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import QuantlabError, SpecificationError
from quantlab.execution import ExecutionProblem, OrderBookModel, compare_execution
from quantlab.execution.episode_kernel import AHEAD, SELL, begin, episode_key, play_step
from quantlab.execution.episodes import OBSERVED

BOOK = OrderBookModel.cont_stoikov_talreja()
SMALL = ExecutionProblem(BOOK, quantity=3, n_events=30, longest_queue=6)


def brute_force(limit, market, cancel, n, quantity, steps, idle):
    """Least expected cost by trying everything; the ask queue is a text, front first: "o" an order
    of others, "x" the own one"""
    weights = np.cumprod([limit / (market + cancel * i) for i in range(1, n + 1)])
    law = dict(enumerate(weights / weights.sum(), start=1))
    ring = 2 * (limit + market + cancel * n)

    def walk(left, bid):
        if left <= bid:
            return 0.5 * left
        rest = left - bid
        return 0.5 * bid + rest + sum(p * walk(rest, b) for b, p in law.items())

    def redrawn(steps, left, after):
        return sum(
            p * q * after(steps, left, b, "o" * a) for b, p in law.items() for a, q in law.items()
        )

    @lru_cache(None)
    def moved(steps, left, bid, queue):
        "Expected cost from the event on"
        events = [(market + cancel * bid, (left, bid - 1, queue), 0.0)]
        if bid < n:
            events.append((limit, (left, bid + 1, queue), 0.0))
        if queue.count("o") < n:
            events.append((limit, (left, bid, queue + "o"), 0.0))
        own = queue[0] == "x"
        events.append((market, (left - own, bid, queue[1:]), -0.5 * own))
        for i, order in enumerate(queue):
            if order == "o":
                events.append((cancel, (left, bid, queue[:i] + queue[i + 1 :]), 0.0))
        rates = sum(rate for rate, _, _ in events)
        if idle:
            events.append((ring - rates, (left, bid, queue), 0.0))
        total, found = max(rates, ring) if idle else rates, 0.0
        for rate, (lots, size, asks), cost in events:
            if size == 0:
                cost += lots + redrawn(steps - 1, lots, best)
            elif not asks:
                cost += -lots + redrawn(steps - 1, lots, best)
            else:
                cost += best(steps - 1, lots, size, asks)
            found += rate / total * cost
        return found

    @lru_cache(None)
    def best(steps, left, bid, queue):
        if left == 0:
            return 0.0
        if steps == 0:
            return walk(left, bid)
        withdrawn = queue.replace("x", "") if "o" in queue else queue
        rests = queue if "x" in queue else queue + "x"
        sold = 0.5
        if left > 1 and bid == 1:
            sold += left - 1 + redrawn(steps, left - 1, moved)
        elif left > 1:
            sold += moved(steps, left - 1, bid - 1, queue)
        return min(moved(steps, left, bid, withdrawn), moved(steps, left, bid, rests), sold)

    return redrawn(steps, quantity, best) / quantity


rates = st.floats(0.05, 3)


@settings(deadline=None, max_examples=25)
@given(rates, rates, rates, st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.booleans())
def test_the_optimum_is_what_trying_everything_finds(limit, market, cancel, n, lots, steps, idle):
    book = OrderBookModel([limit], [cancel], market)
    problem = ExecutionProblem(book, quantity=lots, n_events=steps, longest_queue=n, idle=idle)
    want = brute_force(limit, market, cancel, n, lots, steps, idle)
    assert problem.solve().value == pytest.approx(want, abs=1e-10)


def test_the_expected_numbers():
    problem = ExecutionProblem(BOOK, quantity=5, n_events=200)
    assert problem.solve().value == pytest.approx(0.6230, abs=1.5e-3)
    assert problem.policy("twap").value == pytest.approx(1.2385, abs=2 * 0.0016)
    assert problem.policy("immediate").value == pytest.approx(1.327, abs=1e-3)
    assert 2.1 < problem.policy("rest").value < 2.3


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.booleans())
def test_no_table_is_better_and_each_costs_what_its_recursion_says(seed, idle):
    problem = ExecutionProblem(BOOK, quantity=3, n_events=30, longest_queue=6, idle=idle)
    table = np.random.default_rng(seed).integers(0, 3, problem.shape)
    policy = problem.policy(table)
    assert policy.value > problem.solve().value
    costs = problem.simulate(policy, n_episodes=20_000, seed=seed)
    assert abs(costs.mean() - policy.value) < 4.5 * costs.std() / np.sqrt(len(costs))


def test_a_simulated_run_of_the_optimum_agrees_with_its_value():
    best = SMALL.solve()
    costs = SMALL.simulate(best, n_episodes=200_000, seed=5)
    assert abs(costs.mean() - best.value) < 3 * costs.std() / np.sqrt(len(costs))
    assert SMALL.policy(best.action).value == pytest.approx(best.value, abs=1e-12)


def test_an_action_changes_nothing_that_was_before_it():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 30)
    for other in (first.copy(), first.copy()):
        other[20:] = SELL
        for episode in range(50):
            key, states = episode_key(3, episode), np.zeros((2, 6), np.int64)
            for state in states:
                begin(state, 3, SMALL.law, key)
            for step in range(20):
                for state, actions in zip(states, (first, other)):
                    if state[1]:
                        play_step(state, actions[step], SMALL.rates, SMALL.law, key, 30)
                assert (states[0] == states[1]).all()


def test_a_step_uses_no_number_of_a_later_one():
    "From one state, the next depends on the numbers of this step alone"
    state, other = np.zeros((2, 6), np.int64)
    begin(state, 3, SMALL.law, episode_key(0, 0))
    other[:] = state
    play_step(state, 0, SMALL.rates, SMALL.law, episode_key(0, 0), 30)
    play_step(other, 0, SMALL.rates, SMALL.law, episode_key(0, 0), 25)
    assert (state == other).all() and state[AHEAD] == -1


@pytest.mark.parametrize("n", [1, 3, 64])
def test_many_episodes_at_once_are_the_same_episodes(n):
    table = SMALL.solve().action
    want = SMALL.simulate(SMALL.policy(table), n_episodes=4 * n, seed=11)
    env, paid, found = SMALL.vector_env(n, seed=11), np.zeros(n), np.full(4 * n, np.nan)
    seen = env.reset()
    assert seen.dtype == np.float32 and seen.shape == (n, len(OBSERVED))
    while np.isnan(found).any():
        step, left, bid, ask, ahead, _ = env.states.T
        numbers = env.numbers.copy()
        seen, rewards, ended, _ = env.step(table[step, left - 1, bid - 1, ask, ahead + 1])
        paid -= rewards
        for i in np.flatnonzero(ended):
            if numbers[i] < len(found):
                found[numbers[i]] = paid[i] / 3
            paid[i] = 0
    assert found == pytest.approx(want, abs=1e-6)
    assert np.isfinite(seen).all()


def test_shares_of_the_gain():
    rules = {"wait": SMALL.policy("wait"), "rest": SMALL.policy("rest")}
    found = compare_execution(rules, SMALL, n_episodes=20_000, seed=4)
    again = compare_execution(rules, SMALL, n_episodes=20_000, seed=4)
    assert found.table.equals(again.table)
    assert found.table.loc["twap", "share"] == 0 and found.table.loc["optimum", "share"] == 1
    exact, best = found.table["exact"], SMALL.solve().value
    share = (exact["twap"] - exact) / (exact["twap"] - best)
    half = (found.table["share_high"] - found.table["share_low"]) / 2
    assert ((found.table["share"] - share).abs() <= 2 * half + 1e-12).all()
    assert (half[["wait", "rest"]] > 0).all()
    assert "of the gain" in found.sentence()
    assert "no other policy" in compare_execution({}, SMALL, n_episodes=100, seed=4).sentence()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: ExecutionProblem("book", quantity=1, n_events=1), "model"),
        (lambda: ExecutionProblem(BOOK, quantity=0, n_events=1), "quantity"),
        (lambda: ExecutionProblem(BOOK, quantity=1.5, n_events=1), "quantity"),
        (lambda: ExecutionProblem(BOOK, quantity=1, n_events=0), "n_events"),
        (lambda: ExecutionProblem(BOOK, quantity=1, n_events=9, longest_queue=0), "longest_queue"),
        (lambda: ExecutionProblem(BOOK, quantity=1, n_events=9, idle=2), "idle"),
        (lambda: ExecutionProblem(BOOK, quantity=10**9, n_events=10**9), "states"),
        (lambda: SMALL.policy("vwap"), "rule"),
        (lambda: SMALL.policy(np.zeros((2, 2))), "table of actions"),
        (lambda: SMALL.policy(np.full(SMALL.shape, np.nan)), "table of actions"),
        (lambda: SMALL.simulate("twap", n_episodes=9, seed=0), "policy"),
        (lambda: SMALL.simulate(SMALL.policy("twap"), n_episodes=0, seed=0), "n_episodes"),
        (lambda: SMALL.simulate(SMALL.policy("twap"), n_episodes=1, seed=-1), "seed"),
        (lambda: SMALL.vector_env(0, seed=0), "`n`"),
        (lambda: SMALL.vector_env(2, seed=0.5), "seed"),
        (lambda: SMALL.vector_env(2, seed=0).step([0, 0]), "reset"),
        (lambda: reset_env().step([0, 3]), "an action is 0"),
        (lambda: reset_env().step([-1, 0]), "an action is 0"),
        (lambda: reset_env().step([0]), "each of 2"),
        (lambda: reset_env().step(["wait", "rest"]), "an action is 0"),
        (lambda: compare_execution({}, "problem", seed=0), "problem"),
        (lambda: compare_execution([SMALL.solve()], SMALL, seed=0), "policies"),
        (lambda: compare_execution({"a": 1}, SMALL, seed=0), "policy"),
        (lambda: compare_execution({}, SMALL, n_episodes=10, seed=0), "n_episodes"),
        (
            lambda: compare_execution({"a": SMALL.solve()}, OTHER, seed=0),
            "another problem: 3 lots",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, why):
    with pytest.raises(QuantlabError, match=why) as raised:
        call()
    assert "\n" not in str(raised.value) and isinstance(raised.value, SpecificationError)


OTHER = ExecutionProblem(BOOK, quantity=2, n_events=30, longest_queue=6)


def reset_env():
    env = SMALL.vector_env(2, seed=0)
    env.reset()
    return env
