"""The pair screen, half-lives and Johansen: published numbers, peers, properties and refusals."""

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.cointegration import engle_granger, half_life, johansen, screen_pairs
from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.simulate import cointegrated_pair, ornstein_uhlenbeck, random_walks

WALKS = random_walks(300, 4, rng=np.random.default_rng(0))


def planted(n=300, seed=1):
    rng = np.random.default_rng(seed)
    frame = random_walks(n, 5, rng=rng)
    y, x = cointegrated_pair(n, phi=0.8, rng=rng)
    return frame.assign(B0=0.7 * frame["A0"] + 2 + y - x)


@pytest.mark.parametrize("trend", ["n", "c", "ct", "ctt"])
@pytest.mark.parametrize(
    "options", [{}, {"lags": 0}, {"lags": 3}, {"method": "bic"}, {"max_lags": 4}]
)
def test_screen_equals_statsmodels(trend, options):
    from statsmodels.tsa.stattools import coint

    frame = planted().iloc[:, [0, 1, 5]]
    frame.iloc[:40, 1] = np.nan
    frame.iloc[100:103, 2] = np.nan
    autolag = None if "lags" in options else options.get("method", "aic")
    for row in screen_pairs(frame, trend=trend, **options).table.itertuples():
        pair = frame[[row.y, row.x]].dropna()
        limit = options.get("lags", options.get("max_lags"))
        statistic, pvalue, _ = coint(pair[row.y], pair[row.x], trend, maxlag=limit, autolag=autolag)
        assert row.statistic == pytest.approx(statistic, rel=1e-8)
        assert row.pvalue == pytest.approx(pvalue, rel=1e-8)
        one = engle_granger(pair[row.y], pair[row.x], trend=trend, **options)
        assert row.lags == one.lags and row.nobs == one.nobs == len(pair)
        assert row.hedge_ratio == pytest.approx(one.hedge_ratio.iloc[0], rel=1e-9)
        assert row.intercept == pytest.approx(one.intercept, rel=1e-8, abs=1e-10)
        assert row.half_life == pytest.approx(half_life(one.spread).half_life, rel=1e-7)


def test_screen_counts_and_corrects():
    from statsmodels.stats.multitest import multipletests

    frame = planted()
    for fdr in ("by", "bh"):
        screen = screen_pairs(frame, fdr=fdr)
        assert screen.n_tested == len(screen.table) == 6 * 5
        expected = multipletests(screen.table["pvalue"], method=f"fdr_{fdr}")[1]
        assert np.allclose(screen.table["qvalue"], expected, rtol=1e-12)
    found = screen.select(alpha=0.05, half_life=(1, 20), one_direction=True)
    assert {"A0", "B0"} == set(found.loc[0, ["y", "x"]])
    both = screen.table.query("y in ('A0', 'B0') and x in ('A0', 'B0')")
    assert found.loc[0, "statistic"] == both["statistic"].min()
    assert len(screen.select(half_life=(0, 0.1))) == 0
    assert screen.to_dict()["n_tested"] == 30


def test_screen_does_not_depend_on_threads_or_order():
    frame = random_walks(200, 40, rng=np.random.default_rng(2))
    one = screen_pairs(frame)
    assert one.table.equals(screen_pairs(frame, n_jobs=4).table)
    other = screen_pairs(frame[frame.columns[::-1]]).table
    merged = one.table.merge(other, on=["y", "x"])
    assert np.allclose(merged["statistic_x"], merged["statistic_y"], rtol=1e-9)
    assert merged["lags_x"].equals(merged["lags_y"])


def test_screen_uses_no_row_outside_its_window():
    frame = planted(400)
    window = frame.iloc[:300]
    later = frame.copy()
    later.iloc[300:] += 100.0
    assert screen_pairs(window).table.equals(screen_pairs(later.iloc[:300]).table)


def test_screen_flags_what_it_cannot_test():
    frame = WALKS.assign(
        twin=3 * WALKS["A0"] - 1,
        flat=1.0,
        smooth=WALKS["A1"].cumsum(),
        growing=1.05 ** np.arange(300) + WALKS["A2"],
        young=WALKS["A3"].where(np.arange(300) > 285),
        empty=np.nan,
    )
    screen = screen_pairs(frame)
    table = screen.table.set_index(["y", "x"])
    for pair, note in {
        ("A0", "twin"): "collinear",
        ("flat", "A0"): "y is constant",
        ("A0", "flat"): "x is constant",
        ("young", "A0"): "too few",
        ("A0", "empty"): "too few",
    }.items():
        row = table.loc[pair]
        assert note in row["note"]
        numbers = row[["statistic", "pvalue", "qvalue", "hedge_ratio", "intercept", "half_life"]]
        assert numbers.isna().all() and pd.isna(row["lags"])
    doubted = table.loc[[("smooth", "A0"), ("A0", "growing")]]
    assert "order two" in doubted["note"].iloc[0] and "explosive" in doubted["note"].iloc[1]
    assert doubted["pvalue"].notna().all()
    names = 4 + 2 + 1  # walks, the two doubted, and the twin, which pairs with all of them but A0
    assert screen.n_tested == names * (names - 1) - 2
    assert (table["note"] == "").sum() == 4 * 3 + 2 * 3


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-50, 50),
)
def test_screen_is_free_of_units(seed, scale, shift):
    frame = random_walks(120, 3, rng=np.random.default_rng(seed))
    one, other = screen_pairs(frame).table, screen_pairs(scale * frame + shift).table
    assert np.allclose(one["statistic"], other["statistic"], rtol=1e-6)


@pytest.mark.parametrize(
    "bad, sentence",
    [
        (WALKS.iloc[:10], "at least 20 rows"),
        (WALKS[["A0"]], "2 columns"),
        (WALKS * np.nan, "no value at all"),
        (WALKS.replace(WALKS.iloc[3, 1], np.inf), "infinite"),
        (WALKS.astype(object).replace(WALKS.iloc[3, 1], "x"), "numbers only"),
        (WALKS[::-1], "not in time order"),
        (pd.concat([WALKS[:50], WALKS[49:]]), "more than once"),
        (WALKS[["A0", "A0"]], "more than once"),
        (WALKS * 0 + 2.0, "no pair that can be tested"),
    ],
)
def test_screen_refuses(bad, sentence):
    with pytest.raises(QuantlabError, match=sentence):
        screen_pairs(bad)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"trend": "drift"}, "`trend` must be one of"),
        ({"method": "AIC"}, "`method` must be one of"),
        ({"fdr": "holm"}, "`fdr` must be one of"),
        ({"alpha": 2}, "`alpha` must be a finite number"),
        ({"lags": -1}, "`lags` must be a whole number"),
        ({"max_lags": 200}, "from 0 to 149"),
        ({"n_jobs": 0}, "`n_jobs` must be a whole number"),
    ],
)
def test_screen_refuses_options(options, sentence):
    with pytest.raises(SpecificationError, match=sentence):
        screen_pairs(WALKS, **options)


def test_half_life_equals_r(reference, reference_data):
    entry = reference("ou_mle_path")
    x = pd.read_csv(reference_data / "ou_path.csv")["x"]
    raw = half_life(x, bias_correction=False)
    assert close(raw.phi, entry["expected"]["ar1_slope"], entry["tol"])
    assert close(raw.half_life, entry["expected"]["half_life_exact_days"], entry["tol"])
    corrected = half_life(x)
    assert corrected.phi > raw.phi and corrected.lower < corrected.half_life < corrected.upper
    entry = reference("half_life_analytic")
    from quantlab.cointegration.mean_reversion import half_life_of

    for phi, exact in zip(entry["params"]["phi"], entry["expected"]["exact"]):
        assert close(half_life_of(phi), exact, entry["tol"])


def test_half_life_refuses():
    walk = WALKS["A0"]
    with pytest.raises(DataError, match="does not come back"):
        half_life(pd.Series(1.03 ** np.arange(200)) + np.random.default_rng(0).normal(size=200))
    for bad, sentence in (
        (walk[:8], "at least 20"),
        (walk * 0, "constant"),
        (walk * np.nan, "no value"),
        (walk[::-1], "time order"),
        (walk.astype(str), "numbers only"),
    ):
        with pytest.raises(QuantlabError, match=sentence):
            half_life(bad)
    noise = half_life(np.random.default_rng(3).normal(size=400))
    assert noise.half_life < 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), days=st.floats(2, 60), scale=st.floats(1e-3, 1e3))
def test_half_life_properties(seed, days, scale):
    path = ornstein_uhlenbeck(300, kappa=np.log(2) / days, rng=np.random.default_rng(seed))
    one, other = half_life(path), half_life(scale * path + 3)
    assert one.lower <= one.half_life <= one.upper
    assert one.phi >= one.phi_least_squares - 1e-9
    assert one.phi == pytest.approx(other.phi, rel=1e-6)


@pytest.fixture
def denmark(reference_data):
    return pd.read_csv(reference_data / "urca_denmark.csv")[["LRM", "LRY", "IBO", "IDE"]]


def matches(result, expected, tol):
    for name, key in (
        ("eigenvalues", "eigenvalues"),
        ("trace_statistic", "trace"),
        ("max_eigen_statistic", "max_eigen"),
    ):
        got = getattr(result, name)
        assert all(close(g, e, tol) for g, e in zip(got, expected[key], strict=True))


def test_johansen_danish_money_demand(reference, denmark):
    entry = reference("johansen_denmark_jj1990")
    result = johansen(denmark, lags=1, deterministic="restricted_constant", seasons=4)
    matches(result, entry["expected"], entry["tol"])
    entry = reference("johansen_denmark_plain_K2")
    matches(johansen(denmark), entry["expected"], entry["tol"])
    entry = reference("vecm_denmark_r1")
    expected, tol = entry["expected"], entry["tol"]
    fit = result.vecm(1)
    for vectors in (result.cointegrating_vectors, fit.cointegrating_vectors):
        beta = vectors.iloc[:, 0]
        assert all(close(g, e, tol) for g, e in zip(beta[:4], expected["beta"], strict=True))
        assert close(beta["const"], expected["const_coint"], tol)
    for loadings in (result.loadings, fit.loadings):
        got = loadings.iloc[:, 0]
        assert all(close(g, e, tol) for g, e in zip(got, expected["alpha"], strict=True))


def test_johansen_restrictions(denmark):
    result = johansen(denmark, lags=1, deterministic="restricted_constant", seasons=4)
    homogeneous = np.zeros((5, 4))
    homogeneous[0, 0], homogeneous[1, 0] = 1, -1
    homogeneous[[2, 3, 4], [1, 2, 3]] = 1
    test = result.test_cointegrating_vectors(homogeneous)
    assert round(test.statistic, 2) == 0.04  # Johansen & Juselius (1990), money and income
    assert test.degrees_of_freedom == 1
    for restriction in (np.eye(5), np.eye(4)[:, :1], np.ones((5, 2))):
        with pytest.raises(SpecificationError, match="must have 5 rows"):
            result.test_cointegrating_vectors(restriction)
    # weak exogeneity against the likelihood of the restricted model, maximised numerically
    from scipy.optimize import minimize

    from quantlab.cointegration.reduced_rank import regress_out

    short_run = result.short_run_design.to_numpy()
    r0, r1 = (regress_out(part.to_numpy(), short_run) for part in (result.changes, result.levels))
    keep = np.eye(4)[:, [0, 2, 3]]

    def negative_loglikelihood(theta):
        beta, psi = np.append(1.0, theta[:4]), theta[4:]
        residual = r0 - np.outer(r1 @ beta, keep @ psi)
        return result.nobs / 2 * np.linalg.slogdet(residual.T @ residual / result.nobs)[1]

    # both at once, by the same numerical maximum: money and income enter as their difference
    def joint(theta):
        beta, psi = np.array([theta[0], -theta[0], *theta[1:4]]), theta[4:]
        residual = r0 - np.outer(r1 @ beta, keep @ psi)
        return result.nobs / 2 * np.linalg.slogdet(residual.T @ residual / result.nobs)[1]

    start = np.append(result.cointegrating_vectors.iloc[1:, 0], keep.T @ result.loadings.iloc[:, 0])
    fit = minimize(negative_loglikelihood, start, method="BFGS", options={"gtol": 1e-7})
    free = np.linalg.slogdet(r0.T @ r0 / result.nobs)[1] + np.log1p(-result.eigenvalues[0])
    numeric = 2 * (fit.fun - result.nobs / 2 * free)
    assert result.test_loadings(keep).statistic == pytest.approx(numeric, abs=1e-4)
    start = np.append([1.0, *start[1:4]], start[4:])
    fit = minimize(joint, start, method="BFGS", options={"gtol": 1e-7})
    numeric = 2 * (fit.fun - result.nobs / 2 * free)
    both = result.test_vectors_and_loadings(homogeneous, keep)
    assert both.statistic == pytest.approx(numeric, abs=1e-4)
    assert both.degrees_of_freedom == 2
    assert both.statistic >= max(result.test_loadings(keep).statistic, test.statistic) - 1e-9


def test_johansen_refuses(denmark):
    walks = WALKS.iloc[:, :2]
    for bad, sentence in (
        (walks[:12], "at least 20 rows"),
        (walks[["A0"]], "2 columns"),
        (walks * np.nan, "no value"),
        (walks.where(walks > walks.iloc[5, 0]), "missing"),
        (walks.replace(walks.iloc[3, 1], np.inf), "infinite"),
        (walks[::-1], "time order"),
        (walks.assign(c=walks["A0"] + walks["A1"]), "collinear"),
        (walks.assign(c=1.0), "constant"),
    ):
        with pytest.raises(QuantlabError, match=sentence):
            johansen(bad)
    assert "order two" in johansen(walks.cumsum()).note
    assert "explosive" in johansen(walks.assign(c=1.05 ** np.arange(300) + walks["A0"])).note
    with pytest.raises(QuantlabError, match="on one index"):
        johansen(walks, exog=pd.DataFrame({"d": np.ones(10)}, index=walks.index[:10]))
    with pytest.raises(SpecificationError, match="`rank`"):
        johansen(walks).vecm(3)


def test_johansen_exogenous_dummy_takes_out_an_outlier():
    y, x = cointegrated_pair(300, phi=0.7, rng=np.random.default_rng(3))
    dummy = pd.DataFrame({"crash": (np.arange(300) == 150).astype(float)}, index=y.index)
    pair = pd.DataFrame({"y": y, "x": x})
    with_dummy = johansen(pair, exog=dummy)
    fit = with_dummy.vecm(1)
    assert "exog.crash" in fit.short_run.columns
    assert np.abs(fit.residuals.loc[y.index[150]]).max() < 1e-12
