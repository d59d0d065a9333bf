"""Cointegration side by side with its peers.

    python benchmarks/bench_cointegration.py [--assets 500] [--days 2500] [--rounds 3] [--job NAME]

Each row has its own process, in which ours and the peer run in turn on the same data, one thread
each, `rounds` times; it gives medians of CPU seconds. The peer works on `peer_sample` pairs drawn
at random, and its time is scaled up by the number of pairs: all of them would take it hours.
Results are compared first: where they disagree no ratio is printed and the exit code is 1.

`ratio` is warm. `cold_seconds` is our very first call, with every kernel compiled and every library
loaded (numba keeps the kernels, so that is paid once on a machine); `ratio_cold` takes it for ours.
`peak_mib` is the largest memory of the process.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from time import process_time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
kernels = tempfile.TemporaryDirectory()  # empty: the first call is really the first
os.environ["NUMBA_CACHE_DIR"] = kernels.name

import numpy as np  # noqa: E402

from quantlab.cointegration import (  # noqa: E402
    kalman_hedge_ratios,
    screen_johansen,
    screen_pairs,
)
from quantlab.simulate import random_walks  # noqa: E402

TOLERANCE = 1e-8


def timed(function, *args, **options):
    "Result and CPU seconds of one call"
    start = process_time()
    result = function(*args, **options)
    return result, process_time() - start


def in_turn(ours, peer, rounds):
    "Last results of both, their median CPU seconds, and those of our very first call"
    _, cold = timed(ours)
    peer()
    times = []
    for _ in range(rounds):
        mine, first = timed(ours)
        theirs, second = timed(peer)
        times.append((first, second))
    return mine, theirs, *np.median(times, axis=0), cold


def row(difference, ours, peer, cold, peer_sample, pairs):
    "What is printed; the peer's time scaled from its sample to all pairs"
    return {
        "pairs": pairs,
        "peer_sample": peer_sample,
        "difference": float(difference),
        "ours_seconds": float(f"{ours:.3g}"),
        "peer_seconds": float(f"{peer * pairs / peer_sample:.3g}"),
        "ratio": round(peer * pairs / peer_sample / ours),
        "cold_seconds": round(cold, 2),
        "ratio_cold": float(f"{peer * pairs / peer_sample / cold:.3g}"),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def engle_granger_row(prices, rounds, peer_pairs, **options):
    "Engle-Granger on every ordered pair against a loop over statsmodels' coint"
    from statsmodels.tsa.stattools import coint

    n = prices.shape[1]
    y, x = np.nonzero(~np.eye(n, dtype=bool))
    chosen = np.random.default_rng(0).choice(len(y), peer_pairs, False)
    pairs = [(prices.iloc[:, y[k]], prices.iloc[:, x[k]]) for k in chosen]
    lag = options.get("lags")

    def peer():
        return [coint(*p, maxlag=lag, autolag=None if lag else "aic")[:2] for p in pairs]

    screen, theirs, *times = in_turn(lambda: screen_pairs(prices, **options), peer, rounds)
    mine = screen.table[["statistic", "pvalue"]].to_numpy()[chosen]
    return row(np.abs(np.array(theirs) - mine).max(), *times, peer_pairs, len(y))


def johansen_row(prices, rounds, peer_pairs):
    "Johansen with one lag on every unordered pair against a loop over coint_johansen"
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    n = prices.shape[1]
    y, x = np.triu_indices(n, 1)
    chosen = np.random.default_rng(0).choice(len(y), peer_pairs, False)
    pairs = [prices.iloc[:, [y[k], x[k]]] for k in chosen]

    def peer():
        return [coint_johansen(pair, 0, 1).trace_stat for pair in pairs]

    screen, theirs, *times = in_turn(lambda: screen_johansen(prices), peer, rounds)
    mine = screen.table[["trace_statistic", "second_trace_statistic"]].to_numpy()[chosen]
    difference = np.abs(theirs - mine).max(axis=1) / mine[:, 0]
    return row(difference.max(), *times, peer_pairs, len(y))


def statsmodels_filter(y, x):
    "Filtered states by statsmodels' state-space filter (Cython)"
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    model = MLEModel(y.to_numpy(), k_states=2)
    model.ssm["design"] = np.column_stack([np.ones(len(x)), x]).T[None]
    model.ssm["transition"] = model.ssm["selection"] = np.eye(2)
    model.ssm["obs_cov"] = np.array([[1e-4]])
    model.ssm["state_cov"] = 1e-6 * np.eye(2)
    model.ssm.initialize_known(np.array([0.0, 1.0]), (1 + 1e-6) * np.eye(2))
    return model.ssm.filter().filtered_state.T


def pykalman_filter(y, x):
    "The same by pykalman, where it is installed"
    from pykalman import KalmanFilter

    model = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=np.column_stack([np.ones(len(x)), x])[:, None, :],
        transition_covariance=1e-6 * np.eye(2),
        observation_covariance=np.array([[1e-4]]),
        initial_state_mean=np.array([0.0, 1.0]),
        initial_state_covariance=(1 + 1e-6) * np.eye(2),
    )
    return np.asarray(model.filter(y.to_numpy())[0])


def kalman_row(prices, rounds, peer_pairs, peer_filter):
    "Filtered hedge ratios of pairs in a book, checks and frames included, against a peer's arrays"
    n = prices.shape[1]
    y, x = prices, prices[[*prices.columns[1:], prices.columns[0]]]
    settings = {
        "observation_variance": 1e-4,
        "state_variance": [1e-6, 1e-6],
        "initial_state": [0.0, 1.0],
        "initial_covariance": np.eye(2),
    }

    def peer():
        return [peer_filter(y.iloc[:, k], x.iloc[:, k]) for k in range(peer_pairs)]

    panel, theirs, *times = in_turn(lambda: kalman_hedge_ratios(y, x, **settings), peer, rounds)
    difference = max(np.abs(panel[k].to_numpy() - p).max() for k, p in enumerate(theirs))
    return row(difference, *times, peer_pairs, n)


JOBS = {
    "engle_granger_aic": lambda *world: engle_granger_row(*world, 20),
    "engle_granger_fixed_lag": lambda *world: engle_granger_row(*world, 200, lags=1),
    "johansen_one_lag": lambda *world: johansen_row(*world, 200),
    "kalman_vs_statsmodels": lambda *world: kalman_row(*world, 50, statsmodels_filter),
    "kalman_vs_pykalman": lambda *world: kalman_row(*world, 5, pykalman_filter),
}


def run(name, assets, days, rounds) -> int:
    "Print one row; 1 where the results disagree"
    warnings.simplefilter("ignore", FutureWarning)  # the peers' own
    result = {"job": name, "assets": assets, "days": days}
    if name == "kalman_vs_pykalman" and not importlib.util.find_spec("pykalman"):
        result["skipped"] = "pykalman is not installed: pip install 'quantlab[dev]'"
    else:
        prices = random_walks(days, assets, rng=np.random.default_rng(0)) + 4
        result |= JOBS[name](prices, rounds)
        if not result["difference"] <= TOLERANCE:
            text = f"by {result['difference']:g}, more than {TOLERANCE:g}"
            result = {"job": name, "disagree": text}
    sys.stdout.write(json.dumps(result) + "\n")
    return int("disagree" in result)


def main() -> int:
    "Run one job here, or each in a process of its own"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", choices=JOBS)
    given = parser.parse_args()
    if given.job:
        return run(given.job, given.assets, given.days, given.rounds)
    codes = [
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--job", name]).returncode
        for name in JOBS
    ]
    return int(any(codes))


if __name__ == "__main__":
    raise SystemExit(main())
