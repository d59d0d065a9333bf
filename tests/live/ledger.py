"""What an engine says that it did, beside what an exchange outside remembers."""

import json
from collections import Counter

import floor

from quantlab.venues import store_of


def compare(folder, exchange):
    "Orders lost, doubled, unknown, or sent though withheld; fills apart; what was decided twice"
    records = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    days = [r["date"] for r in records if r["type"] == "day"]
    orders = [r for r in records if r["type"] == "order"]
    withheld = {i for r in records if r["type"] == "withheld" for i in r["orders"]}
    gone = {i for r in records if r["type"] == "cancelled" for i in r["orders"]}
    memory = floor.Exchange(exchange)
    there = Counter(line["id"] for line in memory.lines() if "id" in line)
    wished = {r["id"] for r in orders if r["sent"]}
    filled = Counter()
    for report in memory.told():
        filled[report.order] += report.notional
    with store_of(folder).database.reading() as run:
        kept = dict(run("SELECT id, filled FROM orders"))
    known = {i: kept.get(i, 0.0) for i in there}
    return {
        "days": len(days),
        "orders": len(there),
        "lost": len(wished - withheld - gone - set(there)),
        "doubled": sum(n > 1 for n in there.values()),
        "unknown": len(set(there) - wished),
        "sent though withheld": len(withheld & set(there)),
        "fills apart": sum(abs(filled[i] - x) > 1e-6 for i, x in known.items()),
        "decided twice": len(days) - len(set(days)) + len(orders) - len({r["id"] for r in orders}),
        "differences": sum(r["type"] == "difference" for r in records),
    }


def faults(found):
    "Those of the counts that must be 0, and are not"
    return {k: n for k, n in found.items() if n and k not in ("days", "orders")}
