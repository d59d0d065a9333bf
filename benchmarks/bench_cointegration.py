"""Cointegration side by side with its peers: `python benchmarks/bench_cointegration.py [--full]`.

Each row runs ours and the peer in this one process, single-threaded and warm, on the same data; the
peer on a sample where all of it would take hours, extrapolated by the number of pairs. Results are
compared first: where they disagree no ratio is printed and the exit code is 1. Times are CPU
seconds; only ratios mean something on another machine.
"""

import argparse
import importlib.util
import json
import os
import resource
import sys
import warnings
from time import process_time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

from quantlab.cointegration import (  # noqa: E402
    half_life,
    kalman_hedge_ratios,
    screen_johansen,
    screen_pairs,
)
from quantlab.simulate import random_walks  # noqa: E402


def timed(function, *args, **options):
    "Result and CPU seconds of one call"
    start = process_time()
    result = function(*args, **options)
    return result, process_time() - start


def peak_memory() -> float:
    "Largest resident memory of this process so far, MiB"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sample(table, size, seed=0):
    "Some rows of a pair table"
    return table.iloc[np.random.default_rng(seed).choice(len(table), min(size, len(table)), False)]


def engle_granger_row(prices, peer_pairs, **options):
    "Engle-Granger on every ordered pair against a loop over statsmodels' coint"
    from statsmodels.tsa.stattools import coint

    _, cold = timed(screen_pairs, prices.iloc[:, :3], **options)
    screen, ours = timed(screen_pairs, prices, **options)
    lag = options.get("lags")
    rows = list(sample(screen.table, peer_pairs).itertuples())
    coint(prices[rows[0].y], prices[rows[0].x], maxlag=lag, autolag=None if lag else "aic")

    def loop():
        return [
            coint(prices[r.y], prices[r.x], maxlag=lag, autolag=None if lag else "aic")[0]
            for r in rows
        ]

    peer, seconds = timed(loop)
    difference = np.abs(np.array(peer) - [r.statistic for r in rows]).max()
    theirs = seconds / len(rows) * len(screen.table)
    return ours, theirs, difference, 1e-8, cold


def johansen_row(prices, peer_pairs):
    "Johansen with one lag on every unordered pair against a loop over coint_johansen"
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    _, cold = timed(screen_johansen, prices.iloc[:, :3])
    screen, ours = timed(screen_johansen, prices)
    rows = list(sample(screen.table, peer_pairs).itertuples())
    pairs = [prices[[r.y, r.x]] for r in rows]
    coint_johansen(pairs[0], 0, 1)
    peer, seconds = timed(lambda: [coint_johansen(pair, 0, 1).trace_stat[0] for pair in pairs])
    difference = np.abs(np.array(peer) / [r.trace_statistic for r in rows] - 1).max()
    return ours, seconds / len(rows) * len(screen.table), difference, 1e-8, cold


def numpy_filter(y, x):
    "The textbook recursion in numpy, a row at a time, as the pure-Python filters do it"
    mean, cov, out = np.array([0.0, 1.0]), np.eye(2), []
    for value, price in zip(y.to_numpy(), x.to_numpy(), strict=True):
        cov = cov + 1e-6 * np.eye(2)
        h = np.array([1.0, price])
        gain = cov @ h / (h @ cov @ h + 1e-4)
        mean, cov = mean + gain * (value - h @ mean), cov - np.outer(gain, h @ cov)
        out.append(mean)
    return np.array(out)


def statsmodels_filter(y, x):
    "The same by statsmodels' state-space filter (Cython)"
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


def kalman_row(prices, n_pairs, peer_pairs, theirs):
    "Filtered hedge ratios, checks and frames included, against a peer's arrays"
    pairs = [(prices.iloc[:, i], prices.iloc[:, i + 1]) for i in range(n_pairs)]
    settings = {
        "observation_variance": 1e-4,
        "state_variance": [1e-6, 1e-6],
        "initial_state": [0.0, 1.0],
        "initial_covariance": np.eye(2),
    }

    y, x = prices.iloc[:, :n_pairs], prices.iloc[:, 1 : n_pairs + 1]
    _, cold = timed(kalman_hedge_ratios, y.iloc[:, :1], x.iloc[:, :1], **settings)
    panel, ours = timed(kalman_hedge_ratios, y, x, **settings)
    theirs(*pairs[0])
    peer, seconds = timed(lambda: [theirs(y, x) for y, x in pairs[:peer_pairs]])
    difference = max(np.abs(panel[k].to_numpy() - p).max() for k, p in enumerate(peer))
    return ours, seconds / peer_pairs * n_pairs, difference, 1e-8, cold


def main() -> int:
    "Print a row a job; exit code 1 where results disagree"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="500 assets x 2500 days")
    assets, days = (500, 2500) if parser.parse_args().full else (120, 1000)
    warnings.simplefilter("ignore", FutureWarning)  # the peers' own
    prices = random_walks(days, assets, rng=np.random.default_rng(0)) + 4
    half_life(prices.iloc[:, 0])
    jobs = {
        "engle_granger_aic": lambda: engle_granger_row(prices, 20),
        "engle_granger_fixed_lag": lambda: engle_granger_row(prices, 200, lags=1),
        "johansen_one_lag": lambda: johansen_row(prices, 200),
        "kalman_vs_numpy_loop": lambda: kalman_row(prices, assets - 1, 5, numpy_filter),
        "kalman_vs_statsmodels": lambda: kalman_row(prices, assets - 1, 20, statsmodels_filter),
    }
    if importlib.util.find_spec("pykalman"):
        jobs["kalman_vs_pykalman"] = lambda: kalman_row(prices, assets - 1, 5, pykalman_filter)
    failed = False
    for name, job in jobs.items():
        ours, theirs, difference, tolerance, cold = job()
        row = {"job": name, "assets": assets, "days": days, "difference": float(difference)}
        if difference > tolerance:
            failed, row["disagree"] = True, f"more than {tolerance:g}: no ratio"
        else:
            row |= {
                "ours_seconds": round(ours, 3),
                "peer_seconds": round(theirs, 1),
                "ratio": round(theirs / ours),
                "first_call_seconds": round(cold, 2),
                "peak_mib": round(peak_memory()),
            }
        sys.stdout.write(json.dumps(row) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
