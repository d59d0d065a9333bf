"""Faults around the live engine: disks, floods, slow sides, altered bundles, kills amid halts."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import floor
import ledger
import pandas as pd
import pytest
from floor import COSTS, START, a_bundle, a_feed, a_world, live, paper

from quantlab.errors import DataWarning, HandoffError
from quantlab.handoff import KillSwitch, load_bundle
from quantlab.live import (
    LiveEngine,
    ManualClock,
    MergedFeed,
    PlayedServer,
    Quote,
    RealClock,
    ReplayFeed,
    Trade,
    WebSocketFeed,
    close_of,
    read_latency,
)
from quantlab.live.feed import Guard

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def world():
    return a_world()


@pytest.fixture(scope="module")
def feed(world):
    return a_feed(world[0])


@pytest.fixture(scope="module")
def bundle(world, tmp_path_factory):
    return a_bundle(tmp_path_factory.mktemp("bundle"), *world, costs=COSTS)


# Disks


def mounted(*words):
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    "A small disk of its own, and how to change it; needs the right to mount"
    place = tmp_path / "disk"
    place.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)):
        pytest.skip("NOT TESTED: a disk cannot be mounted here; run it as root")
    try:
        yield place, lambda options: mounted("-o", f"remount,{options}", str(place))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_loses_nothing(bundle, feed, disk):
    place, _ = disk
    live(bundle, feed[:20], place / "state")
    with open(place / "filler", "wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"x" * 4096):
            pass
    with pytest.raises(HandoffError) as raised:
        live(bundle, feed, place / "state")
    assert str(raised.value).count("\n") == 0
    (place / "filler").unlink()
    assert live(bundle, feed, place / "state").journal == paper(bundle, feed).journal


def test_a_disk_that_is_read_only_is_one_sentence(bundle, feed, disk):
    place, change = disk
    live(bundle, feed[:30], place / "state")
    assert change("ro")
    with pytest.raises(HandoffError, match="cannot be used") as raised:
        live(bundle, feed, place / "state")
    assert str(raised.value).count("\n") == 0
    assert change("rw")
    assert live(bundle, feed, place / "state").journal == paper(bundle, feed).journal


def test_a_latency_that_cannot_be_written_stops_nothing(bundle, feed, tmp_path):
    (tmp_path / "latency.json").mkdir()
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal
    (tmp_path / "latency.json").rmdir()
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal
    assert read_latency(tmp_path)["ticks"].n == len(feed)


# Kills amid halts, and two engines


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_while_somebody_halts_and_resets():
    "A share of what the program does by hand: tests/live/tripped.py 1000 SEED"
    command = [sys.executable, str(HERE / "tripped.py"), "20", "5"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 lost, 0 doubled" in run.stdout and int(run.stdout.split()[0]) >= 20, run.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_quarter_of_a_minute_of_a_played_feed_with_everything_at_once():
    "A share of what the program does by hand: tests/live/hour.py"
    command = [sys.executable, str(HERE / "hour.py"), "--seconds", "15", "--close", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 lost, 0 doubled, 0 decided twice, every halt obeyed" in run.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_second_engine_in_another_process_is_refused(bundle, feed, tmp_path):
    ready, go = os.pipe()
    process = os.fork()
    if process == 0:

        def holding():
            yield feed[0]
            os.write(go, b"x")
            time.sleep(60)

        live(bundle, holding(), tmp_path)
        os._exit(1)
    try:
        os.read(ready, 1)
        with pytest.raises(HandoffError, match="Another engine is running in"):
            live(bundle, feed, tmp_path)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(ready), os.close(go)
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal


# The bundle on the disk


def test_a_bundle_altered_while_it_is_traded_changes_nothing_until_the_next_start(world, tmp_path):
    market, weights = world
    bundle = a_bundle(tmp_path / "bundles", market, weights, costs=COSTS)
    feed, weights_file = a_feed(market), bundle.path / "target_weights.parquet"

    def altering():
        for n, bar in enumerate(feed):
            if n == 40:
                weights_file.write_bytes(weights_file.read_bytes()[:-8] + b"\0" * 8)
            yield bar

    expected = paper(bundle, feed).journal
    assert live(bundle, altering(), tmp_path / "state").journal == expected
    with pytest.raises(HandoffError, match="target_weights.parquet"):
        load_bundle(bundle.path)


class Foreign(floor.Exchange):
    "A venue outside, which a bundle in the shadow must not reach"

    async def submit(self, order):
        raise AssertionError("an order left the machine")


def test_an_unsigned_bundle_reaches_no_venue_and_an_expired_one_does_not_start(bundle, tmp_path):
    unsigned = load_bundle(bundle.path)
    with pytest.raises(HandoffError, match="not signed by a known reviewer.*only the Reference"):
        live(unsigned, [], tmp_path / "a", venue=Foreign(tmp_path / "exchange.jsonl"))
    with pytest.raises(HandoffError, match="has expired"):
        load_bundle(bundle.path, as_of="2041-01-01")


# Floods and slow sides


def flood(bar, n):
    "Quotes of one moment, each another one"
    moment = bar.date.tz_localize("UTC") - pd.Timedelta(hours=12)
    return [Quote(moment, "S000", 9.0, 10.0 + k / n, 1, 1) for k in range(n)]


def test_a_flood_of_a_moment_is_passed_in_linear_work():
    "Each of 100,000 quotes of one moment is looked up, and none copies those before it"
    guard, quotes = Guard(), flood(close_of_day(), 100_000)
    assert all(map(guard.passes, quotes))
    assert not any(map(guard.passes, quotes[::1000]))
    assert (guard.notes.late, guard.notes.duplicate) == (0, 100)


def close_of_day():
    from quantlab.handoff import Bar

    return Bar(pd.Timestamp("2026-01-05"), {"S000": 0.0})


@pytest.mark.slow
def test_in_a_flood_a_halt_is_obeyed_at_the_next_event_and_the_next_close_decides(
    bundle, feed, tmp_path
):
    switch = KillSwitch(tmp_path / "kill_switch.jsonl", policy="cancel")
    switch.start()
    venue, decided, seen = floor.reference(bundle), str(bundle.target_weights.index[10].date()), []
    at = next(n for n, bar in enumerate(feed) if str(bar.date.date()) == decided)

    class Flooded:
        async def events(self):
            for bar in feed[: at + 1]:
                yield close_of(bar)
            for n, quote in enumerate(flood(feed[at + 1], 100_000)):
                if n == 50_000:
                    assert await venue.orders()
                    KillSwitch(switch.path).trip("a rumour", by="desk")
                if n == 50_001:
                    seen.append(await venue.orders())
                if n == 90_000:
                    KillSwitch(switch.path).reset("understood", by="risk")
                yield quote
            for bar in feed[at + 1 : at + 8]:
                yield close_of(bar)

    engine = LiveEngine(
        bundle, Flooded(), venue, clock=ManualClock(START), folder=tmp_path, kill_switch=switch
    )
    got = asyncio.run(engine.run())
    assert seen == [{}]  # withdrawn by the event at which the halt stood in the file
    assert got.state == "ACTIVE" and got.n_days == at + 8
    later = got.orders["date"] > feed[at].date
    assert got.orders.loc[later, "sent"].any()
    assert engine.latency.ticks.n == 100_000 + got.n_days


class Slow(floor.Exchange):
    "A venue that takes its time with each answer"

    async def reports(self, after):
        await asyncio.sleep(0.002)
        return []


@pytest.mark.parametrize("quotes", [True, False])
def test_ticks_faster_than_they_are_handled_wait_in_a_bounded_room(world, feed, tmp_path, quotes):
    "Old quotes go and are counted; where only trades come, the line waits, and none is lost"
    bundle, room, n = a_bundle(tmp_path / "bundle", *world, costs=floor.FREE), 50, 600
    begin = START + pd.Timedelta(hours=1)
    moments = [begin + pd.Timedelta(milliseconds=k) for k in range(n)]
    ticks = [
        Quote(t, "S000", 9.0, 10.0, 1, 1) if quotes else Trade(t, "S000", 10.0, 1) for t in moments
    ]

    async def main():
        clock = RealClock()
        async with PlayedServer(ticks, "binance") as server:
            line = WebSocketFeed(
                server.url, "binance", ["S000"], clock=clock, room=room, end_on_close=True
            )
            both = MergedFeed(line, ReplayFeed(feed[:3]))
            venue = Slow(tmp_path / "exchange.jsonl")
            engine = LiveEngine(bundle, both, venue, clock=clock, folder=tmp_path / "state")
            result = await engine.run()
            return result, line.statistics, engine.latency.ticks.n

    if quotes:
        with pytest.warns(DataWarning, match="too slow"):
            result, seen, dealt = asyncio.run(main())
    else:
        result, seen, dealt = asyncio.run(main())
    assert result.n_days == 3 and seen.most_waiting <= room
    assert dealt == n + 3 - seen.dropped_quotes
    assert (seen.dropped_quotes > 0) is quotes


def test_what_reached_the_venue_before_a_kill_is_withdrawn_by_a_halt_and_not_withheld(
    world, feed, tmp_path
):
    "Killed between the venue's taking an order and our noting so; then somebody halts"
    bundle = a_bundle(tmp_path / "bundle", *world, costs=floor.FREE)
    path, folder = tmp_path / "exchange.jsonl", tmp_path / "state"
    switch = KillSwitch(folder / "kill_switch.jsonl", policy="cancel")
    switch.start()
    dying, count = floor.Exchange(path, fill=False), 0
    submit = dying.submit

    async def dying_submit(order):
        nonlocal count
        await submit(order)
        count += 1
        if count == 2:
            raise KeyboardInterrupt

    dying.submit = dying_submit
    with pytest.raises(KeyboardInterrupt):
        live(bundle, feed[:40], folder, venue=dying, kill_switch=switch)
    venue = floor.Exchange(path, fill=False)
    assert len(asyncio.run(venue.orders())) == 2
    switch.trip("a rumour", by="desk")
    got = live(bundle, feed[:40], folder, venue=venue, kill_switch=switch)
    assert asyncio.run(venue.orders()) == {}
    found = ledger.compare(folder, path)
    assert ledger.faults(found) == {} and found["orders"] == 2
    assert {"withheld", "cancelled"} <= set(got.events["type"])


class Lagging(floor.Exchange):
    "An exchange whose list does not show yet what it has taken, and which finds it by its id"

    seen = frozenset()

    async def orders(self):
        return {
            name: state for name, state in (await super().orders()).items() if name in self.seen
        }

    async def cancel(self, ids):
        self.seen |= set(ids)
        await super().cancel(ids)


def test_what_a_list_does_not_show_yet_is_withdrawn_by_a_halt_and_not_withheld(
    world, feed, tmp_path
):
    "Killed after the venue took an order; somebody halts; the venue's list lags at the next start"
    bundle = a_bundle(tmp_path / "bundle", *world, costs=floor.FREE)
    path, folder = tmp_path / "exchange.jsonl", tmp_path / "state"
    switch = KillSwitch(folder / "kill_switch.jsonl")
    switch.start()
    dying = Lagging(path, fill=False)
    submit = dying.submit

    async def dying_submit(order):
        await submit(order)
        raise KeyboardInterrupt

    dying.submit = dying_submit
    with pytest.raises(KeyboardInterrupt):
        live(bundle, feed[:40], folder, venue=dying, kill_switch=switch)
    switch.trip("a rumour", by="desk")
    venue = Lagging(path, fill=False)
    assert len(venue.lines()) == 1 and asyncio.run(venue.orders()) == {}
    got = live(bundle, feed[:40], folder, venue=venue, kill_switch=switch)
    assert asyncio.run(floor.Exchange(path).orders()) == {}
    found = ledger.compare(folder, path)
    assert ledger.faults(found) == {} and found["orders"] == 1
    assert {"withheld", "unfilled"} <= set(got.events["type"])
