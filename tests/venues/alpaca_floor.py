"""An engine that trades a replay at the stand-in for Alpaca, and what both say of it afterwards."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import httpx
from alpaca_stand_in import KEY
from servers import Server, free_port

from quantlab.live import LiveEngine, RealClock, close_of
from quantlab.venues import AlpacaVenue

HERE = Path(__file__).parent
QUICK = {"first_wait": 0.02, "longest_wait": 0.2, "attempts": 8, "patience": 5.0}


def stand_in(folder):
    "The broker, as a process with a port"
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE / "alpaca_stand_in.py"), str(port), str(folder)]
    return Server(command, port, folder=folder)


def control(port, *actions, **said):
    "Say something to the broker; its account"
    body = said | {"actions": list(actions)}
    return httpx.post(f"http://127.0.0.1:{port}/control", json=body, timeout=30).json()


class Priced:
    "A replay that tells the broker each close before it tells the engine"

    def __init__(self, port, bars, prices):
        self.port, self.bars, self.prices = port, bars, prices

    def at(self, n):
        "Prices at the close n, as the marks of a venue reckon them"
        prices = dict(self.prices)
        for bar in self.bars[: n + 1]:
            prices = {a: p * (1 + bar.returns.get(a, 0.0)) for a, p in prices.items()}
        return prices

    async def events(self):
        prices = dict(self.prices)
        async with httpx.AsyncClient() as client:
            for bar in self.bars:
                prices = {a: p * (1 + bar.returns.get(a, 0.0)) for a, p in prices.items()}
                said = {"prices": {a: round(p, 4) for a, p in prices.items()}}
                await client.post(f"http://127.0.0.1:{self.port}/control", json=said, timeout=30)
                yield close_of(bar)


def venue_of(port, prices, folder, **options):
    os.environ.update(KEY)
    given = {"clock": RealClock(), "url": f"http://127.0.0.1:{port}"} | QUICK | options
    return AlpacaVenue(prices, folder=folder, **given)


async def traded(bundle, feed, port, prices, folder, *, switch=None, **options):
    "Trade to the end of a feed; the result, and what the venue has seen"
    async with venue_of(port, prices, folder / "venue", **options) as venue:
        engine = LiveEngine(
            bundle, feed, venue, clock=RealClock(), folder=folder / "state", kill_switch=switch
        )
        return await engine.run(), venue.statistics


def prices_of(bundle):
    return {asset: 50.0 + 25.0 * n for n, asset in enumerate(bundle.target_weights.columns)}


def trade(bundle, bars, port, folder, **options):
    prices = prices_of(bundle)
    return asyncio.run(traded(bundle, Priced(port, bars, prices), port, prices, folder, **options))


def compare(folder, kept):
    "Orders lost, doubled or unknown, and fills apart, between a journal and the broker's account"
    journal, reports = (folder / "state/journal.jsonl", folder / "venue/reports.jsonl")
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
    said = [json.loads(line) for line in reports.read_bytes().splitlines()]
    orders = [line for line in lines if line["type"] == "order"]
    held_back = {i for r in lines if r["type"] == "withheld" for i in r["orders"]}
    refused = {r["order"] for r in said if r["state"] == "rejected"}
    wished = {r["id"] for r in orders if r["sent"]}
    there = Counter(order["client_order_id"] for order in kept["orders"])
    told = Counter()
    for r in said:
        told[r["order"]] += r["notional"]
    signs = {o["client_order_id"]: 1 if o["side"] == "buy" else -1 for o in kept["orders"]}
    filled = {o["client_order_id"]: float(o["filled_qty"]) for o in kept["orders"]}
    booked = Counter()
    for r in lines:
        if r["type"] == "fill":
            booked[r["order"]] += r["notional"]
    return {
        "orders": len(there),
        "lost": len(wished - held_back - refused - set(there)),
        "doubled": sum(n > 1 for n in there.values()),
        "unknown": len(set(there) - wished),
        "sent though withheld": len(held_back & set(there)),
        "on the wrong side": sum(told[n] * signs[n] < 0 for n in there),
        "fills lost": sum(bool(filled[n]) != bool(told[n]) for n in there),
        "fills apart": sum(n in booked and abs(booked[n] - told[n]) > 1e-6 for n in there),
        "decided twice": len(orders) - len({r["id"] for r in orders}),
        "differences": sum(r["type"] == "difference" for r in lines),
    }


def faults(found):
    return {name: n for name, n in found.items() if n and name != "orders"}
