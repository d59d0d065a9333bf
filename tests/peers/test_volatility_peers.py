"""Volatility beside arch, statsmodels and scipy, on other inputs than the published ones."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from arch.univariate import (
    APARCH,
    ARX,
    EGARCH,
    FIGARCH,
    GARCH,
    HARX,
    ConstantMean,
    EWMAVariance,
    GeneralizedError,
    Normal,
    SkewStudent,
    StudentsT,
    ZeroMean,
)

from quantlab import simulate
from quantlab.volatility import (
    fit_garch,
    fit_gpd_tail,
    garman_klass,
    har,
    parkinson,
    rogers_satchell,
    rolling_garch,
    yang_zhang,
)

DISTS = {"normal": Normal, "t": StudentsT, "skewt": SkewStudent, "ged": GeneralizedError}
VOLS = {  # name: (ours, arch's process)
    "garch": ({}, lambda: GARCH(1, 0, 1)),
    "gjr": ({"vol": "gjr"}, lambda: GARCH(1, 1, 1)),
    "egarch": ({"vol": "egarch", "o": 1}, lambda: EGARCH(1, 1, 1)),
    "aparch": ({"vol": "aparch", "o": 1}, lambda: APARCH(1, 1, 1)),
    "figarch": ({"vol": "figarch"}, lambda: FIGARCH(1, 1)),
    "ewma": ({"vol": "ewma", "decay": None}, lambda: EWMAVariance(None)),
}
MEANS = {
    "zero": lambda y: ZeroMean(y),
    "constant": lambda y: ConstantMean(y),
    "ar": lambda y: ARX(y, lags=[1]),
    "har": lambda y: HARX(y, lags=[1, 5, 22]),
}


def _skewed(n, seed):
    "Heavy-tailed, skewed returns with leverage, in per cent a day"
    rng, out, h = np.random.default_rng(seed), np.empty(n), 1.0
    for t in range(n):
        z = (rng.standard_gamma(4.0) - 4.0) / -2.0
        out[t] = 0.03 + np.sqrt(h) * z
        h = 0.02 + (0.04 + 0.08 * (z < 0)) * h * z * z + 0.88 * h
    return out


DAYS = pd.bdate_range("2011-01-03", periods=1000)
SERIES = {
    "t shocks": simulate.garch(
        1000, alpha=0.08, beta=0.9, nu=6, rng=np.random.default_rng(21)
    ).returns.set_axis(DAYS),
    "leverage": pd.Series(_skewed(1000, 22), index=DAYS) / 100,
}


def arch_fit(y, vol, dist, mean="constant"):
    "arch's maximum on returns of variance 1, its log-likelihood in our units, and the factor"
    scale = 1 / y.std()
    model = MEANS[mean](y * scale)
    model.volatility, model.distribution = VOLS[vol][1](), DISTS[dist](seed=1)
    fit = model.fit(disp="off", show_warning=False)
    nobs = int(np.isfinite(fit.resid).sum())
    return fit, fit.loglikelihood + nobs * np.log(scale), scale


CASES = [
    *[("t shocks", v, d, "constant") for v, d in product(VOLS, ("normal", "t"))],
    *[("leverage", v, d, "constant") for v, d in product(VOLS, ("normal", "skewt"))],
    *[("leverage", v, "ged", "constant") for v in ("garch", "gjr", "egarch")],
    *[("t shocks", "garch", "t", m) for m in ("zero", "ar", "har")],
    *[("leverage", "gjr", "normal", m) for m in ("zero", "ar", "har")],
]


@pytest.mark.parametrize(("series", "vol", "dist", "mean"), CASES)
def test_the_likelihood_is_never_below_arch(series, vol, dist, mean):
    y = SERIES[series]
    ours = fit_garch(y, mean=mean, dist=dist, **VOLS[vol][0])
    _, peer, _ = arch_fit(y, vol, dist, mean)
    assert ours.loglikelihood >= peer - 1e-6 * ours.nobs
    assert ours.loglikelihood <= peer + 0.02 * ours.nobs  # a higher hill, but the same likelihood
    again = fit_garch(y, mean=mean, dist=dist, fixed=ours.params, **VOLS[vol][0])
    assert again.loglikelihood == pytest.approx(ours.loglikelihood, abs=1e-7)


def in_returns(params, scale, vol):
    "arch's parameters of scaled returns by our labels, in the units of the returns"
    rename = {"alpha[1]": "alpha", "beta[1]": "beta", "gamma[1]": "gamma", "eta": "nu"}
    out = params.rename(rename).to_dict()
    out["mu"] /= scale
    if vol == "egarch":
        out["omega"] -= 2 * np.log(scale) * (1 - out["beta"])
    else:
        out["omega"] *= scale ** -out.get("delta", 2.0)
    return out


@pytest.mark.parametrize("vol", ["garch", "gjr", "egarch", "aparch", "figarch"])
@pytest.mark.parametrize("series", SERIES)
def test_at_the_parameters_of_arch_likelihood_paths_and_forecasts_are_those_of_arch(series, vol):
    y = SERIES[series]
    peer, value, scale = arch_fit(y, vol, "t")
    ours = fit_garch(y, dist="t", fixed=in_returns(peer.params, scale, vol), **VOLS[vol][0])
    assert ours.loglikelihood == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(
        ours.conditional_volatility * scale, peer.conditional_volatility, rtol=1e-8
    )
    np.testing.assert_allclose(ours.std_resid, peer.std_resid, rtol=1e-7, atol=1e-9)
    steps = 1 if vol in ("egarch", "aparch") else 20  # beyond one day these two are simulated
    theirs = peer.forecast(horizon=steps, reindex=False).variance.iloc[-1]
    np.testing.assert_allclose(ours.forecast(steps) * scale**2, theirs, rtol=1e-8)
    if steps == 1:
        drawn = peer.forecast(horizon=10, method="simulation", simulations=4000, reindex=False)
        mine = ours.forecast(10, n_simulations=4000, seed=1) * scale**2
        np.testing.assert_allclose(mine, drawn.variance.iloc[-1], rtol=0.15)


@pytest.mark.parametrize("dist", ["normal", "t"])
@pytest.mark.parametrize("series", SERIES)
def test_standard_errors_are_those_of_arch(series, dist):
    y = SERIES[series]
    peer, _, scale = arch_fit(y, "garch", dist)
    ours = fit_garch(y, dist=dist)
    model = peer.model
    classic = model.fit(disp="off", show_warning=False, cov_type="classic")
    units = np.ones(len(ours.params))
    units[:2] = 1 / scale, scale**-2
    np.testing.assert_allclose(ours.std_errors("robust"), peer.std_err * units, rtol=0.03)
    np.testing.assert_allclose(ours.std_errors("hessian"), classic.std_err * units, rtol=0.03)
    scores = np.empty((ours.nobs, len(ours.params)))
    for i, name in enumerate(ours.params.index):  # the scores by differences of the log-density
        step = 1e-4 * max(abs(ours.params[name]), 1e-3 * y.std() ** (2 if name == "omega" else 1))
        ends = [
            log_density(
                y,
                fit_garch(y, dist=dist, fixed=ours.params + k * step * (ours.params.index == name)),
            )
            for k in (1, -1)
        ]
        scores[:, i] = (ends[0] - ends[1]) / (2 * step)
    opg = np.sqrt(np.diag(np.linalg.inv(scores.T @ scores)))
    np.testing.assert_allclose(ours.std_errors("opg"), opg, rtol=1e-3)


def log_density(y, fit):
    "Log-density of each day, from scipy"
    from scipy.stats import norm, t

    sigma, z = fit.conditional_volatility, fit.std_resid
    if fit.dist == "normal":
        return (norm.logpdf(z) - np.log(sigma)).to_numpy()
    nu = fit.params["nu"]
    unit = np.sqrt(nu / (nu - 2))
    return (t.logpdf(z * unit, nu) + np.log(unit / sigma)).to_numpy()


def test_labels_of_several_lags():
    fit = fit_garch(SERIES["leverage"], p=2, o=1, q=2)
    assert list(fit.params.index) == [
        "mu",
        "omega",
        "alpha",
        "alpha[2]",
        "gamma",
        "beta",
        "beta[2]",
    ]
    ar = fit_garch(SERIES["leverage"], mean="ar", lags=2, dist="skewt")
    assert list(ar.params.index)[:3] == ["const", "ar", "ar[2]"]
    assert fit.persistence == pytest.approx(
        fit.params[["alpha", "alpha[2]", "beta", "beta[2]"]].sum() + fit.params["gamma"] / 2
    )


@pytest.mark.parametrize("vol", ["garch", "gjr", "egarch", "aparch", "figarch"])
def test_ten_times_the_returns_are_ten_times_the_volatility(vol):
    y = SERIES["leverage"]
    one, ten = (fit_garch(k * y, dist="t", **VOLS[vol][0]) for k in (1, 10))
    assert ten.persistence == pytest.approx(one.persistence, rel=1e-5, nan_ok=True)
    np.testing.assert_allclose(ten.forecast(5), 100 * one.forecast(5), rtol=1e-5)
    np.testing.assert_allclose(
        ten.conditional_volatility, 10 * one.conditional_volatility, rtol=1e-5
    )
    expected = one.loglikelihood - one.nobs * np.log(10)
    assert ten.loglikelihood == pytest.approx(expected, abs=1e-5)


def test_rolling_forecasts_are_those_of_arch_refitted_on_each_window():
    y = SERIES["t shocks"]
    rolled = rolling_garch(y.to_frame("y"), window=600, refit_every=150)
    for start in (600, 750, 900):
        peer, _, scale = arch_fit(y.iloc[start - 600 : start], "garch", "normal")
        theirs = peer.forecast(horizon=1, reindex=False).variance.iloc[-1, 0] / scale**2
        assert rolled.forecast["y"].iloc[start] == pytest.approx(theirs, rel=5e-3)


@pytest.mark.parametrize("lags", [(1, 5, 22), (1, 3), 5])
def test_har_is_least_squares_on_means_with_newey_west_errors(lags):
    rv = (SERIES["leverage"] ** 2).ewm(span=5).mean()
    fit, steps = har(rv, lags=lags), np.atleast_1d(lags)
    x = pd.concat([rv.rolling(k).mean().shift() for k in steps], axis=1).iloc[max(steps) :]
    peer = sm.OLS(rv.iloc[max(steps) :], sm.add_constant(x)).fit()
    robust = peer.get_robustcov_results("HAC", maxlags=int(max(steps)))
    np.testing.assert_allclose(fit.params, peer.params, rtol=1e-7)
    np.testing.assert_allclose(fit.std_errors("ols"), peer.bse, rtol=1e-7)
    np.testing.assert_allclose(fit.std_errors("hac"), robust.bse, rtol=1e-7)
    last = np.r_[1.0, [rv.iloc[-k:].mean() for k in steps]]
    assert fit.forecast(1).iloc[0] == pytest.approx(last @ peer.params.to_numpy(), rel=1e-7)


@pytest.mark.parametrize("quantile", [0.8, 0.9])
@pytest.mark.parametrize("series", SERIES)
def test_the_tail_is_that_of_scipy(series, quantile):
    from scipy.stats import genpareto

    losses = -SERIES[series]
    fit = fit_gpd_tail(losses, threshold_quantile=quantile)
    beyond = losses[losses > losses.quantile(quantile)] - losses.quantile(quantile)
    shape, _, scale = genpareto.fit(100 * beyond, floc=0)
    peer = genpareto.logpdf(100 * beyond, shape, scale=scale).sum() + len(beyond) * np.log(100)
    assert fit.loglikelihood >= peer - 1e-6
    assert fit.shape == pytest.approx(shape, abs=0.01)
    assert fit.scale == pytest.approx(scale / 100, rel=0.01)
    inside = 1 - (1 - 0.99) / (len(beyond) / len(losses))
    var = fit.threshold + genpareto.ppf(inside, fit.shape, scale=fit.scale)
    assert fit.var(0.99) == pytest.approx(var, rel=1e-9)
    tail = genpareto(fit.shape, loc=fit.threshold, scale=fit.scale)
    assert fit.es(0.99) == pytest.approx(tail.expect(lb=var, conditional=True), rel=1e-4)


def test_range_estimators_are_their_formulas_day_by_day():
    rng, n = np.random.default_rng(8), 22
    close = 50 * np.exp(rng.normal(0, 0.02, n).cumsum())
    open_ = close * np.exp(rng.normal(0, 0.01, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.01, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.01, n)))
    o, h, lo, c = (np.log(x) for x in (open_, high, low, close))
    night = o[1:] - c[:-1]  # window of 21 days: the night before the first is known
    o, h, lo, c, window = o[1:], h[1:], lo[1:], c[1:], n - 1
    satchell = np.mean((h - c) * (h - o) + (lo - c) * (lo - o))
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    wanted = {
        parkinson: np.mean((h - lo) ** 2) / (4 * np.log(2)),
        garman_klass: np.mean(0.5 * (h - lo) ** 2 - (2 * np.log(2) - 1) * (c - o) ** 2),
        rogers_satchell: satchell,
        yang_zhang: night.var(ddof=1) + k * (c - o).var(ddof=1) + (1 - k) * satchell,
    }
    for estimator, variance in wanted.items():
        got = estimator(open_, high, low, close, window=window)
        assert got.iloc[-1] == pytest.approx(np.sqrt(variance), rel=1e-9), estimator.__name__
        assert got.iloc[:-2].isna().all()
