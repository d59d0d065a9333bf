"""GARCH(1,1) over a panel and through time: ours against arch, in one process, one thread each.

    python benchmarks/bench_volatility.py [--assets 500] [--days 2500] [--peer-windows 400]

A ratio is printed only where the two agree: over the whole panel no log-likelihood of ours below
arch's by more than one part in a hundred million, of the rolling windows at most one in two hundred
by more than one in a million (either search can miss a hill of a short window), and forecasts on
the same hill within one percent (arch's own tolerance moves them by about 1e-4). CPU seconds of
both sides, taken in turns; the ratio of the panel is the median over its parts. The first, cold
call (compiling, or loading what was compiled) is reported apart, as is what our calls added to the
memory of the process. arch fits a sample of the rolling windows and its time is scaled up.
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


def peak():
    "Peak memory of this process so far, MiB"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bench_panel(returns, n_parts=10):
    "Every column once; ours and arch in turns on parts of the panel, then ours on all of it"
    _, cold = clock(lambda: fit_garch_panel(returns.iloc[:, :1]))
    before = peak()
    ours, warm = clock(lambda: fit_garch_panel(returns), 3)
    added, theirs, ratios, peer_time = peak() - before, [], [], 0.0
    for names in np.array_split(np.array(returns.columns), n_parts):
        part = returns[list(names)]
        _, mine = clock(lambda part=part: fit_garch_panel(part), 3)
        peers, spent = clock(lambda part=part: [arch_fit(part[c])[0] for c in part])
        theirs += peers
        ratios.append(spent / mine)
        peer_time += spent
    theirs = np.array(theirs)
    gap = (ours["loglikelihood"].to_numpy() - theirs) / np.abs(theirs)
    report(
        "panel",
        len(gap),
        float(np.median(ratios)),
        cold,
        warm,
        peer_time,
        added,
        gap,
        gap.min() >= -1e-8,
        "",
    )


def bench_rolling(returns, window, every, n_peer):
    "Every refit; arch on a sample of the same windows"
    _, cold = clock(lambda: rolling_garch(returns.iloc[:, :1], window=window, refit_every=every))
    before = peak()
    ours, first = clock(lambda: rolling_garch(returns, window=window, refit_every=every))
    added, table = peak() - before, ours.refits.set_index(["date", "asset"])
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
    _, second = clock(lambda: rolling_garch(returns, window=window, refit_every=every))
    warm, scaled, gap = (first + second) / 2, spent * len(table) / n_peer, np.array(gaps)
    below, above = (gap < -1e-6).mean(), (gap > 1e-6).mean()
    note = (
        f"; of {n_peer} windows ours lower in {below:.2%}, higher in {above:.1%}; forecasts within "
        f"{np.median(misses):.0e} (99 %: {np.quantile(misses, 0.99):.0e})"
    )
    agree = below <= 0.005 and np.quantile(misses, 0.99) < 0.01
    report("rolling", len(table), scaled / warm, cold, warm, scaled, added, gap, agree, note)


def report(name, jobs, ratio, cold, warm, peer, added, gap, agree, note):
    "One line, without a ratio when the results disagree"
    print(
        f"{name}: {jobs} fits, {f'{ratio:.1f} x' if agree else 'results disagree, no ratio'}; "
        f"CPU seconds ours {warm:.2f} warm (first call {cold:.1f} cold), arch {peer:.1f}; worst "
        f"log-likelihood gap {gap.min():.0e} (relative){note}; "
        f"ours added {added:.0f} MiB, peak {peak():.0f} MiB"
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
