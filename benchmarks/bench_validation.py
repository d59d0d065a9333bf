"""PBO, SPA, the model confidence set and the splitters beside public implementations.

Run `python benchmarks/bench_validation.py`. One process, one thread, both sides warm, CPU seconds
(medians, ours and the peer's taken in turn). A ratio is printed only after the results were found
to agree. A peer that is not installed is said and left out (`pip install 'quantlab[dev]'`).
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import importlib  # noqa: E402
import itertools  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from quantlab.validation import (  # noqa: E402
    CombinatorialPurgedSplit,
    model_confidence_set,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)


def cpu(function):
    "CPU seconds of a call and its result"
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def side_by_side(ours, theirs, repeats=3, warm_peer=True):
    "Median CPU seconds and result of both sides, taken in turn after one call to warm up"
    ours()
    if warm_peer:
        theirs()
    pairs = [(cpu(ours), cpu(theirs)) for _ in range(repeats)]
    return [(median(p[side][0] for p in pairs), pairs[-1][side][1]) for side in (0, 1)]


def peer(name):
    "The module of a peer, or None after one line that says why its row is missing"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"{name.split('.')[0]}: not compared ({error})")
        return None


def report(job, ours, theirs, agreement, allowed, note=""):
    "Print one line; no ratio where the two sides disagree"
    if not agreement <= allowed:
        print(f"{job}: DISAGREE by {agreement:.2g}, allowed {allowed:.2g}; no ratio")
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ratio = f"{theirs / ours:,.1f}x ({theirs:.4g} s / {ours:.4g} s), agreement {agreement:.1g}"
    print(f"{job}: {ratio}, process peak {peak:,.0f} MB {note}".rstrip())
    return True


def cscv_loop(x, n_blocks, n_combinations):
    "CSCV as it is usually written: cut, join, compute; the first `n_combinations` only"
    blocks = np.split(x, n_blocks)
    logits = []
    combinations = itertools.combinations(range(n_blocks), n_blocks // 2)
    for inside in itertools.islice(combinations, n_combinations):
        outside = [b for b in range(n_blocks) if b not in inside]
        a = np.concatenate([blocks[b] for b in inside])
        b = np.concatenate([blocks[b] for b in outside])
        best = np.argmax(a.mean(0) / a.std(0, ddof=1))
        sharpes = b.mean(0) / b.std(0, ddof=1)
        rank = (sharpes <= sharpes[best]).sum() / (x.shape[1] + 1)
        logits.append(np.log(rank / (1 - rank)))
    return np.array(logits)


def bench_pbo():
    x = np.random.default_rng(0).normal(0, 0.01, (2512, 1000))
    frame, part = pd.DataFrame(x), 100
    (ours, result), (theirs, logits) = side_by_side(
        lambda: probability_of_backtest_overfitting(frame),
        lambda: cscv_loop(x, 16, part),
        warm_peer=False,
    )
    whole = theirs * result.n_combinations / part
    gap = np.abs(result.logits[:part] - logits).max()
    return report(
        "PBO, 1000 trials x 2512, 16 blocks, over a numpy loop",
        ours,
        whole,
        gap,
        1e-12,
        f"(loop measured on {part} of {result.n_combinations:,} combinations)",
    )


def bench_pbo_compiled():
    phacker = peer("phacker.cscv")
    if phacker is None:
        return True
    x = np.random.default_rng(0).normal(0, 0.01, (2512, 1000))
    frame = pd.DataFrame(x)
    (ours, result), (theirs, (pbo, logits)) = side_by_side(
        lambda: probability_of_backtest_overfitting(frame), lambda: phacker.cscv(x, 16), repeats=7
    )
    gap = max(abs(result.pbo - pbo), np.abs(result.logits - logits).max())
    return report("PBO, the same, over phacker (C++)", ours, theirs, gap, 1e-12)


def bench_spa():
    from arch.bootstrap import SPA

    rng = np.random.default_rng(0)
    models = rng.standard_normal((2500, 1000)) + 0.3 * rng.standard_normal((2500, 1))
    benchmark = rng.standard_normal(2500)

    def arch():
        test = SPA(benchmark, models, block_size=10, reps=1000, bootstrap="stationary", seed=1)
        test.compute()
        return test.pvalues

    options = {"block_size": 10, "studentize": False, "seed": 1}
    (ours, b), (theirs, a) = side_by_side(
        lambda: superior_predictive_ability(benchmark, models, **options), arch, repeats=2
    )
    gap = max(abs(getattr(b, f"pvalue_{k}") - a[k]) for k in ("lower", "consistent", "upper"))
    return report(
        "SPA, 1000 models x 2500 x 1000 resamples, over arch (unstudentised)",
        ours,
        theirs,
        gap,
        0.05,
        "(Monte Carlo on both sides)",
    )


def bench_mcs():
    from arch.bootstrap import MCS

    rng = np.random.default_rng(0)
    losses = rng.standard_normal((1000, 100)) ** 2 + rng.uniform(0, 0.3, 100)

    def arch():
        test = MCS(losses, size=0.1, reps=1000, block_size=10, method="R", seed=1)
        test.compute()
        return test.pvalues["Pvalue"].sort_index()

    (ours, b), (theirs, a) = side_by_side(
        lambda: model_confidence_set(losses, block_size=10, seed=1), arch, repeats=1
    )
    gap = float((b.pvalues.sort_index() - a).abs().mean())  # two seeds of either differ as much
    good = report("model confidence set, 100 models x 1000, over arch", ours, theirs, gap, 0.03)
    big = rng.standard_normal((2500, 1000)) ** 2
    seconds, _ = cpu(lambda: model_confidence_set(big, block_size=10, seed=1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    job = "model confidence set, 1000 models x 2500"
    print(f"{job}: {seconds:.1f} CPU s, process peak {peak:,.0f} MB")
    return good


def unequal(a, b):
    "Number of splits whose training or test rows differ"
    return sum(
        not all(np.array_equal(*both) for both in zip(p, q)) for p, q in zip(a, b, strict=True)
    )


def bench_splits():
    skfolio = peer("skfolio.model_selection")
    if skfolio is None:
        return True
    X = np.zeros((5000, 1))

    def theirs():
        cv = skfolio.CombinatorialPurgedCV(10, 4, purged_size=20, embargo_size=10)
        return [(train, np.sort(np.concatenate(tests))) for train, tests in cv.split(X)]

    (a, ours), (b, split) = side_by_side(
        lambda: list(CombinatorialPurgedSplit(10, 4, 20, 10).split(X)), theirs
    )
    job = "CPCV, 10 folds, 4 tested, 5000 rows, purge 20, embargo 10, over skfolio"
    return report(job, a, b, unequal(ours, split), 0)


def bench_label_times():
    purgedcv = peer("purgedcv")
    if purgedcv is None:
        return True
    n, embargo = 5000, 10
    start = pd.Series(pd.date_range("2000-01-01", periods=n))
    end = start + pd.to_timedelta(np.random.default_rng(0).integers(0, 21, n), unit="D")
    X = np.zeros((n, 1))
    # Their labels are half-open and their embargo begins at the (open) end: one day on, one day off
    theirs = purgedcv.CombinatorialPurgedCV(
        10,
        4,
        prediction_times=start,
        evaluation_times=end + pd.Timedelta(days=1),
        embargo=pd.Timedelta(days=embargo - 1),
    )
    frame = pd.DataFrame(X, index=pd.DatetimeIndex(start))
    t1 = pd.Series(end.to_numpy(), index=frame.index)
    (a, ours), (b, split) = side_by_side(
        lambda: list(CombinatorialPurgedSplit(10, 4, embargo=embargo).split(frame, t1=t1)),
        lambda: list(theirs.split(X)),
    )
    job = "CPCV by label times, 10 folds, 4 tested, 5000 rows, embargo 10, over purgedcv"
    return report(job, a, b, unequal(ours, split), 0)


BENCHES = (bench_pbo, bench_pbo_compiled, bench_spa, bench_mcs, bench_splits, bench_label_times)

if __name__ == "__main__":
    done = [bench() for bench in BENCHES]
    sys.exit(0 if all(done) else 1)
