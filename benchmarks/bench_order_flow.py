"""Tick rule and VPIN on a file of trades: ours against a loop, a pandas form, and the usual VPIN.

    python benchmarks/bench_order_flow.py [--ticks data/ticks/es_trades.csv.gz]

A ratio is printed only where the results agree: every sign equal; the signed share of every bucket
within 1e-9. The loop of the tick rule runs once over the arrays of the table, as it is usually
written, and once over plain lists made before the clock starts, the fastest that Python has; the
pandas form carries the last change forward within its session. The VPIN beside ours is the loop
over the rows of a DataFrame that fills a bucket, splits the trade which does not fit and appends to
a list, as most public code has it; it is given the signs of the tick rule, ours finds them itself.
CPU seconds, median of several calls of ours; the first, cold call (compiling, or loading what was
compiled) apart.
"""

import argparse
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.microstructure import load_ticks, sign_trades, vpin  # noqa: E402


def clock(function, repeat=1):
    "Result of the last call, and the median CPU time"
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, float(np.median(times))


def loop_signs(prices, sessions):
    "The tick rule over plain lists"
    signs, sign, last, number = [], 0, None, None
    for price, session in zip(prices, sessions):
        if session != number:
            sign, number = 0, session
        elif price > last:
            sign = 1
        elif price < last:
            sign = -1
        last = price
        signs.append(sign)
    return np.array(signs)


def pandas_signs(prices, sessions):
    "The tick rule with what pandas has"
    groups = prices.groupby(sessions)
    change = np.sign(groups.diff())
    return change.where(change != 0).groupby(sessions).ffill().fillna(0).to_numpy()


def loop_vpin(table, size, n_buckets):
    "Buckets filled row by row, and the mean imbalance of the last ones"
    buckets, held, bought, sold = [], 0.0, 0.0, 0.0
    for _, row in table.iterrows():
        left = row["volume"]
        while held + left >= size:
            part = size - held
            bought += part if row["side"] > 0 else 0.0
            sold += part if row["side"] < 0 else 0.0
            buckets.append({"buy": bought, "sell": sold})
            left -= part
            held, bought, sold = 0.0, 0.0, 0.0
        held += left
        bought += left if row["side"] > 0 else 0.0
        sold += left if row["side"] < 0 else 0.0
    frame = pd.DataFrame(buckets)
    share = (frame["buy"] - frame["sell"]).abs() / size
    return share.rolling(n_buckets).mean().to_numpy()


def report(what, agree, ours, cold, peer, target):
    "One line, or a refusal"
    if not agree:
        raise SystemExit(f"{what}: the results disagree; there is nothing to compare.")
    print(f"{what:32s} {peer / ours:8,.0f}x   ours {1e3 * ours:8.1f} ms (cold {cold:.2f} s), "
          f"theirs {1e3 * peer:10.1f} ms, target {target}x")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", default="data/ticks/es_trades.csv.gz")
    parser.add_argument("--bucket-volume", type=float, default=1000.0)
    given = parser.parse_args()
    ticks = load_ticks(given.ticks, timezone="America/Chicago").trades
    price, sessions = ticks.table["price"], ticks.sessions
    print(f"{len(ticks):,} trades in {ticks.n_sessions} sessions")

    _, cold = clock(lambda: sign_trades(ticks))
    ours, warm = clock(lambda: sign_trades(ticks), 15)
    arrays, lists = (price.to_numpy(), sessions), (price.tolist(), sessions.tolist())
    usual, slowest = clock(lambda: loop_signs(*arrays), 3)
    loop, slow = clock(lambda: loop_signs(*lists), 3)
    plain = price.reset_index(drop=True)
    form, middle = clock(lambda: pandas_signs(plain, sessions), 5)
    report("tick rule, loop over arrays", (ours == usual).all(), warm, cold, slowest, 50)
    report("tick rule, loop over lists", (ours == loop).all(), warm, cold, slow, 50)
    report("tick rule, pandas", (ours == form).all(), warm, cold, middle, 4)

    size = given.bucket_volume
    call = lambda: vpin(ticks, bucket_volume=size, classification="tick")
    _, cold = clock(call)
    found, warm = clock(call, 9)
    table = pd.DataFrame({"volume": ticks.table["volume"].to_numpy(), "side": ours.to_numpy()})
    peer, slow = clock(lambda: loop_vpin(table, size, 50))
    agree = len(found.vpin) == len(peer) and np.allclose(
        found.vpin, peer, rtol=0, atol=1e-9, equal_nan=True
    )
    report("VPIN, loop over rows", agree, warm, cold, slow, 300)


if __name__ == "__main__":
    main()
