"Pairs with rules of their own: the machine, the thresholds, the monitor and the worlds they share"

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import CostModel, Market, grid_returns, load_families, world_returns
from quantlab.backtest.bertram_family import BERTRAM, bertram_pairs, break_days, spread_fits
from quantlab.backtest.pairs_family import PAIRS, screened_pairs, screened_world
from quantlab.backtest.strategies import pair_trades
from quantlab.cointegration.ornstein_uhlenbeck import bertram_thresholds, ou_fit
from quantlab.data import Panel
from quantlab.simulate import cointegrated_pair, random_walks

N = 40
DAYS = pd.bdate_range("2020-01-01", periods=N, name="date")


def slow_machine(z, first, last, broken, rules, slots):
    "The rules of the table in the notebook, a pair at a time and in words"
    pairs = range(len(z))
    state, held, silent, trips = dict.fromkeys(pairs, "flat"), {}, dict.fromkeys(pairs, 0), []
    for t in range(N):
        for p in pairs:
            if state[p] == "done" or t < first[p]:
                continue
            entry, leave, stop, longest = rules[p]
            score = z[p][t]
            silent[p] = silent[p] + 1 if np.isnan(score) else 0
            why = None
            if p in held:
                opened, side = held[p]
                against = -side * score
                if t >= last[p]:
                    why = "window end"
                elif t >= broken[p]:
                    why = "break"
                elif against > stop:
                    why = "stop"
                elif against < leave:
                    why = "exit"
                elif t - opened >= longest and not np.isnan(score):
                    why = "max holding"
                elif silent[p] == 5:
                    why = "no price"
            elif state[p] == "waiting" and abs(score) < abs(leave):
                state[p] = "flat"
            if why:
                trips.append((p, *held.pop(p), t, why))
                after = {"stop": "done", "no price": "done", "max holding": "waiting"}
                state[p] = after.get(why, "flat")
            if t >= last[p] or t >= broken[p]:
                state[p] = "done"
        for p in pairs:
            entry, _, stop, _ = rules[p]
            free = len(held) < slots and state[p] == "flat" and p not in held and t >= first[p]
            if free and entry < abs(z[p][t]) < stop:
                held[p] = (t, -1 if z[p][t] > 0 else 1)
    trips += [(p, opened, side, N - 1, "open") for p, (opened, side) in held.items()]
    return sorted((opened, p, side, closed, why) for p, opened, side, closed, why in trips)


@st.composite
def books(draw):
    n_pairs, rng = draw(st.integers(1, 4)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    z = np.round(rng.normal(0, 1.5, (n_pairs, N)) + rng.normal(0, 0.5, (n_pairs, N)).cumsum(1), 1)
    gone = rng.random((n_pairs, N)) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    entry = np.round(rng.uniform(0.1, 2, n_pairs), 2)
    rules = {
        "entry": entry,
        "exit": np.round(entry * rng.choice([-1.0, -0.5, 0.0, 0.5], n_pairs), 4),
        "stop": entry + np.round(rng.uniform(0.1, 4, n_pairs), 2),
        "max_holding": rng.integers(1, 15, n_pairs),
    }
    first = rng.integers(0, 15, n_pairs)
    last = first + rng.integers(1, 35, n_pairs)
    broken = np.where(rng.random(n_pairs) < 0.5, first + rng.integers(0, 20, n_pairs), 10**6)
    return np.where(gone, np.nan, z), first, last, broken, rules, draw(st.integers(n_pairs, 5))


@settings(max_examples=150, deadline=None)
@given(books())
def test_the_kernel_is_the_plain_machine(book):
    z, first, last, broken, rules, slots = book
    calendar = pd.bdate_range(DAYS[0], periods=2 * N)
    names = [f"Y{p}" for p in range(len(z))]
    prices = pd.DataFrame(z.T, DAYS, names).assign(X=0.0)
    table = pd.DataFrame(
        {
            **{"window": 0, "y": names, "x": "X", "hedge_ratio": 0.0, "intercept": 0.0},
            **{"spread_mean": 0.0, "spread_std": 1.0},
            **{"trade_start": calendar[first], "trade_end": calendar[last], **rules},
            "broken_on": [calendar[b] if b < 2 * N else pd.NaT for b in broken],
        }
    )
    prices = prices.where(prices.notna().any(), 0.0)  # a name has a price at least once
    z = prices[names].to_numpy().T
    trips = pair_trades(prices, table, max_pairs=slots)
    where = DAYS.get_indexer
    got = zip(
        where(trips["entry_date"]),
        [names.index(y) for y in trips["y"]],
        trips["side"],
        where(trips["exit_date"]),
        trips["reason"],
    )
    want = slow_machine(z, first, last, broken, list(zip(*rules.values())), slots)
    assert sorted(tuple(trip) for trip in got) == want


def pairs_and_prices(seed: int, n: int = 380, formation: int = 252):
    "Three pairs that are tied, apart and half tied, formed on the first days"
    rng, days = np.random.default_rng(seed), pd.bdate_range("2015-01-01", periods=n, name="date")
    legs = [leg for _ in range(3) for leg in cointegrated_pair(days, phi=0.8, rng=rng)]
    logs = pd.concat(legs, axis=1).set_axis(list("ABCDEF"), axis=1)
    logs["C"] += 0.004 * np.maximum(np.arange(n) - formation - 20, 0)
    logs["E"] += np.where(np.arange(n) > formation + 40, 0.05, 0.0)
    rows = [
        {
            "window": 0,
            **{"y": y, "x": x, "hedge_ratio": 1.0, "intercept": 0.0, "half_life": 3.1},
            "spread_mean": gap.mean(),
            "spread_std": gap.std(),
            **{"formation_start": days[0], "formation_end": days[formation - 1]},
            **{"trade_start": days[formation], "trade_end": days[-1]},
        }
        for y, x in ("AB", "CD", "EF")
        for gap in [(logs[y] - logs[x]).iloc[:formation]]
    ]
    return logs, pd.DataFrame(rows)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 30), cut=st.integers(252, 379), hole=st.booleans())
def test_the_monitor_knows_the_past_alone(seed, cut, hole):
    logs, pairs = pairs_and_prices(seed)
    if hole:
        logs.iloc[270:280, 2] = np.nan
    whole = break_days(logs, pairs)
    until = break_days(logs.iloc[:cut], pairs)
    other = logs.copy()
    other.iloc[cut:] += np.random.default_rng(seed).normal(0, 0.5, other.iloc[cut:].shape)
    replaced = break_days(other, pairs)
    past = whole < logs.index[cut]
    assert until.equals(whole.where(past))
    assert replaced[past].equals(whole[past])
    assert not (replaced[~past] < logs.index[cut]).any()


def test_the_monitor_tells_the_broken_from_the_tied():
    alarms = np.array([break_days(*pairs_and_prices(s)).notna().to_numpy() for s in range(60)])
    tied, apart, shifted = alarms.mean(axis=0)
    assert tied <= 0.25 and apart == 1 and shifted > 0.9  # twice the horizon of the 5 %


def test_fits_and_thresholds_are_those_of_each_pair():
    logs, pairs = pairs_and_prices(1)
    later = logs.copy()
    later.iloc[252:] = np.random.default_rng(0).normal(size=later.iloc[252:].shape)
    fits = spread_fits(later, pairs)  # nothing after the formation is used
    ruled = bertram_pairs(pairs, fits, stop=3.5, holding=2.0, cost_bps=5.0)
    for k, row in ruled.iterrows():
        fit = ou_fit((logs[row["y"]] - logs[row["x"]]).iloc[:252], dt=1)
        rule = bertram_thresholds(fit, cost=2 * 5e-4 * 2)
        assert fits[k].to_dict() == fit.to_dict()
        assert np.isclose(row["spread_mean"] + row["entry"] * row["spread_std"], rule.exit)
        assert np.isclose(row["spread_mean"] + row["exit"] * row["spread_std"], rule.entry)
        assert (row["stop"], row["max_holding"]) == (3.5, 7.0)
    dearer = bertram_pairs(pairs, fits, cost_bps=10.0)
    assert (dearer["entry"] > ruled["entry"]).all()


def market_of(seed: int = 0) -> Market:
    days = pd.bdate_range("2010-01-01", periods=520, name="date")
    rng = np.random.default_rng(seed)
    prices = random_walks(days, 10, rng=rng).set_axis([f"N{k}" for k in range(10)], axis=1)
    prices[["N0", "N1"]] = np.column_stack(cointegrated_pair(days, phi=0.7, rng=rng))
    returns = np.expm1(prices.diff())
    fields = {
        "returns": returns,
        "log_prices": prices,
        "dollar_volume": returns.fillna(0) * 0 + 1e9,
    }
    panel = Panel(fields | {"member": prices.notna().astype(float)})
    rules = {"formation": 250, "trading": 90, "keep": 5, "half_life": (0.5, 100.0)}
    pairs = screened_pairs(panel, first_trade=days[300], **rules)
    volatility = returns.rolling(50).std().shift(1)
    return Market.from_panel(
        panel,
        volatility=volatility,
        artifacts={"pairs": pairs},
        start=days[300],
        settings={"screen_pairs": rules},
    )


def test_a_world_is_screened_once_for_the_families_that_screen_it(monkeypatch):
    import quantlab.cointegration.formation as formation

    screened = []
    screen = formation.screen_formations

    def counted(*args, **options):
        screened.append(1)
        return screen(*args, **options)

    market = market_of()
    days = np.random.default_rng(2).integers(1, 520, 520)
    fields = ("returns", "dollar_volume")
    index = market.panel.index
    world = {f: market.panel.fields[f].iloc[days].set_axis(index) for f in fields}
    points = {
        c.name: c
        for c in (
            PAIRS.point({"entry": 1.5}),
            BERTRAM.point({"max_pairs": 3, "monitor": True}),
            PAIRS.point({"entry": 2.0}),
            BERTRAM.point({"max_pairs": 5, "monitor": False}),
        )
    }
    assert PAIRS.placebo is BERTRAM.placebo
    account = {"costs": CostModel(half_spread_bps=2.5), "capital": 1e6, "periods_per_year": 252}
    monkeypatch.setattr(formation, "screen_formations", counted)
    net = world_returns(points, market, world, **account)
    assert len(screened) == 1 and list(net) == list(points)
    there = screened_world(market, world)
    for name, point in points.items():
        alone = grid_returns({name: point}, there, **account)
        np.testing.assert_array_equal(net[name], alone[name])
    assert (net.std() > 0).all()


def test_a_pair_that_is_no_process_leaves_its_slot_empty():
    market = market_of()
    pairs = market.artifacts["pairs"]
    hopeless = pairs.assign(half_life=np.where(pairs["rank"] == 1, np.nan, pairs["half_life"]))
    book = BERTRAM.weights(replace(market, artifacts={"pairs": hopeless}), max_pairs=1)
    assert (book.fillna(0) == 0).all(axis=None)
    assert BERTRAM.weights(market, max_pairs=1).abs().sum().sum() > 0


@pytest.mark.parametrize("name", ["max_pairs", "stop", "holding", "cost_bps"])
def test_the_package_declares_it_and_says_what_is_wrong(name):
    assert load_families()["bertram"] is BERTRAM
    with pytest.raises(ValueError, match=f"bertram.{name}"):
        BERTRAM.point({name: -1})
