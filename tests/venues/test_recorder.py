"""The recorder: what was written reads back, whatever killed it, and is the same bytes."""

import asyncio
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, HandoffError
from quantlab.handoff import Bar
from quantlab.live import Close, Quote, ReplayFeed, Trade, event_line
from quantlab.live.feed import Guard
from quantlab.venues import RecordedFeed, Recorder, read_events, record_fills

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))

START = pd.Timestamp("2026-01-05 22:00", tz="UTC")
KINDS = (Quote, Trade, Close)


def files(folder):
    paths = sorted(folder.glob("*/*/*.parquet"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def record(folder, events, **options):
    async def main(recorder):
        return [e async for e in RecordedFeed(ReplayFeed(events), recorder).events()]

    with Recorder(folder, **options) as recorder:
        assert asyncio.run(main(recorder)) == events
    return recorder


def lines(events):
    return [event_line(event) for event in events]


def as_read(events):
    "What a record of events reads back as: what a guard lets pass, by time and kind"
    guard = Guard()
    passed = [event for event in events if guard.passes(event)]
    by_day = sorted(passed, key=lambda e: (e.time, KINDS.index(type(e))))
    return by_day


# few moments, so that events meet; over midnight, so that they are of two days
MOMENTS = st.integers(0, 7).map(lambda k: START + pd.Timedelta(minutes=31) * k)
PRICES = st.floats(0.001, 1e9, allow_nan=False)
SIZES = st.floats(0, 1e9, allow_nan=False)
ASSETS = st.sampled_from(["A", "B", "Ü 'x' / ☃"])
NUMBERS = st.floats(-1, 1) | st.just(math.nan)
BARS = st.builds(
    lambda day, *parts: Bar(pd.Timestamp("2026-01-05") + pd.Timedelta(days=day), *parts),
    st.integers(0, 1),
    *[st.dictionaries(ASSETS, NUMBERS, max_size=3)] * 3,
)


def a_close(bar, minutes):
    return Close(bar.date.tz_localize("UTC") + pd.Timedelta(minutes=1260 + minutes), bar)


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda t, a, x, y, n, m: Quote(t, a, min(x, y), max(x, y), n, m),
            *(MOMENTS, ASSETS, PRICES, PRICES, SIZES, SIZES),
        ),
        st.builds(Trade, MOMENTS, ASSETS, PRICES, SIZES),
        st.builds(a_close, BARS, st.integers(0, 200)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS, st.integers(1, 6), st.data())
def test_what_was_written_reads_back_and_a_replay_writes_the_same_bytes(
    tmp_path_factory, events, room, data
):
    whole, halves = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("halves")
    recorder = record(whole, events, room=room)
    assert lines(read_events(whole)) == lines(as_read(events))
    assert recorder.n_written + recorder.n_late + recorder.n_duplicate == len(events)
    stop = data.draw(st.integers(0, len(events)))
    record(halves, events[:stop], room=room, seconds=data.draw(st.sampled_from([1.0, 1e4])))
    again = record(halves, events, room=room, seconds=data.draw(st.sampled_from([1.0, 1e4])))
    assert files(halves) == files(whole)
    assert again.n_written <= len(events)


def ticks(n, seed=0):
    "Quotes and trades of an hour over midnight, and two closes"
    rng, events = np.random.default_rng(seed), []
    for k in range(n):
        moment = START + pd.Timedelta(hours=1.5) + pd.Timedelta(hours=1) * k / n
        asset, price = "ABCDE"[rng.integers(5)], float(100 + rng.normal())
        if rng.random() < 0.8:
            events.append(Quote(moment, asset, price, price + 0.01, 100.0, 200.0))
        else:
            events.append(Trade(moment, asset, price, 10.0))
        if k in (n // 3, n - 1):
            bar = Bar(moment.tz_localize(None).normalize(), {"A": 0.01})
            events.append(Close(moment, bar))
    return events


def a_child(folder, events, options):
    "A recorder in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            record(folder, events, **options)
            os._exit(0)
        except BaseException:
            os._exit(1)
    return process


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_recorder_killed_at_random_leaves_whole_files_and_ends_with_the_same(tmp_path):
    events, options = ticks(1500), {"room": 200, "seconds": 20.0}
    begun = time.monotonic()
    record(tmp_path / "whole", events, **options)
    took = time.monotonic() - begun
    expected, rng = files(tmp_path / "whole"), np.random.default_rng(3)
    folder, killed, rounds = tmp_path / "killed 0", 0, 0
    while rounds < 50 and (killed < 10 or folder.exists()):
        process = a_child(folder, events, options)
        if killed < 10:
            time.sleep(rng.uniform(0.0, took))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        told = lines(read_events(folder)) if folder.exists() else []
        assert len(told) == len(set(told))  # whole files, nothing doubled
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        assert os.WEXITSTATUS(status) == 0 and files(folder) == expected
        rounds += 1
        folder = tmp_path / f"killed {rounds}"
    assert killed == 10 and rounds > 0


def test_memory_is_bounded_by_the_rooms(tmp_path):
    with Recorder(tmp_path, room=100, seconds=1e9) as recorder:
        for event in ticks(5000):
            if not isinstance(event, Close):
                recorder.take(event)
            waiting = [len(day.rows) for day in recorder._days.values()]
            assert sum(waiting) <= 100 * len(waiting) <= 400


def test_an_asset_that_lags_behind_midnight_goes_to_its_own_day(tmp_path):
    early, late = START, START + pd.Timedelta(hours=3)
    events = [
        Trade(early, "A", 1.0, 1.0),
        Trade(late, "A", 2.0, 1.0),
        Trade(early + pd.Timedelta(minutes=1), "B", 3.0, 1.0),
        Trade(late, "B", 4.0, 1.0),
    ]
    with Recorder(tmp_path) as recorder:
        for event in events:
            recorder.take(event)
            recorder.flush()
    assert record(tmp_path, events).n_written == 0
    assert [e.price for e in read_events(tmp_path)] == [1.0, 3.0, 2.0, 4.0]


def test_a_part_that_was_damaged_is_one_sentence(tmp_path):
    record(tmp_path, ticks(50))
    (tmp_path / "quotes" / "date=2026-01-05" / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="take it away, and replay that day"):
        record(tmp_path, ticks(60))


def test_a_part_of_somebody_else_is_one_sentence(tmp_path):
    place = tmp_path / "trades" / "date=2026-01-05" / "part-00001.parquet"
    place.parent.mkdir(parents=True)
    pd.DataFrame({"price": [1.0]}).to_parquet(place)
    with pytest.raises(DataError, match="no recorder wrote it"):
        record(tmp_path, [Trade(START, "A", 1.0, 1.0)])
    with pytest.raises(DataError, match="no recorder wrote it"):
        list(read_events(tmp_path))


def test_whole_numbers_that_no_float_holds_exactly_are_written(tmp_path):
    "JSON has them: the size of a trade in a coin of many digits"
    events = [
        Trade(START, "A", 1, 2**53 + 1),
        Trade(START, "B", 10**30, 0),
        Quote(START, "A", 1, 2, 10**17 + 1, 0),
    ]
    record(tmp_path, events)
    assert [e.size for e in read_events(tmp_path) if isinstance(e, Trade)] == [2.0**53, 0.0]


def test_the_fills_of_another_journal_are_not_written_over(tmp_path):
    import floor

    market, weights = floor.a_world()
    feed = floor.a_feed(market)
    for number, costs in enumerate((floor.COSTS, floor.FREE)):
        folder = tmp_path / str(number)
        bundle = floor.a_bundle(folder / "bundle", market, weights, costs=costs)
        floor.live(bundle, feed, folder / "state")
    record_fills(tmp_path / "0/state/journal.jsonl", tmp_path / "record")
    before = files(tmp_path / "record")
    with pytest.raises(HandoffError, match="has fills that this journal has not"):
        record_fills(tmp_path / "1/state/journal.jsonl", tmp_path / "record")
    assert files(tmp_path / "record") == before
    with pytest.raises(HandoffError, match="cannot be read .No such file"):
        record_fills(tmp_path / "none.jsonl", tmp_path / "record")


def test_the_fills_of_an_engine_are_those_of_its_journal_and_written_once(tmp_path):
    import floor

    market, weights = floor.a_world()
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=floor.COSTS)
    feed, journal = floor.a_feed(market), tmp_path / "state" / "journal.jsonl"
    floor.live(bundle, feed[:40], tmp_path / "state")
    some = record_fills(journal, tmp_path / "record")
    before = files(tmp_path / "record")
    with open(journal, "ab") as file:
        file.write(b'{"type":"torn')
    assert record_fills(journal, tmp_path / "record") == some
    assert files(tmp_path / "record") == before
    result = floor.live(bundle, feed, tmp_path / "state")
    assert record_fills(journal, tmp_path / "record") > some
    assert before.items() <= files(tmp_path / "record").items()
    frame = pd.read_parquet(tmp_path / "record" / "fills")
    expected = result.fills[result.fills["notional"] != 0]
    assert frame["order"].tolist() == expected["order"].tolist()
    assert frame["cost"].tolist() == expected["cost"].tolist()
    assert frame["date"].astype(str).tolist() == expected["date"].astype(str).tolist()


def test_a_recorder_outside_its_with_and_one_without_a_folder_are_said(tmp_path):
    event = Trade(pd.Timestamp("2026-01-05", tz="UTC"), "A", 10.0, 1.0)
    recorder = Recorder(tmp_path / "record")
    with pytest.raises(HandoffError, match="writes inside its `with` alone"):
        recorder.take(event)
    with recorder:
        recorder.take(event)
    with pytest.raises(HandoffError, match="writes inside its `with` alone"):
        recorder.take(event)
    assert list(read_events(tmp_path / "record")) == [event]
    (tmp_path / "file").write_text("")
    with pytest.raises(HandoffError, match="is no folder to write in"), Recorder(tmp_path / "file"):
        pass
