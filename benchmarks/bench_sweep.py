"""A sweep of a thousand points: seconds and memory, here, in two processes, on a Dask cluster.

    python benchmarks/bench_sweep.py [--points 1000] [--days 2500] [--names 50 500] [--jobs HOW ...]

Each row has its own process, in which the points are recorded in an empty ledger; the seconds are
those of a clock, since several processes work, and the memory is the peak of the calling process
beyond what was there before (market included). `one by one` is `run_backtest` on a sample of the
points, scaled up to all of them, without a ledger. No figure is printed unless the sample agrees
with the sweep to 1e-12, and all rows of a size with each other to the last bit, ledger included.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import argparse  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from contextlib import ExitStack, suppress  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.backtest import (  # noqa: E402
    CostModel,
    Market,
    candidate_weights,
    declare_candidates,
    run_backtest,
    sweep,
)
from quantlab.data import Panel  # noqa: E402
from quantlab.validation import Ledger  # noqa: E402

TOLERANCE, SAMPLE = 1e-12, 10
COSTS = CostModel(commission_bps=1, half_spread_bps=4, impact_coefficient=0.1)
ACCOUNT = {"costs": COSTS, "capital": 1e7, "periods_per_year": 252}
GRID = {
    "factor": ["momentum_12_1", "short_term_reversal", "low_volatility", "illiquidity", "combined"],
    "quantile": [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.49],
    "rebalance_every": [5, 10, 15, 21, 30, 42, 50, 60, 75, 90],
    "inverse_volatility": [False, True],
}


def market_of(n_days, n_names):
    "A market without an edge; signals have 300 days of past"
    rng, days = np.random.default_rng(0), pd.bdate_range("2010-01-01", periods=n_days + 300)
    table = lambda x: pd.DataFrame(x, days, [f"S{k:03d}" for k in range(n_names)])
    returns = table(rng.normal(3e-4, 0.015, (len(days), n_names)))
    fields = {
        "returns": returns,
        "log_prices": np.log1p(returns).cumsum(),
        "dollar_volume": table(np.exp(rng.normal(17, 0.5, returns.shape))),
        "member": 0 * returns + 1.0,
    }
    forecasts = returns.rolling(50).std().shift(1)
    return Market.from_panel(Panel(fields), volatility=forecasts, start=days[300])


def memory(key):
    "A figure of this process in MB; NaN where the system does not tell"
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split(key + ":")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return float("nan")


def workers(how, stack):
    "Who works, as arguments of `sweep`"
    if how == "dask":
        from distributed import Client, LocalCluster

        cluster = LocalCluster(
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=":0"
        )
        return {"client": stack.enter_context(Client(stack.enter_context(cluster)))}
    return {"n_jobs": 2} if how == "processes" else {}


def one_by_one(points, market, net):
    "Seconds a point by `run_backtest`, and its largest difference from the sweep"
    chosen = [points[k] for k in np.linspace(0, len(points) - 1, SAMPLE).astype(int)]
    priced = {"dollar_volume": market.dollar_volume, "volatility": market.volatility, **ACCOUNT}
    begin, worst = time.perf_counter(), 0.0
    for point in chosen:
        alone = run_backtest(candidate_weights(point, market), market.returns, **priced).returns
        worst = max(worst, float((alone - net[point.name]).abs().max()))
    return (time.perf_counter() - begin) / len(chosen), worst


def job(how, n_points, n_days, n_names):
    "One row, in this process"
    market = market_of(n_days, n_names)
    points = declare_candidates({"factors": GRID})[:n_points]
    sweep(points[:2], market, **ACCOUNT)  # kernels are compiled, or loaded
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ledger, options = Ledger(Path(folder) / "ledger.jsonl"), workers(how, stack)
        with suppress(OSError):  # what was freed before must not count as the peak
            Path("/proc/self/clear_refs").write_text("5")
        before, begin = memory("VmRSS"), time.perf_counter()
        found = sweep(points, market, **ACCOUNT, ledger=ledger, **options)
        seconds, peak = time.perf_counter() - begin, memory("VmHWM") - before
        content = found.returns.to_numpy().tobytes() + ledger.path.read_bytes()
    alone, worst = one_by_one(points, market, found.returns)
    return {
        "names": n_names,
        "workers": how,
        "seconds": seconds,
        "peak (MB)": peak,
        "one by one (s)": alone * n_points,
        "difference": worst,
        "hash": hashlib.sha256(content).hexdigest(),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--names", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--jobs", nargs="+", default=["here", "processes", "dask"])
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    if asked.alone:
        print(json.dumps(job(asked.jobs[0], asked.points, asked.days, asked.names[0])))
        return
    rows = []
    for names in asked.names:
        for how in asked.jobs:
            size = ["--points", asked.points, "--days", asked.days, "--names", names]
            command = [sys.executable, __file__, "--alone", "--jobs", how, *map(str, size)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    rows = pd.DataFrame(rows)
    if not (rows["difference"] <= TOLERANCE).all():
        raise SystemExit("A sweep and single backtests disagree; no figure is reported.")
    if (rows.groupby("names")["hash"].nunique() > 1).any():
        raise SystemExit("The workers disagree; no figure is reported.")
    print(rows.drop(columns="hash").to_string(index=False, float_format=lambda v: f"{v:.3g}"))


if __name__ == "__main__":
    main()
