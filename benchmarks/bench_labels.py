"""Labels and samples beside the book's algorithms, as public code has them.

python benchmarks/bench_labels.py [BARS]

One thread, CPU seconds. The peers are plain pandas loops written from the snippets of Lopez de
Prado (2018), which mlfinlab, mlfinpy and many notebooks follow: one row, or one label, at a time.
Ours: median of seven calls, warm, checks of the input included; "cold" is the first call in a fresh
process, with loading or compiling the kernel. A peer runs once, on the same data: 60,000 bars by
default. The sequential bootstrap, whose snippet takes the third power of the labels, has 150 labels
and an indicator matrix in numpy. No ratio is printed unless the results agree.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.microstructure import (  # noqa: E402
    average_uniqueness,
    cusum_filter,
    fractional_difference,
    sample_weights,
    sequential_bootstrap,
    triple_barrier,
)

BARRIER, HORIZON, ORDER, CUT = 0.004, 60, 0.4, 1e-4
TARGETS = {
    "CUSUM filter": 5000,
    "triple barrier": 100,
    "average uniqueness": 1000,
    "fractional difference": 300,
}


def measure(function, repeats=1):
    "Result and median CPU seconds"
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return result, float(np.median(seconds))


def market(n_bars):
    "Log prices of one-minute bars, and labels of a triple barrier at every tenth of them"
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=n_bars, freq="min")
    x = pd.Series(rng.normal(0, 0.0007, n_bars).cumsum() + 4, index=index)
    events = index[: -HORIZON - 1 : 10]
    labels = triple_barrier(
        np.exp(x), events, profit_taking=BARRIER, stop_loss=BARRIER, horizon=HORIZON
    )
    return x, events, labels


def book_cusum(x, h):
    "Snippet 2.4"
    events, up, down = [], 0.0, 0.0
    change = x.diff()
    for t in change.index[1:]:
        up, down = max(0.0, up + change.loc[t]), min(0.0, down + change.loc[t])
        if down < -h:
            down = 0.0
            events.append(t)
        elif up > h:
            up = 0.0
            events.append(t)
    return pd.DatetimeIndex(events)


def book_barriers(prices, events):
    "Snippets 3.2, 3.4 and 3.5, with a touch at the barrier itself"
    last = prices.index.searchsorted(events) + HORIZON
    ends = pd.Series(prices.index[last], index=events)
    out = pd.DataFrame(index=events, columns=["touch", "label", "return"])
    for event, end in ends.items():
        path = prices[event:end] / prices[event] - 1
        stop = path[path <= -BARRIER].index.min()
        profit = path[path >= BARRIER].index.min()
        out.loc[event, "touch"] = min(t for t in (stop, profit, end) if not pd.isna(t))
    made = prices[pd.DatetimeIndex(out["touch"])].to_numpy() / prices[events].to_numpy() - 1
    out["return"], out["label"] = made, np.sign(made)
    return out


def book_concurrency(index, ends):
    "Snippet 4.1"
    count = pd.Series(0, index=index)
    for start, end in ends.items():
        count.loc[start:end] += 1
    return count


def book_uniqueness(index, ends):
    "Snippets 4.1 and 4.2"
    count = book_concurrency(index, ends)
    out = pd.Series(index=ends.index, dtype=float)
    for start, end in ends.items():
        out.loc[start] = (1.0 / count.loc[start:end]).mean()
    return out


def book_weights(x, ends):
    "Snippet 4.10"
    count = book_concurrency(x.index, ends)
    change = x.diff()
    out = pd.Series(index=ends.index, dtype=float)
    for start, end in ends.items():
        out.loc[start] = (change.loc[start:end] / count.loc[start:end]).sum()
    out = out.abs()
    return out * len(out) / out.sum()


def book_fractional(x, d, threshold):
    "Snippet 5.3"
    weights = [1.0]
    while abs(step := -weights[-1] * (d - len(weights) + 1) / len(weights)) >= threshold:
        weights.append(step)
    reversed_ = np.array(weights[::-1])
    out = pd.Series(np.nan, index=x.index)
    for t in range(len(weights) - 1, len(x)):
        out.loc[x.index[t]] = np.dot(reversed_, x.iloc[t - len(weights) + 1 : t + 1])
    return out


def book_bootstrap(first, last, uniform):
    "Snippets 4.3 to 4.5, with the indicator matrix in numpy"
    bars = np.arange(last.max() + 1)[:, None]
    matrix = ((bars >= first) & (bars <= last)).astype(float)
    drawn = []
    for u in uniform:
        unique = []
        for i in range(matrix.shape[1]):
            chosen = matrix[:, [*drawn, i]]
            count = chosen.sum(axis=1)
            own = chosen[:, -1] > 0
            unique.append((1 / count[own]).mean())
        chance = np.array(unique) / np.sum(unique)
        drawn.append(int((chance.cumsum() <= u).sum()))
    return np.array(drawn)


def apart(ours, theirs):
    "Largest difference; infinite where the labels of the rows differ"
    if isinstance(ours, pd.Index):
        return 0.0 if ours.equals(theirs) else float("inf")
    if isinstance(ours, pd.DataFrame):
        same = (ours["touch"] == theirs["touch"]).all() and (ours["label"] == theirs["label"]).all()
        return apart(ours["return"], theirs["return"].astype(float)) if same else float("inf")
    a, b = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b)))


def jobs(n_bars):
    "Ours and the peer's call by job"
    x, events, labels = market(n_bars)
    prices, ends = np.exp(x), labels["touch"]
    rng = np.random.default_rng(1)
    first = np.sort(rng.integers(0, 1000, 150))
    last = first + rng.integers(1, 40, 150)
    how = {"profit_taking": BARRIER, "stop_loss": BARRIER, "horizon": HORIZON}
    return {
        "CUSUM filter": (
            lambda: cusum_filter(x, threshold=BARRIER),
            lambda: book_cusum(x, BARRIER),
        ),
        "triple barrier": (
            lambda: triple_barrier(prices, events, **how),
            lambda: book_barriers(prices, events),
        ),
        "average uniqueness": (
            lambda: average_uniqueness(labels.index, ends, index=x.index),
            lambda: book_uniqueness(x.index, ends),
        ),
        "sample weights": (
            lambda: sample_weights(labels.index, ends, prices=prices),
            lambda: book_weights(x, ends),
        ),
        "sequential bootstrap": (
            lambda: sequential_bootstrap(first, last, n_draws=150, seed=2),
            lambda: book_bootstrap(first, last, np.random.default_rng(2).random(150)),
        ),
        "fractional difference": (
            lambda: fractional_difference(x, d=ORDER, threshold=CUT),
            lambda: book_fractional(x, ORDER, CUT),
        ),
    }


def cold(job):
    "CPU seconds of the first call in a fresh process, on a small market"
    command = [sys.executable, __file__, "--cold", job]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(job, ours, peer, tolerance=1e-9):
    "One row, or a stop where the two disagree"
    ours()
    found, fast = measure(ours, 7)
    theirs, slow = measure(peer)
    difference = apart(found, theirs)
    if not difference <= tolerance:
        raise SystemExit(f"{job}: {difference:.1e} apart from the book's loop; no ratio.")
    return {
        "job": job,
        "quantlab (ms)": 1e3 * fast,
        "loop (s)": slow,
        "ratio": slow / fast,
        "target": TARGETS.get(job, ""),
        "largest difference": f"{difference:.0e}",
        "cold (s)": cold(job),
    }


def large(n_bars=2_000_000):
    "Seconds of ours alone, on more bars than a loop would see the end of"
    x, events, labels = market(n_bars)
    n = len(labels)
    calls = {
        f"CUSUM filter, {n_bars:,} bars": lambda: cusum_filter(x, threshold=BARRIER),
        f"average uniqueness, {n:,} labels": lambda: average_uniqueness(
            labels.index, labels["touch"], index=x.index
        ),
        f"sequential bootstrap, {n:,} draws of {n:,} labels": lambda: sequential_bootstrap(
            labels.index, labels["touch"], index=x.index, n_draws=n, seed=0
        ),
        f"fractional difference, {n_bars:,} bars": lambda: fractional_difference(x, d=ORDER),
    }
    return pd.Series({name: measure(call)[1] for name, call in calls.items()}, name="seconds")


def main():
    if sys.argv[1:2] == ["--cold"]:
        ours, _ = jobs(2000)[sys.argv[2]]
        print(json.dumps(measure(ours)[1]))
        return
    n_bars = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    rows = [report(job, *calls) for job, calls in jobs(n_bars).items()]
    print(pd.DataFrame(rows).set_index("job").to_string(float_format="{:.3g}".format))
    print()
    print(large().to_string(float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
