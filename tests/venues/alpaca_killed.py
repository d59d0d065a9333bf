"""Kill -9 an engine that trades at the stand-in for Alpaca, at random moments: a program.

    python tests/venues/alpaca_killed.py KILLS SEED

In each round the broker also loses answers after it has taken the order, breaks down, cuts the
stream, tells of fills twice and in the wrong order, and lists orders late. The engine is begun
again until it is done. In the end the orders of its journal are compared with those of the broker's
account, and with those of an undisturbed run.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
import floor
from alpaca_floor import Priced, compare, control, faults, prices_of, stand_in, traded


def run(bundle, bars, port, folder):
    prices = prices_of(bundle)
    feed = Priced(port, bars, prices)
    return asyncio.run(traded(bundle, feed, port, prices, folder, timeout=0.5, poll=0.2))[0]


def child(*given):
    "One start of the engine, in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            run(*given)
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return process


def trouble(port, rng):
    "What may go wrong at the broker until the next kill"
    kinds = [{"kind": "hang"}, {"kind": "status", "status": 503}]
    places = [("POST", "/v2/orders"), ("GET", "/v2/orders"), ("DELETE", "/v2/orders")]
    made = []
    for _ in range(int(rng.integers(0, 6))):
        method, path = places[rng.choice(len(places), p=[0.7, 0.2, 0.1])]
        fault = {"method": method, "path": path, "times": 1, "done": bool(rng.random() < 0.6)}
        made.append(fault | kinds[rng.integers(len(kinds))])
    actions = [{"do": "cut"}] if rng.random() < 0.3 else []
    tell = ["all", "none", "shuffled"][rng.integers(3)]
    fill = ["now", "parts"][rng.integers(2)]
    control(port, *actions, faults=made, tell=tell, fill=fill, lag=int(rng.integers(0, 4)))


def until_done(given, port, rng, kills):
    "Kill the engine so many times, at random, then let it end; how often it was really killed"
    killed = 0
    while True:
        trouble(port, rng)
        process = child(*given)
        if killed < kills:
            time.sleep(rng.uniform(0.0, 0.6))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit("the engine failed")
        else:
            return killed


def wished(kept):
    "What the broker was asked for"
    return {o["client_order_id"]: (o["side"], o["symbol"], o["qty"]) for o in kept["orders"]}


def main(kills, seed):
    rng, work = np.random.default_rng(seed), Path(tempfile.mkdtemp())
    market, weights = floor.a_world(n_days=60, every=2)
    bundle = floor.a_bundle(work / "bundle", market, weights, costs=floor.FREE)
    bars, total, orders, repeats, number = floor.a_feed(market), 0, 0, 0, 0
    with stand_in(work / "broker") as server:
        whole = run(bundle, bars, server.port, work / "whole")
        expected = control(server.port)
        while total < kills:
            control(server.port, {"do": "reset"})
            folder = work / f"round {number}"
            given = (bundle, bars, server.port, folder)
            done = until_done(given, server.port, rng, min(kills - total, 10))
            control(server.port, faults=[], lag=0)
            got, kept = run(*given), control(server.port)  # what there is left to do: nothing
            found = compare(folder, kept)
            if faults(found) or got.n_days != len(bars):
                raise SystemExit(f"round {number}: {found}")
            if wished(kept) != wished(expected) or kept["cash"] != expected["cash"]:
                raise SystemExit(f"round {number}: it is not what an undisturbed run has traded")
            apart = (got.equity - whole.equity).abs().max()
            if not apart < 1e-6 * floor.CAPITAL:
                raise SystemExit(f"round {number}: the equity is {apart} apart")
            total, orders, number = total + done, orders + found["orders"], number + 1
            repeats += sum(n > 1 for n in kept["seen"].values())
    print(
        f"{total} kills, {orders} orders, {repeats} of them sent more than once, 0 lost, 0 doubled "
        f"in {number} rounds"
    )


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(int(sys.argv[1]), int(sys.argv[2]))
