"""The backtest engine beside vectorbt, bt and backtesting.py, in one process on one thread, warm.

Seconds are those of the processor. No ratio is reported unless the results agree.

python benchmarks/bench_backtest.py
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import io  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from contextlib import redirect_stderr  # noqa: E402
from pathlib import Path  # noqa: E402

import backtesting  # noqa: E402
import bt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import vectorbt as vbt  # noqa: E402

from quantlab.backtest import CostModel, run_account, run_backtest, sweep_returns  # noqa: E402

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


def compare(job, ours, peer, our_returns, peer_returns, *, beside="vectorbt", repeats=5):
    "Time both sides in one row, or stop where they disagree"
    difference = float(np.abs(our_returns(ours())[1:] - peer_returns(peer())).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"{job}: the results differ by {difference:.1e}; no ratio is reported.")
    fast, slow = cpu_seconds(ours, 21), cpu_seconds(peer, repeats)
    return {
        "job": job,
        "beside": beside,
        "quantlab (ms)": 1e3 * fast,
        "peer (ms)": 1e3 * slow,
        "ratio": slow / fast,
        "largest difference": difference,
        "quantlab (MB)": peak_megabytes(ours),
        "peer (MB)": peak_megabytes(peer),
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


def book_in_bt(n_days=500, n_assets=50):
    "A long book traded in full every day, without costs, fractions of shares allowed"
    rng = np.random.default_rng(2)
    days = pd.bdate_range("2010-01-01", periods=n_days)
    names = [f"A{k:02d}" for k in range(n_assets)]
    returns = pd.DataFrame(rng.normal(0, 0.01, (n_days, n_assets)), days, names)
    weights = pd.DataFrame(0.9 * rng.dirichlet(np.ones(n_assets), n_days), days, names)
    prices = 50 * (1 + returns).cumprod()

    def peer():
        parts = [bt.algos.WeighTarget(weights), bt.algos.Rebalance()]
        test = bt.Backtest(
            bt.Strategy("book", parts), prices, integer_positions=False, progress_bar=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=FutureWarning)  # of ffn
            return bt.run(test).prices["book"]

    return compare(
        f"daily rebalance without costs, {n_assets} assets x {n_days} days",
        lambda: run_backtest(weights, returns),
        peer,
        lambda result: result.returns.to_numpy(),
        lambda price: price.pct_change().reindex(days).to_numpy()[1:],
        beside="bt",
        repeats=1,
    )


def account_in_backtesting_py(n_days=2500):
    "A trend rule in one asset: orders at the next open, whole shares, commission"
    rng = np.random.default_rng(3)
    days = pd.bdate_range("2010-01-01", periods=n_days)
    close = 50 * np.exp((0.02 * rng.standard_normal(n_days)).cumsum())
    opening = np.append(50.0, close[:-1]) * np.exp(0.005 * rng.standard_normal(n_days))
    bars = {"Open": opening, "High": np.maximum(opening, close), "Low": np.minimum(opening, close)}
    bars = pd.DataFrame(bars | {"Close": close, "Volume": 1e6}, index=days)
    average = bars["Close"].rolling(20).mean()
    choices = [0.6, -0.3]
    held = np.select([bars["Close"] > average, bars["Close"] <= average], choices, np.nan)

    class Follow(backtesting.Strategy):
        def init(self):
            pass

        def next(self):
            weight = held[len(self.data) - 1]
            if weight == weight:
                units = int(weight * self.equity / self.data.Close[-1])
                missing = units - self.position.size
                if missing:
                    (self.buy if missing > 0 else self.sell)(size=abs(missing))

    def peer():
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # its progress bar
            warnings.simplefilter("ignore")  # open trades, dayofweek
            return backtesting.Backtest(
                bars, Follow, cash=1_000_000, commission=0.0005, margin=0.5, finalize_trades=False
            ).run()

    panel = {name.lower(): bars[[name]].set_axis(["A"], axis=1) for name in bars}
    weights = pd.DataFrame({"A": held}, index=days)
    costs = CostModel(commission_bps=5)
    return compare(
        f"account at the next open, whole shares, one asset x {n_days} days",
        lambda: run_account(weights, panel, fill="next_open", lot_size=1, costs=costs, capital=1e6),
        peer,
        lambda result: result.equity.to_numpy() / 1e6,
        lambda stats: stats["_equity_curve"]["Equity"].to_numpy()[1:] / 1e6,
        beside="backtesting.py",
        repeats=3,
    )


if __name__ == "__main__":
    rows = [daily_rebalance("auto", n_assets=n) for n in (50, 500, 3000)]
    rows += [daily_rebalance("default"), parameter_sweep()]
    rows += [book_in_bt(), account_in_backtesting_py()]
    rows = pd.DataFrame(rows).set_index("job")
    with pd.option_context("display.width", 220, "display.max_columns", 10):
        print(rows.to_string(float_format=lambda v: f"{v:.3g}"))
