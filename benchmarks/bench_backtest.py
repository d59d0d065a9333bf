"""The backtest engine beside vectorbt, in one process on one thread, warm.

No ratio is reported unless the results agree.

python benchmarks/bench_backtest.py
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import vectorbt as vbt  # noqa: E402

from quantlab.backtest import CostModel, run_backtest, sweep_returns  # noqa: E402

TOLERANCE = 1e-9
COST = CostModel(commission_bps=1, half_spread_bps=4)


def cpu_seconds(function, repeats):
    "Median CPU seconds of a warm call"
    function()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def peak_megabytes(function):
    "Memory that a call needs beyond what is there before it; NaN where the system does not tell"
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    read = lambda key: int(status.read_text().split(key + ":")[1].split()[0]) / 1024
    try:
        reset.write_text("5")
        before = read("VmRSS")
        kept = function()
        after = read("VmHWM")
    except (OSError, IndexError):
        return float("nan")
    del kept
    return after - before


def net_returns(portfolio, columns=None):
    "vectorbt's own records as returns from before one day's trade to before the next's"
    value, orders = np.asarray(portfolio.value(), dtype=float), portfolio.orders.values
    paid = np.zeros((len(value), columns or 1))
    np.add.at(paid, (orders["idx"], orders["col"] if columns else 0), orders["fees"])
    before = value + (paid if columns else paid[:, 0])
    return before[1:] / before[:-1] - 1


def compare(job, ours, peer, our_returns, peer_returns):
    "Time both sides and print one row, or stop where they disagree"
    difference = float(np.abs(our_returns(ours())[1:] - peer_returns(peer())).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"{job}: the results differ by {difference:.1e}; no ratio is reported.")
    fast, slow = cpu_seconds(ours, 21), cpu_seconds(peer, 5)
    return {
        "job": job,
        "quantlab (ms)": 1e3 * fast,
        "vectorbt (ms)": 1e3 * slow,
        "ratio": slow / fast,
        "largest difference": difference,
        "quantlab (MB)": peak_megabytes(ours),
        "vectorbt (MB)": peak_megabytes(peer),
    }


def daily_rebalance(call_seq, n_days=2500, n_assets=500):
    """A dollar-neutral book in 500 assets, traded in full every day.

    vectorbt fills orders by column, or with "auto" the sales first, as a book short of cash needs.
    """
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2010-01-01", periods=n_days)
    weights = rng.normal(size=(n_days, n_assets))
    weights -= weights.mean(axis=1, keepdims=True)
    weights = pd.DataFrame(weights / np.abs(weights).sum(axis=1, keepdims=True), days)
    returns = pd.DataFrame(rng.normal(0, 0.01, (n_days, n_assets)), days)
    prices = (1 + returns).cumprod()
    return compare(
        f"daily rebalance, {n_assets} assets x {n_days} days, call_seq {call_seq!r}",
        lambda: run_backtest(weights, returns, costs=COST),
        lambda: vbt.Portfolio.from_orders(
            prices,
            size=weights,
            size_type="targetpercent",
            fees=COST.linear_rate,
            init_cash=1e7,
            group_by=True,
            cash_sharing=True,
            call_seq=call_seq,
            freq="D",
        ),
        lambda result: result.returns.to_numpy(),
        net_returns,
    )


def parameter_sweep(n_days=2500, n_books=1000):
    "A thousand settings of a trend rule in one asset"
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2010-01-01", periods=n_days)
    returns = pd.Series(rng.normal(0.0003, 0.01, n_days), days)
    price = (1 + returns).cumprod()
    fast, slow = {n: price.rolling(n).mean() for n in range(1, 26)}, range(30, 230, 5)
    slow = {n: price.rolling(n).mean() for n in slow}
    books = {f"{a}/{b}": 0.9 * (fast[a] > slow[b]) for a in fast for b in slow}
    books = pd.DataFrame(books).iloc[:, :n_books]
    return compare(
        f"parameter sweep, {books.shape[1]} books x {n_days} days",
        lambda: sweep_returns(books, returns, costs=COST),
        lambda: vbt.Portfolio.from_orders(
            price,
            size=books,
            size_type="targetpercent",
            fees=COST.linear_rate,
            init_cash=1e7,
            freq="D",
        ),
        lambda table: table.to_numpy(),
        lambda portfolio: net_returns(portfolio, books.shape[1]),
    )


if __name__ == "__main__":
    rows = pd.DataFrame(
        [daily_rebalance("auto"), daily_rebalance("default"), parameter_sweep()]
    ).set_index("job")
    with pd.option_context("display.width", 200, "display.max_columns", 10):
        print(rows.to_string(float_format=lambda v: f"{v:.3g}"))
