"""Every public function of volatility, given what it should not be given: a sentence, or a flag.

`SERIES` and `ARGUMENTS` name every public function; a new one without a row fails the first test.
"""

import inspect

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
        {"constant": "refits with the status 'constant' and no forecast"},
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
}  # fmt: skip

ARGUMENTS = {
    "kupiec_region": [
        lambda f: f(0, 0.01), lambda f: f(250, 0.0), lambda f: f(250, 0.99),
        lambda f: f(250, "0.01"), lambda f: f(250.5, 0.01),
        lambda f: f(250, 0.01, confidence=1.0), lambda f: f(250, np.nan),
    ],
    "christoffersen_from_counts": [
        lambda f: f(0, 0, 0, 0), lambda f: f(-1, 1, 1, 1), lambda f: f(1.5, 1, 1, 1),
        lambda f: f("1", 1, 1, 1), lambda f: f(9, 1, 1, 1, level=0.95),
        lambda f: f(np.nan, 1, 1, 1),
    ],
    "traffic_light": [
        lambda f: f(-1), lambda f: f(251), lambda f: f(2.5), lambda f: f(np.nan), lambda f: f("3"),
        lambda f: f(3, n_obs=0), lambda f: f(3, level=0.99), lambda f: f(3, level=0.0),
    ],
}  # fmt: skip

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
