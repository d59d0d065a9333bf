"""Bars beside plain Python loops and the book's algorithm, on the sample of half a million trades.

Seconds are those of the processor, on one thread, warm. No ratio is reported unless results agree.

python benchmarks/bench_ticks.py
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.microstructure import bars, load_ticks  # noqa: E402
from quantlab.microstructure.tick_rule import tick_rule  # noqa: E402

SAMPLE = Path(__file__).parents[1] / "data/ticks/es_trades.csv.gz"
SIZE, FIRST, SPAN = 1000, 500, 20


def cpu_seconds(function, repeats):
    "Median CPU seconds of a warm call"
    function()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def loop_volume_bars(table, sessions):
    "Volume bars as notebooks have them: a loop over the rows of the table"
    out, last, sign, number = [], None, 0, None
    rows = []
    for (time_, price, volume), session in zip(table.itertuples(), sessions):
        if session != number:
            rows, total, value, signed, number, sign = [], 0.0, 0.0, 0.0, session, 0
        elif price != last:
            sign = 1 if price > last else -1
        last = price
        rows.append((time_, price))
        total, value, signed = total + volume, value + price * volume, signed + sign * volume
        if total >= SIZE:
            prices = [r[1] for r in rows]
            ohlc = (prices[0], max(prices), min(prices), prices[-1])
            out.append((rows[0][0], time_, *ohlc, total, value / total, len(rows), signed))
            rows, total, value, signed = [], 0.0, 0.0, 0.0
    return pd.DataFrame(out, columns=["start", "end", *OHLC, "volume", "vwap", *LAST])


OHLC, LAST = ("open", "high", "low", "close"), ("n_trades", "signed_volume")


def loop_imbalance_ends(signs, sessions, low, high):
    "Number of trades of each imbalance bar, by the book's recursion in plain Python"
    theta = count = top = below = 0.0
    expected, lean, number, sizes, bars_ = float(FIRST), 0.0, None, [], 0
    a, b = 2 / (SPAN + 1), 2 / (SPAN * FIRST + 1)
    for sign, session in zip(signs, sessions):
        if session != number:
            theta, count, number = 0.0, 0, session
        theta, count = theta + sign, count + 1
        top, below = (1 - b) * top + sign, (1 - b) * below + 1
        if count >= expected if not bars_ else abs(theta) >= expected * abs(lean):
            sizes.append(count)
            bars_ += 1
            expected = min(max(expected + a * (count - expected), low), high)
            lean, theta, count = top / below, 0.0, 0
    return sizes


def loop_tick_rule(prices, sessions):
    "The tick rule in plain Python"
    out, last, sign, number = [], None, 0, None
    for price, session in zip(prices, sessions):
        if session != number:
            number, sign = session, 0
        elif price != last:
            sign = 1 if price > last else -1
        last = price
        out.append(sign)
    return out


def pandas_tick_rule(ticks):
    "The tick rule in pandas: the sign of the last change, carried forward in its session"
    change = np.sign(ticks.table["price"].reset_index(drop=True).groupby(ticks.sessions).diff())
    return change.replace(0, np.nan).groupby(ticks.sessions).ffill().fillna(0)


def agree(job, same):
    "Stop where the results differ"
    if not same:
        raise SystemExit(f"{job}: the results differ; no ratio is reported.")


def row(job, ours, peer, beside, repeats=3):
    "Both times and their ratio"
    mine, theirs = cpu_seconds(ours, 15), cpu_seconds(peer, repeats)
    print(f"{job:30} {beside:24} {1e3 * mine:9.1f} ms {1e3 * theirs:9.1f} ms {theirs / mine:8.0f}x")


def main():
    es = load_ticks(SAMPLE, timezone="America/Chicago")
    sessions = es.sessions.tolist()
    print(f"{len(es):,} trades; CPU time of quantlab, of the other, and their ratio")

    volume = lambda: bars(es, kind="volume", size=SIZE)
    loop = loop_volume_bars(es.table, sessions)
    found = volume().table
    exact = ["start", "end", *OHLC, "volume", *LAST]
    agree("volume bars", (found[exact].to_numpy() == loop[exact].to_numpy()).all())
    agree("volume bars", np.allclose(found["vwap"], loop["vwap"], rtol=1e-12))
    row("volume bars", volume, lambda: loop_volume_bars(es.table, sessions), "loop over rows")

    signs = tick_rule(es.table["price"], es.sessions)
    prices = es.table["price"].tolist()
    agree("tick rule", (signs == np.array(loop_tick_rule(prices, sessions))).all())
    agree("tick rule", (signs == pandas_tick_rule(es).to_numpy()).all())
    ours = lambda: tick_rule(es.table["price"], es.sessions)
    row("tick rule", ours, lambda: loop_tick_rule(prices, sessions), "loop over a list")
    row("tick rule", ours, lambda: pandas_tick_rule(es), "pandas")

    listed = signs.tolist()
    for name, bounds in (("as printed", None), ("bounded", (100, 2000))):
        low, high = bounds or (0.0, np.inf)
        job = f"tick imbalance bars, {name}"
        make = lambda b=bounds: bars(es, kind="tick_imbalance", size=FIRST, expected_size_bounds=b)
        theirs = lambda a=low, b=high: loop_imbalance_ends(listed, sessions, a, b)
        agree(job, make().table["n_trades"].tolist() == theirs())
        row(job, make, theirs, "the book's, in a loop")


if __name__ == "__main__":
    main()
