"""Feeds from real buses: told again, never lost without a word, one order of each decision."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import buses
import floor
import ledger
import numpy as np
import pytest
from buses import QUICK, put, redis_server, take, ticks
from killing import child, until_done
from servers import Proxy, program

from quantlab.errors import DataError, DataWarning, SpecificationError
from quantlab.live import Close, LiveEngine, MergedFeed, RealClock, ReplayFeed, event_line
from quantlab.venues.redis_feed import RedisFeed
from quantlab.venues.redis_publisher import RedisPublisher

redis = pytest.importorskip("redis", reason="NOT TESTED: pip install 'quantlab[redis]'")
HERE = Path(__file__).parent
LEASE = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def bus(server):
    "A client of a Redis that is empty, and its address"
    with redis.Redis(port=server.port) as client:
        client.flushall()
        yield client, f"redis://127.0.0.1:{server.port}/0"


def feed_of(url, group="momentum", **options):
    return RedisFeed(url, "market", **{"group": group, "lease": LEASE, **QUICK} | options)


def publisher_of(url, **options):
    return RedisPublisher(url, "market", **{"name": "replay", **QUICK} | options)


def first(feed, n):
    return asyncio.run(take(feed, n))


# Where a group begins, and what it is told again


def test_a_group_begins_where_it_is_told_and_each_sees_all(bus):
    client, url = bus
    events = ticks(30)
    assert put(publisher_of(url), events) == 30
    assert first(feed_of(url, "a", page=7), 30) == events == first(feed_of(url, "b"), 30)
    middle = client.xrange("market")[9][0].decode()
    assert first(feed_of(url, "c", start=middle), 20) == events[10:]

    async def new():
        taking = asyncio.create_task(take(feed_of(url, "d", start="$"), 5))
        while not any(group["name"] == b"d" for group in client.xinfo_groups("market")):
            await asyncio.sleep(0.01)
        await publisher_of(url).publish(ReplayFeed(ticks(35)))
        return await taking

    assert asyncio.run(new()) == ticks(35)[30:]


def test_what_was_not_acknowledged_comes_again_first_also_from_another_consumer(bus):
    client, url = bus
    events = ticks(20)
    put(publisher_of(url), events)
    assert first(feed_of(url, page=6), 9) == events[:9]
    assert client.xpending("market", "momentum")["pending"] == 6  # the first page is done
    client.xautoclaim("market", "momentum", "renamed", 0)
    assert first(feed_of(url, page=6), 14) == events[6:]


def test_an_event_is_acknowledged_after_the_engine_has_committed_what_follows(bus, tmp_path):
    "Through the merging and the watch: when the venue is told an order its close is pending"
    client, url = bus
    market, weights = floor.a_world(n_days=20)
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=floor.FREE)
    events, seen = buses.days(market), []
    put(publisher_of(url), events)
    ids = [mark for mark, _ in client.xrange("market")]

    class Looking(floor.Exchange):
        async def submit(self, order):
            pending = {row["message_id"] for row in self.pending()}
            closes = [n for n, e in enumerate(events) if isinstance(e, Close)]
            seen.append([ids[n] in pending for n in closes if events[n].bar.date == order.date])
            await super().submit(order)

        def pending(self):
            return client.xpending_range("market", "momentum", "-", "+", 1_000)

    feed = buses.Until(feed_of(url), market.returns.index[-1])
    venue = Looking(tmp_path / "exchange.jsonl")
    engine = floor.LiveEngine(
        bundle, MergedFeed(feed), venue, clock=RealClock(), folder=tmp_path / "state"
    )
    result = asyncio.run(engine.run())
    assert result.n_days == 20 and seen and all(marks == [True] for marks in seen)
    assert len(venue.pending()) == 5  # what came after the last close but one, and this one


# What is gone is said


def test_a_stream_trimmed_under_its_reader_is_said_at_each_start_or_counted(bus):
    client, url = bus
    events = ticks(40)
    put(publisher_of(url), events[:20])

    async def behind():
        async with aclosing(feed_of(url, page=20).events()) as coming:
            for _ in range(20):
                await anext(coming)
            await publisher_of(url).publish(ReplayFeed(events))
            client.xtrim("market", maxlen=5, approximate=False)
            await anext(coming)

    for run in (behind(), take(feed_of(url), 1), take(feed_of(url), 1)):
        with pytest.raises(DataError, match="has lost at least 15 entries.*lost='warn'"):
            asyncio.run(run)
    feed = feed_of(url, lost="warn")
    with pytest.warns(DataWarning, match="15 entries of the stream market"):
        assert first(feed, 5) == events[35:]
    assert feed.statistics.lost == 15


def test_pending_entries_that_were_trimmed_and_one_deleted_ahead_are_lost(bus):
    client, url = bus
    events = ticks(20)
    put(publisher_of(url), events)
    assert first(feed_of(url, page=5), 5) == events[:5]
    client.xtrim("market", maxlen=17, approximate=False)
    for _ in range(2):
        with pytest.raises(DataError, match="has lost at least 3 entries"):
            first(feed_of(url), 1)
    with pytest.warns(DataWarning, match="3 entries"):
        assert first(feed_of(url, lost="warn", page=2), 2) == events[3:5]
    client.xdel("market", client.xrange("market")[8][0])
    with pytest.raises(DataError, match="has lost at least 1 entries"):
        first(feed_of(url, page=2), 3)
    with pytest.warns(DataWarning, match="1 entries"):
        assert first(feed_of(url, lost="warn"), 16) == [*events[3:11], *events[12:]]


def test_trimming_what_was_read_or_before_the_group_began_is_nothing(bus):
    client, url = bus
    events = ticks(40)
    put(publisher_of(url), events[:20])
    client.xtrim("market", maxlen=15, approximate=False)
    assert first(feed_of(url, page=5), 11) == events[5:16]
    client.xtrim("market", maxlen=5, approximate=False)
    assert first(feed_of(url, page=5), 5) == events[15:20]
    client.xtrim("market", maxlen=4, approximate=False)
    with pytest.raises(DataError, match="has lost at least 1"):  # told, and not acknowledged
        first(feed_of(url), 1)


def test_a_start_that_is_gone_and_a_group_that_is_gone_are_said(bus):
    client, url = bus
    put(publisher_of(url), ticks(20))
    old = client.xrange("market")[3][0].decode()
    client.xtrim("market", maxlen=10, approximate=False)
    with pytest.raises(DataError, match="has lost at least 1 entries"):
        first(feed_of(url, start=old), 1)
    first(feed_of(url, "other"), 1)
    client.xgroup_destroy("market", "other")
    with pytest.raises(DataError, match="is gone"):
        first(feed_of(url, "other"), 1)
    client.set("word", "x")
    with pytest.raises(DataError, match="is no stream"):
        asyncio.run(take(RedisFeed(url, "word", group="g", **QUICK), 1))


def test_a_server_that_was_emptied_is_said_by_whoever_lives(bus):
    client, url = bus
    events = ticks(40)

    async def reading(port=None):
        async with Proxy(int(url.split(":")[2].split("/")[0])) as proxy:
            feed = feed_of(f"redis://127.0.0.1:{proxy.port}/0")
            async with aclosing(feed.events()) as coming:
                for _ in range(20):
                    await anext(coming)
                client.flushall()
                await publisher_of(url).publish(ReplayFeed(events[:5]))
                if port:
                    proxy.cut()
                await anext(coming)

    for cut in (False, True):
        client.flushall()
        put(publisher_of(url), events[:20])
        with pytest.raises(DataError, match="is gone, and with it what was not read"):
            asyncio.run(reading(cut))

    client.flushall()  # between two starts of an engine, whose folder knows of the first
    with pytest.raises(DataError, match="is gone, and with it what was not read"):
        asyncio.run(take(feed_of(url, known=True), 1))
    put(publisher_of(url), events[:20])
    with pytest.raises(DataError, match="begin anew with lost='warn'"):
        asyncio.run(take(feed_of(url, known=True), 1))
    assert len(asyncio.run(take(feed_of(url, known=True, lost="warn"), 5))) == 5

    class Emptying:
        async def events(self):
            for number, event in enumerate(events):
                if number == 20:
                    await asyncio.sleep(0.2)  # the page before has been sent
                    client.flushall()
                yield event

    with pytest.raises(DataError, match="knows 0 of the 20 events that replay has put on market"):
        asyncio.run(publisher_of(url).publish(Emptying()))
    assert put(publisher_of(url), events) == 40


def test_a_user_without_the_rights_and_a_database_that_there_is_not_are_one_sentence(
    bus, monkeypatch
):
    client, url = bus
    monkeypatch.setenv("BUS_USER", "s3cret-user")
    monkeypatch.setenv("BUS_WORD", "s3cret-word")
    put(publisher_of(url), ticks(3))
    first(feed_of(url), 1)
    key = ("BUS_USER", "BUS_WORD")
    rights = ["on", ">s3cret-word", "resetkeys", "~*", "+@all"]
    for odd in (["-xinfo"], ["-evalsha"], ["-xreadgroup"], ["resetkeys", "~other"]):
        client.execute_command("ACL", "SETUSER", "s3cret-user", *rights, *odd)
        with pytest.raises(DataError, match="does not let this user do what is needed") as raised:
            first(feed_of(url, key=key, attempts=3), 1)
        assert "s3cret" not in str(raised.value)
    client.execute_command("ACL", "SETUSER", "s3cret-user", *rights, "-xadd")
    with pytest.raises(DataError, match="does not let this user do what is needed"):
        put(publisher_of(url, key=key, attempts=3), ticks(5))
    client.execute_command("ACL", "DELUSER", "s3cret-user")
    with pytest.raises(DataError, match="has no database 99"):
        first(feed_of(url.replace("/0", "/99"), attempts=3), 1)


# Two readers


def test_a_second_reader_of_a_group_is_refused_and_takes_nothing(bus):
    _, url = bus
    events = ticks(200)
    put(publisher_of(url), events[:100])

    async def both():
        taking = asyncio.create_task(take(feed_of(url), 200))
        await asyncio.sleep(0.2)
        with pytest.raises(DataError, match="has a reader, who lives"):
            await take(feed_of(url), 1)
        await publisher_of(url).publish(ReplayFeed(events))
        return await taking

    assert asyncio.run(both()) == events


def test_a_reader_that_was_silent_for_too_long_is_told_so_and_reads_no_more(bus):
    client, url = bus
    events = ticks(20)
    put(publisher_of(url), events)

    async def both():
        async with aclosing(feed_of(url, page=5, lease=0.1).events()) as slow:
            taken = [await anext(slow) for _ in range(5)]
            await asyncio.sleep(0.2)
            assert await take(feed_of(url), 20) == events  # none was acknowledged
            with pytest.raises(DataError, match="was taken over by another reader"):
                await anext(slow)
            return taken

    assert asyncio.run(both()) == events[:5]
    client.xreadgroup("momentum", "stranger", {"market": ">"})
    put(publisher_of(url), [*events, *ticks(5, events[-1].time)])
    client.xreadgroup("momentum", "stranger", {"market": ">"})
    with pytest.raises(DataError, match="was read or moved by somebody else"):
        first(feed_of(url), 1)


def test_a_lease_of_a_server_whose_clock_was_set_back_runs_out_in_its_own_length(bus):
    client, url = bus
    put(publisher_of(url), ticks(5))
    first(feed_of(url), 1)
    seconds, _ = client.time()
    client.hset(
        "market:momentum:reader", mapping={"token": "dead", "until": 1000 * seconds + 10**8}
    )
    assert first(feed_of(url), 5) == ticks(5)


def test_more_than_a_page_of_what_another_consumer_left_is_claimed(bus):
    client, url = bus
    events = ticks(450)
    put(publisher_of(url), events)
    first(feed_of(url, page=400), 1)
    client.xautoclaim("market", "momentum", "renamed", 0, count=400)
    assert client.xpending_range("market", "momentum", "-", "+", 500, "engine") == []
    assert first(feed_of(url, page=50), 450) == events


def test_a_feed_that_is_cancelled_while_it_leaves_closes_its_line(bus, recwarn):
    "Nobody answers when it says that it leaves; who waits no longer leaves nothing open"
    _, url = bus
    put(publisher_of(url), ticks(3))

    async def main():
        async with Proxy(int(url.split(":")[2].split("/")[0])) as proxy:
            feed = feed_of(f"redis://127.0.0.1:{proxy.port}/0", opening=30.0)
            coming = feed.events()
            await anext(coming)
            proxy.dead = True
            leaving = asyncio.create_task(coming.aclose())
            await asyncio.sleep(0.1)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    asyncio.run(main())
    gc.collect()
    assert [str(w.message) for w in recwarn if "nclosed" in str(w.message)] == []


def test_who_leaves_lets_the_next_one_in_and_ends_the_lease_of_nobody_else(bus):
    client, url = bus
    events = ticks(20)
    put(publisher_of(url), events)
    first(feed_of(url, lease=1_000.0), 1)
    assert client.hget("market:momentum:reader", "until") == b"0"

    async def both():
        async with aclosing(feed_of(url, lease=0.1).events()) as slow:
            await anext(slow)
            await asyncio.sleep(0.2)
            async with aclosing(feed_of(url, lease=1_000.0).events()) as quick:
                await anext(quick)
                await slow.aclose()
                return client.hget("market:momentum:reader", "until")

    assert asyncio.run(both()) != b"0"


def test_a_feed_has_one_reader_at_a_time(bus):
    _, url = bus
    put(publisher_of(url), ticks(3))

    async def both():
        feed = feed_of(url)
        async with aclosing(feed.events()) as events:
            await anext(events)
            with pytest.raises(SpecificationError, match="one reader at a time"):
                await anext(feed.events())

    asyncio.run(both())


# What is no event


def test_bad_entries_are_passed_over_and_counted_and_nothing_else_is_an_error(bus):
    client, url = bus
    good = ticks(4)
    for number, event in enumerate(good):
        for bad in ({"event": "garbage"}, {"other": "x"}, {"event": "x" * 5_000}):
            client.xadd("market", bad)
        client.xadd("market", {"event": event_line(event), "number": number})
    feed = feed_of(url, largest=1_000, page=4)
    assert first(feed, 4) == good
    assert feed.statistics.refused == {"no event": 4, "missing field": 4, "too long": 4}
    assert feed.statistics.acknowledged == 12  # all but the last page
    for _ in range(10):
        client.xadd("market", {"event": "garbage"})
    with pytest.raises(DataError, match="The last 4 entries of .* were no events"):
        first(feed, 2)
    put(publisher_of(url, field="line", name="b"), good)
    with pytest.raises(DataError, match="were no events"):
        first(feed_of(url, "wrong", page=4, field="lines"), 1)
    assert client.xpending("market", "wrong")["pending"] == 4  # read in the wrong way, not lost
    assert first(feed_of(url, "right", page=40, field="line"), 4) == good


def test_a_slow_reader_has_one_page_in_memory(bus):
    _, url = bus
    put(publisher_of(url), ticks(300))

    async def slow():
        feed = feed_of(url, page=10)
        async with aclosing(feed.events()) as events:
            for number in range(1, 101):
                await anext(events)
                await asyncio.sleep(0.001)
                assert feed.statistics.entries <= number
        return feed.statistics

    assert asyncio.run(slow()).acknowledged >= 90


# Lines that break


def test_a_line_that_is_cut_or_dead_or_a_server_that_was_killed_loses_and_doubles_nothing(
    tmp_path,
):
    events = ticks(400)

    async def main(server):
        async with Proxy(server.port) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}"
            feed, out = feed_of(url, page=20, opening=0.5), publisher_of(url, opening=0.5)
            seen, sending = [], asyncio.create_task(out.publish(Halting(events)))
            async with asyncio.timeout(120), aclosing(feed.events()) as coming:
                async for event in coming:
                    seen.append(event)
                    if len(seen) % 80 == 10:
                        proxy.cut()
                    if len(seen) == 100:
                        proxy.dead = True
                        asyncio.get_running_loop().call_later(0.8, setattr, proxy, "dead", False)
                    if len(seen) == 150:
                        proxy.closed = True
                        proxy.cut()
                        asyncio.get_running_loop().call_later(0.3, setattr, proxy, "closed", False)
                    if len(seen) == 250:
                        server.end()
                        server.start()
                    if len(seen) == 400:
                        break
            return seen, await sending, feed.statistics

    class Halting:
        def __init__(self, events):
            self.source = events

        async def events(self):
            for number, event in enumerate(self.source):
                await asyncio.sleep(0.05 if number % 20 == 0 else 0)
                yield event

    with redis_server(tmp_path) as server:
        seen, _, statistics = asyncio.run(main(server))
        with redis.Redis(port=server.port) as client:
            assert client.xlen("market") == 400
    assert seen == events
    assert statistics.connections > 5 and statistics.last_fault


def test_a_server_that_stays_away_is_one_sentence(tmp_path):
    with redis_server(tmp_path) as server:
        url = f"redis://127.0.0.1:{server.port}"
        put(publisher_of(url), ticks(3))

        async def main():
            feed = feed_of(url, attempts=3)
            async with aclosing(feed.events()) as events:
                for _ in range(3):
                    await anext(events)
                server.end()
                await anext(events)

        with pytest.raises(DataError, match="brought nothing in 3 attempts in a row"):
            asyncio.run(main())


def test_the_password_is_in_the_environment_and_nowhere_else(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("BUS_WORD", "s3cret-word")
    monkeypatch.setenv("BUS_WRONG", "wr0ng-word")
    with redis_server(tmp_path) as server:
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", "s3cret-word")
        url, said = f"redis://127.0.0.1:{server.port}", []
        assert put(publisher_of(url, key="BUS_WORD"), ticks(3)) == 3
        feed = feed_of(url, key="BUS_WORD")
        assert first(feed, 3) == ticks(3)
        for key, words in ((None, "not given: name it with `key`"), ("BUS_WRONG", "in BUS_WRONG")):
            with pytest.raises(DataError, match=words) as raised:
                first(feed_of(url, key=key, attempts=3), 1)
            said.append(str(raised.value))
    everywhere = caplog.text + repr(feed) + str(vars(feed)) + str(vars(feed._line)) + str(said)
    assert "s3cret-word" not in everywhere and "wr0ng-word" not in everywhere


# The publisher


def test_a_record_goes_on_where_it_was_and_a_line_adds_and_the_stream_stays_short(bus):
    client, url = bus
    events = ticks(1_500)
    assert [put(publisher_of(url), events[:n]) for n in (10, 10, 15)] == [10, 0, 5]
    line = publisher_of(url, name="line", record=False)
    assert [put(line, events[:3]), put(line, events[:3])] == [3, 3]
    assert client.xlen("market") == 21
    put(publisher_of(url, name="long", keep=100), events)
    assert 100 <= client.xlen("market") < 400


# Engines that are killed


@pytest.fixture(scope="module")
def world():
    return floor.a_world(n_days=100)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("outside", [True, False])
def test_an_engine_killed_at_random_has_the_journal_of_one_that_was_not(
    bus, world, tmp_path, outside
):
    _, url = bus
    market, weights = world
    costs = floor.FREE if outside else floor.COSTS
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=costs)
    venue = floor.Exchange(tmp_path / "undisturbed.jsonl") if outside else None
    expected = floor.live(bundle, buses.days(market), tmp_path / "whole", venue=venue)
    put(publisher_of(url), buses.days(market))
    folder, exchange = tmp_path / "state", tmp_path / "exchange.jsonl"

    def start():
        def make():
            return feed_of(url, lease=0.2, page=30)

        last = market.returns.index[-1]
        return child(bundle, make, folder, exchange if outside else None, last)

    until_done(start, np.random.default_rng(1 + outside), 8)
    assert (folder / "journal.jsonl").read_bytes() == expected.journal
    if outside:
        found = ledger.compare(folder, exchange)
        assert ledger.faults(found) == {} and found["orders"] > 50


def test_what_comes_twice_or_out_of_order_makes_no_order_twice_and_loses_none(bus, world, tmp_path):
    _, url = bus
    market, weights = world
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=floor.FREE)
    events, rng = buses.days(market), np.random.default_rng(5)
    mixed = []
    for number, event in enumerate(events):
        mixed.append(event)
        if rng.random() < 0.3:
            mixed.append(events[max(number - int(rng.integers(0, 12)), 0)])
    put(publisher_of(url), mixed)
    folder, exchange = tmp_path / "state", tmp_path / "exchange.jsonl"
    feed = buses.Until(feed_of(url), market.returns.index[-1])
    engine = LiveEngine(
        bundle, feed, floor.Exchange(exchange), clock=RealClock(), folder=folder, silence=600
    )
    result = asyncio.run(engine.run())
    found = ledger.compare(folder, exchange)
    venue = floor.Exchange(tmp_path / "undisturbed.jsonl")
    expected = floor.live(bundle, events, tmp_path / "whole", venue=venue)
    assert ledger.faults(found) == {} and "feed" in set(result.events["type"])
    assert result.orders["id"].tolist() == expected.orders["id"].tolist()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("where", [[], ["--postgres"]], ids=["sqlite", "postgres"])
def test_some_seconds_of_an_hour_with_kills_of_everybody(where):
    "A share of what the program does by hand: tests/venues/hour.py"
    for name in ("redis-server", *(["initdb"] if where else [])):
        program(name)
    words = ["--seconds", "10", "--close", "0.4", "--events", "7", "--seed", "3", *where]
    command = [sys.executable, str(HERE / "hour.py"), *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 lost, 0 doubled, 0 decided twice, no day missing" in run.stdout
