"""Kill -9 an engine at random moments, begin it again until it is done, and compare: a program."""

import functools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import floor
import numpy as np

from quantlab.venues import PostgresStore


def child(bundle, feed, folder, exchange):
    "One start of the engine, in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            venue = floor.Exchange(exchange) if exchange else floor.reference(bundle)
            floor.live(bundle, feed, folder, venue=venue)
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return process


def until_done(bundle, feed, folder, exchange, rng, kills):
    "Kill the engine so many times, at random, then let it end; how often it was really killed"
    killed = 0
    while True:
        process = child(bundle, feed, folder, exchange)
        if killed < kills:
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit("the engine failed")
        else:
            return killed


def main(kills, seed, dsn=None):
    if dsn is not None:
        floor.STORE = functools.partial(PostgresStore, dsn=dsn)
    rng, work = np.random.default_rng(seed), Path(tempfile.mkdtemp())
    market, weights = floor.a_world(n_days=150, n_assets=5)
    feed, total = floor.a_feed(market), 0
    for outside in (False, True):
        costs = floor.FREE if outside else floor.COSTS
        bundle = floor.a_bundle(work / f"bundle {outside}", market, weights, costs=costs)
        whole, path = work / f"whole {outside}", work / f"exchange {outside}.jsonl"
        venue = floor.Exchange(work / "undisturbed.jsonl") if outside else None
        expected = floor.live(bundle, feed, whole, venue=venue)
        rest, round_ = kills // 2, 0
        while rest > 0:
            folder = work / f"killed {outside} {round_}"
            path = work / f"exchange {round_}.jsonl"
            done = until_done(bundle, feed, folder, outside and path, rng, min(rest, 10))
            rest, round_, total = rest - max(done, 1), round_ + 1, total + done
            journal = (folder / "journal.jsonl").read_bytes()
            assert journal == expected.journal, "the journal is another one"
            if outside:
                exchange = floor.Exchange(path)
                sent = [line["id"] for line in exchange.lines() if "asset" in line]
                wanted = expected.orders.loc[expected.orders["sent"], "id"].tolist()
                assert sorted(sent) == sorted(wanted), "an order was lost, or doubled"
                filled = expected.fills.groupby("order")["notional"].sum()
                there = {}
                for report in exchange.told():
                    there[report.order] = there.get(report.order, 0.0) + report.notional
                for name, value in filled.items():
                    assert abs(there[name] - value) < 1e-6
                assert len(filled) == len(there), "a fill was lost"
    print(f"{total} kills, 0 lost, 0 doubled")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
