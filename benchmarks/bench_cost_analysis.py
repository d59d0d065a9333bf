"""Cost analysis of orders: ours against a loop over orders in pandas; and the split of an order.

    python benchmarks/bench_cost_analysis.py [--orders 2000]

A ratio is printed only where the results agree: the shortfall and the VWAP of every order within
1e-9 of its value and price. The loop looks up prices and sums fills order by order with the masks
that public code has; both get the same tables, ours checks them too. The split is beside scipy's
linear-constrained search over real numbers, which has no lots: ours, in lots of one share, must
cost no more than a share's worth more than it. CPU seconds, median of several calls of ours.
"""

import argparse
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy import optimize  # noqa: E402

from quantlab.execution import FillModel, route_order, transaction_cost_analysis  # noqa: E402


def clock(function, repeat=1):
    "Result of the last call, and the median CPU time"
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, float(np.median(times))


def tables(n, rng):
    "Orders of eight names over a quarter, five fills each, and hourly prices"
    days, names = pd.bdate_range("2026-01-05", periods=60), list("ABCDEFGH")
    clocks = pd.DatetimeIndex([d + pd.Timedelta(hours=h) for d in days for h in range(9, 17)])
    walk = 50 * np.exp(0.002 * rng.standard_normal((len(clocks), 8)).cumsum(axis=0))
    market = pd.DataFrame({"time": np.repeat(clocks, 8), "symbol": names * len(clocks)})
    market["price"], market["volume"] = walk.ravel(), rng.integers(1, 1000, walk.size)
    start = pd.Series(days[rng.integers(0, 60, n)] + pd.Timedelta("9h30min"))
    orders = pd.DataFrame({"order": range(n), "symbol": rng.choice(names, n)})
    orders["side"], orders["quantity"] = rng.choice(["buy", "sell"], n), rng.integers(10, 1000, n)
    orders["decision_time"], orders["end_time"] = start, start + pd.Timedelta("6h30min")
    parts = []
    for hour in range(1, 6):
        part = orders[["order"]].assign(time=start + pd.Timedelta(hours=hour))
        part["price"] = 50 + rng.standard_normal(n)
        part["quantity"], part["fee"] = orders["quantity"] * 0.18, 0.1
        parts.append(part)
    return orders, pd.concat(parts, ignore_index=True), market


def loop(orders, fills, market):
    "Shortfall and VWAP order by order"
    out = []
    for _, order in orders.iterrows():
        mine = market[market["symbol"] == order["symbol"]]
        start = mine[mine["time"] <= order["decision_time"]]["price"].iloc[-1]
        end = mine[mine["time"] <= order["end_time"]]["price"].iloc[-1]
        life = mine[(mine["time"] > order["decision_time"]) & (mine["time"] <= order["end_time"])]
        got = fills[fills["order"] == order["order"]]
        side = 1 if order["side"] == "buy" else -1
        paid = side * (got["quantity"] * (got["price"] - start)).sum()
        missed = side * (order["quantity"] - got["quantity"].sum()) * (end - start)
        vwap = (life["price"] * life["volume"]).sum() / life["volume"].sum()
        out.append((paid + missed + got["fee"].sum(), vwap))
    return np.array(out)


VENUES = pd.DataFrame(
    [("A", "take", 10.01, 2e4), ("B", "take", 10.02, 9e4), ("B", "rest", 9.99, np.nan),
     ("P", "dark", 10.0, np.nan)], columns=["venue", "kind", "price", "size"],
)  # fmt: skip
MODELS = {"B": FillModel.known(0.8, 3e4), "P": FillModel.known(0.4, 2e4)}


def searched(quantity, unfilled):
    "Least cost over real numbers"
    cost = (VENUES["price"] - 10).to_numpy()

    def loss(x):
        queue, pool = MODELS["B"].expected_fill(x[2]), MODELS["P"].expected_fill(x[3])
        got = np.array([x[0], x[1], queue, pool])
        return cost @ got + unfilled * (quantity - got.sum())

    caps = [min(s, quantity) if s == s else quantity for s in VENUES["size"]]
    budget = {"type": "ineq", "fun": lambda x: (quantity - x.sum()) / quantity}
    found = optimize.minimize(
        loss, np.full(4, quantity / 5), method="SLSQP", bounds=[(0, c) for c in caps],
        constraints=budget, options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    return found.fun


def report(what, agree, ours, peer):
    "One line, or a refusal"
    if not agree:
        raise SystemExit(f"{what}: the results disagree; there is nothing to compare.")
    print(
        f"{what:34s} {peer / ours:8,.1f}x   ours {1e3 * ours:8.1f} ms, theirs {1e3 * peer:9.1f} ms"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=2000)
    n = parser.parse_args().orders
    given = tables(n, np.random.default_rng(0))
    transaction_cost_analysis(*given)
    found, ours = clock(lambda: transaction_cost_analysis(*given), 7)
    want, slow = clock(lambda: loop(*given))
    table = found.table
    off = np.abs(table["shortfall"] - want[:, 0]) / table["value"]
    agree = off.max() < 1e-9 and np.allclose(table["vwap"], want[:, 1], rtol=1e-9)
    report(f"{n:,} orders, {len(given[1]):,} fills", agree, ours, slow)

    call = lambda: route_order(1e5, venues=VENUES, fill_models=MODELS, mid=10, unfilled_cost=0.05)
    call()
    split, ours = clock(call, 7)
    peer, slow = clock(lambda: searched(1e5, 0.05), 3)
    report("a split of 100,000 shares", split.expected_cost < peer + 0.05, ours, slow)


if __name__ == "__main__":
    main()
