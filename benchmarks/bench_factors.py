"""Factor evaluation beside alphalens, rolling beta beside statsmodels and pandas.

python benchmarks/bench_factors.py [ASSETS ...]

One thread, CPU seconds. Times: ours (median of seven) and the peer (slow jobs once) in one process,
warm; "cold" is our first call in a fresh process, on a small panel, with loading or compiling the
kernels. Memory: each side alone in a fresh process, warmed up on a small panel, the peak beyond
what was there. The default is 500 assets; 3000 takes minutes. No ratio is printed unless the
results agree.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import contextlib  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import statsmodels.api as sm  # noqa: E402
from alphalens import performance, utils  # noqa: E402
from statsmodels.regression.rolling import RollingOLS  # noqa: E402

from quantlab.factors import evaluate_factor, rolling_beta  # noqa: E402

PERIODS, QUANTILES, WINDOW = (1, 5, 10), 5, 252


def measure(function, repeats=1):
    "Result and median CPU seconds"
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return result, float(np.median(seconds))


def alone(side, problem, size):
    "(CPU seconds of the first, small call; megabytes that the warm call needed) in a fresh process"
    command = [sys.executable, __file__, "--alone", side, problem, str(size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def extra_peak(function):
    "Megabytes at the peak of a call beyond what was there (NaN where the system does not tell)"
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # what was freed before must not be reused
        ctypes.CDLL(None).malloc_trim(0)
    read = lambda key: int(status.read_text().split(key + ":")[1].split()[0]) / 1024
    Path("/proc/self/clear_refs").write_text("5")
    before = read("VmRSS")
    function()
    return read("VmHWM") - before


def report(job, problem, size, difference_of, tolerance=1e-10, repeats=1):
    "One row, or a stop where the two disagree"
    ours, peer, name = PROBLEMS[problem](size)
    ours()
    found, fast = measure(ours, 7)
    theirs, slow = measure(peer, repeats)
    difference = difference_of(found, theirs)
    if not difference <= tolerance:
        raise SystemExit(
            f"{job}: {difference:.1e} apart from {name}, beyond {tolerance:.0e}; no ratio."
        )
    del found, theirs
    (cold, our_memory), (_, their_memory) = (
        alone(side, problem, size) for side in ("ours", "peer")
    )
    return {
        "job": job,
        "peer": name,
        "quantlab (s)": fast,
        "peer (s)": slow,
        "ratio": slow / fast,
        "largest difference": difference,
        "cold (s)": cold,
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


def evaluation_inputs(n_assets, n_days):
    "A random factor and three horizons"
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2010-01-01", periods=n_days + max(PERIODS), name="date")
    names = pd.Index([f"S{i:04d}" for i in range(n_assets)], name="asset")
    steps = rng.normal(0, 0.01, (len(days), n_assets))
    prices = pd.DataFrame(np.exp(steps.cumsum(axis=0)), days, names)
    wide = {h: (prices.shift(-h) / prices - 1).iloc[:n_days] for h in PERIODS}
    return pd.DataFrame(rng.normal(size=(n_days, n_assets)), days[:n_days], names), wide


def evaluation(n_assets, n_days=2500):
    "Both sides' evaluation of it, each from the form it takes"
    factor, wide = evaluation_inputs(n_assets, n_days)
    long = factor.stack()
    ahead = pd.DataFrame({f"{h}D": frame.stack() for h, frame in wide.items()})
    ours = lambda: evaluate_factor(factor, wide, quantiles=QUANTILES, conventions="alphalens")
    return ours, lambda: alphalens_evaluation(long, ahead), "alphalens"


def beta_inputs(n_assets, n_days):
    "Returns on one market"
    rng = np.random.default_rng(1)
    market = pd.Series(rng.normal(0, 0.01, n_days))
    noise = rng.normal(0, 0.02, (n_days, n_assets))
    beta = rng.normal(1, 0.3, n_assets)
    return pd.DataFrame(market.to_numpy()[:, None] * beta + noise), market


def beta_by_statsmodels(n_assets, n_days=2500):
    "A rolling regression an asset"
    returns, market = beta_inputs(n_assets, n_days)
    exog = sm.add_constant(market.to_numpy())

    def peer():
        fits = (RollingOLS(returns[c].to_numpy(), exog, window=WINDOW).fit() for c in returns)
        return np.column_stack([np.asarray(fit.params)[:, 1] for fit in fits])

    return lambda: rolling_beta(returns, market, window=WINDOW).to_numpy(), peer, "statsmodels"


def beta_by_pandas(n_assets, n_days=2500):
    "Rolling covariances"
    returns, market = beta_inputs(n_assets, n_days)

    def peer():
        covariance = returns.rolling(WINDOW).cov(market)
        return covariance.div(market.rolling(WINDOW).var(), axis=0).to_numpy()

    return lambda: rolling_beta(returns, market, window=WINDOW).to_numpy(), peer, "pandas"


def apart(found, theirs):
    "Largest difference; a value that only one side has counts as infinite"
    if not np.array_equal(np.isnan(found), np.isnan(theirs)):
        return float("inf")
    return float(np.nanmax(np.abs(found - theirs)))


PROBLEMS = {
    "evaluation": evaluation,
    "beta_by_statsmodels": beta_by_statsmodels,
    "beta_by_pandas": beta_by_pandas,
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        side, problem, size = sys.argv[2], PROBLEMS[sys.argv[3]], int(sys.argv[4])
        which = ("ours", "peer").index(side)
        cold = measure(problem(20, WINDOW + 30)[which])[1]
        print(json.dumps([cold, extra_peak(problem(size)[which])]))
        raise SystemExit
    sizes = [int(size) for size in sys.argv[1:]] or [500]
    rows = [
        report(
            f"factor evaluation, {size} x 2500, {len(PERIODS)} horizons",
            "evaluation",
            size,
            evaluation_difference,
        )
        for size in sizes
    ]
    for name, repeats in (("beta_by_statsmodels", 1), ("beta_by_pandas", 7)):
        job = f"rolling beta, 500 x 2500, window {WINDOW}"
        rows.append(report(job, name, 500, apart, repeats=repeats))
    with pd.option_context("display.width", 220, "display.max_columns", 12):
        table = pd.DataFrame(rows).set_index(["job", "peer"])
        print(table.to_string(float_format=lambda v: f"{v:.3g}"))
