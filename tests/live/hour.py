"""An hour of a played feed, with kills, halts, resets, restarts and cuts: a program.

    python tests/live/hour.py [--seconds 3600] [--rate 250] [--close 10] [--seed 0]

A local WebSocket server plays trades and quotes at real pace, and cuts the line now and then; a
file of bars grows by a close every `--close` seconds; an exchange that outlives everybody takes
orders, and leaves those of one asset working. The engine is ended with kill -9 at random moments
and begun again, while another process halts it, and a person resets it. At the end the journal and
the database are compared with what the exchange remembers. An event that was handed over while the
file of the kill switch said HALTED must send nothing, and must leave nothing working at its end.
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
from contextlib import aclosing, suppress
from pathlib import Path

import floor
import ledger
import numpy as np
import pandas as pd

from quantlab.handoff import KillSwitch
from quantlab.live import (
    Close,
    Faults,
    FileCloses,
    LiveEngine,
    MergedFeed,
    PlayedServer,
    Quote,
    RealClock,
    Trade,
    WebSocketFeed,
    read_latency,
)
from quantlab.trading import save_feed

ASSETS = [f"S{k:03d}" for k in range(5)]
FIRST = 12  # days that are there at the start: the book needs ten
COUNTS = ("events", "closes", "while halted", "obeyed at once", "disobeyed")


def ticks(seconds, rate, rng):
    "Trades and quotes at an even pace"
    begin = pd.Timestamp("2026-01-05 14:30", tz="UTC")
    for number, price in enumerate(np.round(rng.uniform(9, 11, int(seconds * rate)), 2).tolist()):
        time_, asset = begin + pd.Timedelta(seconds=number / rate), ASSETS[number % 5]
        if number % 2:
            yield Trade(time_, asset, price, 10.0)
        else:
            yield Quote(time_, asset, price, price + 0.02, 5.0, 5.0)


def serve(address, asked):
    "Play the record, in a process of its own"
    rng = np.random.default_rng(asked.seed)
    gaps = np.cumsum(rng.uniform(10, 50, int(asked.seconds / 10) + 1)) * asked.rate
    faults = Faults(cut=tuple(int(place) for place in gaps), rewind=5)
    record = ticks(asked.seconds * 1.2 + 60, asked.rate, rng)

    async def main():
        server = PlayedServer(record, "binance", speed=1.0, clock=RealClock(), faults=faults)
        async with server:
            beside = address.with_name("address being written")
            beside.write_text(server.url)
            beside.rename(address)
            await asyncio.Event().wait()

    asyncio.run(main())


class Exchange(floor.Exchange):
    "One that leaves the orders of an asset working until they are withdrawn"

    async def submit(self, order):
        self.fill = order.asset != "S004"
        await super().submit(order)


class Witness:
    "Hands on the events of a feed, and sees what the engine does with each"

    def __init__(self, feed, switch, venue, place, counts):
        self.feed, self.switch, self.venue, self.counts = feed, switch, venue, counts
        self.place, self.halted, self.last = place, False, place / "last"
        venue_submit = venue.submit

        async def submit(order):
            if self.halted:
                self.accuse(f"{order.id} was sent")
            await venue_submit(order)

        venue.submit = submit

    def accuse(self, what):
        self.counts["disobeyed"].value += 1
        print(f"DISOBEYED: {what} although a halt stood in the file", flush=True)

    async def events(self):
        async with aclosing(self.feed.events()) as events:
            async for event in events:
                self.halted = self.switch.state == "HALTED"
                working = self.halted and bool(await self.venue.orders())
                yield event
                self.counts["events"].value += 1
                self.counts["while halted"].value += self.halted
                if self.halted and self.switch.state == "HALTED" and await self.venue.orders():
                    self.accuse("an order works after an event")
                elif working:
                    self.counts["obeyed at once"].value += 1
                if isinstance(event, Close):
                    self.counts["closes"].value += 1
                    if self.last.exists() and str(event.bar.date) == self.last.read_text():
                        return


def trade(bundle, place, counts):
    "One start of the engine, in a process of its own"
    process = os.fork()
    if process:
        return process
    try:
        clock, folder = RealClock(), place / "state"
        url = (place / "address").read_text()
        line = WebSocketFeed(
            url, "binance", ASSETS, clock=clock, first_wait=0.1, longest_wait=1.0, attempts=100
        )
        feed = MergedFeed(line, FileCloses(place / "bars.parquet", clock=clock, seconds=0.2))
        switch = KillSwitch(folder / "kill_switch.jsonl", policy="cancel")
        venue = Exchange(place / "exchange.jsonl")
        feed = Witness(feed, switch, venue, place, counts)
        engine = LiveEngine(
            bundle, feed, venue, clock=clock, folder=folder, kill_switch=switch, silence=5.0
        )
        asyncio.run(engine.run())
        os._exit(0)
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr, flush=True)
        os._exit(1)


def halt(place, person):
    "Halt, or reset, in a process of its own"
    process = os.fork()
    if process == 0:
        switch = KillSwitch(place / "state/kill_switch.jsonl")
        with suppress(BaseException):
            if person:
                switch.reset("understood", by="risk")
            else:
                switch.trip("a rumour", by="desk")
            os._exit(0)
        os._exit(1)
    return process


class Day:
    "What happens, and when"

    def __init__(self, asked, place, bundle, bars, counts):
        self.asked, self.place, self.bundle, self.counts = asked, place, bundle, counts
        self.bars, self.shown = bars, FIRST
        self.rng = np.random.default_rng(asked.seed + 1)
        self.said = dict.fromkeys(("kills", "starts", "halts", "resets"), 0)
        self.halted, self.engine = False, self.start()
        self.due = {name: time.monotonic() + self.wait(name) for name in ("kill", "close", "halt")}

    def wait(self, name):
        "Seconds until the next of its kind"
        if name == "close":
            return self.asked.close
        halt = (0.2, 1.0) if self.halted else (0.5, 4.0)
        low, high = {"kill": (0.2, 2.0), "halt": halt}[name]
        return self.asked.close * self.rng.uniform(low, high)

    def start(self):
        self.said["starts"] += 1
        return trade(self.bundle, self.place, self.counts)

    def kill(self):
        os.kill(self.engine, signal.SIGKILL)
        _, status = os.waitpid(self.engine, 0)
        if not os.WIFSIGNALED(status):
            raise SystemExit("the engine ended by itself")
        self.said["kills"] += 1
        self.engine = self.start()
        if self.rng.random() < 0.3:  # again, while it starts
            time.sleep(self.rng.uniform(0.0, 0.3))
            self.kill()

    def close(self):
        self.shown += 1
        save_feed(self.place / "bars.parquet", self.bars[: self.shown])

    def halt(self):
        os.waitpid(halt(self.place, self.halted), 0)
        self.halted = not self.halted
        self.said["halts" if self.halted else "resets"] += 1

    def run(self):
        "Until the time is over; then let the engine end"
        end = time.monotonic() + self.asked.seconds
        while time.monotonic() < end:
            name = min(self.due, key=self.due.get)
            time.sleep(max(self.due[name] - time.monotonic(), 0.0))
            getattr(self, name)()
            self.due[name] = time.monotonic() + self.wait(name)
            if os.waitpid(self.engine, os.WNOHANG)[0]:
                raise SystemExit("the engine ended by itself")
        (self.place / "last").write_text(str(self.bars[self.shown].date))
        self.close()
        if os.waitpid(self.engine, 0)[1]:
            raise SystemExit("the engine failed at the end")


def report(day, place, began):
    "The summary; exit code 1 where something is wrong"
    found = ledger.compare(place / "state", place / "exchange.jsonl")
    counts = {name: count.value for name, count in day.counts.items()}
    measured = read_latency(place / "state")
    summary = day.said | counts | found | {"seconds": round(time.monotonic() - began)}
    for name in ("ticks", "orders"):
        quantiles = [1e3 * measured[name].quantile(q) for q in (0.5, 0.99, 1.0)]
        summary[f"{name} of the last start, p50 p99 max (ms)"] = [round(q, 3) for q in quantiles]
    print(json.dumps(summary, indent=1))
    wrong = ledger.faults(found) | ({"disobeyed": 1} if counts["disobeyed"] else {})
    print(f"WRONG: {wrong}" if wrong else "0 lost, 0 doubled, 0 decided twice, every halt obeyed")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=250)
    parser.add_argument("--close", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked, began = parser.parse_args(), time.monotonic()
    place = Path(tempfile.mkdtemp())
    market, weights = floor.a_world(n_days=int(asked.seconds / asked.close) + 2 * FIRST, every=1)
    bundle = floor.a_bundle(place / "bundle", market, weights, costs=floor.FREE)
    counts = {name: multiprocessing.RawValue("q", 0) for name in COUNTS}
    server = os.fork()
    if server == 0:
        serve(place / "address", asked)
    try:
        bars = floor.a_feed(market)
        save_feed(place / "bars.parquet", bars[:FIRST])
        KillSwitch(place / "state/kill_switch.jsonl").start()
        while not (place / "address").exists():
            time.sleep(0.1)
        day = Day(asked, place, bundle, bars, counts)
        day.run()
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    raise SystemExit(report(day, place, began))


if __name__ == "__main__":
    main()
