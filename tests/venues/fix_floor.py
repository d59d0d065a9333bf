"""A desk and a FIX acceptor outside its process, and what each of them knows."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from servers import Server, free_port

sys.path.append(str(Path(__file__).parents[1] / "live"))
import floor

from quantlab.live import RealClock
from quantlab.storage import split_lines
from quantlab.venues import FixVenue

PRICE = 20.0
HERE = Path(__file__).parent


def acceptor(folder, assets, *, fills="fills", port=None):
    "An acceptor in a process of its own, which is not started yet"
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    prices = json.dumps(dict.fromkeys(map(str, assets), PRICE))
    program = [sys.executable, str(HERE / "fix_server.py"), str(folder), str(port), prices, fills]
    return Server(program, port, folder=folder)


def venue(folder, assets, port, **options):
    "The desk's side, at the prices of the acceptor"
    options = {"patience": 60.0, "heartbeat": 2.0} | options
    return FixVenue(
        f"127.0.0.1:{port}",
        sender="DESK",
        target="BROKER",
        prices=dict.fromkeys(map(str, assets), PRICE),
        capital=floor.CAPITAL,
        folder=folder / "venue",
        **options,
    )


def trade(bundle, feed, folder, port, **options):
    "One start of an engine that trades over FIX; its result"

    async def run():
        there = venue(folder, bundle.target_weights.columns, port, **options)
        try:
            return await floor.engine(bundle, feed, there, folder, clock=RealClock()).run()
        finally:
            await there.close()

    return asyncio.run(run())


def lines(folder, way):
    "Messages of a session's file, out or in, as (kind, fields)"
    whole, _ = split_lines((Path(folder) / "session.jsonl").read_bytes())
    found = [json.loads(line) for line in whole]
    return [(r["kind"], dict(r["fields"])) for r in found if way in r and "kind" in r]


def compare(folder, there):
    "What is lost, doubled, unknown, or apart between an engine and an acceptor"
    journal = (folder / "journal.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in journal]
    wished = {r["id"] for r in records if r["type"] == "order" and r["sent"]}
    withheld = {i for r in records if r["type"] == "withheld" for i in r["orders"]}
    small = {
        r["order"]
        for r in map(json.loads, (folder / "venue/reports.jsonl").read_bytes().splitlines())
        if r["key"].endswith(":small")
    }
    sides = {"1": 1, "2": -1, "5": -1}
    told = [f for kind, f in lines(there, "out") if kind == "8"]
    taken = Counter(f[11] for f in told if f[150] == "0")
    trades = [f for f in told if f[150] == "F"]
    held, known = Counter(), Counter()
    for fields in trades:
        held[fields[55]] += sides[fields[54]] * float(fields[32])
    mine = [f for kind, f in lines(folder / "venue", "in") if kind == "8" and f[150] == "F"]
    for fields in mine:
        known[fields[55]] += sides[fields[54]] * float(fields[32])
    return {
        "orders": len(taken),
        "lost": len(wished - withheld - small - set(taken)),
        "doubled": sum(n > 1 for n in taken.values()),
        "unknown": len(set(taken) - wished),
        "sent though withheld": len(withheld & set(taken)),
        "shares apart": sum(held[a] != known[a] for a in held | known),
        "differences": sum(r["type"] == "difference" for r in records),
    }


def faults(found):
    "Those of the counts that must be 0, and are not"
    return {name: n for name, n in found.items() if n and name != "orders"}
