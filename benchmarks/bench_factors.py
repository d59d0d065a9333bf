"""Factor evaluation beside alphalens, rolling beta beside statsmodels and pandas.

python benchmarks/bench_factors.py [ASSETS ...]

One process, one thread, ours warm, CPU seconds. The default is 500 assets; 3000 takes minutes and
3 GB. The peers' slow jobs run once. No ratio is printed unless the results agree.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import contextlib  # noqa: E402
import io  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import statsmodels.api as sm  # noqa: E402
from alphalens import performance, utils  # noqa: E402
from statsmodels.regression.rolling import RollingOLS  # noqa: E402

from quantlab.factors import evaluate_factor, rolling_beta  # noqa: E402

PERIODS, QUANTILES = (1, 5, 10), 5


def measure(function, repeats=1):
    "Result, median CPU seconds, and megabytes needed beyond what was there (NaN if not told)"
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    read = lambda key: int(status.read_text().split(key + ":")[1].split()[0]) / 1024
    seconds, megabytes = [], float("nan")
    with contextlib.suppress(OSError):
        reset.write_text("5")
    before = read("VmRSS") if status.exists() else megabytes
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    if status.exists():
        megabytes = read("VmHWM") - before
    return result, float(np.median(seconds)), megabytes


def report(job, ours, peer, name, difference_of, tolerance=1e-10, repeats=1):
    "One row, or a stop where the two disagree"
    ours()  # compiles
    found, fast, our_memory = measure(ours, 7)
    theirs, slow, their_memory = measure(peer, repeats)
    difference = difference_of(found, theirs)
    if not difference <= tolerance:
        raise SystemExit(
            f"{job}: {difference:.1e} apart from {name}, beyond {tolerance:.0e}; no ratio."
        )
    return {
        "job": job,
        "peer": name,
        "quantlab (s)": fast,
        "peer (s)": slow,
        "ratio": slow / fast,
        "largest difference": difference,
        "quantlab (MB)": our_memory,
        "peer (MB)": their_memory,
    }


def alphalens_evaluation(long, ahead):
    "The tables of a tear sheet, by alphalens"
    with contextlib.redirect_stdout(io.StringIO()):
        clean = utils.get_clean_factor(long, ahead, quantiles=QUANTILES)
    codes = clean["factor_quantile"]
    return {
        "ic": performance.factor_information_coefficient(clean),
        "quantile_returns": performance.mean_return_by_quantile(clean)[0],
        "factor_returns": performance.factor_returns(clean),
        "alpha_beta": performance.factor_alpha_beta(clean),
        "rank_autocorrelation": performance.factor_rank_autocorrelation(clean),
        "turnover": pd.concat(
            [performance.quantile_turnover(codes, q) for q in range(1, QUANTILES + 1)], axis=1
        ),
    }


def evaluation_difference(ours, theirs):
    "Largest difference over all tables"
    pairs = [
        (ours.ic, theirs["ic"]),
        (ours.quantile_returns, theirs["quantile_returns"]),
        (ours.factor_returns, theirs["factor_returns"]),
        (ours.alpha_beta["beta"], theirs["alpha_beta"].loc["beta"]),
        (ours.rank_autocorrelation_by_date.iloc[1:], theirs["rank_autocorrelation"].iloc[1:]),
        (ours.turnover_by_date.iloc[1:], theirs["turnover"].dropna()),
    ]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


def factor_evaluation(n_assets, n_days=2500):
    "A random factor and three horizons"
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2010-01-01", periods=n_days + max(PERIODS), name="date")
    names = pd.Index([f"S{i:04d}" for i in range(n_assets)], name="asset")
    steps = rng.normal(0, 0.01, (len(days), n_assets))
    prices = pd.DataFrame(np.exp(steps.cumsum(axis=0)), days, names)
    wide = {h: (prices.shift(-h) / prices - 1).iloc[:n_days] for h in PERIODS}
    factor = pd.DataFrame(rng.normal(size=(n_days, n_assets)), days[:n_days], names)
    long = factor.stack()
    ahead = pd.DataFrame({f"{h}D": frame.stack() for h, frame in wide.items()})
    ours = lambda: evaluate_factor(factor, wide, quantiles=QUANTILES, conventions="alphalens")
    peer = lambda: alphalens_evaluation(long, ahead)
    job = f"factor evaluation, {n_assets} x {n_days}, {len(PERIODS)} horizons"
    return report(job, ours, peer, "alphalens", evaluation_difference)


def rolling_betas(n_assets=500, n_days=2500, window=252):
    "Betas of all assets on one market"
    rng = np.random.default_rng(1)
    market = pd.Series(rng.normal(0, 0.01, n_days))
    beta = rng.normal(1, 0.3, n_assets)
    noise = rng.normal(0, 0.02, (n_days, n_assets))
    returns = pd.DataFrame(market.to_numpy()[:, None] * beta + noise)
    ours = lambda: rolling_beta(returns, market, window=window)
    exog = sm.add_constant(market.to_numpy())

    def by_statsmodels():
        fits = (RollingOLS(returns[c].to_numpy(), exog, window=window).fit() for c in returns)
        return np.column_stack([np.asarray(fit.params)[:, 1] for fit in fits])

    def by_pandas():
        covariance = returns.rolling(window).cov(market)
        return covariance.div(market.rolling(window).var(), axis=0).to_numpy()

    job = f"rolling beta, {n_assets} x {n_days}, window {window}"
    apart = lambda found, theirs: float(np.nanmax(np.abs(found.to_numpy() - theirs)))
    return [
        report(job, ours, by_statsmodels, "statsmodels", apart),
        report(job, ours, by_pandas, "pandas", apart, repeats=5),
    ]


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[1:]] or [500]
    rows = [factor_evaluation(size) for size in sizes] + rolling_betas()
    with pd.option_context("display.width", 200, "display.max_columns", 10):
        table = pd.DataFrame(rows).set_index(["job", "peer"])
        print(table.to_string(float_format=lambda v: f"{v:.3g}"))
