"""A queue and a stream of a real RabbitMQ: told again, refused to a second reader, one order."""

import asyncio
import logging
from contextlib import aclosing

import buses
import floor
import ledger
import numpy as np
import pytest
from buses import QUICK, RabbitServer, take, ticks
from killing import child, until_done
from servers import Proxy

from quantlab.errors import DataError
from quantlab.live import ReplayFeed, event_line
from quantlab.venues.rabbit_feed import RabbitFeed
from quantlab.venues.rabbit_publisher import RabbitPublisher

aio_pika = pytest.importorskip("aio_pika", reason="NOT TESTED: pip install 'quantlab[rabbitmq]'")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RabbitServer(tmp_path_factory.mktemp("rabbit") / "home") as running:
        yield running


@pytest.fixture
def url(server):
    return f"amqp://127.0.0.1:{server.port}/"


@pytest.fixture
def name(request):
    return f"market {abs(hash(request.node.name))}"


def feed_of(url, name, **options):
    return RabbitFeed(url, name, **{"exchange": f"to {name}", "page": 20, **QUICK} | options)


def publisher_of(url, name, **options):
    return RabbitPublisher(url, f"to {name}", **{"name": "replay", **QUICK} | options)


async def bound(feed):
    "Make the queue of a feed, and leave"
    await feed._line.open()
    await feed._line.close()


async def until(feed, last):
    "The events up to one"
    seen = []
    async with asyncio.timeout(60), aclosing(feed.events()) as events:
        while last not in seen[-1:]:
            seen.append(await anext(events))
    return seen


def test_a_queue_is_told_again_what_was_not_acknowledged_and_each_engine_has_its_own(url, name):
    events = ticks(50)

    async def main():
        other = feed_of(url, f"{name} b", exchange=f"to {name}")
        await bound(feed_of(url, name))
        await bound(other)
        assert await publisher_of(url, name).publish(ReplayFeed(events)) == 50
        assert await take(feed_of(url, name), 30) == events[:30]
        again = await until(feed_of(url, name), events[-1])
        assert again == events[50 - len(again) :] and 21 <= len(again) <= 40
        assert await take(other, 50) == events

    asyncio.run(main())


def test_a_second_reader_of_a_queue_is_refused_and_takes_nothing(url, name):
    events = ticks(40)

    async def main():
        await bound(feed_of(url, name))
        taking = asyncio.create_task(take(feed_of(url, name), 40))
        await asyncio.sleep(0.3)
        with pytest.raises(DataError, match="the queue has another reader"):
            await take(feed_of(url, name, attempts=2), 1)
        await publisher_of(url, name).publish(ReplayFeed(events))
        assert await taking == events

    asyncio.run(main())


def test_a_stream_is_read_by_many_from_any_offset_and_says_what_was_trimmed(url, name):
    events = ticks(60)

    async def main():
        def stream(replay):
            return feed_of(url, name, replay=replay)

        await bound(stream("first"))
        await publisher_of(url, name).publish(ReplayFeed(events))
        both = await asyncio.gather(take(stream("first"), 60), take(stream(25), 35))
        assert both == [events, events[25:]]
        feed = stream(25)
        feed._line._next = 10
        with pytest.raises(DataError, match="has lost 5 entries before offset 15"):
            feed._line._follow(15)

    asyncio.run(main())


def test_bad_entries_are_counted_and_a_queue_of_nothing_else_is_an_error(url, name):
    good = ticks(3)

    async def main():
        feed = feed_of(url, name, page=5, largest=1_000)
        await bound(feed)
        connection = await feed._line.at.connection()
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"to {name}")
        lines = [b"garbage", b"x" * 2_000, *map(event_line, good), *[b"{}"] * 6]
        for line in lines:
            await exchange.publish(aio_pika.Message(line), routing_key="")
        await connection.close()
        assert await take(feed, 3) == good
        assert feed.statistics.refused == {"no event": 1, "too long": 1}
        with pytest.raises(DataError, match="The last 5 entries of .* were no events"):
            await take(feed, 4)

    asyncio.run(main())


def test_lines_that_break_and_a_server_that_is_killed_lose_and_double_nothing(tmp_path, name):
    events = ticks(400)

    class Halting:
        async def events(self):
            for number, event in enumerate(events):
                await asyncio.sleep(0.05 if number % 20 == 0 else 0)
                yield event

    async def main(server):
        async with Proxy(server.port) as proxy:
            url, seen = f"amqp://127.0.0.1:{proxy.port}/", []
            feed = feed_of(url, name, opening=2.0)
            await bound(feed)
            sending = asyncio.create_task(publisher_of(url, name, opening=2.0).publish(Halting()))
            async with asyncio.timeout(200), aclosing(feed.events()) as coming:
                async for event in coming:
                    seen.append(event)
                    if len(seen) in (50, 90, 130):
                        proxy.cut()
                    if len(seen) == 200:
                        proxy.dead = True
                        asyncio.get_running_loop().call_later(2.5, setattr, proxy, "dead", False)
                    if len(seen) == 300:
                        server.end()
                        await asyncio.to_thread(server.start)
                    if event == events[-1]:
                        break
            await sending
            return seen, feed.statistics

    with RabbitServer(tmp_path / "home") as server:
        seen, statistics = asyncio.run(main(server))
    assert seen == events
    assert statistics.connections > 3 and statistics.last_fault


def test_the_password_is_in_the_environment_and_nowhere_else(url, name, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("BUS_USER", "guest")
    monkeypatch.setenv("BUS_WRONG", "wr0ng-word")
    feed = feed_of(url, name, key=("BUS_USER", "BUS_WRONG"))
    with pytest.raises(DataError, match="refused user or password, which is in BUS_USER and BUS_"):
        asyncio.run(take(feed, 1))
    assert "wr0ng-word" not in caplog.text + repr(feed) + str(vars(feed)) + str(vars(feed._line))


def test_a_publisher_without_a_queue_and_a_queue_of_another_kind_are_said(url, name):
    with pytest.raises(DataError, match="start the feed that makes and binds its queue"):
        asyncio.run(publisher_of(url, name).publish(ReplayFeed(ticks(1))))
    asyncio.run(bound(feed_of(url, name)))
    with pytest.raises(DataError, match="of that name and of another kind"):
        asyncio.run(take(feed_of(url, name, replay="first"), 1))


def test_a_queue_that_is_deleted_is_said_and_made_anew_only_where_that_is_allowed(url, name):
    events = ticks(20)

    async def main(**options):
        feed = feed_of(url, name, **options)
        await bound(feed_of(url, name))
        await publisher_of(url, name).publish(ReplayFeed(events[:10]))
        async with asyncio.timeout(60), aclosing(feed.events()) as coming:
            for _ in range(10):
                await anext(coming)
            connection = await feed._line.at.connection()
            channel = await connection.channel()
            await channel.queue_delete(name)
            await connection.close()
            following = asyncio.ensure_future(anext(coming))
            if options:
                while feed.statistics.connections < 2:
                    await asyncio.sleep(0.01)
                await publisher_of(url, name, first=11).publish(ReplayFeed(events[10:]))
            return await following

    with pytest.raises(DataError, match="is gone, and with it what was not read"):
        asyncio.run(main())
    assert asyncio.run(main(lost="warn")) == events[10]
    # between two starts of an engine, whose folder knows of the first
    with pytest.raises(DataError, match="begin anew with lost='warn'"):
        asyncio.run(take(feed_of(url, f"{name} of yesterday", known=True), 1))


def test_a_queue_that_is_full_says_so(url, name):
    async def main():
        connection = await feed_of(url, name)._line.at.connection()
        channel = await connection.channel()
        small = {"x-max-length": 3, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(name, durable=True, arguments=small)
        await queue.bind(await channel.declare_exchange(f"to {name}", "fanout", durable=True))
        await connection.close()
        await publisher_of(url, name).publish(ReplayFeed(ticks(20)))

    with pytest.raises(DataError, match="refused what was sent, as one does that is full"):
        asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("replay", [None, "first"])
def test_an_engine_killed_at_random_has_the_journal_of_one_that_was_not(
    url, name, tmp_path, replay
):
    market, weights = floor.a_world(n_days=60)
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=floor.FREE)
    events, folder, exchange = buses.days(market), tmp_path / "state", tmp_path / "exchange.jsonl"
    venue = floor.Exchange(tmp_path / "undisturbed.jsonl")
    expected = floor.live(bundle, events, tmp_path / "whole", venue=venue)

    async def fill():
        await bound(feed_of(url, name, replay=replay))
        await publisher_of(url, name).publish(ReplayFeed(events))

    asyncio.run(fill())

    def start():
        def make():
            return feed_of(url, name, replay=replay)

        return child(bundle, make, folder, exchange, market.returns.index[-1])

    until_done(start, np.random.default_rng(2), 5)
    assert (folder / "journal.jsonl").read_bytes() == expected.journal
    found = ledger.compare(folder, exchange)
    assert ledger.faults(found) == {} and found["orders"] > 20
