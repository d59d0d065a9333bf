"""Kill -9 engine and acceptor at random, begin them again until all is done, compare: a program."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import fix_floor
import numpy as np
from fix_floor import floor


def child(bundle, feed, folder, port):
    "One start of the engine, in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            fix_floor.trade(bundle, feed, folder, port)
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return process


def until_done(server, bundle, feed, folder, rng, kills):
    "Kill so many times, at random, the engine or the acceptor; then let it end: kills of each"
    engines = acceptors = 0
    while True:
        process = child(bundle, feed, folder, server.port)
        while engines + acceptors < kills:
            time.sleep(rng.uniform(0.0, 0.8))
            if rng.uniform() < 0.3:
                server.end()
                time.sleep(rng.uniform(0.0, 0.3))
                server.start()
                acceptors += 1
                continue
            os.kill(process, signal.SIGKILL)
            break
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            engines += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit("the engine failed")
        else:
            return engines, acceptors


def main(kills, seed):
    rng, work = np.random.default_rng(seed), Path(tempfile.mkdtemp())
    market, weights = floor.a_world(n_days=60, n_assets=5, every=2)
    bundle = floor.a_bundle(work / "bundle", market, weights, costs=floor.FREE)
    feed, rest, total, orders = floor.a_feed(market), kills, np.zeros(2, int), 0
    for turn in range(kills):
        there = work / f"there {turn}"
        with fix_floor.acceptor(there, market.returns.columns) as server:
            folder = work / f"desk {turn}"
            done = until_done(server, bundle, feed, folder, rng, min(rest, 12))
        found = fix_floor.compare(folder, there / "DESK")
        if fix_floor.faults(found):
            raise SystemExit(f"{folder}: {found}")
        total, rest, orders = total + done, rest - max(sum(done), 1), orders + found["orders"]
        if rest <= 0:
            break
    print(f"{total[0]} kills of the engine, {total[1]} of the acceptor, {orders} orders, ", end="")
    print("0 lost, 0 doubled")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
