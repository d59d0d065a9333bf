"""GARCH(1,1) over a panel and through time: ours against arch, in one process, one thread each.

    python benchmarks/bench_volatility.py [--assets 500] [--days 2500] [--peer-windows 400]

A ratio is printed only where the two agree: no log-likelihood of ours below arch's by more than one
part in a million, and forecasts within one percent (arch's own tolerance moves them by about 1e-4).
CPU seconds, warm; the first, cold call is reported apart. arch fits a sample of the rolling windows
and its time is scaled up.
"""

import argparse
import os
import resource
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from arch import arch_model  # noqa: E402

from quantlab.simulate import garch  # noqa: E402
from quantlab.volatility import fit_garch_panel, rolling_garch  # noqa: E402


def clock(function, repeat=1):
    "Result of the last call, and the median CPU time"
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, float(np.median(times))


def world(n_assets, n_days):
    "Simulated returns with parameters of many kinds"
    rng, columns = np.random.default_rng(0), {}
    for i in range(n_assets):
        alpha = rng.uniform(0.03, 0.15)
        beta = rng.uniform(0.75, 0.98 - alpha)
        nu = rng.uniform(4, 12)
        columns[f"A{i}"] = garch(n_days, alpha=alpha, beta=beta, nu=nu, rng=rng).returns
    return pd.DataFrame(columns)


def arch_fit(series):
    "arch on percent returns; log-likelihood in decimal units, next day's variance, did it converge"
    fit = arch_model(series * 100, rescale=False).fit(disp="off", show_warning=False)
    loglikelihood = fit.loglikelihood + len(series) * np.log(100)
    return loglikelihood, fit, fit.convergence_flag == 0


def bench_panel(returns):
    "Every column once"
    _, cold = clock(lambda: fit_garch_panel(returns))
    ours, warm = clock(lambda: fit_garch_panel(returns), 3)
    peers, peer_time = clock(lambda: [arch_fit(returns[c]) for c in returns])
    theirs = np.array([p[0] for p in peers])
    gap = (ours["loglikelihood"].to_numpy() - theirs) / np.abs(theirs)
    report("panel", len(returns.columns), cold, warm, peer_time, gap, None)
    return ours


def bench_rolling(returns, window, every, n_peer):
    "Every refit; arch on a sample of the same windows"
    ours, warm = clock(lambda: rolling_garch(returns, window=window, refit_every=every), 2)
    table = ours.refits.set_index(["date", "asset"])
    chosen = np.random.default_rng(1).choice(len(table), n_peer, replace=False)
    gaps, misses, spent = [], [], 0.0
    for date, asset in table.index[chosen]:
        at = returns.index.get_loc(date)
        sample = returns[asset].iloc[at - window : at]
        (value, fit, converged), cost = clock(lambda sample=sample: arch_fit(sample))
        spent += cost
        row = table.loc[(date, asset)]
        gaps.append((row["loglikelihood"] - value) / abs(value))
        if converged and abs(gaps[-1]) < 1e-8:  # the same hill: forecasts can be compared
            peer = float(fit.forecast(horizon=1).variance.iloc[-1, 0]) / 1e4
            misses.append(abs(ours.forecast[asset].iloc[at] / peer - 1))
    scaled = spent * len(table) / n_peer
    report("rolling", len(table), np.nan, warm, scaled, np.array(gaps), np.array(misses))


def report(name, jobs, cold, warm, peer, gap, miss):
    "One line, without a ratio when the results disagree"
    agree = gap.min() >= -1e-6 and (miss is None or np.quantile(miss, 0.99) < 0.01)
    ratio = f"{peer / warm:6.1f} x" if agree else "results disagree, no ratio"
    tail = (
        ""
        if miss is None
        else f", forecasts within {np.median(miss):.0e} (99 %: {np.quantile(miss, 0.99):.0e})"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {jobs} fits, {ratio}; ours {warm:.2f} s warm, {cold:.1f} s cold, "
        f"arch {peer:.1f} s; worst log-likelihood gap {gap.min():.0e} (relative){tail}; "
        f"peak {memory:.0f} MiB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--peer-windows", type=int, default=400)
    options = parser.parse_args()
    returns = world(options.assets, options.days)
    bench_panel(returns)
    bench_rolling(returns, 1000, 20, options.peer_windows)


if __name__ == "__main__":
    main()
