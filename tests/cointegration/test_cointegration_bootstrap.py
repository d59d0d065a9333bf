"""Bootstraps, a relation with one break, and the monitor."""

import numpy as np
import pandas as pd
import pytest

from quantlab.cointegration import (
    detect_break,
    engle_granger,
    engle_granger_bootstrap,
    gregory_hansen,
    johansen,
    johansen_bootstrap,
)
from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.simulate import cointegrated_pair, random_walks

Y, X = cointegrated_pair(250, hedge_ratio=1.2, phi=0.7, rng=np.random.default_rng(0))
WALKS = random_walks(250, 2, rng=np.random.default_rng(1))


@pytest.mark.parametrize("scheme", ["sieve", "wild"])
def test_engle_granger_bootstrap(scheme):
    found = engle_granger_bootstrap(Y, X, scheme=scheme, n_resamples=199, seed=1)
    asymptotic = engle_granger(Y, X)
    assert found.statistic == asymptotic.statistic
    assert found.asymptotic_pvalue == asymptotic.pvalue
    assert found.pvalue == pytest.approx(1 / 200)
    nothing = engle_granger_bootstrap(*(WALKS[c] for c in WALKS), n_resamples=199, seed=1)
    assert nothing.pvalue == pytest.approx(nothing.asymptotic_pvalue, abs=0.25)
    assert nothing.pvalue > 0.05
    other = engle_granger_bootstrap(10 * Y + 3, 0.1 * X, scheme=scheme, n_resamples=199, seed=1)
    assert np.allclose(other.distribution, found.distribution, rtol=1e-6)


def test_resamples_obey_the_null_they_were_made_for():
    from quantlab.cointegration.bootstrap import _restricted_model

    data = pd.DataFrame({"y": Y, "x": X})
    result = johansen(data, lags=2)
    pi, gamma, fixed, residual = _restricted_model(result, 0)
    assert (pi == 0).all() and gamma.shape == (2, 2, 2)
    change = np.diff(data.to_numpy(), axis=0)
    fitted = fixed + sum(change[2 - k : -k] @ gamma[k - 1].T for k in (1, 2))
    assert np.allclose(change[2:], fitted + residual, atol=1e-12)
    pi, gamma, fixed, residual = _restricted_model(result, 1)
    assert np.linalg.matrix_rank(pi, tol=1e-8) == 1
    levels = data.to_numpy()[2:-1] @ pi.T
    fitted = levels + fixed + sum(change[2 - k : -k] @ gamma[k - 1].T for k in (1, 2))
    assert np.allclose(change[2:], fitted + residual, atol=1e-12)


def test_rebuilding_with_the_residuals_gives_the_data_back():
    from quantlab.cointegration.bootstrap import _accumulate, _restricted_model

    data = pd.DataFrame({"y": Y, "x": X})
    for case in ("constant", "restricted_constant", "restricted_trend"):
        result = johansen(data, lags=1, deterministic=case)
        pi, gamma, fixed, residual = _restricted_model(result, 1)
        mean = (
            result.changes.to_numpy()
            - fixed
            - data.to_numpy()[1:-1] @ pi.T
            - (np.diff(data.to_numpy(), axis=0)[:-1] @ gamma[0].T)
            - residual
        )
        path = _accumulate(data.to_numpy()[:2], fixed + residual + mean, pi, gamma)
        assert np.allclose(path, data, atol=1e-9)


def test_johansen_bootstrap_finds_the_rank():
    data = pd.DataFrame({"y": Y, "x": X})
    found = johansen_bootstrap(data, deterministic="restricted_constant", n_resamples=99, seed=0)
    assert found.rank() == 1
    again = johansen_bootstrap(data, deterministic="restricted_constant", n_resamples=99, seed=0)
    assert found.table.equals(again.table)


def test_gregory_hansen_without_a_break_is_close_to_engle_granger():
    found = gregory_hansen(Y, X, lags=0)
    assert found.statistic <= engle_granger(Y, X, lags=0).statistic + 0.2
    assert found.statistics.min() == found.statistic
    from statsmodels.tsa.stattools import adfuller

    row = Y.index.get_loc(found.break_date) + 1
    after = (np.arange(len(Y)) >= row).astype(float)
    design = np.column_stack([np.ones(len(Y)), after, X])
    residual = Y - design @ np.linalg.lstsq(design, Y, rcond=None)[0]
    peer = adfuller(residual, maxlag=0, regression="n", autolag=None, result_object=True)
    assert found.statistic == pytest.approx(peer.statistic, rel=1e-8)


@pytest.mark.parametrize("model", ["level", "level_trend", "regime"])
def test_gregory_hansen_finds_the_break(model):
    row = np.arange(250)
    shift = {
        "level": np.where(row > 119, 0.4, 0.0),
        "level_trend": np.where(row > 119, 0.4, 0.0) + 0.003 * row,
        "regime": np.where(row > 119, 0.8 * X + 0.2, 0.0),
    }[model]
    found = gregory_hansen(Y + shift, X, model=model)
    assert abs(Y.index.get_loc(found.break_date) - 119) <= 3
    assert found.pvalue < 0.05


def test_monitor_names_the_break_and_does_not_look_ahead():
    broken = Y + np.where(np.arange(250) >= 190, 0.15, 0.0)
    watch = detect_break(broken, X, formation=150)
    assert not watch.holds
    assert abs(Y.index.get_loc(watch.since) - 189) <= 10
    formed = engle_granger(Y[:150], X[:150])
    assert watch.hedge_ratio == pytest.approx(formed.hedge_ratio["x"])
    assert watch.intercept == pytest.approx(formed.intercept)
    changed = broken.copy()
    changed.loc[changed.index > watch.alarm] += 5.0
    again = detect_break(changed, X, formation=150)
    assert (again.alarm, again.since, again.bar) == (watch.alarm, watch.since, watch.bar)
    assert again.table["detector"][: watch.alarm].equals(watch.table["detector"][: watch.alarm])


@pytest.mark.parametrize(
    "function, options",
    [
        (engle_granger_bootstrap, {"seed": 0}),
        (gregory_hansen, {}),
        (detect_break, {"formation": 100}),
    ],
)
def test_robust_functions_refuse(function, options):
    day = Y.index[5]
    for y, x, sentence in (
        (Y * 0, X, "constant"),
        (Y * np.nan, X, "no value"),
        (Y.where(Y.index != day), X, "missing"),
        (Y.where(Y.index != day, np.inf), X, "infinite"),
        (Y.astype(str), X, "numbers only"),
        (Y[::-1], X[::-1], "time order"),
        (Y, X.shift(1, freq="B"), "on one index"),
        (Y, Y, "collinear"),
        (Y, pd.DataFrame({"a": X, "b": WALKS["A0"]}), "one"),
    ):
        with pytest.raises(QuantlabError, match=sentence):
            function(y, x, **options)


def test_robust_functions_refuse_options():
    with pytest.raises(SpecificationError, match="`n_resamples`"):
        engle_granger_bootstrap(Y, X, n_resamples=5, seed=0)
    with pytest.raises(SpecificationError, match="`seed`"):
        johansen_bootstrap(pd.DataFrame({"y": Y, "x": X}), seed=-1)
    with pytest.raises(SpecificationError, match="`formation`"):
        detect_break(Y, X, formation=250)
    with pytest.raises(SpecificationError, match="`alpha`"):
        detect_break(Y, X, formation=150, alpha=1.0)
    with pytest.raises(DataError, match="at least 40 rows"):
        gregory_hansen(Y[:30], X[:30])
    with pytest.raises(DataError, match="no relation to monitor"):
        detect_break(WALKS["A0"], WALKS["A1"], formation=150)
