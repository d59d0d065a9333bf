"""From a tick to its end, and from a close to its last order, in the live engine; and its memory.

    python benchmarks/bench_live.py [--seconds 30] [--close 10] [--names 20] [--rates 1000 5000]
    python benchmarks/bench_live.py --memory 10

Ticks are due at a fixed rate, and a tick counts from when it was **due** to when the next could be
taken: one that waited behind a close counts with its wait. Every `--close` seconds one tick gives
way to a close, which books a day, sends a book of `--names` assets through the gate, appends the
journal (fsync) and commits SQLite (WAL, synchronous=FULL, one before the orders and one after);
then each order is submitted after a look at the kill switch. Without a policy a tick does not read
the switch's file; with one it does, so a halt withdraws what waits at the next event. Whoever sends
the ticks turns the event loop until one is due, since its timer knows whole milliseconds only.
`--memory` deals with so many million ticks as fast as it can. No figure is printed unless the
journal is byte for byte that of the PaperEngine on the same bars.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import argparse  # noqa: E402
import asyncio  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.handoff import (  # noqa: E402
    KillSwitch,
    Limits,
    PaperEngine,
    ReferenceBroker,
    load_bundle,
    write_bundle,
)
from quantlab.handoff.agreement import Agreement, Origin  # noqa: E402
from quantlab.live import LiveEngine, Quote, RealClock, ReferenceVenue, close_of  # noqa: E402
from quantlab.simulate import factor_world  # noqa: E402
from quantlab.trading import CostModel, bars  # noqa: E402

TARGET = 1e-3  # seconds, p99 of a tick
GROWTH = 5.0  # megabytes that are no growth: an allocator's rounding
WIDE = {
    "max_order_notional": 1e9,
    "max_gross": 5.0,
    "max_position_weight": 5.0,
    "max_daily_turnover": 50.0,
    "price_collar": 0.95,
    "max_orders_per_day": 10_000,
    "max_stale_days": 10_000,
    "max_daily_loss": 0.9,
    "max_drawdown": 0.9,
}
NEVER = {
    **dict.fromkeys(("mean", "volatility", "abs_mean", "abs_std"), 0.01),
    **dict.fromkeys(("mean_allowance", "volatility_allowance"), 0.05),
    **dict.fromkeys(("mean_threshold", "volatility_threshold"), 1e6),
    **dict.fromkeys(("average_run_length", "achieved_run_length", "run_length_high"), 1e3),
    **{"run_length_low": 5e2, "detection_delay": 1e2, "block_length": 1.0},
    **{"n_resamples": 1, "seed": 0},
}


def bundle_of(folder, n_days, n_names):
    "A book that trades every name at every close, and its bars"
    rng = np.random.default_rng(0)
    market = factor_world(n_days, n_names, edge=0.0005, rng=rng)
    drawn = rng.normal(size=(n_days, n_names))
    weights = pd.DataFrame(
        drawn / np.abs(drawn).sum(axis=1, keepdims=True),
        market.returns.index,
        market.returns.columns,
    )
    path = write_bundle(
        folder,
        strategy="drawn",
        verdict="approved",
        parameters={"seed": 0},
        target_weights=weights,
        expected=pd.DataFrame(
            dict.fromkeys(("returns", "turnover", "costs"), 0.0), index=weights.index
        ),
        universe=weights.columns,
        origin=Origin(inputs={}, code="none"),
        agreement=Agreement(
            costs=CostModel(commission_bps=1, half_spread_bps=4, impact_coefficient=0.5),
            limits=Limits(**WIDE),
            kill_rules={"daily_loss": 0.5, "drawdown": 0.6, "sequential_test": False},
            expected_distribution={"mean": 0.0, "volatility": 0.01, "sequential_test": NEVER},
            starts="2007-01-01",
            expires="2040-12-31",
            capital=1e7,
            periods_per_year=252,
        ),
    )
    return load_bundle(path), list(bars(market.returns, dollar_volume=market.dollar_volume))


def broker(bundle):
    return ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)


def events(days, each, names):
    "Quotes of the names in turn, each a millisecond after the last, and a close after so many"
    for bar in days:
        begin = bar.date.tz_localize("UTC") - pd.Timedelta(hours=20)
        for number in range(each):
            price = 9.0 + number % 7 / 10
            moment = begin + pd.Timedelta(milliseconds=number)
            yield Quote(moment, names[number % len(names)], price, price + 1.0, 1.0, 1.0)
        yield close_of(bar)


class Paced:
    "Events that are due at a rate, and how long after that each was dealt with"

    def __init__(self, source, rate, each):
        self.source, self.rate, self.each, self.late = source, rate, each, []

    async def events(self):
        begin = time.perf_counter() + 0.5
        for number, event in enumerate(self.source):
            due = begin + number / self.rate
            await asyncio.sleep(0)
            while time.perf_counter() < due:
                await asyncio.sleep(0)
            yield event
            self.late.append(time.perf_counter() - due)

    def split(self):
        "Seconds of ticks and of closes"
        late = np.array(self.late)
        closes = np.arange(len(late)) % (self.each + 1) == self.each
        return late[~closes], late[closes]


class Counted:
    "Events as fast as they are taken, and the memory of the process at each million"

    def __init__(self, source):
        self.source, self.memory = source, {}

    async def events(self):
        for number, event in enumerate(self.source, 1):
            if number % 1_000_000 == 0:
                self.memory[number // 1_000_000] = memory()
            await asyncio.sleep(0)
            yield event


def memory():
    "Megabytes of this process (NaN where the system does not tell)"
    status = Path("/proc/self/status")
    text = status.read_text() if status.exists() else ""
    return int(text.split("VmRSS:")[1].split()[0]) / 1024 if "VmRSS:" in text else float("nan")


def run(bundle, days, feed, folder, policy):
    "Trade the feed; a stop where the journal is not the daily engine's"
    switch = KillSwitch(folder / "kill_switch.jsonl", policy=policy)
    switch.start()
    venue = ReferenceVenue(broker(bundle))
    engine = LiveEngine(
        bundle, feed, venue, clock=RealClock(), folder=folder, kill_switch=switch, silence=600
    )
    result = asyncio.run(engine.run())
    if result.journal != PaperEngine(bundle, broker(bundle)).run(days).journal:
        raise SystemExit("The journal is not that of the daily engine; no figure is reported.")
    return engine, result


def paced(folder, rate, policy, asked):
    "One row: latencies at a rate"
    each = max(round(rate * asked.close) - 1, 1)
    n_days = max(round(asked.seconds / asked.close), 2)
    bundle, days = bundle_of(folder / "bundle", n_days, asked.names)
    feed = Paced(events(days, each, list(days[0].returns)), rate, each)
    engine, result = run(bundle, days, feed, folder / "state", policy)
    ticks, closes = feed.split()
    row = {"ticks/s": rate, "policy": policy or "none", "ticks": len(ticks)}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        row[f"{name} (us)"] = 1e6 * np.quantile(ticks, share, method="inverted_cdf")
    row |= {"engine p99 (us)": 1e6 * engine.latency.ticks.quantile(0.99), "closes": len(closes)}
    row["orders a close"] = result.n_orders / len(closes)
    row |= {"close p50 (ms)": 1e3 * np.median(closes), "close max (ms)": 1e3 * closes.max()}
    return row | {"last order max (ms)": 1e3 * engine.latency.orders.maximum}


def each_costs(work, folder):
    "Microseconds of what the path is made of, here"
    switch, plain = KillSwitch(folder / "switch.jsonl"), folder / "plain"
    switch.start()
    descriptor = os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def forced():
        os.write(descriptor, b"x" * 200)
        os.fsync(descriptor)

    jobs = {
        "stat": (plain.stat, 2_000),
        "state of the switch": (lambda: switch.state, 2_000),
        "append and fsync": (forced, 200),
    }
    for name, (job, times) in jobs.items():
        begin = time.perf_counter()
        for _ in range(times):
            job()
        work[name] = 1e6 * (time.perf_counter() - begin) / times
    os.close(descriptor)
    return work


def many(folder, millions, asked):
    "Memory and microseconds a tick over so many million"
    days_of_million = 2
    bundle, days = bundle_of(folder / "bundle", millions * days_of_million, asked.names)
    each = 1_000_000 // days_of_million
    feed = Counted(events(days, each, list(days[0].returns)))
    begin, cpu = time.perf_counter(), time.process_time()
    engine, _ = run(bundle, days, feed, folder / "state", None)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    n = engine.latency.ticks.n
    first, last = feed.memory[1], feed.memory[millions]
    print(f"{n:,} events: {1e6 * seconds / n:.1f} us each, {1e6 * cpu / n:.1f} of the processor")
    print(f"memory at 1 million {first:.1f} MB, at {millions} million {last:.1f} MB")
    print(f"p99 by the engine's own count {1e6 * engine.latency.ticks.quantile(0.99):.0f} us")
    if not last - first <= GROWTH:
        raise SystemExit(f"The memory grew by more than {GROWTH} MB.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--close", type=float, default=10.0)
    parser.add_argument("--names", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="+", default=[1000.0, 5000.0])
    parser.add_argument("--memory", type=int, metavar="MILLIONS")
    parser.add_argument("--folder", help="where the journal lies (default: a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        place = Path(temporary)
        if asked.memory:
            many(place, asked.memory, asked)
            return
        rows = [
            paced(place / f"{policy} {rate:g}", rate, policy, asked)
            for policy in (None, "cancel")
            for rate in asked.rates
        ]
        costs = each_costs({}, place)
    print(pd.DataFrame(rows).T.to_string(header=False, float_format=lambda v: f"{v:,.4g}"))
    print(f"a close every {asked.close:g} s; journal append and fsync, SQLite synchronous=FULL")
    print("; ".join(f"{name} {cost:.1f} us" for name, cost in costs.items()))
    if hasattr(os, "getloadavg"):
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, which delays ticks")
    worst = max(row["p99 (us)"] for row in rows) / 1e6
    print(f"p99 of a tick {'below' if worst < TARGET else 'ABOVE'} {1e3 * TARGET:g} ms")


if __name__ == "__main__":
    main()
