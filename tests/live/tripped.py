"""Kill -9 an engine, and who halts and resets it, at random moments, and compare: a program.

    python tests/live/tripped.py KILLS SEED

In each round an engine trades a record on an exchange that outlives it, while another process trips
the kill switch and resets it without rest. Both are killed and begun again; in the end a person
resets, the engine is left to finish, and its journal is compared with what the exchange remembers.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import floor
import hour
import ledger
import numpy as np

from quantlab.handoff import KillSwitch


def in_a_process(work):
    "Do something in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return process


def meddle(path, seed):
    "Halt and reset without rest"
    switch, rng = KillSwitch(path), np.random.default_rng(seed)
    while True:
        switch.trip("a rumour", by="desk")
        time.sleep(rng.uniform(0.0, 0.01))
        switch.reset("understood", by="risk")
        time.sleep(rng.uniform(0.0, 0.05))


def round_of(bundle, feed, place, rng, kills):
    "So many kills, then the end; how many halts were in the file"
    folder, exchange = place / "state", place / "exchange.jsonl"
    path = folder / "kill_switch.jsonl"
    KillSwitch(path).start()

    def trade():
        switch = KillSwitch(path, policy="cancel")
        floor.live(bundle, feed, folder, venue=hour.Exchange(exchange), kill_switch=switch)

    def begin(name):
        seed = int(rng.integers(1e9))
        return in_a_process(trade if name == "engine" else lambda: meddle(path, seed))

    running, killed = {name: begin(name) for name in ("engine", "person")}, 0
    while killed < kills:
        time.sleep(rng.uniform(0.0, 0.1))
        name = "engine" if rng.random() < 0.6 else "person"
        os.kill(running[name], signal.SIGKILL)
        _, status = os.waitpid(running[name], 0)
        killed += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
            raise SystemExit(f"the {name} failed")
        running[name] = begin(name)
        if name == "engine" and not os.WIFSIGNALED(status):
            break  # it has ended: another round
    os.kill(running["person"], signal.SIGKILL)
    os.waitpid(running["person"], 0)
    KillSwitch(path).reset("the end", by="risk")
    if os.waitpid(running["engine"], 0)[1]:
        raise SystemExit("the engine failed")
    trade()  # what there is left to do: nothing
    return killed, sum(entry["state"] == "HALTED" for entry in KillSwitch(path).history())


def main(kills, seed):
    rng, work = np.random.default_rng(seed), Path(tempfile.mkdtemp())
    market, weights = floor.a_world(n_days=150, every=1)
    bundle = floor.a_bundle(work / "bundle", market, weights, costs=floor.FREE)
    feed, total, halts, orders, number = floor.a_feed(market), 0, 0, 0, 0
    while total < kills:
        place = work / f"round {number}"
        done, halted = round_of(bundle, feed, place, rng, min(kills - total, 10))
        found = ledger.compare(place / "state", place / "exchange.jsonl")
        if ledger.faults(found) or found["days"] != len(feed):
            raise SystemExit(f"round {number}: {found}")
        total, halts, number = total + done, halts + halted, number + 1
        orders += found["orders"]
    print(f"{total} kills, {halts} halts, {orders} orders, 0 lost, 0 doubled in {number} rounds")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
