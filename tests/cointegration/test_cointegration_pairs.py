"""Unit roots, Engle-Granger and Phillips-Ouliaris: published numbers, peers, and refusals."""

import numpy as np
import pandas as pd
import pytest
from conftest import close

from quantlab.cointegration import (
    adf,
    dfgls,
    engle_granger,
    kpss,
    mackinnon_critical_values,
    mackinnon_pvalue,
    phillips_ouliaris,
    phillips_perron,
    variance_ratio,
    zivot_andrews,
)
from quantlab.errors import DataError, MisalignedError, MissingDataError, QuantlabError
from quantlab.simulate import cointegrated_pair, random_walks


def read(folder, name):
    return pd.read_csv(folder / name)


@pytest.fixture
def consumption(reference_data):
    return read(reference_data, "urca_UKconinc.csv")


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_engle_granger_equals_r(reference, consumption, lag):
    entry = reference(f"engle_granger_uk_lag{lag}")
    result = engle_granger(consumption["conl"], consumption["incl"], lags=lag)
    expected = entry["expected"]
    assert close(result.statistic, expected["tau"], entry["tol"])
    assert close(result.hedge_ratio["incl"], expected["slope"], entry["tol"])
    assert close(result.intercept, expected["intercept"], entry["tol"])
    assert close(result.pvalue, expected["p_mackinnon"], entry["tol"])
    assert result.lags == lag and result.nobs == len(consumption)


def test_mackinnon_surfaces(reference):
    entry = reference("mackinnon_crit_N1_N2")
    for key, values in entry["expected"].items():
        n, size = key[1:].split("_")
        got = mackinnon_critical_values(n_series=int(n), nobs=float(size))
        assert np.allclose(got, values, atol=entry["tol"]["abs"], rtol=0)
    entry = reference("mackinnon_crit_N3_N6")
    for key, values in entry["expected"].items():
        got = mackinnon_critical_values(n_series=int(key[1:]))
        assert np.allclose(got, values, atol=entry["tol"]["abs"], rtol=0)
    for trend in ("n", "c", "ct"):
        entry = reference(f"mackinnon_p_{trend}")
        got = mackinnon_pvalue(np.array(entry["input"]["tau"]), n_series=1, trend=trend)
        assert np.allclose(got, entry["expected"]["p"], atol=entry["tol"]["abs"], rtol=0)


def test_unit_roots_equal_r(reference, reference_data):
    entry = reference("adf_raotbl3_lc")
    lc = read(reference_data, "urca_Raotbl3.csv")["lc"]
    for trend in ("ct", "c", "n"):
        result = adf(lc, trend=trend, lags=3)
        assert close(result.statistic, entry["expected"][trend], entry["tol"])
    joint = adf(lc, trend="ct", lags=3).joint_statistics
    assert close(joint["phi2"], entry["expected"]["phi2_ct"], entry["tol"])
    assert close(joint["phi3"], entry["expected"]["phi3_ct"], entry["tol"])
    entry = reference("dfgls_raotbl3_lc")
    for trend in ("ct", "c"):
        got = dfgls(lc, trend=trend, lags=4).statistic
        assert close(got, entry["expected"][trend], entry["tol"])
    entry = reference("adf_ukcon_lag4")
    conl = read(reference_data, "urca_UKconinc.csv")["conl"]
    got = adf(conl, trend="ct", lags=4).statistic
    assert close(got, entry["expected"]["ct"], entry["tol"])


def test_kpss_equals_r(reference, reference_data):
    nelson_plosser = read(reference_data, "urca_nporg.csv")
    cases = {
        "kpss_nporg_bnd": nelson_plosser["bnd"],
        "kpss_nporg_wg": np.log(nelson_plosser["wg.n"]),
    }
    for name, series in cases.items():
        entry = reference(name)
        got = kpss(series.dropna(), trend=entry["params"]["trend"], lags=entry["params"]["lags"])
        assert close(got.statistic, entry["expected"]["stat"], entry["tol"])


def test_zivot_andrews_equals_statsmodels():
    from statsmodels.tsa.stattools import zivot_andrews as peer

    series = random_walks(200, 1, rng=np.random.default_rng(1))["A0"]
    for trend in ("c", "t", "ct"):
        ours = zivot_andrews(series, trend=trend, lags=3)
        theirs = peer(series.to_numpy(), maxlag=3, regression=trend, autolag=None)
        assert ours.statistic == pytest.approx(theirs[0], rel=1e-9)
        assert ours.break_date == series.index[theirs[4] - (trend == "t")]


def test_phillips_ouliaris_equals_reference(reference, consumption):
    entry = reference("phillips_ouliaris_Pu_UKconinc")
    n = len(consumption)
    for trend in ("n", "c", "ct"):
        result = phillips_ouliaris(
            consumption["conl"], consumption["incl"], trend=trend, bandwidth=4
        )
        assert close(result.statistic, entry["expected"][f"arch_Pu_{trend}"], entry["tol"])
        urca = result.statistic * (n - 1) / n
        assert close(urca, entry["expected"][f"urca_Pu_{trend}"], entry["tol"])


WALK = random_walks(200, 2, rng=np.random.default_rng(0))
BAD = {
    "short": (WALK["A0"][:10], "at least 20"),
    "constant": (WALK["A0"] * 0 + 3.0, "constant"),
    "all missing": (WALK["A0"] * np.nan, "no value at all"),
    "one missing": (WALK["A0"].where(WALK.index != WALK.index[7]), "missing"),
    "infinite": (WALK["A0"].where(WALK.index != WALK.index[7], np.inf), "infinite"),
    "text": (WALK["A0"].astype(object).where(WALK.index != WALK.index[7], "n/a"), "numbers only"),
    "duplicated": (pd.concat([WALK["A0"][:100], WALK["A0"][99:]]), "more than once"),
    "unsorted": (WALK["A0"][::-1], "not in time order"),
    "line": (WALK["A0"] * 0 + np.arange(200.0), "straight line|order two"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("test", [adf, kpss, phillips_perron, dfgls, zivot_andrews, variance_ratio])
def test_unit_roots_refuse(test, kind):
    series, sentence = BAD[kind]
    with pytest.raises(QuantlabError, match=sentence):
        test(series)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("test", [engle_granger, phillips_ouliaris])
def test_relations_refuse(test, kind):
    series, sentence = BAD[kind]
    other = pd.Series(WALK["A1"].to_numpy()[: len(series)], index=WALK.index[: len(series)])
    for pair in ((series, other), (other, series)):
        with pytest.raises(QuantlabError, match=sentence + "|rows|on one index"):
            test(*pair)


def test_relation_tests_and_tells_what_may_not_be_integrated_of_order_one():
    y, x = WALK["A0"], WALK["A1"]
    explosive = pd.Series(1.05 ** np.arange(200) + y.to_numpy(), index=y.index)
    for bad, sentence in ((x.cumsum(), "order two"), (explosive, "explosive")):
        assert sentence in engle_granger(y, bad).note and sentence in engle_granger(bad, y).note
    assert engle_granger(y, x).note == ""
    with pytest.raises(DataError, match="collinear"):
        engle_granger(y, y)
    with pytest.raises(DataError, match="collinear"):
        engle_granger(y, pd.DataFrame({"a": x, "b": 2 * x}))
    with pytest.raises(MisalignedError, match="199 shared"):
        engle_granger(y, x.shift(1, freq="B"))
    with pytest.raises(MissingDataError):
        engle_granger(y, pd.DataFrame({"a": x, "b": x.where(x > x.iloc[3])}))


def test_several_series_equal_statsmodels():
    from statsmodels.tsa.stattools import coint

    walks = random_walks(300, 4, rng=np.random.default_rng(5))
    for k in (2, 3):
        ours = engle_granger(walks["A0"], walks.iloc[:, 1 : k + 1])
        theirs = coint(walks["A0"], walks.iloc[:, 1 : k + 1])
        assert ours.statistic == pytest.approx(theirs[0], rel=1e-9)
        assert ours.pvalue == pytest.approx(theirs[1], rel=1e-9)
    y, x = cointegrated_pair(300, rng=np.random.default_rng(6))
    arrays = engle_granger(y.to_numpy(), x.to_numpy())
    assert arrays.statistic == pytest.approx(engle_granger(y, x).statistic, rel=1e-12)


def test_critical_values_are_those_of_the_printed_table():
    """MacKinnon (2010), table 2: beta2 of two series at 1 %, and three rows more that other
    libraries mistyped"""
    for n_series, level, nobs, printed in (
        (2, 0.01, 20, -4.50035),
        (7, 0.10, 20, -5.49189),
        (3, 0.05, 10, -4.67755),
    ):
        assert abs(mackinnon_critical_values(n_series=n_series, nobs=nobs)[level] - printed) < 1e-4


def test_one_bad_price_is_told():
    prices = pd.DataFrame(
        4 + 0.01 * np.random.default_rng(11).standard_normal((300, 2)).cumsum(0), columns=["a", "b"]
    )
    assert engle_granger(prices["a"], prices["b"]).note == ""
    for row in (0, 150, 299):
        wrong = prices.copy()
        wrong.loc[row, "a"] -= np.log(7.4)
        assert "a bad price?" in engle_granger(wrong["a"], wrong["b"]).note
