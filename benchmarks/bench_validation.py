"""PBO, SPA, the model confidence set and the splitters beside public implementations.

Run `python benchmarks/bench_validation.py`. One process, one thread, both sides warm, CPU seconds
(median of three). A ratio is printed only after the results were found to agree.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

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


def cpu(function, repeats=3):
    "Median CPU seconds of a call, after one to warm up, and its result"
    result = function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return median(times), result


def report(job, ours, theirs, agreement, allowed, note=""):
    "Print one line; no ratio where the two sides disagree"
    if not agreement <= allowed:
        print(f"{job}: DISAGREE by {agreement:.2g}, allowed {allowed:.2g}; no ratio")
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ratio = f"{theirs / ours:,.1f}x, agreement {agreement:.1g}"
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
    part = 100
    theirs, logits = cpu(lambda: cscv_loop(x, 16, part), repeats=1)
    ours, result = cpu(lambda: probability_of_backtest_overfitting(pd.DataFrame(x)))
    whole = theirs * result.n_combinations / part
    gap = np.abs(result.logits[:part] - logits).max()
    return report(
        "PBO, 1000 trials x 2512, 16 blocks, over a numpy loop", ours, whole, gap, 1e-12,
        f"(loop measured on {part} of {result.n_combinations:,} combinations)",
    )  # fmt: skip


def bench_spa():
    from arch.bootstrap import SPA

    rng = np.random.default_rng(0)
    models = rng.standard_normal((2500, 1000)) + 0.3 * rng.standard_normal((2500, 1))
    benchmark = rng.standard_normal(2500)

    def arch():
        test = SPA(benchmark, models, block_size=10, reps=1000, bootstrap="stationary", seed=1)
        test.compute()
        return test.pvalues

    theirs, a = cpu(arch, repeats=1)
    ours, b = cpu(
        lambda: superior_predictive_ability(
            benchmark, models, block_size=10, studentize=False, seed=1
        )
    )
    gap = max(abs(getattr(b, f"pvalue_{k}") - a[k]) for k in ("lower", "consistent", "upper"))
    return report(
        "SPA, 1000 models x 2500 x 1000 resamples, over arch (unstudentised)",
        ours, theirs, gap, 0.05, "(Monte Carlo on both sides)",
    )  # fmt: skip


def bench_mcs():
    from arch.bootstrap import MCS

    rng = np.random.default_rng(0)
    losses = rng.standard_normal((1000, 100)) ** 2 + rng.uniform(0, 0.3, 100)

    def arch():
        test = MCS(losses, size=0.1, reps=1000, block_size=10, method="R", seed=1)
        test.compute()
        return test.pvalues["Pvalue"].sort_index()

    theirs, a = cpu(arch, repeats=1)
    ours, b = cpu(lambda: model_confidence_set(losses, block_size=10, seed=1))
    gap = float((b.pvalues.sort_index() - a).abs().mean())  # two seeds of either differ as much
    good = report("model confidence set, 100 models x 1000, over arch", ours, theirs, gap, 0.03)
    big = rng.standard_normal((2500, 1000)) ** 2
    seconds, _ = cpu(lambda: model_confidence_set(big, block_size=10, seed=1), repeats=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    job = "model confidence set, 1000 models x 2500"
    print(f"{job}: {seconds:.1f} CPU s, process peak {peak:,.0f} MB")
    return good


def bench_splits():
    from skfolio.model_selection import CombinatorialPurgedCV

    X = np.zeros((5000, 1))
    theirs, a = cpu(lambda: list(CombinatorialPurgedCV(10, 4, 20, 10).split(X)))
    ours, b = cpu(lambda: list(CombinatorialPurgedSplit(10, 4, 20, 10).split(X)))
    gap = sum(not np.array_equal(p[0], q[0]) for p, q in zip(a, b, strict=True))
    return report("CPCV, 10 folds, 4 tested, 5000 rows, over skfolio", ours, theirs, gap, 0)


if __name__ == "__main__":
    done = [bench() for bench in (bench_pbo, bench_spa, bench_mcs, bench_splits)]
    sys.exit(0 if all(done) else 1)
