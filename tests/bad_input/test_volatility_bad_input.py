"""Every public function of volatility, given what it should not be given: a sentence, or a flag.

`SERIES` and `ARGUMENTS` name every public function; a new one without a row fails the first test.
"""

import html
import inspect
import re

import numpy as np
import pandas as pd
import pytest

import quantlab.volatility as volatility
from quantlab import simulate
from quantlab.errors import QuantlabError

N = 400
INDEX = pd.bdate_range("2015-01-02", periods=N)
RETURNS = pd.Series(simulate.garch(N, rng=np.random.default_rng(3)).returns.to_numpy(), index=INDEX)
POSITIVE = RETURNS.abs() + 1e-4
OTHER = pd.Series(np.random.default_rng(4).normal(0, 0.01, N), index=INDEX)
LEVEL = pd.Series(0.02, index=INDEX)
FORECASTS = pd.DataFrame({"a": POSITIVE, "b": LEVEL + OTHER**2})
RANGES = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang")


def ranged(name):
    "A range estimator as a function of one series"
    return lambda s: getattr(volatility, name)(**bars(s), window=20)


def bars(s):
    "High and low around a price"
    return {"open": s, "high": s, "low": s, "close": s}


def table(s):
    "A good column beside the given one, on its rows"
    return pd.DataFrame(
        {"A": s.to_numpy(), "B": np.resize(OTHER.to_numpy(), len(s))}, index=s.index
    )


# name: (call, a good input, spoilt inputs that are legitimate there and why)
SERIES = {
    "fit_garch": (volatility.fit_garch, RETURNS, {}),
    "fit_garch_panel": (
        lambda s: volatility.fit_garch_panel(s.to_frame("A")),
        RETURNS,
        {"constant": "a row with the status 'constant'"},
    ),
    "rolling_garch": (
        lambda s: volatility.rolling_garch(s.to_frame("A"), window=200, refit_every=50),
        RETURNS,
        {},
    ),
    "ccc": (lambda s: volatility.ccc(table(s)), RETURNS, {}),
    "dcc": (lambda s: volatility.dcc(table(s)), RETURNS, {}),
    "backtest_var": (lambda s: volatility.backtest_var(s, LEVEL, level=0.05), RETURNS, {}),
    "backtest_es": (lambda s: volatility.backtest_es(s, LEVEL, 2 * LEVEL, level=0.05), RETURNS, {}),
    "sequential_var_test": (
        lambda s: volatility.sequential_var_test(s, LEVEL, level=0.05),
        RETURNS,
        {},
    ),
    "fit_gpd_tail": (
        lambda s: volatility.fit_gpd_tail(s, threshold_quantile=0.8),
        POSITIVE,
        {},
    ),
    "value_at_risk": (
        lambda s: volatility.value_at_risk(s, level=0.05, window=150),
        RETURNS,
        {},
    ),
    "diagnostics": (volatility.diagnostics, RETURNS, {}),
    "volatility_loss": (
        lambda s: volatility.volatility_loss(s, POSITIVE.reindex(s.index.unique())[: len(s)]),
        POSITIVE,
        {"short": "any length has a loss", "constant": "a constant proxy has a loss"},
    ),
    "diebold_mariano": (
        lambda s: volatility.diebold_mariano(s, POSITIVE**2),
        POSITIVE,
        {"constant": "one of two losses may be constant"},
    ),
    "mincer_zarnowitz": (lambda s: volatility.mincer_zarnowitz(s, POSITIVE), POSITIVE, {}),
    "compare_forecasts": (
        lambda s: volatility.compare_forecasts(s, FORECASTS),
        POSITIVE,
        {},
    ),
    "har": (volatility.har, POSITIVE, {}),
    "harq": (lambda s: volatility.harq(s, POSITIVE**2), POSITIVE, {}),
    "markov_regimes": (volatility.markov_regimes, RETURNS, {}),
    "change_points": (volatility.change_points, RETURNS, {}),
} | {
    name: (
        ranged(name),
        100 * (1 + RETURNS).cumprod(),
        {"missing": "a day without a price has no range", "constant": "a price may stand still"},
    )
    for name in RANGES
}

ARGUMENTS = {
    "kupiec_region": [
        lambda f: f(0, 0.01),
        lambda f: f(250, 0.0),
        lambda f: f(250, 0.99),
        lambda f: f(250, "0.01"),
        lambda f: f(250.5, 0.01),
        lambda f: f(250, 0.01, confidence=1.0),
        lambda f: f(250, np.nan),
    ],
    "christoffersen_from_counts": [
        lambda f: f(0, 0, 0, 0),
        lambda f: f(-1, 1, 1, 1),
        lambda f: f(1.5, 1, 1, 1),
        lambda f: f("1", 1, 1, 1),
        lambda f: f(9, 1, 1, 1, level=0.95),
        lambda f: f(np.nan, 1, 1, 1),
    ],
    "traffic_light": [
        lambda f: f(-1),
        lambda f: f(251),
        lambda f: f(2.5),
        lambda f: f(np.nan),
        lambda f: f("3"),
        lambda f: f(3, n_obs=0),
        lambda f: f(3, level=0.99),
        lambda f: f(3, level=0.0),
    ],
}

SPOILED = {
    "short": lambda s: s.iloc[:8],
    "missing": lambda s: s * np.nan,
    "some missing": lambda s: s.where(np.arange(len(s)) != 5),
    "infinite": lambda s: s.where(np.arange(len(s)) != 5, np.inf),
    "text": lambda s: s.astype(str),
    "unsorted": lambda s: s.iloc[::-1],
    "repeated": lambda s: pd.concat([s, s]).sort_index(),
    "time zone": lambda s: s.tz_localize("UTC"),
    "constant": lambda s: s * 0 + 0.01,
}
GAPS_ALLOWED = {"fit_garch_panel", "rolling_garch", *RANGES}


def functions():
    "Public names that are functions"
    return {n for n in volatility.__all__ if inspect.isfunction(getattr(volatility, n))}


def test_every_public_function_has_a_row():
    assert functions() == set(SERIES) | set(ARGUMENTS)


def is_a_sentence(error):
    text = str(error)
    assert 20 < len(text) < 400 and text.endswith((".", "?")) and "\n" not in text


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("name", SERIES)
def test_spoiled_data(name, kind):
    call, good, legitimate = SERIES[name]
    if kind in legitimate or (kind == "some missing" and name in GAPS_ALLOWED):
        return
    with pytest.raises(QuantlabError) as caught:
        call(SPOILED[kind](good))
    is_a_sentence(caught.value)


@pytest.mark.parametrize("name", SERIES)
def test_good_data_pass(name):
    call, good, _ = SERIES[name]
    assert call(good) is not None


@pytest.mark.parametrize(
    ("name", "call"), [(n, c) for n, calls in ARGUMENTS.items() for c in calls]
)
def test_bad_counts(name, call):
    with pytest.raises(QuantlabError) as caught:
        call(getattr(volatility, name))
    is_a_sentence(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda r: volatility.backtest_var(r, LEVEL.iloc[1:], level=0.05),
        lambda r: volatility.backtest_es(r, LEVEL, 2 * LEVEL.iloc[1:], level=0.05),
        lambda r: volatility.sequential_var_test(r, LEVEL.shift(freq="D"), level=0.05),
        lambda r: volatility.volatility_loss(r**2, POSITIVE.iloc[:-1]),
        lambda r: volatility.diebold_mariano(r**2, POSITIVE.iloc[:-1]),
        lambda r: volatility.mincer_zarnowitz(r**2, POSITIVE.iloc[:-1]),
        lambda r: volatility.harq(POSITIVE, POSITIVE.iloc[:-1]),
        lambda r: volatility.compare_forecasts(
            r**2, pd.DataFrame({"a": POSITIVE, "b": LEVEL}).iloc[1:]
        ),
        lambda r: volatility.parkinson(
            **(bars(100 + r.cumsum()) | {"close": 100 + r.cumsum().iloc[1:]}), window=20
        ),
    ],
)
def test_misaligned(call):
    with pytest.raises(QuantlabError, match="one index|align|same") as caught:
        call(RETURNS)
    is_a_sentence(caught.value)


# --- wrong in kind: flagged where it cannot be refused -------------------------------------------

PRICES = 100 * (1 + RETURNS).cumprod()
WALK = pd.Series(np.exp(np.linspace(0, 30, N)), index=INDEX) * (1 + OTHER)  # explosive


@pytest.mark.parametrize(
    "wrong", [PRICES, WALK, np.log(PRICES)], ids=["prices", "explosive", "logs"]
)
def test_levels_fail_the_certificate(wrong):
    fit = volatility.fit_garch(wrong)
    assert not fit.certificate.passed and "FAILED" in repr(fit)
    assert "FAILED" in str(fit.summary().loc["certificate", "estimate"])


def integrated(n):
    "Returns of a GARCH with alpha + beta = 1"
    z, out, h = np.random.default_rng(1).standard_normal(n), np.empty(n), 1e-4
    for t in range(n):
        out[t] = np.sqrt(h) * z[t]
        h = 1e-7 + 0.1 * out[t] ** 2 + 0.9 * h
    return pd.Series(out)


SPIKE = pd.Series(np.full(1000, 0.01))
SPIKE[500] += 1e-6
HARD = {  # input: what its certificate says
    "constant but for one day": (SPIKE, "on a bound: alpha"),
    "two values": (pd.Series(np.tile([0.01, 0.0], 400)), "autocorrelated"),
    "rarely traded": (RETURNS.where(np.arange(N) % 40 == 0, 0.0), "starts|bound|Hessian"),
    "integrated": (integrated(2000), "not stationary"),
    "tiny": (pd.Series(np.random.default_rng(3).normal(0, 0.01, 60)), "on a bound"),
    "prices": (PRICES, "are these returns"),
}


@pytest.mark.parametrize("name", HARD)
def test_a_failing_certificate_is_seen_wherever_the_fit_is_seen(name):
    data, problem = HARD[name]
    fit = volatility.fit_garch(data)
    verdict = fit.certificate.verdict
    assert not fit.certificate.passed and verdict.startswith("FAILED: ")
    assert re.search(problem, verdict) and "nan" not in verdict
    assert fit.summary().loc["certificate", "estimate"] == verdict
    assert fit.certificate.summary()["verdict"] == verdict
    for seen in (repr(fit), repr(fit.certificate)):
        assert verdict in seen
    for seen in (fit._repr_html_(), fit.certificate._repr_html_()):
        assert html.escape(verdict, quote=False) in seen


def test_a_failing_certificate_of_correlations_and_regimes_is_seen():
    noise = pd.DataFrame(np.random.default_rng(2).normal(0, 0.01, (300, 2)))
    dcc, regimes = volatility.dcc(noise), volatility.markov_regimes(noise[1], n_regimes=4)
    for fit in (dcc, regimes):
        assert fit.certificate.startswith("FAILED")
        assert fit.certificate in repr(fit) and fit.certificate in fit._repr_html_()


@pytest.mark.parametrize(
    "wrong", [PRICES, WALK, np.log(PRICES)], ids=["prices", "explosive", "logs"]
)
@pytest.mark.parametrize("name", ["fit_garch_panel", "rolling_garch", "ccc", "dcc"])
def test_levels_are_refused_by_the_panel(name, wrong):
    call = {"window": 200, "refit_every": 50} if name == "rolling_garch" else {}
    with pytest.raises(QuantlabError, match="prices|unusable") as caught:
        getattr(volatility, name)(table(wrong), **call)
    is_a_sentence(caught.value)


@pytest.mark.parametrize("function", [volatility.ccc, volatility.dcc])
def test_collinear_columns_are_refused(function):
    three = pd.DataFrame({"A": RETURNS, "B": OTHER, "C": 0.5 * RETURNS + 0.5 * OTHER})
    for frame in (pd.DataFrame({"A": RETURNS, "B": 2 * RETURNS}), three):
        with pytest.raises(QuantlabError) as caught:
            function(frame)
        is_a_sentence(caught.value)


def test_percent_returns_give_the_same_fit_in_percent():
    decimal, percent = volatility.fit_garch(RETURNS), volatility.fit_garch(100 * RETURNS)
    np.testing.assert_allclose(percent.params["omega"], 1e4 * decimal.params["omega"], rtol=1e-5)
    for name in ("alpha", "beta"):
        assert percent.params[name] == pytest.approx(decimal.params[name], rel=1e-5)
    assert percent.loglikelihood == pytest.approx(decimal.loglikelihood - N * np.log(100), abs=1e-6)


def test_value_at_risk_in_another_unit_is_flagged():
    var = pd.Series(0.02, index=INDEX)
    assert "unit" not in volatility.backtest_var(RETURNS, var, level=0.05).note
    for wrong in (100 * var, var / 100):
        assert "unit" in volatility.backtest_var(RETURNS, wrong, level=0.05).note


# --- forms that mean the same ---------------------------------------------------------------------

PAIRED = {  # functions of two series of the same days
    "backtest_var": lambda a, b: volatility.backtest_var(a, b, level=0.05).summary(),
    "backtest_es": lambda a, b: volatility.backtest_es(
        a, b, 2 * np.asarray(b), level=0.05
    ).summary(),
    "sequential_var_test": lambda a, b: volatility.sequential_var_test(a, b, level=0.05).summary(),
    "volatility_loss": lambda a, b: volatility.volatility_loss(np.square(a), b),
    "diebold_mariano": lambda a, b: volatility.diebold_mariano(a, b).summary(),
    "mincer_zarnowitz": lambda a, b: volatility.mincer_zarnowitz(np.square(a), b).summary(),
    "compare_forecasts": lambda a, b: volatility.compare_forecasts(np.square(a), FORECASTS),
    "harq": lambda a, b: volatility.harq(b, np.square(a)).summary(),
}


# a volatility, for the comparison's sake
@pytest.mark.filterwarnings("ignore:`forecast:quantlab.errors.ScaleWarning")
@pytest.mark.parametrize("name", PAIRED)
def test_arrays_lists_and_plain_dates_stand_for_the_same_days(name):
    call = PAIRED[name]
    wanted = call(RETURNS, POSITIVE)
    days = RETURNS.set_axis(RETURNS.index.date)
    for a, b in ((RETURNS.to_numpy(), POSITIVE), (list(RETURNS), POSITIVE), (days, POSITIVE)):
        assert call(a, b).equals(wanted)
    assert call(RETURNS, POSITIVE.to_numpy()).equals(wanted)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_estimator_takes_arrays_beside_series(name):
    call = getattr(volatility, name)
    close = 100 * (1 + RETURNS).cumprod()
    bar = {"open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close}
    wanted = call(**bar, window=20)
    for field in bar:
        assert call(**(bar | {field: bar[field].to_numpy()}), window=20).equals(wanted)
        assert call(**(bar | {field: list(bar[field])}), window=20).equals(wanted)


def test_fixed_takes_the_parameters_of_a_fit_as_they_are():
    fit = volatility.fit_garch(RETURNS)
    again = volatility.fit_garch(RETURNS, fixed=fit.params)
    assert again.loglikelihood == pytest.approx(fit.loglikelihood, abs=1e-9)
    for wrong in ([1, 2], 0.1, "mu", {}, fit.params.iloc[:2], fit.params.to_frame()):
        with pytest.raises(QuantlabError, match="`fixed` must give") as caught:
            volatility.fit_garch(RETURNS, fixed=wrong)
        is_a_sentence(caught.value)


@pytest.mark.parametrize("name", ["fit_garch_panel", "ccc", "dcc"])
def test_columns_of_several_levels_keep_their_labels(name):
    frame = table(RETURNS)
    several = frame.set_axis(pd.MultiIndex.from_tuples([("US", "A"), ("DE", "B")]), axis=1)
    one, two = (getattr(volatility, name)(f) for f in (frame, several))
    if name != "fit_garch_panel":
        np.testing.assert_array_equal(two.forecast_covariance(3), one.forecast_covariance(3))
        pair = two.correlation(("US", "A"), ("DE", "B"))
        np.testing.assert_array_equal(pair, one.correlation("A", "B"))
        one, two = one.univariate, two.univariate
    assert two.index.equals(several.columns) and two.set_axis(one.index).equals(one)


def test_har_takes_one_horizon_or_says_what_it_takes():
    assert volatility.har(POSITIVE, lags=5).params.equals(
        volatility.har(POSITIVE, lags=(5,)).params
    )
    assert volatility.harq(POSITIVE, POSITIVE**2, lags=1).lags == (1,)
    for wrong in ("5", None, 5.0, [5, "22"], [], [5, 5], 0):
        with pytest.raises(QuantlabError, match="whole number") as caught:
            volatility.har(POSITIVE, lags=wrong)
        is_a_sentence(caught.value)


def test_the_lags_of_a_mean_are_numbers_or_a_sentence():
    one = volatility.fit_garch(RETURNS, mean="har", lags=5)
    assert one.params.equals(volatility.fit_garch(RETURNS, mean="har", lags=[5]).params)
    for mean, wrong in (("har", "5"), ("ar", "1"), ("har", []), ("ar", []), ("ar", 1.5)):
        with pytest.raises(QuantlabError, match="`lags`") as caught:
            volatility.fit_garch(RETURNS, mean=mean, lags=wrong)
        is_a_sentence(caught.value)


def test_a_level_is_not_corrected_to_itself():
    for level, hint in ((0.5, False), (0.95, True)):
        with pytest.raises(QuantlabError, match="below 0.5") as caught:
            volatility.backtest_var(RETURNS, POSITIVE, level=level)
        assert ("Did you mean" in str(caught.value)) is hint


def test_a_rolling_forecast_of_constants_alone_is_refused_and_of_one_is_flagged():
    still = pd.DataFrame({"A": 0.01, "B": 0.0}, index=INDEX)
    options = {"window": 200, "refit_every": 50}
    for frame in (still, still.iloc[50:].reindex(INDEX)):
        with pytest.raises(QuantlabError, match="no column that moves"):
            volatility.rolling_garch(frame, **options)
    mixed = volatility.rolling_garch(still.assign(B=RETURNS), **options)
    assert set(mixed.refits.loc[mixed.refits["asset"] == "A", "status"]) == {"constant"}
    assert mixed.n_not_fitted == 4 and mixed.forecast["A"].isna().all()
