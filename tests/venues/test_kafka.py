"""A topic of a broker that speaks Kafka's protocol: told again, one order of each decision.

The broker keeps everything in memory, trims nothing and knows no idempotent producer: what those
do is untested, and so is Apache Kafka itself.
"""

import asyncio
from contextlib import aclosing

import buses
import floor
import ledger
import numpy as np
import pytest
from buses import QUICK, kafka_broker, take, ticks
from killing import child, until_done
from servers import Proxy

from quantlab.errors import DataError
from quantlab.live import ReplayFeed, event_line
from quantlab.venues.kafka_feed import KafkaFeed
from quantlab.venues.kafka_publisher import KafkaPublisher

aiokafka = pytest.importorskip("aiokafka", reason="NOT TESTED: pip install 'quantlab[kafka]'")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with kafka_broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def url(server):
    return f"kafka://127.0.0.1:{server.port}"


async def topic(url, name, partitions=1):
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 1)])
    await admin.close()


def feed_of(url, name, group="momentum", **options):
    return KafkaFeed(url, name, group=group, **{"page": 20, **QUICK} | options)


def publisher_of(url, name, **options):
    return KafkaPublisher(url, name, **{"name": "replay", "once": False, **QUICK} | options)


def test_a_group_goes_on_where_it_committed_and_another_sees_all(url):
    events = ticks(100)

    async def main():
        await topic(url, "groups")
        assert await publisher_of(url, "groups").publish(ReplayFeed(events)) == 100
        assert await take(feed_of(url, "groups"), 50) == events[:50]
        assert await take(feed_of(url, "groups"), 60) == events[40:]
        assert await take(feed_of(url, "groups", "b", start=70), 30) == events[70:]
        assert await take(feed_of(url, "groups", "c"), 100) == events

    asyncio.run(main())


def test_what_was_sent_twice_is_handed_on_once_and_bad_entries_are_counted(url):
    events = ticks(10)

    async def main():
        await topic(url, "bad")
        for _ in range(2):
            await publisher_of(url, "bad").publish(ReplayFeed(events))
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=url.removeprefix("kafka://"))
        await producer.start()
        for line in (b"garbage", None, b"x" * 2_000, event_line(ticks(11)[-1]), *[b"{}"] * 20):
            await producer.send_and_wait("bad", line, key=b"k")
        await producer.stop()
        feed = feed_of(url, "bad", largest=1_000, page=20)
        assert await take(feed, 11) == ticks(11)
        assert feed.statistics.again == 10
        assert feed.statistics.refused == {"no event": 2, "too long": 1}
        with pytest.raises(DataError, match="The last 20 entries of .* were no events"):
            await take(feed, 30)

    asyncio.run(main())


def test_another_reader_of_the_group_is_said_by_the_one_who_commits_later(url):
    async def main():
        await topic(url, "two")
        await publisher_of(url, "two").publish(ReplayFeed(ticks(100)))
        async with aclosing(feed_of(url, "two").events()) as first:
            for _ in range(5):
                await anext(first)
            assert await take(feed_of(url, "two"), 50) == ticks(50)
            with pytest.raises(DataError, match="Another reader commits for the group momentum"):
                for _ in range(20):
                    await anext(first)

    asyncio.run(main())


def test_a_topic_with_two_partitions_is_refused_and_one_that_is_not_there_is_said(url):
    async def main():
        await topic(url, "many", 2)
        with pytest.raises(DataError, match="has more than one partition"):
            await take(feed_of(url, "many"), 1)

    asyncio.run(main())


@pytest.mark.slow
def test_an_engine_killed_at_random_has_the_journal_of_one_that_was_not(url, tmp_path):
    market, weights = floor.a_world(n_days=60)
    bundle = floor.a_bundle(tmp_path / "bundle", market, weights, costs=floor.FREE)
    events, folder, exchange = buses.days(market), tmp_path / "state", tmp_path / "exchange.jsonl"
    venue = floor.Exchange(tmp_path / "undisturbed.jsonl")
    expected = floor.live(bundle, events, tmp_path / "whole", venue=venue)

    async def fill():
        await topic(url, "killed")
        await publisher_of(url, "killed").publish(ReplayFeed(events))

    asyncio.run(fill())

    def start():
        def make():
            return feed_of(url, "killed")

        return child(bundle, make, folder, exchange, market.returns.index[-1])

    until_done(start, np.random.default_rng(3), 4)
    assert (folder / "journal.jsonl").read_bytes() == expected.journal
    found = ledger.compare(folder, exchange)
    assert ledger.faults(found) == {} and found["orders"] > 20


def test_a_broker_that_is_away_is_one_sentence():
    async def main():
        async with Proxy(1) as proxy:
            proxy.closed = True
            place = f"kafka://127.0.0.1:{proxy.port}"
            with pytest.raises(DataError, match="brought nothing in 2 attempts in a row"):
                await take(feed_of(place, "t", attempts=2), 1)

    asyncio.run(main())
