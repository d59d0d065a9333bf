"""The other rooms of volatility: realized, correlation, tails, evaluation, monitoring, regimes."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, genpareto
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import jarque_bera

from quantlab import simulate
from quantlab.errors import DataError, MisalignedError, QuantlabError, SpecificationError
from quantlab.volatility import (
    backtest_es,
    backtest_var,
    ccc,
    change_points,
    christoffersen_from_counts,
    compare_forecasts,
    dcc,
    diagnostics,
    diebold_mariano,
    fit_garch,
    fit_gpd_tail,
    garman_klass,
    har,
    harq,
    kupiec_region,
    markov_regimes,
    mincer_zarnowitz,
    parkinson,
    rogers_satchell,
    sequential_var_test,
    traffic_light,
    value_at_risk,
    volatility_loss,
    yang_zhang,
)

RANGES = (parkinson, garman_klass, rogers_satchell, yang_zhang)


@pytest.fixture(scope="module")
def returns():
    return simulate.garch(1200, alpha=0.1, beta=0.85, nu=6, rng=np.random.default_rng(11)).returns


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(5)
    index = pd.bdate_range("2010-01-04", periods=300)
    path = rng.normal(0, 0.002, (300, 50)).cumsum(axis=1)
    base = np.r_[0, path[:-1, -1].cumsum()][:, None] + rng.normal(0, 0.003, (300, 1))
    path = np.exp(base + np.column_stack([np.zeros(300), path]))
    columns = {"open": path[:, 0], "high": path.max(1), "low": path.min(1), "close": path[:, -1]}
    return pd.DataFrame(columns, index=index)


@pytest.fixture(scope="module")
def variance():
    rng, rv = np.random.default_rng(9), np.full(900, 1e-4)
    for t in range(22, 900):
        mean = 2e-5 + 0.4 * rv[t - 1] + 0.4 * rv[t - 5 : t].mean()
        rv[t] = mean * rng.chisquare(15) / 15
    return pd.Series(rv, index=pd.bdate_range("2010-01-04", periods=900))


# --- published numbers -------------------------------------------------------------------------


def test_diagnostics_reference(reference, reference_data):
    entry = reference("diagnostics_dem2gbp")
    exchange = pd.read_csv(reference_data / "dem2gbp.csv")["rate"]
    short, long = diagnostics(exchange), diagnostics(exchange, arch_lags=12)
    got = {
        "ljung_box_10": short.ljung_box,
        "ljung_box_10_p": short.ljung_box_pvalue,
        "ljung_box_sq_10": short.ljung_box_squared,
        "arch_lm_5": short.arch_lm,
        "arch_lm_12": long.arch_lm,
        "jarque_bera": short.jarque_bera,
    }
    for name, expected in entry["expected"].items():
        assert close(got[name], expected, entry["tol"]), name


def test_newey_west_mean_of_the_nile(reference, reference_data):
    entry = reference("newey_west_mean_nile")
    nile = pd.read_csv(reference_data / "nile.csv").iloc[:, -1].astype(float)
    for lags, expected in zip(entry["params"]["lags"], entry["expected"]["se_mean"], strict=True):
        error = diebold_mariano(nile, nile * 0, hac_lags=lags).std_error
        assert close(error, expected, entry["tol"]), lags


def test_basel_reference(reference):
    entry = reference("basel_traffic_light")
    for count, expected in enumerate(entry["expected"]["cum_prob_pct"]):
        assert close(100 * traffic_light(count).cumulative_probability, expected, entry["tol"])
    light = traffic_light(0)
    assert (light.green_max, light.yellow_max) == (
        entry["expected"]["green_max"],
        entry["expected"]["yellow_max"],
    )


# --- two implementations -----------------------------------------------------------------------


def test_diagnostics_equal_statsmodels(returns):
    ours = diagnostics(returns * 7 + 1, lags=7)
    peer = acorr_ljungbox(returns, lags=[7])
    assert ours.ljung_box == pytest.approx(peer["lb_stat"].iloc[0], rel=1e-9)
    assert ours.jarque_bera == pytest.approx(jarque_bera(returns)[0], rel=1e-9)


@pytest.mark.parametrize("lags", [(1, 5, 22), (1, 10), (2,)])
def test_har_equals_statsmodels(variance, lags):
    fit = har(variance, lags=lags)
    columns = {k: variance.rolling(k).mean().shift() for k in lags}
    x = sm.add_constant(pd.concat(columns, axis=1).iloc[max(lags) :])
    peer = sm.OLS(variance.iloc[max(lags) :], x).fit()
    robust = peer.get_robustcov_results("HAC", maxlags=6)
    np.testing.assert_allclose(fit.params, peer.params, rtol=1e-8)
    np.testing.assert_allclose(fit.std_errors("ols"), peer.bse, rtol=1e-8)
    np.testing.assert_allclose(fit.std_errors("hac", hac_lags=6), robust.bse, rtol=1e-8)
    assert fit.rsquared == pytest.approx(peer.rsquared) and fit.nobs == peer.nobs


@pytest.mark.parametrize("shape", [-0.35, -0.1, 0.0, 0.2, 0.6, 1.1])
def test_gpd_never_below_scipy(shape):
    rng = np.random.default_rng(2)
    losses = pd.Series(genpareto.rvs(shape, scale=0.02, size=800, random_state=rng))
    fit = fit_gpd_tail(losses, threshold_quantile=0.6)
    excesses = losses[losses > fit.threshold] - fit.threshold
    c, _, scale = genpareto.fit(excesses, floc=0)
    assert fit.loglikelihood >= genpareto.logpdf(excesses, c, scale=scale).sum() - 1e-6
    direct = genpareto.logpdf(excesses, fit.shape, scale=fit.scale).sum()
    assert fit.loglikelihood == pytest.approx(direct, abs=1e-6)
    assert fit.n_exceedances == len(excesses) == 320


def test_gpd_quantile_inverts_the_tail(returns):
    fit = fit_gpd_tail(-returns, threshold_quantile=0.9)
    for q in (0.95, 0.99, 0.999):
        beyond = genpareto.sf(fit.var(q) - fit.threshold, fit.shape, scale=fit.scale)
        assert fit.n_exceedances / fit.nobs * beyond == pytest.approx(1 - q)
        assert fit.es(q) > fit.var(q)
    assert fit.var(0.99) < fit.var(0.995)


# --- known answers and properties --------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100.0))
def test_ranges_do_not_depend_on_the_price_level(bars, factor):
    for estimator in RANGES:
        np.testing.assert_allclose(
            estimator(**(bars * factor), window=20).dropna(),
            estimator(**bars, window=20).dropna(),
            rtol=1e-6,
        )


def test_ranges_see_the_past_only(bars):
    changed = bars.copy()
    changed.iloc[200:] *= 1.5
    changed.iloc[200:, 1] *= 1.1
    for estimator in RANGES:
        before, after = estimator(**bars, window=20), estimator(**changed, window=20)
        pd.testing.assert_series_equal(before.iloc[:200], after.iloc[:200])
        assert before.iloc[200] != after.iloc[200]


def test_ranges_of_tables(bars):
    tables = {k: pd.concat({"A": bars[k], "B": bars[k] * 3}, axis=1) for k in bars}
    for estimator in RANGES:
        out = estimator(**tables, window=10)
        np.testing.assert_allclose(out["A"], out["B"], rtol=1e-9)
        np.testing.assert_allclose(out["A"], estimator(**bars, window=10), rtol=1e-12)


def test_dcc_contains_ccc():
    frame = simulate.random_walks(800, 3, rng=np.random.default_rng(0)).diff().dropna()
    frame["A1"] += 0.7 * frame["A0"]
    constant, moving = ccc(frame), dcc(frame)
    assert moving.loglikelihood >= constant.loglikelihood - 1e-6
    expected = frame.corr()
    np.testing.assert_allclose(constant.unconditional_correlation, expected, atol=0.05)
    path = moving.correlation("A0", "A1")
    assert path.between(-1, 1).all() and path.index.equals(frame.index)
    assert np.linalg.eigvalsh(moving.forecast_covariance(5)).min() > 0


def test_dcc_forecast_is_the_next_day():
    frame = simulate.random_walks(500, 2, rng=np.random.default_rng(1)).diff().dropna()
    fit = dcc(frame)
    z, a, b = fit.std_resid.to_numpy(), *fit.params
    q = target = z.T @ z / len(z)
    for row in z:
        q = (1 - a - b) * target + a * np.outer(row, row) + b * q
    expected = q[0, 1] / np.sqrt(q[0, 0] * q[1, 1])
    assert fit.forecast_correlation(1).iloc[0, 1] == pytest.approx(expected, rel=1e-9)


def test_qlike_prefers_the_truth():
    world = simulate.garch(3000, rng=np.random.default_rng(1))
    truth = world.volatility**2
    table = compare_forecasts(
        world.returns**2, pd.DataFrame({"low": 0.6 * truth, "truth": truth, "high": 1.6 * truth})
    )
    assert table.index[0] == "truth" and (table["dm_pvalue"].dropna() < 0.05).all()
    assert mincer_zarnowitz(world.returns**2, truth).pvalue > 0.01


def test_sequential_test_is_a_fair_bet():
    level, days = 0.1, 8
    weights = np.arange(2**days)[:, None] >> np.arange(days) & 1
    total = 0.0
    for hits in weights:  # expectation over every path of exceedances, exactly
        padded = np.r_[hits, np.zeros(20 - days, dtype=int)]
        sample = np.where(padded == 1, -2.0, np.linspace(0, 1, 20))
        wealth = sequential_var_test(sample, np.ones(20), level=level).e_values.iloc[days - 1]
        total += wealth * level ** hits.sum() * (1 - level) ** (days - hits.sum())
    assert total == pytest.approx(1.0)


def test_kupiec_region_matches_its_test():
    for n_obs, level in [(250, 0.01), (500, 0.05), (1000, 0.025)]:
        low, high = kupiec_region(n_obs, level)
        for count in (low, high, low - 1, high + 1):
            if count < 0:
                continue
            result = christoffersen_from_counts(n_obs - count, count, 0, 0, level=level)
            assert (result.p_uc > 0.05) == (low <= count <= high)
    assert binom.cdf(high, 1000, 0.025) > 0.95


def test_exact_pvalues_where_asymptotics_fail():
    rng = np.random.default_rng(3)
    sample, var = pd.Series(rng.standard_normal(250)), pd.Series(np.full(250, 2.3263))
    one = backtest_var(sample, var, level=0.01, n_simulations=200, seed=1)
    two = backtest_var(sample, var, level=0.01, n_simulations=200, seed=1)
    assert one.p_cc_exact == two.p_cc_exact and 0 < one.p_cc_exact <= 1


@pytest.mark.parametrize("method", ["historical", "garch", "filtered_historical"])
def test_value_at_risk_looks_back_only(returns, method):
    changed = returns.copy()
    changed.iloc[800:] = -0.2
    one = value_at_risk(returns, level=0.05, window=300, method=method)
    two = value_at_risk(changed, level=0.05, window=300, method=method)
    pd.testing.assert_frame_equal(one.iloc[:801], two.iloc[:801], check_exact=True)
    assert (two["var"].iloc[810:830] > one["var"].iloc[810:830]).all()
    assert (one["es"] >= one["var"]).iloc[300:].all() and one.iloc[:300].isna().all(axis=None)


def test_regimes_are_found_and_filtered():
    rng = np.random.default_rng(4)
    wild = np.repeat([0, 1, 0, 1], [400, 100, 300, 100])
    sample = pd.Series(rng.normal(0, np.where(wild, 0.03, 0.008)))
    fit = markov_regimes(sample)
    assert (fit.current.to_numpy() == wild).mean() > 0.95
    np.testing.assert_allclose(fit.regimes["volatility"], [0.008, 0.03], rtol=0.15)
    np.testing.assert_allclose(fit.filtered.sum(axis=1), 1)
    np.testing.assert_allclose(fit.transition.sum(axis=1), 1)
    early = markov_regimes(sample, estimate_until=499)
    again = markov_regimes(sample.where(sample.index < 700, 0.1), estimate_until=499)
    pd.testing.assert_frame_equal(early.filtered.iloc[:700], again.filtered.iloc[:700])
    breaks = change_points(sample).break_dates
    assert len(breaks) == 3 and np.abs(breaks - np.array([399, 499, 799])).max() <= 15


# --- bad input -----------------------------------------------------------------------------------

POSITIVE = pd.Series(np.linspace(0.01, 0.02, 200))
SPOILED = {
    "short": lambda s: s.iloc[:8],
    "missing": lambda s: s * np.nan,
    "infinite": lambda s: s.where(s.index != s.index[5], np.inf),
    "text": lambda s: s.astype(str),
    "unsorted": lambda s: s.iloc[::-1],
    "repeated": lambda s: pd.concat([s, s]).sort_index(),
    "constant": lambda s: s * 0,
}
CALLS = {
    "har": har,
    "gpd": lambda s: fit_gpd_tail(s, threshold_quantile=0.8),
    "es": lambda s: backtest_es(s, POSITIVE, POSITIVE, level=0.05),
    "var": lambda s: backtest_var(s, POSITIVE, level=0.05),
    "sequential": lambda s: sequential_var_test(s, POSITIVE, level=0.05),
    "risk": lambda s: value_at_risk(s, level=0.05, window=100),
    "diagnostics": diagnostics,
    "loss": lambda s: volatility_loss(s, POSITIVE).mean() if s.nunique() > 1 else har(s),
    "regression": lambda s: mincer_zarnowitz(s, POSITIVE),
    "accuracy": lambda s: diebold_mariano(s, s),
    "quarticity": lambda s: harq(s, s),
    "regimes": markov_regimes,
    "breaks": change_points,
    "garch": fit_garch,
    "correlation": lambda s: dcc(pd.concat({"A": s, "B": s}, axis=1)),
    "range": lambda s: parkinson(s, s, s, s, window=20).sum() if s.nunique() > 1 else har(s),
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("name", CALLS)
def test_bad_input_is_refused(name, kind):
    rng = np.random.default_rng(0)
    good = pd.Series(np.abs(rng.normal(0, 0.01, 200)), index=POSITIVE.index)
    if name == "correlation" and kind == "repeated":
        pytest.skip("pandas refuses to join repeated labels before we see them")
    if (name, kind) in {("loss", "short"), ("range", "missing")}:
        pytest.skip("not wrong there: any length has a loss, a missing day has no range")
    with pytest.raises(QuantlabError) as caught:
        CALLS[name](SPOILED[kind](good))
    assert len(str(caught.value)) > 20 and str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda r: backtest_var(r, -r.abs() - 1, level=0.05), DataError, "positive loss"),
        (lambda r: backtest_var(r, r.abs().iloc[1:], level=0.05), MisalignedError, "one index"),
        (lambda r: backtest_es(r, r * 0 + 2, r * 0 + 1, level=0.05), DataError, "below `var`"),
        (lambda r: har(-r.abs()), DataError, "negative"),
        (lambda r: har(r.abs(), lags=()), SpecificationError, "`lags`"),
        (lambda r: fit_gpd_tail(-r, threshold_quantile=1.5), SpecificationError, "threshold"),
        (lambda r: dcc(pd.DataFrame({"A": r, "B": 2 * r})), DataError, "linear combinations"),
        (lambda r: value_at_risk(r, level=0.01, window=200), SpecificationError, "at least 5"),
        (lambda r: markov_regimes(r, n_regimes=9), SpecificationError, "`n_regimes`"),
        (lambda r: traffic_light(-1), SpecificationError, "`exceedances`"),
        (lambda r: kupiec_region(250, 0.99), SpecificationError, "tail probability"),
        (lambda r: christoffersen_from_counts(1, -1, 0, 0), SpecificationError, "`n01`"),
    ],
)
def test_bad_arguments(returns, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(returns)


# --- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "n_simulations"), [(0.015, 99), (0.015, 0), (1.0, 99)])
def test_the_var_picture_shows_each_pvalue_against_its_level(returns, size, n_simulations):
    var = pd.Series(size, index=returns.index)
    result = backtest_var(returns, var, level=0.05, n_simulations=n_simulations)
    axes, table = result.plot(), result.summary().iloc[::-1]
    for line, column in zip(axes.lines, ("p-value", "exact p-value"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), table[column])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(table.index)
    undefined = table[["p-value", "exact p-value"]].isna().all(axis=1).sum()
    assert [text.get_text() for text in axes.texts] == ["not defined"] * undefined
    assert axes.get_xlabel() == "p-value"


def test_the_shortfall_picture_shows_both_statistics(returns):
    var = pd.Series(0.015, index=returns.index)
    for es in (1.2 * var, 3 * var):
        result = backtest_es(returns, var, es, level=0.05)
        axes = result.plot()
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == [result.acerbi_szekely_z2, result.acerbi_szekely_z1]
        low, high = axes.get_xlim()
        assert low < min(widths) and max(widths) < high and "understated" in axes.get_xlabel()
    quiet = backtest_es(returns, 100 * var, 120 * var, level=0.05)
    assert np.isnan(quiet.acerbi_szekely_z1) and np.isfinite(quiet.plot().get_xlim()).all()


def test_a_variance_forecast_stays_within_what_was_seen_and_says_so():
    values = 1e-4 * np.exp(0.6 * np.random.default_rng(3).standard_normal(400))
    values[398:] = 0.09, 0.004
    forecast = har(pd.Series(values)).forecast(5)
    assert (forecast > 0).all() and (forecast <= 0.09).all() and forecast.attrs["clipped"]


def test_a_shortfall_of_zero_is_refused():
    rng = np.random.default_rng(0)
    returns, risk = pd.Series(0.01 * rng.standard_normal(300)), pd.Series(np.full(300, 0.02))
    risk[100:120] = -0.0
    with pytest.raises(DataError, match="on 20 of 300 days"):
        backtest_es(returns, risk, risk, level=0.05)


def test_the_dynamic_quantile_test_keeps_its_size_where_exceedances_are_few():
    rng, rejected = np.random.default_rng(8), 0
    var = pd.Series(2.3263 * np.exp(0.2 * np.sin(np.arange(800) / 50)))
    for seed in range(60):
        one = backtest_var(
            var / 2.3263 * rng.standard_normal(800), var, level=0.01, n_simulations=199, seed=seed
        )
        rejected += one.dq.pvalue < 0.05
        assert (
            one.dq.pvalue == one.p_dq_exact
            and one.p_ind == one.p_ind_exact
            and "199 simulated" in one.note
        )
    assert rejected <= 8  # a true 5 % exceeds it once in a hundred
    assert np.isnan(backtest_var(var * 0.4, var, level=0.01, n_simulations=0).p_dq_exact)
