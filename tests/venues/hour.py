"""An hour of a feed played through Redis, with kills of the engine and of the server, and cuts.

    python tests/venues/hour.py [--seconds 3600] [--rate 250] [--close 10] [--events 140]
                                [--postgres]

A publisher in a process of its own puts trades and quotes on a stream at real pace, and a close
every `--close` seconds. The engine reads them with a group of its own, through a line that is cut
or goes dead now and then; it is ended with kill -9 at random moments and begun again, and so are
the publisher and Redis itself, which has every acknowledged write on the disk. With `--postgres`
the engine keeps its orders there, and that server is killed as well. At the end the journal and
the database are compared with what the exchange remembers, and the days with those that were
published. The exchange repeats its last reports at each event, and the engine writes them down on
the disk each time: a rate that the disk does not follow only makes the end come later.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from contextlib import aclosing, nullcontext, suppress
from pathlib import Path

import buses
import floor
import ledger
import numpy as np
import pandas as pd
import redis
from postgres import Postgres
from servers import Proxy

from quantlab.errors import HandoffError
from quantlab.live import Close, LiveEngine, RealClock, close_of
from quantlab.venues import PostgresStore
from quantlab.venues.redis_feed import RedisFeed
from quantlab.venues.redis_publisher import RedisPublisher

NO_STORE = 3  # exit code of an engine whose database went away
AGAIN = {"first_wait": 0.05, "longest_wait": 0.5, "attempts": 1_000}


def record(asked, bars):
    "Ticks at an even pace, and closes among them; a second of it is played in a second"
    step = pd.Timedelta(seconds=1 / asked.rate)
    begin, each = floor.START, int(asked.close * asked.rate)
    for number, bar in enumerate(bars):
        close = close_of(bar)
        moment = close.time - pd.Timedelta(seconds=each + 1)
        for event in buses.ticks(each, moment, f"S{number % 5:03d}"):
            yield begin, event
            begin += step
        yield begin, close


class Paced:
    "A record at real pace; what is due already, after a kill, comes at once"

    def __init__(self, source, began):
        self.source, self.began = source, began

    async def events(self):
        for due, event in self.source:
            ahead = self.began + (due - floor.START).total_seconds() - time.time()
            await asyncio.sleep(max(ahead, 0))
            yield event


class Counted:
    "A feed that counts what the engine has dealt with, and ends after the last day"

    def __init__(self, feed, counts, last):
        self.feed, self.counts = buses.Until(feed, last), counts

    async def events(self):
        async with aclosing(self.feed.events()) as events:
            async for event in events:
                yield event
                self.counts["events"].value += 1
                self.counts["closes"].value += isinstance(event, Close)


def forked(work):
    "A process of its own"
    process = os.fork()
    if process:
        return process
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr, flush=True)
        os._exit(1)


def publish(url, asked, bars, began):
    feed = Paced(record(asked, bars), began)
    out = RedisPublisher(url, "market", name="replay", clock=RealClock(), opening=2.0, **AGAIN)
    asyncio.run(out.publish(feed))


def trade(url, bundle, place, counts, last, dsn):
    "One start of the engine"
    clock = RealClock()
    feed = RedisFeed(url, "market", group="momentum", clock=clock, lease=1.0, opening=2.0, **AGAIN)
    venue = floor.Exchange(place / "exchange.jsonl")
    folder = place / "state"
    engine = LiveEngine(
        bundle,
        Counted(feed, counts, last),
        venue,
        clock=clock,
        folder=folder,
        silence=600,
        store=PostgresStore(folder, dsn, schema="desk") if dsn else None,
    )
    try:
        asyncio.run(engine.run())
    except HandoffError as error:
        if "PostgreSQL" not in str(error):
            raise
        os._exit(NO_STORE)


def between(port, place, seconds, seed):
    "A line to Redis that is cut, and goes dead, in a process of its own"

    async def main():
        rng, end = np.random.default_rng(seed), time.time() + seconds
        async with Proxy(port) as proxy:
            beside = place / "port being written"
            beside.write_text(str(proxy.port))
            beside.rename(place / "port")
            while time.time() < end:
                await asyncio.sleep(rng.uniform(1.0, 15.0))
                if rng.random() < 0.3:
                    proxy.dead = True
                    await asyncio.sleep(rng.uniform(0.5, 4.0))
                    proxy.dead = False
                proxy.cut()
            await asyncio.Event().wait()

    asyncio.run(main())


class Hour:
    "What happens, and when"

    def __init__(self, asked, place):
        self.asked, self.place = asked, place
        self.rng = np.random.default_rng(asked.seed)
        market, weights = floor.a_world(n_days=int(asked.seconds / asked.close), every=1)
        self.bars = floor.a_feed(market)
        self.bundle = floor.a_bundle(place / "bundle", market, weights, costs=floor.FREE)
        self.counts = {n: multiprocessing.RawValue("q", 0) for n in ("events", "closes")}
        self.said = dict.fromkeys(("engines killed", "publishers killed", "servers killed"), 0)
        self.server, self.began = buses.redis_server(place / "redis"), time.time()
        self.store = Postgres() if asked.postgres else None
        if self.store:
            self.said |= {"stores killed": 0, "ended without their store": 0}
        self.processes = {}

    def start(self, name):
        url = f"redis://127.0.0.1:{self.server.port}"
        if name == "engine":
            url = f"redis://127.0.0.1:{(self.place / 'port').read_text()}"
            last = self.bars[-1].date
            dsn = self.store.dsn() if self.store else None
            work = (trade, url, self.bundle, self.place, self.counts, last, dsn)
        elif name == "publisher":
            work = (publish, url, self.asked, self.bars, self.began)
        else:
            work = (between, self.server.port, self.place, self.asked.seconds, self.asked.seed)
        self.processes[name] = forked(lambda: work[0](*work[1:]))

    def kill(self, name):
        "Kill -9, unless it has ended by itself, and begin again"
        process = self.processes[name]
        os.kill(process, signal.SIGKILL)
        self.said[f"{name}s killed"] += self.ended(name, process) < 0
        self.start(name)

    def ended(self, name, process):
        "The exit code of a process, below zero where it was killed"
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == NO_STORE and self.store:
            self.said["ended without their store"] += 1
        elif code > 0:
            raise SystemExit(f"the {name} failed")
        return code

    def restart(self, server, said):
        "Kill a server, and begin it again with what it had on the disk"
        server.end()
        server.start()
        self.said[said] += 1

    def happen(self):
        "One of the things that happen"
        chance = self.rng.random()
        if chance < 0.1:
            self.restart(self.server, "servers killed")
        elif chance < 0.2:
            self.kill("publisher")
        elif chance < 0.25 and self.store:
            self.restart(self.store, "stores killed")
        else:
            self.kill("engine")

    def run(self):
        with self.server, self.store or nullcontext():
            try:
                self.start("between")
                while not (self.place / "port").exists():
                    time.sleep(0.05)
                self.began = time.time()
                self.start("publisher")
                self.start("engine")
                while time.time() < self.began + 0.95 * self.asked.seconds:
                    time.sleep(self.rng.uniform(0.2, 1.8) * self.asked.seconds / self.asked.events)
                    self.happen()
                for name in ("publisher", "engine"):
                    while self.ended(name, self.processes[name]):
                        self.start(name)  # without its store
                    del self.processes[name]
                self.found = self.compared()
                with redis.Redis(port=self.server.port) as client:
                    self.there = client.xlen("market")
            finally:
                for process in self.processes.values():
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                        os.waitpid(process, 0)

    def compared(self):
        "What the journal and the database say beside what the exchange remembers"
        return ledger.compare(self.place / "state", self.place / "exchange.jsonl")

    def report(self):
        "The summary; exit code 1 where something is wrong"
        state, found = self.place / "state", self.found
        venue = floor.Exchange(self.place / "undisturbed.jsonl")
        whole = floor.live(self.bundle, self.bars, self.place / "whole", venue=venue)
        published = len(self.bars) * (int(self.asked.close * self.asked.rate) + 1)
        wanted = {
            "days missing": len(self.bars) - found["days"],
            "published and not there, or twice": self.there - published,
            "journal another": int((state / "journal.jsonl").read_bytes() != whole.journal),
        }
        counts = {name: count.value for name, count in self.counts.items()}
        counts |= {"published": published, "seconds": round(time.time() - self.began)}
        print(json.dumps(self.said | counts | found | wanted, indent=1))
        wrong = {name: n for name, n in (ledger.faults(found) | wanted).items() if n}
        print(f"WRONG: {wrong}" if wrong else "0 lost, 0 doubled, 0 decided twice, no day missing")
        return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--close", type=float, default=10)
    parser.add_argument("--events", type=int, default=140, help="kills, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgres", action="store_true", help="the engine's orders kept there")
    hour = Hour(parser.parse_args(), Path(tempfile.mkdtemp()))
    hour.run()
    raise SystemExit(hour.report())


if __name__ == "__main__":
    main()
