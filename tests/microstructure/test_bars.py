"""Bars: from pieces as from the whole, what is known when, plain loops beside, and bad input."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, MissingDataError, SpecificationError
from quantlab.microstructure import BarBuilder, bars, load_ticks

KINDS = {
    "time": {"size": "1min"},
    "seven hours": {"kind": "time", "size": "7h"},
    "tick": {"size": 7},
    "volume": {"size": 20},
    "dollar": {"size": 2000.5},
    "tick_imbalance": {"size": 5},
    "volume_imbalance": {"size": 5, "expected_size_bounds": (2, 30), "span": 3},
}
KINDS = {name: {"kind": name} | how for name, how in KINDS.items()}
few = settings(max_examples=15, deadline=None)
every = pytest.mark.parametrize("name", KINDS)
seeds = st.integers(0, 10_000)


def random_ticks(seed, n=300, quotes=False, side=False):
    "Trades with ties, repeats and pauses, perhaps with quote rows between and sides"
    rng = np.random.default_rng(seed)
    wait = rng.choice([0, 0, 1, 5, 20, 900], n, p=[0.4, 0.2, 0.2, 0.1, 0.07, 0.03])
    times = pd.Timestamp("2024-03-08 22:00") + pd.to_timedelta(wait.cumsum(), "s")
    frame = pd.DataFrame({"time": times, "price": 100 + rng.choice([-1, 0, 0, 1], n).cumsum() / 4})
    frame["volume"] = rng.integers(0, 9, n).astype(float)
    if quotes:
        frame.loc[rng.random(n) < 0.3, ["price", "volume"]] = np.nan
        frame["bid"], frame["ask"] = 99.0, 101.0
    if side:
        frame["side"] = np.where(frame["price"].isna(), 0, rng.choice([-1, 0, 1], n))
    return load_ticks(frame, timezone="America/New_York")


def same(one, other):
    "Are two results of bars one and the same?"
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    assert (one.sessions == other.sessions).all() and (one.complete == other.complete).all()
    assert (one.n_ticks, one.n_dropped) == (other.n_ticks, other.n_dropped)
    assert one.share_at_bound == other.share_at_bound or np.isnan(one.share_at_bound)


@every
@few
@given(seeds, st.lists(st.integers(0, 300), max_size=6), st.booleans(), st.booleans())
def test_pieces_give_the_bars_of_the_whole(name, seed, cuts, quotes, flag):
    ticks = random_ticks(seed, quotes=quotes, side=flag)
    borders = sorted({0, *cuts, len(ticks)})
    pieces = [ticks.take(slice(a, b)) for a, b in zip(borders, borders[1:])]
    alone = [load_ticks(p.table, timezone="America/New_York") for p in pieces]
    how = KINDS[name] | {"drop_partial": flag, "span_sessions": quotes}
    try:
        whole = bars(ticks, **how)
    except DataError as error:
        assert "no bar was finished" in str(error)
        return
    same(bars(pieces, **how), whole)
    same(bars(alone, **how), whole)


def plain_bars(ticks, kind, size):
    "Bars by running sums, unfinished ones too, in plain Python"
    rows, done, number, last, sign = [], [], None, None, 0
    table = ticks.table[ticks.table["price"].notna()]
    sessions = ticks.sessions[ticks.table["price"].notna()]
    gap = pd.Timedelta("10min")
    for (time, row), session in zip(table.iterrows(), sessions):
        if session != number:
            if rows:
                done.append((rows, rows[-1][0] + gap, False))
            rows, number, sign = [], session, 0
        elif row["price"] != last:
            sign = 1 if row["price"] > last else -1
        last = row["price"]
        rows.append((time, row["price"], row["volume"], row.get("side", sign)))
        value = {
            "tick": len(rows),
            "volume": sum(r[2] for r in rows),
            "dollar": sum(r[1] * r[2] for r in rows),
        }[kind]
        if value >= size:
            done.append((rows, time, True))
            rows = []
    if rows:
        done.append((rows, rows[-1][0] + gap, False))
    out = []
    for rows, end, complete in done:
        prices, volume = [r[1] for r in rows], sum(r[2] for r in rows)
        out.append(
            {
                "start": rows[0][0],
                "end": end,
                "open": prices[0],
                "high": max(prices),
                "low": min(prices),
                "close": prices[-1],
                "volume": volume,
                "vwap": sum(r[1] * r[2] for r in rows) / volume if volume else np.nan,
                "n_trades": len(rows),
                "signed_volume": float(sum(r[3] * r[2] for r in rows)),
                "complete": complete,
            }
        )
    return pd.DataFrame(out)


@pytest.mark.parametrize("name", ["tick", "volume", "dollar"])
@few
@given(seeds, st.booleans(), st.booleans())
def test_bars_are_those_of_a_plain_loop(name, seed, quotes, side):
    ticks = random_ticks(seed, n=120, quotes=quotes, side=side)
    found = bars(ticks, drop_partial=False, **KINDS[name])
    expected = plain_bars(ticks, name, KINDS[name]["size"])
    table = found.table.assign(complete=found.complete)
    pd.testing.assert_frame_equal(
        table.reset_index(drop=True), expected, check_exact=False, rtol=1e-12
    )


@every
@few
@given(seeds, st.integers(1, 299))
def test_what_comes_later_changes_no_bar_known_before(name, seed, cut):
    ticks = random_ticks(seed)
    whole = bars(ticks, drop_partial=False, **KINDS[name])
    part = ticks.take(slice(0, cut))
    found = BarBuilder(**KINDS[name]).feed(part)
    now = part.table.index[-1]
    known = whole.table[(whole.table["end"] < now) & whole.complete].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        found[found["end"] < now].reset_index(drop=True), known, check_exact=True, check_names=False
    )


@every
@few
@given(seeds)
def test_every_trade_is_in_one_bar_and_no_bar_spans_two_sessions(name, seed):
    ticks = random_ticks(seed)
    found = bars(ticks, drop_partial=False, **KINDS[name])
    table = found.table
    assert table["n_trades"].sum() == len(ticks) == found.n_ticks and found.n_dropped == 0
    assert table["volume"].sum() == pytest.approx(ticks.table["volume"].sum())
    assert table["start"].is_monotonic_increasing and table["end"].is_monotonic_increasing
    ends = table["n_trades"].cumsum().to_numpy() - 1
    first = ends - table["n_trades"].to_numpy() + 1
    assert (ticks.sessions[first] == ticks.sessions[ends]).all()
    assert (ticks.sessions[ends] == found.sessions).all()
    assert (table["end"] >= ticks.table.index[ends]).all()
    assert (table["low"] <= table[["open", "close"]].min(axis=1)).all()
    assert (table["high"] >= table[["open", "close"]].max(axis=1)).all()
    inside = table.dropna(subset="vwap")
    assert inside["vwap"].between(inside["low"] - 1e-9, inside["high"] + 1e-9).all()


def test_an_unfinished_bar_is_known_when_the_pause_has_shown_it():
    times = ["2024-03-01 10:00:00", "2024-03-01 10:00:05", "2024-03-01 12:00:00"]
    rows = pd.DataFrame({"time": times, "price": [1.0, 2.0, 3.0], "volume": 1})
    kept = bars(load_ticks(rows, timezone="UTC"), kind="tick", size=3, drop_partial=False)
    assert kept.table["end"].iloc[0] == pd.Timestamp("2024-03-01 10:10:05", tz="UTC")
    assert kept.complete.tolist() == [False, False]
    spans = bars(load_ticks(rows, timezone="UTC"), kind="tick", size=3, span_sessions=True)
    assert len(spans.table) == 1 and spans.table["end"].iloc[0].hour == 12
    never = load_ticks(rows, timezone="UTC", session_gap=None)
    assert len(bars(never, kind="tick", size=2).table) == 1


def test_intervals_begin_at_the_midnight_of_the_clock_that_is_shown():
    times = ["2024-03-10 01:59:00", "2024-03-10 03:01:00", "2024-03-10 23:59:00"]
    rows = pd.DataFrame({"time": times, "price": 1.0, "volume": 1})
    ticks = load_ticks(rows, timezone="America/New_York", session_gap=None)
    table = bars(ticks, kind="time", size="7h", drop_partial=False).table
    assert [f"{t:%d %H:%M}" for t in table["start"]][-1] == "10 21:00"
    assert [f"{t:%d %H:%M}" for t in table["end"]][-1] == "11 00:00"


def test_the_sample_has_the_bars_that_its_rules_give():
    es = load_ticks(ROOT / "data/ticks/es_trades.csv.gz", timezone="America/Chicago")
    assert len(bars(es, kind="volume", size=1000, span_sessions=True).table) == 1822
    assert len(bars(es, kind="time", size="1min", drop_partial=False).table) == 2264
    collapsed = bars(es, kind="tick_imbalance", size=500)
    assert np.isnan(collapsed.share_at_bound) and "100% of the bars" in collapsed.sentence()
    bounded = bars(es, kind="tick_imbalance", size=500, expected_size_bounds=(100, 2000))
    assert bounded.share_at_bound > 0.99 and "at a bound" in bounded.sentence()


BAD = [
    ({"kind": "renko"}, "`kind`"),
    ({"kind": None}, "`kind`"),
    ({"kind": "time", "size": 60}, "time span"),
    ({"kind": "time", "size": "2D"}, "at most a day"),
    ({"kind": "time", "size": "-1min"}, "above zero"),
    ({"kind": "time", "size": "soon"}, "time span"),
    ({"size": 0}, "`size`"),
    ({"size": np.nan}, "`size`"),
    ({"size": np.inf}, "`size`"),
    ({"size": "1min"}, "number of shares"),
    ({"kind": "tick", "size": 2.5}, "`size`"),
    ({"kind": "tick", "size": True}, "`size`"),
    ({"expected_size_bounds": (1, 20)}, "are of imbalance bars"),
    ({"kind": "tick_imbalance", "expected_size_bounds": (20, 30)}, "expected_size_bounds"),
    ({"kind": "tick_imbalance", "expected_size_bounds": (1, 5)}, "expected_size_bounds"),
    ({"kind": "tick_imbalance", "expected_size_bounds": 5}, "two numbers"),
    ({"kind": "tick_imbalance", "expected_size_bounds": (0, 20)}, "expected_size_bounds"),
    ({"span": 0}, "`span`"),
    ({"drop_partial": 1}, "`drop_partial`"),
    ({"span_sessions": "yes"}, "`span_sessions`"),
]


@pytest.mark.parametrize(("how", "why"), BAD)
def test_an_argument_out_of_range_is_named(how, why):
    with pytest.raises(SpecificationError, match=why) as error:
        bars(random_ticks(0), **({"kind": "volume", "size": 10} | how))
    assert "\n" not in str(error.value)


def test_what_gives_no_bars_says_so():
    ticks = random_ticks(0)
    with pytest.raises(DataError, match="above the volume of every session"):
        bars(ticks, kind="volume", size=1e9)
    with pytest.raises(DataError, match="no ticks were fed"):
        bars([], kind="volume", size=10)
    with pytest.raises(DataError, match="not in time order"):
        bars([ticks.take(slice(200, 300)), ticks.take(slice(0, 200))], kind="volume", size=10)
    other = load_ticks(ticks.table, timezone="UTC")
    with pytest.raises(DataError, match="the pieces differ"):
        bars([ticks.take(slice(0, 10)), other.take(slice(10, 300))], kind="volume", size=10)
    for wrong in (ticks.table, None, 3, [ticks.table]):
        with pytest.raises(SpecificationError, match="from `load_ticks`"):
            bars(wrong, kind="volume", size=10)
    quotes = random_ticks(0, quotes=True).table[["bid", "ask"]]
    with pytest.raises(MissingDataError, match="bars needs trades"):
        bars(load_ticks(quotes, timezone="UTC"), kind="volume", size=10)
