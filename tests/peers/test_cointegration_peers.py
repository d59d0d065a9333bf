"""The same numbers as the peers, on data of many shapes and not only on the published ones."""

import warnings
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

from quantlab.cointegration import (
    adf,
    dfgls,
    engle_granger,
    hedge_ratios,
    johansen,
    kalman_hedge_ratio,
    kalman_hedge_ratios,
    kpss,
    ou_fit,
    phillips_perron,
    screen_johansen,
    screen_pairs,
    variance_ratio,
    zivot_andrews,
)
from quantlab.errors import DataError, SmallSampleWarning
from quantlab.simulate import cointegrated_pair, garch, random_walks

RNG = np.random.default_rng(42)


def _dated(values):
    return pd.Series(values, index=pd.bdate_range("2001-01-01", periods=len(values)))


def _bounce(n):
    e = RNG.standard_normal(n + 1)
    return (e[1:] - 0.5 * e[:-1]).cumsum()


def _stationary(n):
    x = RNG.standard_normal(n)
    for t in range(1, n):
        x[t] += 0.8 * x[t - 1]
    return x


SHAPES = {
    "short walk": _dated(RNG.standard_normal(47).cumsum()),
    "drifting prices": _dated(100 * np.exp((0.001 + 0.02 * RNG.standard_normal(311)).cumsum())),
    "stationary": _dated(5 + 1e-3 * _stationary(253)),
    "storms": _dated(garch(400, alpha=0.15, beta=0.83, rng=RNG)["returns"].cumsum().to_numpy()),
    "bounce": _dated(1e4 + _bounce(200)),
    "one jump": _dated(_stationary(180) + 8.0 * (np.arange(180) > 100)),
}
LAGS = [0, 1, 4, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lags", LAGS)
def test_adf_equals_statsmodels(shape, lags):
    from statsmodels.tsa.stattools import adfuller

    x = SHAPES[shape]
    few = len(x) < 50 and lags is None  # 7 lags at most, where Schwert's rule goes to 10
    for trend in ("n", "c", "ct", "ctt"):
        peer = adfuller(
            x.to_numpy(),
            maxlag=7 if few else lags,
            regression=trend,
            autolag=None if lags is not None else "AIC",
            result_object=True,
        )
        with pytest.warns(SmallSampleWarning, match="ends at 7") if few else nullcontext():
            ours = adf(x, trend=trend, lags=lags)
        assert ours.statistic == pytest.approx(peer.statistic, rel=1e-9)
        assert ours.pvalue == pytest.approx(peer.pvalue, rel=1e-9)
        assert ours.lags == peer.lags


def _regress(y, *columns):
    z = np.column_stack(columns)
    b = np.linalg.lstsq(z, y, rcond=None)[0]
    e = y - z @ b
    covariance = e @ e / (len(y) - z.shape[1]) * np.linalg.inv(z.T @ z)
    return b, e, np.sqrt(np.diag(covariance))


def _long_run(e, lags):
    """Bartlett long-run variance, divided by the number of rows"""
    total = e @ e
    for k in range(1, lags + 1):
        total += 2 * (1 - k / (lags + 1)) * (e[k:] @ e[:-k])
    return total / len(e)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lags", [1, 5])
def test_kpss_and_phillips_perron_equal_their_formulas(shape, lags):
    x = SHAPES[shape].to_numpy()
    time = np.arange(1.0, len(x) + 1)
    for trend, columns in {"c": [np.ones(len(x))], "ct": [np.ones(len(x)), time]}.items():
        e = _regress(x, *columns)[1]
        formula = (e.cumsum() ** 2).sum() / len(x) ** 2 / _long_run(e, lags)  # KPSS (1992), eq. 13
        assert kpss(x, trend=trend, lags=lags).statistic == pytest.approx(formula, rel=1e-8)
        n, shorter = len(x) - 1, [c[1:] for c in columns]
        b, e, errors = _regress(x[1:], x[:-1], *shorter)  # Phillips & Perron (1988), Z(t)
        own, whole = e @ e / n, _long_run(e, lags)
        spread = np.sqrt(e @ e / (n - 1 - len(columns)))
        tau = np.sqrt(own / whole) * (b[0] - 1) / errors[0]
        tau -= (whole - own) / (2 * np.sqrt(whole)) * n * errors[0] / spread
        assert phillips_perron(x, trend=trend, lags=lags).statistic == pytest.approx(tau, rel=1e-6)


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("n", [20, 83, 1000])
def test_kpss_chooses_its_bandwidth_as_arch_and_statsmodels(n, trend):
    from arch.unitroot import KPSS
    from statsmodels.tsa.stattools import kpss as by_statsmodels

    steps = np.random.default_rng(n).normal(size=n)
    for x in (steps, steps + 0.9 * np.roll(steps, 1), 3e5 + 1e-3 * steps.cumsum()):
        got = kpss(x, trend=trend)
        with pytest.warns(DeprecationWarning):  # its rule has changed
            peer = KPSS(x, trend=trend)
            assert (got.lags, got.statistic) == (peer.lags, pytest.approx(peer.stat, rel=1e-6))
        with warnings.catch_warnings(action="ignore"):  # the p-value leaves its table
            assert got.lags == by_statsmodels(x, regression=trend, nlags="auto")[2]
        assert got.pvalue == kpss(x, trend=trend, lags=got.lags).pvalue


def test_kpss_without_a_bandwidth_asks_for_one():
    x = np.tile([1.0, -1.0], 10)
    with pytest.raises(DataError, match="give `lags`"):
        kpss(x)
    assert np.isfinite(kpss(x, lags=2).statistic)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lags", [0, 3])
def test_dfgls_equals_its_formula(shape, lags):
    """Elliott, Rothenberg & Stock (1996): quasi-differences, then a regression without terms."""
    x = SHAPES[shape].to_numpy()
    for trend, c in {"c": -7.0, "ct": -13.5}.items():
        z = np.arange(1.0, len(x) + 1)[:, None] ** np.arange(1 if trend == "c" else 2)
        alpha = 1 + c / len(x)
        quasi = lambda v: np.concatenate([v[:1], v[1:] - alpha * v[:-1]])  # noqa: B023
        u = x - z @ np.linalg.lstsq(quasi(z), quasi(x), rcond=None)[0]
        d = np.diff(u)
        columns = [u[lags:-1], *(d[lags - k : -k] for k in range(1, lags + 1))]
        b, _, errors = _regress(d[lags:], *columns)
        assert dfgls(x, trend=trend, lags=lags).statistic == pytest.approx(
            b[0] / errors[0], rel=1e-7
        )


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "short walk"])
def test_zivot_andrews_and_variance_ratio_equal_their_peers(shape):
    from arch.unitroot import VarianceRatio
    from statsmodels.tsa.stattools import zivot_andrews as peer

    x = SHAPES[shape]
    for trend in ("c", "t", "ct"):
        theirs = peer(x.to_numpy(), maxlag=2, regression=trend, autolag=None)
        ours = zivot_andrews(x, trend=trend, lags=2)
        assert ours.statistic == pytest.approx(theirs[0], rel=1e-6)
        assert ours.pvalue == pytest.approx(theirs[1], abs=2e-3)
    for q in (2, 7):
        change = np.diff(x)
        square = (change - change.mean()) ** 2
        n, across = len(change), x.to_numpy()[q:] - x.to_numpy()[:-q] - q * change.mean()
        variance = (across**2).sum() / (q * (n - q + 1) * (1 - q / n))
        theta = sum(
            (2 * (q - j) / q) ** 2 * (square[j:] @ square[:-j]) / square.sum() ** 2
            for j in range(1, q)
        )
        ratio = variance / (square.sum() / (n - 1))
        ours = variance_ratio(x, lags=q)
        assert ours.statistic == pytest.approx((ratio - 1) / np.sqrt(theta), rel=1e-9)
        assert ours.statistic == pytest.approx(VarianceRatio(x, lags=q).stat, rel=1e-12)


def _pairs():
    for n, k, phi, seed in ((60, 1, 0.5, 0), (127, 1, 0.99, 1), (252, 2, 0.9, 2), (333, 3, 0.8, 3)):
        rng = np.random.default_rng(seed)
        y, x = cointegrated_pair(n, hedge_ratio=0.6, intercept=3.0, phi=phi, rng=rng)
        others = random_walks(n, 3, rng=rng) + 2
        others.index = y.index
        yield y, pd.concat([x.rename("x"), others], axis=1).iloc[:, :k]
    y, x = SHAPES["storms"], SHAPES["drifting prices"].iloc[:300]
    yield y.iloc[:300], x.to_frame("x").set_axis(y.index[:300])


@pytest.mark.parametrize("trend", ["c", "ct", "ctt", "n"])
def test_engle_granger_equals_statsmodels(trend):
    from statsmodels.tsa.stattools import coint

    for y, x in _pairs():
        for options in ({"lags": 0}, {"lags": 2}, {}, {"max_lags": 3}, {"method": "bic"}):
            autolag = None if "lags" in options else options.get("method", "aic")
            limit = options.get("lags", options.get("max_lags"))
            if len(y) == 60 and not options.keys() - {"method"}:
                limit = 10  # (60 - 9) / 5, one less than Schwert's rule
            statistic, pvalue, critical = coint(y, x, trend, maxlag=limit, autolag=autolag)
            ours = engle_granger(y, x, trend=trend, **options)
            assert ours.statistic == pytest.approx(statistic, rel=1e-8)
            assert ours.pvalue == pytest.approx(pvalue, rel=1e-7, abs=1e-14)
            if trend != "n":
                n, k = len(y) - 1, x.shape[1]
                if trend == "c":  # two misprints: -33.527 for -22.527, and -8.5632 for -8.5631
                    critical = critical + {1: [11 / n**2, 0, 0], 2: [0, 1e-4 / n, 0]}.get(
                        k, [0, 0, 0]
                    )
                assert np.allclose(ours.critical_values, critical, rtol=1e-12)


@pytest.mark.parametrize("deterministic", ["none", "constant", "trend"])
@pytest.mark.parametrize("lags", [0, 1, 3])
def test_johansen_equals_statsmodels(deterministic, lags):
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    order = {"none": -1, "constant": 0, "trend": 1}[deterministic]
    for n, k, seed in ((80, 2, 0), (150, 3, 1), (300, 5, 2), (333, 4, 3), (1000, 2, 4)):
        data = random_walks(n, k, rng=np.random.default_rng(seed)) + 3
        data["B"] = data["A0"] - 0.5 * data["A1"] + np.random.default_rng(seed).normal(0, 0.01, n)
        ours = johansen(data, lags=lags, deterministic=deterministic)
        if deterministic == "constant" and lags:  # statsmodels centres its data, which only here
            # changes nothing; without lags it takes the level of the day itself for the day before
            peer = coint_johansen(data, order, lags)
            assert np.allclose(ours.trace_statistic, peer.trace_stat, rtol=1e-7)
            assert np.allclose(ours.max_eigen_statistic, peer.max_eig_stat, rtol=1e-7)
        values = _eigenvalues(data.to_numpy(), lags, deterministic)
        assert np.allclose(ours.eigenvalues, values, rtol=1e-6, atol=1e-12)


def _eigenvalues(x, lags, deterministic):
    """Johansen (1995), eq. 6.13, by the moment matrices themselves."""
    from scipy.linalg import eigh

    change = np.diff(x, axis=0)
    rows = len(change) - lags
    short = [change[lags - k : len(change) - k] for k in range(1, lags + 1)]
    short += [] if deterministic == "none" else [np.ones((rows, 1))]
    short += [np.arange(rows)[:, None]] if deterministic == "trend" else []
    z = np.hstack(short) if short else np.zeros((rows, 1))
    r0, r1 = (v - z @ np.linalg.lstsq(z, v, rcond=None)[0] for v in (change[lags:], x[lags:-1]))
    s01 = r0.T @ r1
    return eigh(s01.T @ np.linalg.solve(r0.T @ r0, s01), r1.T @ r1, eigvals_only=True)[::-1]


@pytest.mark.parametrize("seasons", [0, 4, 12])
def test_johansen_with_dummies_equals_the_vecm_of_statsmodels(seasons):
    from statsmodels.tsa.vector_ar.vecm import VECM

    forms = {"none": "n", "restricted_constant": "ci", "constant": "co", "restricted_trend": "li"}
    for n, lags, seed in ((140, 1, 0), (200, 2, 1), (260, 0, 2)):
        rng = np.random.default_rng(seed)
        y, x = cointegrated_pair(n, hedge_ratio=1.2, intercept=1.0, phi=0.7, rng=rng)
        data = pd.DataFrame({"y": y, "x": x, "w": random_walks(n, 1, rng=rng)["A0"].to_numpy()})
        steps = np.column_stack([np.arange(n) == 30, rng.standard_normal(n)]).astype(float)
        exog = pd.DataFrame(steps, index=data.index, columns=["crash", "news"])
        for ours, theirs in forms.items():
            peer = VECM(
                data,
                exog=steps,
                k_ar_diff=lags,
                coint_rank=1,
                seasons=seasons,
                deterministic=theirs.replace("li", "coli"),
            ).fit()
            fit = johansen(data, lags=lags, deterministic=ours, seasons=seasons, exog=exog).vecm(1)
            assert fit.loglikelihood == pytest.approx(peer.llf, rel=1e-9)
            assert np.allclose(fit.cointegrating_vectors.iloc[:3], peer.beta, rtol=1e-6)
            assert np.allclose(fit.loadings, peer.alpha, rtol=1e-5, atol=1e-9)


def test_screens_equal_their_peers_on_ragged_histories():
    from statsmodels.tsa.stattools import coint
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    rng = np.random.default_rng(9)
    frame = random_walks(260, 6, rng=rng) + 4
    frame.iloc[:90, 0] = frame.iloc[200:, 1] = np.nan
    frame = frame.mask(rng.random(frame.shape) < 0.02)
    for row in screen_pairs(frame, trend="ct", lags=2).table.itertuples():
        both = frame[[row.y, row.x]].dropna()
        peer = coint(both[row.y], both[row.x], "ct", maxlag=2, autolag=None)
        assert (row.statistic, row.pvalue) == pytest.approx(peer[:2], rel=1e-8)
        assert row.nobs == len(both)
    for row in screen_johansen(frame, lags=2).table.itertuples():
        peer = coint_johansen(frame[[row.y, row.x]].dropna(), 0, 2)
        assert row.trace_statistic == pytest.approx(peer.trace_stat[0], rel=1e-8)
        assert row.second_trace_statistic == pytest.approx(peer.trace_stat[1], rel=1e-6)


def _drifting():
    for n, level, seed in (
        (40, 0.0, 0),
        (250, 100.0, 1),
        (77, -3.0, 2),
        (300, 4.0, 3),
        (120, 1e3, 4),
    ):
        rng = np.random.default_rng(seed)
        x = _dated(level + rng.standard_normal(n).cumsum())
        y = 0.5 + (1 + 0.01 * rng.standard_normal(n).cumsum()) * x + rng.normal(0, 0.1, n)
        a = rng.normal(size=(2, 2))
        yield y, x, 1e-4 * a @ a.T


def test_kalman_equals_statsmodels_on_many_shapes():
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    prior = np.array([[2.0, 0.3], [0.3, 0.5]])
    for y, x, q in _drifting():
        model = MLEModel(y.to_numpy(), k_states=2)
        model.ssm["design"] = np.column_stack([np.ones(len(x)), x]).T[None]
        model.ssm["transition"] = model.ssm["selection"] = np.eye(2)
        model.ssm["obs_cov"], model.ssm["state_cov"] = np.array([[0.02]]), q
        model.ssm.initialize_known(np.array([0.4, 0.9]), prior + q)
        peer = model.ssm.filter().filtered_state.T
        options = {"initial_state": [0.4, 0.9], "initial_covariance": prior}
        given = {"observation_variance": 0.02, "state_variance": q, **options}
        ours = kalman_hedge_ratio(y, x, **given).to_numpy()
        scale = np.array([max(np.abs(x).max(), 1.0), 1.0])
        assert np.allclose(ours / scale, peer / scale, rtol=1e-6, atol=1e-7)
        many = kalman_hedge_ratios(
            pd.concat([y, 2 * y], axis=1), pd.concat([x, x], axis=1), **given
        )
        assert np.allclose(many[0].to_numpy() / scale, ours / scale, rtol=1e-7, atol=1e-9)


def test_kalman_with_a_diffuse_start_is_generalised_least_squares():
    """What is known of today's state given all rows so far, from one regression."""
    for y, x, q in _drifting():
        ours = kalman_hedge_ratio(y, x, observation_variance=0.02, state_variance=q).to_numpy()
        assert np.isnan(ours[0]).all()
        for t in (1, 2, 10, len(x) - 1):
            origin = x.iloc[t]  # measured from today's price, to keep the digits
            h = np.column_stack([np.ones(t + 1), x.iloc[: t + 1] - origin])
            turn = np.array([[1.0, origin], [0.0, 1.0]])
            row = np.arange(t + 1)
            steps = t - np.maximum(row[:, None], row)
            v = 0.02 * np.eye(t + 1) + steps * (h @ turn @ q @ turn.T @ h.T)
            weights = np.linalg.solve(v, h)
            state = np.linalg.solve(h.T @ weights, weights.T @ y.iloc[: t + 1])
            assert state[1] == pytest.approx(ours[t, 1], rel=1e-6, abs=1e-8)
            fitted = ours[t, 0] + ours[t, 1] * origin
            assert state[0] == pytest.approx(fitted, rel=1e-8, abs=1e-8)


def test_hedge_ratios_do_not_depend_on_units():
    for seed in range(5):
        y, x = cointegrated_pair(260, hedge_ratio=0.8, phi=0.8, rng=np.random.default_rng(seed))
        one, other = hedge_ratios(y, x), hedge_ratios(100 * y + 3, 100 * x - 7)
        assert np.allclose(one["hedge_ratio"], other["hedge_ratio"], rtol=1e-6)


@pytest.mark.parametrize("phi, n", [(0.5, 60), (0.9, 126), (0.97, 252), (0.99, 756)])
def test_half_life_interval_covers_the_truth(phi, n):
    """Also where the shocks have fat tails and the sample is short."""
    from scipy.signal import lfilter

    from quantlab.cointegration.mean_reversion import (
        BIAS,
        LOWER,
        MEDIAN,
        UPPER,
        fit_ar1,
        invert_bias,
    )

    rng, samples, inside, middle = np.random.default_rng(n), 2000, 0, []
    for _ in range(samples):
        path = lfilter([1], [1, -phi], rng.standard_t(5, n + 400))[400:]
        raw, error = fit_ar1(path)
        low, centre, high = (
            invert_bias(raw, error, n - 1, k, BIAS) for k in (UPPER, MEDIAN, LOWER)
        )
        inside += low <= phi <= high
        middle.append(centre)
    assert abs(inside / samples - 0.95) < 0.012
    assert abs(np.mean(np.array(middle) < phi) - 0.5) < 0.035  # right in the median


def test_ou_fit_is_the_regression_of_statsmodels():
    from statsmodels.api import OLS, add_constant

    for seed, dt in ((0, 1.0), (1, 1 / 252), (2, 0.1), (3, 5.0), (4, 1 / 52)):
        x = SHAPES["stationary"].to_numpy() + np.random.default_rng(seed).normal(0, 1e-4, 253)
        peer = OLS(x[1:], add_constant(x[:-1])).fit()
        constant, phi = peer.params
        fit = ou_fit(x, dt=dt)
        assert fit.kappa == pytest.approx(-np.log(phi) / dt, rel=1e-8)
        assert fit.mu == pytest.approx(constant / (1 - phi), rel=1e-8)
        assert fit.loglikelihood == pytest.approx(peer.llf, rel=1e-9)
