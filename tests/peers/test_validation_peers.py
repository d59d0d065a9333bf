"""Sharpe inference, tests of many models and performance figures, written a second time.

Nothing here imports more of the library than the function under test: integrals are taken with
scipy, resampling tests are arch's, and what has a closed form is written out again from the paper.
"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from quantlab import validation as v
from quantlab.backtest import CostModel, performance_summary, run_backtest

sharpes = st.floats(-0.3, 0.4)
lengths = st.integers(20, 5000)
shapes = st.tuples(st.floats(-2, 2), st.floats(0.1, 20)).map(lambda p: (p[0], 1 + p[0] ** 2 + p[1]))
correlations = st.floats(-0.5, 0.5)
counts = st.integers(2, 2000)


def variance(s, skewness, kurtosis, rho):
    "n times the variance of the estimated Sharpe ratio of an AR(1), its sums written out"
    b = sum(rho**k for k in range(1, 400))  # sum of the autocorrelations
    c = sum(rho ** (2 * k) for k in range(1, 400))  # and of their squares
    return 1 + 2 * b - (1 + b + c) * skewness * s + (1 + 2 * c) * (kurtosis - 1) / 4 * s**2


def maximum(n, power):
    "E[max^power] of n standard normals, from the density of the maximum"

    def density(x):
        return n * stats.norm.pdf(x) * np.exp((n - 1) * stats.norm.logcdf(x))

    return integrate.quad(lambda x: x**power * density(x), -12, 12, points=[0, 2, 4], limit=400)[0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sharpes, sharpes, lengths, shapes, correlations)
def test_probabilistic_sharpe_of_both_revisions(sharpe, benchmark, n, shape, rho):
    for revision, at, degrees in (("2014", sharpe, n - 1), ("2025", benchmark, n)):
        numerator = variance(at, *shape, rho)
        if numerator <= 1e-6:
            continue
        want = stats.norm.cdf((sharpe - benchmark) / math.sqrt(numerator / degrees))
        found = v.probabilistic_sharpe_ratio(
            sharpe,
            n_obs=n,
            benchmark=benchmark,
            skewness=shape[0],
            kurtosis=shape[1],
            autocorrelation=rho,
            revision=revision,
        )
        assert found == pytest.approx(want, abs=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(counts)
def test_the_expected_maximum(n):
    assert v.expected_max_sharpe(n, exact=True) == pytest.approx(maximum(n, 1), abs=1e-8)
    gamma = 0.577215664901532860606512
    want = (1 - gamma) * stats.norm.isf(1 / n) + gamma * stats.norm.isf(1 / n / math.e)
    assert v.expected_max_sharpe(n, sharpe_variance=0.25) == pytest.approx(want / 2, abs=1e-12)
    years = v.min_backtest_length(n, target_annual_sharpe=1.3)
    assert years == pytest.approx((want / 1.3) ** 2, rel=1e-12)
    if n >= 5:  # the closed form is an approximation for large n
        assert v.expected_max_sharpe(n) == pytest.approx(maximum(n, 1), rel=0.05)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sharpes, lengths, shapes, correlations, counts, st.floats(1e-5, 0.01))
def test_deflated_sharpe_of_both_revisions(sharpe, n, shape, rho, trials, spread):
    gamma = 0.577215664901532860606512
    best = (1 - gamma) * stats.norm.isf(1 / trials) + gamma * stats.norm.isf(1 / trials / math.e)
    best *= math.sqrt(spread)
    common = {"n_obs": n, "n_trials": trials, "sharpe_variance": spread, "skewness": shape[0]}
    common |= {"kurtosis": shape[1], "autocorrelation": rho}
    if variance(sharpe, *shape, rho) > 1e-6:
        z = (sharpe - best) / math.sqrt(variance(sharpe, *shape, rho) / (n - 1))
        found = v.deflated_sharpe_ratio(sharpe, **common)
        assert found == pytest.approx(stats.norm.cdf(z), abs=1e-11)
    if variance(best, *shape, rho) > 1e-6:
        z = (sharpe - best) / math.sqrt(variance(best, *shape, rho) / n)
        z /= math.sqrt(maximum(trials, 2) - maximum(trials, 1) ** 2)
        found = v.deflated_sharpe_ratio(sharpe, **common, revision="2025")
        # the normal quantile of a probability next to 1 keeps fewer digits
        assert found == pytest.approx(stats.norm.cdf(z), abs=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(0.02, 0.4), shapes, correlations, st.floats(0.6, 0.999))
def test_the_minimum_track_record_is_where_the_probability_is_reached(s, shape, rho, confidence):
    for revision, at, first in (("2014", s, 1), ("2025", 0.01, 0)):
        numerator = variance(at, *shape, rho)
        if numerator <= 1e-6:
            continue

        def reached(n, numerator=numerator, first=first):
            z = (s - 0.01) / math.sqrt(numerator / (n - first))
            return stats.norm.cdf(z) - confidence

        want = optimize.brentq(reached, first + 1e-9, 1e9, xtol=1e-6)
        found = v.min_track_record_length(
            s,
            benchmark=0.01,
            skewness=shape[0],
            kurtosis=shape[1],
            confidence=confidence,
            autocorrelation=rho,
            revision=revision,
        )
        assert found == pytest.approx(want, rel=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.floats(-0.9, 0.9))
def test_time_aggregation_from_the_covariance_matrix(q, rho):
    lags = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
    want = q / math.sqrt(
        (rho**lags).sum()
    )  # mean grows with q, variance with the sum of all entries
    assert v.time_aggregation_factor(q, autocorrelation=rho) == pytest.approx(want, rel=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(0.2, 3), st.integers(24, 600), st.integers(2, 300), st.integers(0, 10**6))
def test_haircuts_of_three_methods(annual, n, m, seed):
    others = np.random.default_rng(seed).uniform(size=m - 1) ** 3
    law, root = stats.t(n - 1), math.sqrt(n / 12)
    p = 2 * law.sf(annual * root)
    ordered = np.sort(np.append(others, p))
    place = int(np.searchsorted(ordered, p))
    ranks = np.arange(1, m + 1)
    harmonic = (1 / ranks).sum()
    want = {
        "bonferroni": min(1.0, m * p),
        "holm": min(1.0, ((m - ranks[: place + 1] + 1) * ordered[: place + 1]).max()),
        "by": min(1.0, (harmonic * m / ranks[place:] * ordered[place:]).min()),
        "bh": min(1.0, (m / ranks[place:] * ordered[place:]).min()),
    }
    for method, adjusted in want.items():
        found = v.haircut_sharpe(
            annual,
            n_obs=n,
            periods_per_year=12,
            n_tests=m,
            method=method,
            other_pvalues=None if method == "bonferroni" else list(others),
        )
        assert found.adjusted_pvalue == pytest.approx(adjusted, rel=1e-9)
        after = max(0.0, law.isf(adjusted / 2) / root)
        assert found.haircut_sharpe == pytest.approx(after, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("seed", "n", "m", "block"), [(0, 250, 8, 5), (1, 400, 25, 12), (2, 150, 3, 4)]
)
def test_step_m_and_spa_equal_arch_on_other_shapes(seed, n, m, block):
    from arch.bootstrap import SPA, StepM

    rng = np.random.default_rng(seed)
    benchmark = rng.standard_normal(n) + 1
    models = rng.standard_normal((n, m)) + 1 + 0.3 * benchmark[:, None]
    models[:, : m // 3] -= 0.9  # a third is clearly better
    theirs = SPA(benchmark, models, block_size=block, reps=3000, bootstrap="stationary", seed=seed)
    theirs.compute()
    options = {"block_size": block, "n_resamples": 3000, "studentize": False, "seed": 7}
    ours = v.superior_predictive_ability(benchmark, models, **options)
    for kind in ("lower", "consistent", "upper"):
        p = theirs.pvalues[kind]
        error = 4 * math.sqrt(2 * max(p * (1 - p), 1 / 3000) / 3000)
        assert abs(getattr(ours, f"pvalue_{kind}") - p) < error
    steps = StepM(
        benchmark, models, size=0.05, block_size=block, reps=3000, bootstrap="stationary", seed=seed
    )
    steps.compute()
    assert sorted(v.step_m(benchmark, models, **options).superior) == sorted(steps.superior_models)


def test_the_interval_of_the_effective_number_covers_the_truth():
    covered = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ideas = rng.standard_normal((600, 6))
        trials = pd.DataFrame(np.repeat(ideas, 4, axis=1) + 0.3 * rng.standard_normal((600, 24)))
        found = v.estimate_effective_trials(trials, method="cluster", n_resamples=40, seed=seed)
        assert found.lower <= found.n_effective <= found.upper
        covered += found.lower <= 6 <= found.upper
    assert covered >= 18


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(50, 3000), st.floats(0.3, 0.9), st.integers(1, 40))
def test_no_other_folds_come_closer(n, share, paths):
    size = max(1, min(n - 1, int(n * share)))
    chosen = v.optimal_folds(n, target_train_size=size, target_n_paths=paths, max_splits=300)

    def distance(folds, tested):
        train = n * (folds - tested) / folds
        return abs(train / size - 1) + abs(math.comb(folds - 1, tested - 1) / paths - 1)

    allowed = [
        distance(folds, tested)
        for folds in range(2, min(n, 64) + 1)
        for tested in range(1, folds)
        if math.comb(folds, tested) <= 300
    ]
    assert distance(chosen.n_folds, chosen.n_test_folds) == pytest.approx(min(allowed), abs=1e-9)
    assert chosen.n_splits == math.comb(chosen.n_folds, chosen.n_test_folds) <= 300


@pytest.mark.parametrize("seed", range(3))
def test_performance_written_again(seed):
    rng = np.random.default_rng(seed)
    r = pd.Series(
        rng.standard_t(4, 700) * 0.01 + 0.0005, index=pd.bdate_range("2012-01-02", periods=700)
    )
    got = performance_summary(r, periods_per_year=252)
    x = r.to_numpy()
    wealth = np.concatenate([[1.0], np.exp(np.log1p(x).cumsum())])
    peak, deepest = 1.0, 0.0
    for w in wealth:
        peak = max(peak, w)
        deepest = max(deepest, 1 - w / peak)
    assert got.total_return == pytest.approx(wealth[-1] - 1, rel=1e-12)
    assert got.annualized_return == pytest.approx(wealth[-1] ** (252 / 700) - 1, rel=1e-10)
    assert got.annualized_volatility == pytest.approx(np.std(x, ddof=1) * math.sqrt(252), rel=1e-12)
    assert got.sharpe_ratio == pytest.approx(np.mean(x) / np.std(x, ddof=1), rel=1e-12)
    assert got.annualized_sharpe_ratio == pytest.approx(
        got.sharpe_ratio * math.sqrt(252), rel=1e-12
    )
    assert got.max_drawdown == pytest.approx(deepest, rel=1e-12)
    assert got.skewness == pytest.approx(stats.skew(x), rel=1e-10)
    assert got.kurtosis == pytest.approx(stats.kurtosis(x, fisher=False), rel=1e-10)
    downside = math.sqrt(np.mean(np.minimum(x, 0) ** 2))
    assert got.sortino_ratio == pytest.approx(np.mean(x) / downside, rel=1e-10)


@pytest.mark.parametrize("lag", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_engines_agree_where_names_are_delisted(lag, seed):
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2015-01-05", periods=120)
    returns = pd.DataFrame(rng.normal(0, 0.02, (120, 6)), index=dates).rename(columns=str)
    returns.iloc[60, 1], returns.iloc[61:, 1] = -0.95, np.nan  # a crash, then nothing more
    returns.iloc[40:45, 3] = np.nan  # a halt
    returns.iloc[90:, 4] = np.nan
    weights = pd.DataFrame(rng.normal(0, 0.3, (120, 6)), index=dates).rename(columns=str)
    weights[rng.uniform(size=(120, 6)) < 0.4] = np.nan  # no decision that day
    options = {"decision_lag": lag, "costs": CostModel(3, 2), "periods_per_year": 252}
    a, b = (run_backtest(weights, returns, engine=e, **options) for e in ("kernel", "vectorbt"))
    for name in ("returns", "gross_returns", "turnover", "costs", "weights"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-9)
    assert a.n_missing_returns == b.n_missing_returns > 0
