"""From a tick to its order, in the live engine and in a live node of NautilusTrader.

    python benchmarks/bench_venues.py [--orders 2000] [--block 100] [--folder DIR]

Both trade one name of a sealed bundle, to another weight at each close, without costs. Ours: from
the close being handed to the live engine to `submit` of its venue. NautilusTrader's: from the last
quote of the close being handed to the data engine of a `TradingNode` to `submit_order` of its
sandbox execution client. Blocks of closes are taken in turn on the same machine in the same run,
the other side idle meanwhile.

What is done in between is not the same. Ours books the day, asks the gate and the kill switch, and
has the day in its journal (fsync) and in SQLite (synchronous=FULL) before the order leaves, so
a power cut loses nothing; NautilusTrader keeps orders in memory and asks its risk engine.
`--folder` puts our files elsewhere, such as a file system in memory, to see what the disk costs.
No figure is printed unless both sent the same orders.
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
from bench_live import NEVER, WIDE  # noqa: E402

from quantlab.handoff import Limits, ReferenceBroker, load_bundle, write_bundle  # noqa: E402
from quantlab.handoff.agreement import Agreement, Origin  # noqa: E402
from quantlab.live import LiveEngine, RealClock, ReferenceVenue, close_of  # noqa: E402
from quantlab.simulate import factor_world  # noqa: E402
from quantlab.trading import CostModel, bars  # noqa: E402
from quantlab.venues.environment import (  # noqa: E402
    environment_python,
    find_environment,
    package_file,
)
from quantlab.venues.process import LineProcess  # noqa: E402

WARM = 200  # orders that are not counted


def bundle_of(folder, n_days):
    "A book of one name, long and short in turn, and its bars"
    market = factor_world(n_days, 2, edge=0.0, rng=np.random.default_rng(0))
    weights = market.returns * 0.0
    weights.iloc[:, 0] = np.random.default_rng(1).uniform(0.05, 0.15, n_days)
    weights.iloc[::2, 0] *= -1
    names = ("returns", "turnover", "costs")
    path = write_bundle(
        folder,
        strategy="in_turn",
        verdict="approved",
        parameters={"seed": 0},
        target_weights=weights,
        expected=pd.DataFrame(dict.fromkeys(names, 0.0), index=weights.index),
        universe=weights.columns,
        origin=Origin(inputs={}, code="none"),
        agreement=Agreement(
            costs=CostModel(),
            limits=Limits(**WIDE),
            kill_rules={"daily_loss": 0.5, "drawdown": 0.6, "sequential_test": False},
            expected_distribution={"mean": 0.0, "volatility": 0.01, "sequential_test": NEVER},
            starts="2000-01-01",
            expires="2100-12-31",
            capital=1e7,
            periods_per_year=252,
        ),
    )
    return load_bundle(path), list(bars(market.returns))


class Stamped(ReferenceVenue):
    "The reference venue, and when each order reached it"

    def __init__(self, broker):
        super().__init__(broker)
        self.orders_, self.left = [], []

    async def submit(self, order):
        self.left.append(time.perf_counter())
        self.orders_.append(order.notional)
        await super().submit(order)


class InTurn:
    "Closes in blocks; before each the other engine has the same block to itself"

    def __init__(self, days, weights, block, other):
        self.days, self.weights, self.block, self.other = days, weights, block, other
        self.begun, self.theirs = [], []

    async def events(self):
        for start in range(0, len(self.days), self.block):
            days = self.days[start : start + self.block]
            closes = [[dict(bar.returns), self.weights[bar.date]] for bar in days]
            self.theirs += self.other.ask({"do": "block", "closes": closes})["orders"]
            for bar in days:
                event = close_of(bar)
                await asyncio.sleep(0)
                self.begun.append(time.perf_counter())
                yield event


def described(seconds):
    "p50, p99 and maximum in milliseconds"
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return {"p50 (ms)": 1e3 * p50, "p99 (ms)": 1e3 * p99, "max (ms)": 1e3 * seconds.max()}


def main(n_orders, block, place):
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir=place) as own:
        bundle, days = bundle_of(work, n_orders + WARM)
        asset = str(bundle.target_weights.columns[0])
        side = Path(__file__).with_name("nautilus_ticks.pyw")
        file = str(package_file("nautilus_child.pyw"))
        command = [environment_python(), "-I", str(side), file, ".", asset]
        with LineProcess(command, folder=bundle.path, name="NautilusTrader") as other:
            version = other.hear("start")["version"]
            feed = InTurn(days, bundle.target_weights[asset], block, other)
            venue = Stamped(ReferenceBroker(bundle.costs, capital=bundle.capital))
            engine = LiveEngine(bundle, feed, venue, clock=RealClock(), folder=Path(own))
            asyncio.run(engine.run())
    theirs, late = (np.array(column) for column in zip(*feed.theirs))
    ours = np.array(venue.orders_)
    if len(ours) != len(theirs) or not np.allclose(ours, theirs, rtol=1e-6, atol=1e-3):
        raise SystemExit("the two sent other orders, so no figure is given")
    own_late = np.array(venue.left) - np.array(feed.begun)
    table = pd.DataFrame(
        {
            "quantlab": described(own_late[WARM:]),
            f"NautilusTrader {version}": described(late[WARM:]),
        }
    )
    print(table.round(3).to_string())
    print(f"{len(ours) - WARM} orders each, the same ones, in turns of {block}; {WARM} before them")
    lower = table.loc["p99 (ms)"].is_monotonic_increasing
    print(f"p99 of quantlab is {'lower' if lower else 'HIGHER'}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--block", type=int, default=100)
    parser.add_argument("--folder", default=None, help="where our files are, by default TMPDIR")
    given = parser.parse_args()
    if (found := find_environment()).fits:
        main(given.orders, given.block, given.folder)
    else:
        print(f"no second engine here: {found.problem}; `quantlab doctor` says how to have it")
