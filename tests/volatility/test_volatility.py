"""Volatility: published numbers, arch as second implementation, no leak, bad input."""

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab import simulate
from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.volatility import (
    backtest_es,
    backtest_var,
    christoffersen_from_counts,
    fit_garch,
    fit_garch_panel,
    kupiec_region,
    rolling_garch,
)


@pytest.fixture(scope="module")
def returns():
    rng = np.random.default_rng(3)
    return simulate.garch(1500, alpha=0.08, beta=0.9, mu=3e-4, nu=7, rng=rng).returns


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(4)
    columns = {
        f"A{i}": simulate.garch(900, alpha=0.1, beta=0.85, rng=rng).returns for i in range(6)
    }
    frame = pd.DataFrame(columns)
    frame.loc[frame.index[:600], "A4"] = np.nan  # listed late
    frame.iloc[rng.integers(0, 900, 20), 0] = np.nan  # quarantined days
    frame["A5"] = 0.0
    return frame


@pytest.fixture
def exchange(reference_data):
    return pd.read_csv(reference_data / "dem2gbp.csv")["rate"]


# --- published numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_dm_gbp_benchmark(exchange, reference, unit):
    fit = fit_garch(exchange * unit, presample="mean_square")
    powers = {"mu": 1, "omega": 2, "alpha": 0, "beta": 0}
    for id_, got in [
        ("garch_fcp_params", fit.params),
        ("garch_arch_backcast", fit.params),
        ("garch_fcp_se_hessian", fit.std_errors("hessian")),
    ]:
        entry = reference(id_)
        for name, expected in entry["expected"].items():
            assert close(got[name] / unit ** powers[name], expected, entry["tol"]), (id_, name)
    entry = reference("garch_fcp_loglik")
    loglikelihood = fit.loglikelihood + len(exchange) * np.log(unit)
    assert close(loglikelihood, entry["expected"]["loglik"], entry["tol"])
    assert fit.certificate.passed


@pytest.mark.parametrize("id_", ["garch_fixed_params_normal", "gjr_fixed_params_normal"])
def test_fixed_parameters(exchange, reference, id_):
    entry = reference(id_)
    names = ("mu", "omega", "alpha", "gamma", "beta")
    fixed = {name: entry["params"][name] for name in names if name in entry["params"]}
    fit = fit_garch(exchange, o=int("gamma" in fixed), presample="mean_square", fixed=fixed)
    h, expected = fit.conditional_volatility.to_numpy() ** 2, entry["expected"]
    assert close(fit.loglikelihood, expected["loglik"], entry["tol"])
    for name, at in {"h1": 0, "h2": 1, "h100": 99, "h_last": -1}.items():
        if name in expected:
            assert close(h[at], expected[name], entry["tol"]), name
    if "h_next" in expected:
        assert close(fit.forecast(1).iloc[0], expected["h_next"], entry["tol"])


def test_egarch_benchmark(exchange, reference):
    entry = reference("egarch_dem2gbp")
    fit = fit_garch(exchange, vol="egarch", o=1, presample="mean_square")
    ours = {"size": "alpha", "sign": "gamma"}
    for name, expected in entry["expected"].items():
        assert close(fit.params[ours.get(name, name)], expected, entry["tol"]), name


def test_riskmetrics(exchange, reference):
    entry = reference("ewma_riskmetrics")
    fit = fit_garch(exchange, mean="zero", vol="ewma", presample="mean_square")
    variance = fit.conditional_volatility.to_numpy() ** 2
    for got, expected in zip(variance, entry["expected"]["s2_first5"], strict=False):
        assert close(got, expected, entry["tol"])
    assert close(variance[-1], entry["expected"]["s2_last"], entry["tol"])
    assert close(fit.forecast(1).iloc[0], entry["expected"]["forecast"], entry["tol"])


def test_var_backtest_reference(reference, reference_data):
    table = pd.read_csv(reference_data / "dem2gbp_var.csv")
    result = backtest_var(table["actual"], -table["VaR05"], level=0.05)
    entry = reference("var_backtest_garch05")
    for name, expected in entry["expected"].items():
        assert close(getattr(result, name.removeprefix("rugarch_")), expected, entry["tol"]), name
    entry = reference("var_duration_garch05")
    got = {
        "weibull_b": result.duration.shape,
        "loglik_unrestricted": result.duration.loglikelihood,
        "loglik_restricted": result.duration.loglikelihood_restricted,
        "p": result.duration.pvalue,
    }
    for name, expected in entry["expected"].items():
        assert close(got[name], expected, entry["tol"]), name


def test_kupiec_reference(reference):
    for id_ in ("kupiec_region_T255", "kupiec_region_T510"):
        entry = reference(id_)
        for level, expected in entry["expected"].items():
            region = kupiec_region(
                entry["params"]["T"], float(level), confidence=entry["params"]["conf"]
            )
            assert region == tuple(expected)
    entry = reference("kupiec_jorion")
    n, hits = entry["params"]["T"], entry["params"]["N"]
    result = christoffersen_from_counts(n - hits, hits, 0, 0, level=entry["params"]["p"])
    assert close(result.lr_uc, entry["expected"]["lr_uc"], entry["tol"])


def test_es_backtest_reference(reference, reference_data):
    entry = reference("es_backtest_05")
    table = pd.read_csv(reference_data / "dem2gbp_var.csv")
    result = backtest_es(table["actual"], -table["VaR05"], -table["ES05"], level=0.05)
    got = {
        "Z1": result.acerbi_szekely_z1,
        "Z2": result.acerbi_szekely_z2,
        "n": result.exceedances,
        "mcneil_frey_t_unscaled": result.mcneil_frey_statistic,
        "mcneil_frey_p_rugarch": result.mcneil_frey_pvalue,
    }
    for name, expected in entry["expected"].items():
        assert close(got[name], expected, entry["tol"]), name


# --- two implementations -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"mean": "zero", "p": 2}, {"mean": "Zero", "p": 2}),
        ({"mean": "ar", "lags": 2, "dist": "t"}, {"mean": "AR", "lags": 2, "dist": "t"}),
        ({"vol": "gjr", "dist": "skewt"}, {"o": 1, "dist": "skewt"}),
        ({"vol": "egarch", "o": 1, "dist": "ged"}, {"vol": "EGARCH", "o": 1, "dist": "ged"}),
        ({"vol": "aparch", "o": 1}, {"vol": "APARCH", "o": 1}),
    ],
)
def test_never_below_arch(returns, ours, theirs):
    fit = fit_garch(returns, **ours)
    peer = arch_model(returns * 100, rescale=False, **theirs).fit(disp="off", show_warning=False)
    reference = peer.loglikelihood + fit.nobs * np.log(100)
    assert fit.loglikelihood >= reference - 1e-6 * abs(reference)
    assert fit.loglikelihood <= reference + 0.01 * abs(reference)
    robust = fit.std_errors("robust")
    if fit.certificate.passed and ours == {}:
        np.testing.assert_allclose(robust[["alpha", "beta"]], peer.std_err.iloc[2:], rtol=0.02)


def test_panel_equals_single_fits(panel):
    table = fit_garch_panel(panel)
    for asset in table.index[table.converged]:
        single = fit_garch(panel[asset].dropna())
        assert table.loglikelihood[asset] == pytest.approx(single.loglikelihood, rel=1e-9)
        assert table.alpha[asset] == pytest.approx(single.params["alpha"], rel=1e-3, abs=1e-4)
    assert table.status["A5"] == "constant" and np.isnan(table.mu["A5"])
    pd.testing.assert_frame_equal(table, fit_garch_panel(panel, n_jobs=2))


def test_rolling_equals_fits_on_each_window(panel):
    rolled = rolling_garch(panel[["A0", "A1"]], window=500, refit_every=100, min_observations=400)
    for asset in ("A0", "A1"):
        for start in (500, 700):
            single = fit_garch(panel[asset].iloc[start - 500 : start].dropna())
            ours = rolled.forecast[asset].iloc[start]
            assert ours == pytest.approx(single.forecast(1).iloc[0], rel=1e-3)


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [300, 301, 555, 898])
def test_forecasts_do_not_see_their_own_day(panel, row):
    base = rolling_garch(panel, window=300, refit_every=20)
    changed = panel.copy()
    changed.iloc[row:] = 0.05 - 2 * changed.iloc[row:]
    again = rolling_garch(changed, window=300, refit_every=20)
    upto = slice(0, row + 1)
    pd.testing.assert_frame_equal(
        again.forecast.iloc[upto], base.forecast.iloc[upto], check_exact=True
    )
    moved = again.forecast.iloc[row + 1, :4] != base.forecast.iloc[row + 1, :4]
    assert moved.sum() >= 3  # one may have no ARCH effect: alpha is zero there


def test_rolling_counts_and_missing(panel):
    rolled = rolling_garch(panel, window=300, refit_every=20)
    assert rolled.forecast.iloc[:300].isna().all().all()
    assert rolled.forecast["A5"].isna().all()
    assert rolled.forecast["A4"].first_valid_index() == panel.index[760]  # 150 of 300 observed
    assert rolled.n_refits == 30 * 6 == len(rolled.refits)
    assert rolled.n_converged + rolled.n_not_converged + rolled.n_not_fitted == rolled.n_refits
    assert rolled.converged.shape == (30, 6)
    pd.testing.assert_frame_equal(rolled.volatility**2, rolled.forecast)
    assert rolled.next_forecast.notna().sum() == 5


def test_rolling_resumes(panel):
    whole = rolling_garch(panel, window=300, refit_every=20)
    part = rolling_garch(panel.iloc[:600], window=300, refit_every=20)
    resumed = rolling_garch(panel, window=300, refit_every=20, resume=part.refits)
    np.testing.assert_allclose(resumed.forecast, whole.forecast, rtol=1e-6)


# --- properties ----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_units_do_not_matter(factor, seed):
    data = simulate.garch(600, rng=np.random.default_rng(seed)).returns.to_frame()
    one, two = fit_garch_panel(data).iloc[0], fit_garch_panel(data * factor).iloc[0]
    assert two.loglikelihood == pytest.approx(
        one.loglikelihood - 600 * np.log(factor), abs=1e-4 + 1e-9 * abs(one.loglikelihood)
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=40, max_size=300), st.floats(0.01, 0.2))
def test_backtest_identities(hits, level):
    sample = np.where(hits, -2.0, 1.0) + np.linspace(0, 0.1, len(hits))
    result = backtest_var(pd.Series(sample), pd.Series(np.ones(len(hits))), level=level)
    assert result.exceedances == sum(hits)
    assert result.n00 + result.n01 + result.n10 + result.n11 == len(hits) - 1
    assert result.lr_uc >= -1e-9 and 0 <= result.p_uc_exact <= 1
    if np.isfinite(result.lr_ind):
        assert result.lr_ind >= -1e-9
        assert result.lr_cc == pytest.approx(result.lr_uc + result.lr_ind)
    else:
        assert result.note


def test_backtest_size_under_the_null():
    rng, rejected = np.random.default_rng(0), 0
    var = pd.Series(np.full(1000, 1.6448536))
    for _ in range(200):
        rejected += backtest_var(pd.Series(rng.standard_normal(1000)), var, level=0.05).p_uc < 0.05
    assert 2 <= rejected <= 20  # 5 % of 200, give or take three standard errors


# --- certificates --------------------------------------------------------------------------------


def test_certificate_fails_where_it_should():
    rng = np.random.default_rng(0)
    walk = pd.Series(100 + rng.normal(0, 1, 800).cumsum())  # prices in place of returns
    fit = fit_garch(walk)
    assert "are these returns?" in fit.certificate.verdict and "FAILED" in repr(fit)
    assert "FAILED" in fit.summary().loc["certificate", "estimate"]
    noise = fit_garch(pd.Series(rng.normal(0, 0.01, 1000)))
    assert "bound" in noise.certificate.verdict or "starts" in noise.certificate.verdict


# --- bad input -----------------------------------------------------------------------------------

BAD = {
    "short": (lambda r: r.iloc[:10], "at least"),
    "empty": (lambda r: r.iloc[:0], "at least"),
    "constant": (lambda r: r * 0 + 0.01, "constant"),
    "missing": (lambda r: r * np.nan, "missing"),
    "infinite": (lambda r: r.where(r.index != r.index[5], np.inf), "infinite"),
    "text": (lambda r: r.astype(str), "numbers only"),
    "unsorted": (lambda r: r.iloc[::-1], "time order"),
    "repeated": (lambda r: pd.concat([r, r]).sort_index(), "more than once"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_series(returns, kind):
    spoil, sentence = BAD[kind]
    bad = spoil(returns)
    with pytest.raises(DataError, match=sentence):
        fit_garch(bad)
    with pytest.raises(DataError, match=sentence):
        backtest_var(
            bad, returns.abs().reindex(bad.index) if kind == "short" else returns, level=0.05
        )


@pytest.mark.parametrize("kind", [k for k in BAD if k != "constant"])
def test_bad_panels(returns, kind):
    spoil, _ = BAD[kind]
    bad = pd.concat({"A": spoil(returns), "B": spoil(returns)}, axis=1)
    if kind == "unsorted":
        bad = bad.iloc[::-1] if bad.index.is_monotonic_increasing else bad
    with pytest.raises(DataError):
        fit_garch_panel(bad)
    with pytest.raises(QuantlabError):
        rolling_garch(bad, window=100, refit_every=10)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: fit_garch(r, mean="trend"), "`mean` must be one of"),
        (lambda r: fit_garch(r, dist="cauchy"), "`dist` must be one of"),
        (lambda r: fit_garch(r, presample="none"), "`presample` must be one of"),
        (lambda r: fit_garch(r, p=-1), "`p` must be a whole number"),
        (lambda r: fit_garch(r, fixed={"mu": 0.0}), "exactly the parameters"),
        (lambda r: fit_garch(r).forecast(0), "`horizon`"),
        (lambda r: fit_garch(r).std_errors("white"), "`kind` must be one of"),
        (lambda r: backtest_var(r, r.abs() + 0.01, level=0.99), "tail probability"),
        (lambda r: rolling_garch(r.to_frame(), window=5, refit_every=1), "`window`"),
    ],
)
def test_bad_arguments(returns, call, sentence):
    with pytest.raises(SpecificationError, match=sentence):
        call(returns)


# --- one likelihood, three doors
# -------------------------------------------------------------------


def odd_series(kind, seed):
    "Returns that have more than one hill, or a variance that stands still"
    rng = np.random.default_rng(seed)
    x = 0.01 * rng.standard_normal(300)
    if kind == "outlier":
        x[150] = -3.05
    elif kind == "stale":
        x[180:] = 0.0
    elif kind == "units":
        x[150:] *= 100
    elif kind == "t4":
        x = 0.01 * rng.standard_t(4, 300)
    return x


@pytest.mark.parametrize("kind", ["normal", "t4", "outlier", "stale", "units"])
def test_every_door_finds_the_same_top(kind):
    for seed in range(4):
        x = odd_series(kind, seed)
        row = fit_garch_panel(pd.DataFrame({"a": x})).iloc[0]
        one = fit_garch(pd.Series(x))
        at = {name: float(row[name]) for name in ("mu", "omega", "alpha", "beta")}
        same = fit_garch(pd.Series(x), fixed=at)
        assert one.loglikelihood == pytest.approx(row.loglikelihood, rel=1e-9)
        assert same.loglikelihood == pytest.approx(row.loglikelihood, rel=1e-9)
        assert one.persistence <= 1 and row.persistence <= 1
        if kind != "stale":
            rolled = rolling_garch(
                pd.DataFrame({"a": np.append(x, 0.01)}), window=300, refit_every=1
            )
            assert rolled.refits.loglikelihood[0] == pytest.approx(row.loglikelihood, rel=1e-9)


def test_a_suspension_is_not_calm():
    x = 0.01 * np.random.default_rng(0).standard_normal(900)
    x[500:620] = 0.0
    rolled = rolling_garch(pd.DataFrame({"a": x}), window=250, refit_every=20)
    inside = rolled.refits[rolled.refits.date.between(510, 620)]
    assert (inside.status == "suspended").all() and not inside.converged.any()
    assert (rolled.forecast["a"].iloc[250:] > 2e-5).all()  # also on the day trading resumes
    assert rolled.forecast["a"].iloc[510:620].nunique() <= len(inside) + 1  # it waits
    assert rolled.n_suspended >= len(inside)


def test_a_loss_that_repeats_itself_is_no_suspension():
    x = 0.01 * np.random.default_rng(0).standard_normal(600)
    x[400:440] = -0.05
    rolled = rolling_garch(pd.DataFrame({"a": x}), window=250, refit_every=20)
    assert rolled.n_suspended == 0
    # from the first refit that has seen it
    assert (rolled.volatility["a"].iloc[410:440] > 0.03).all()


@pytest.mark.parametrize("dist", ["normal", "t"])
def test_errors_exist_beside_a_parameter_that_a_bound_holds(dist):
    fit = fit_garch(pd.Series(odd_series("stale", 0)), dist=dist)
    assert "omega" in fit.certificate.at_boundary
    for kind in ("hessian", "opg", "robust"):
        errors = fit.std_errors(kind)
        assert np.isnan(errors["omega"]) and (errors.drop("omega") > 0).all()
