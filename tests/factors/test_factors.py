"""The factors wing: reference numbers, alphalens, causality, bad input."""

import contextlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import spearmanr

from quantlab import factors as fa
from quantlab.errors import (
    DataError,
    LookaheadError,
    LossExceededError,
    MisalignedError,
    MissingDataError,
    QuantlabError,
    SpecificationError,
)
from quantlab.simulate import factor_world


def panel_of(world, membership=None):
    return SimpleNamespace(
        returns=world.returns,
        dollar_volume=world.dollar_volume,
        intraday_abs_return=world.intraday_abs_return,
        sectors=world.sectors,
        membership=membership,
    )


def forward(prices, periods=(1, 5)):
    return {h: prices.shift(-h) / prices - 1 for h in periods}


@pytest.fixture(scope="module")
def noisy():
    "Prices and a ragged factor, 90 dates x 37 names"
    rng = np.random.default_rng(4)
    dates = pd.bdate_range("2021-03-01", periods=90, name="date")
    names = pd.Index([f"S{i:02d}" for i in range(37)], name="asset")
    prices = pd.DataFrame(np.exp(rng.normal(0, 0.02, (90, 37)).cumsum(0)), dates, names)
    factor = pd.DataFrame(rng.normal(size=(90, 37)), dates, names).rolling(3, min_periods=1).sum()
    return prices, factor.mask(rng.random(factor.shape) < 0.05)


# ---------------------------------------------------------------- reference numbers


def test_reference_factor_panel(reference, reference_data):
    entry = reference("factor_panel_A")
    table = pd.read_csv(reference_data / "factor_panel_A.csv", parse_dates=["date"])
    prices = table.pivot(index="date", columns="asset", values="price")
    factor = table.pivot(index="date", columns="asset", values="factor")
    found = fa.evaluate_factor(factor, forward(prices), conventions="alphalens")
    one, five = found.ic_summary.loc[1], found.ic_summary.loc[5]
    nw4 = lambda x: x.mean() / fa.hac_standard_errors(x, None, lags=4)["const"]
    got = {
        "n_dates": found.n_dates,
        "ic1_mean": one["mean"],
        "ic1_std": one["std"],
        "ic1_t_naive": one["t_naive"],
        "ic1_t_nw4": one["t_hac"],
        "ic5_mean": five["mean"],
        "ic5_t_nw4": nw4(found.ic[5]),
        "ic5_t_naive": five["t_naive"],
        "spread_top_minus_bottom": found.long_short[1].mean(),
        "turnover_q1": found.turnover[1],
        "turnover_q5": found.turnover[5],
        "rank_autocorr": found.rank_autocorrelation,
        "factor_return_mean": found.factor_returns[1].mean(),
        "factor_return_cum": (1 + found.factor_returns[1]).prod() - 1,
        "beta": found.alpha_beta.loc[1, "beta"],
        "alpha_daily": found.alpha_beta.loc[1, "alpha"],
    }
    vectors = {
        "ic1_first3": found.ic[1].head(3),
        "mean_ret_q_demeaned": found.quantile_returns[1],
        "mean_ret_q_raw": found.quantile_returns_raw[1],
    }
    assert set(got) | set(vectors) == set(entry["expected"])
    for name, value in got.items():
        assert close(value, entry["expected"][name], entry["tol"]), name
    for name, values in vectors.items():
        for value, expected in zip(values, entry["expected"][name], strict=True):
            assert close(value, expected, entry["tol"]), name
    assert five["hac_lags"] >= 4


def test_reference_petersen(reference, reference_data):
    table = pd.read_csv(reference_data / "PetersenCL.csv")
    y, X = table["y"], table[["x"]]
    white = fa.hac_standard_errors(y, X, lags=0)
    ols, cluster = reference("petersen_ols"), reference("petersen_cluster_firm")
    by_firm = fa.clustered_standard_errors(y, X, clusters=table["firm"])
    fm_entry = reference("petersen_fama_macbeth")
    fm = fa.fama_macbeth(y, X, entity=table["firm"], time=table["year"])
    for name in ("const", "x"):
        assert close(white[name], ols["expected"]["se_hc0"][name], ols["tol"])
        assert close(by_firm[name], cluster["expected"][name], cluster["tol"])
        assert close(fm.params[name], fm_entry["expected"]["coef"][name], fm_entry["tol"])
        assert close(fm.std_errors[name], fm_entry["expected"]["se"][name], fm_entry["tol"])
    hc1 = fa.hac_standard_errors(y, X, lags=0, small_sample=True)
    assert close(hc1["x"], ols["expected"]["se_white_hc1"]["x"], ols["tol"])
    assert close(fm.tstats["x"], fm_entry["expected"]["t_x"], fm_entry["tol"])
    # clustered by firm and year: 0.0536 (Petersen's page of test data, four digits)
    both = fa.clustered_standard_errors(y, X, clusters=table[["firm", "year"]])
    assert abs(both["x"] - 0.0536) < 5e-5


def test_reference_newey_west(reference, reference_data):
    table = pd.read_csv(reference_data / "sandwich_Investment.csv").iloc[1:]
    y, X = table["RealInv"], table[["RealGNP", "RealInt"]]
    for name, lags, small in (("lag0", 0, False), ("lag1", 1, False), ("lag2", 2, False)) + (
        ("lag4_adjusted", 4, True),
    ):
        entry = reference(f"newey_west_investment_{name}")
        got = fa.hac_standard_errors(y, X, lags=lags, small_sample=small)
        for regressor, expected in entry["expected"].items():
            assert close(got[regressor], expected, entry["tol"]), (name, regressor)
    entry = reference("newey_west_mean_nile")
    nile = pd.read_csv(reference_data / "nile.csv").iloc[:, -1]
    for lags, expected in zip(entry["params"]["lags"], entry["expected"]["se_mean"], strict=True):
        ones = np.ones(len(nile))
        assert close(fa.hac_standard_errors(nile, ones, lags=lags).iloc[0], expected, entry["tol"])
        assert close(fa.hac_standard_errors(nile, None, lags=lags)["const"], expected, entry["tol"])


def test_reference_amihud(reference):
    entry = reference("amihud_small")
    r, volume = (pd.Series(entry["input"][k]) for k in ("ret", "dollar_volume"))
    scale = entry["params"]["scale"]
    got = fa.amihud_illiquidity(r, volume, window=5, scale=scale).iloc[-1, 0]
    assert close(got, entry["expected"]["illiq"], entry["tol"])


# ---------------------------------------------------------------- alphalens itself


def alphalens_clean(factor, ahead, **options):
    "Its own clean-factor function, without its prints"
    from alphalens.utils import get_clean_factor

    frame = pd.concat({f"{h}D": f.stack() for h, f in ahead.items()}, axis=1)
    frame.index.names = ["date", "asset"]
    long = factor.stack().dropna()
    long.index.names = ["date", "asset"]
    with contextlib.redirect_stdout(io.StringIO()):
        return get_clean_factor(long, frame, **options)


@pytest.mark.parametrize("quantiles", [3, 5, 10])
def test_equals_alphalens(noisy, quantiles):
    from alphalens import performance as ap

    prices, factor = noisy
    ahead = forward(prices)
    clean = alphalens_clean(factor, ahead, quantiles=quantiles)
    ours = fa.evaluate_factor(factor, ahead, quantiles=quantiles, conventions="alphalens")
    equal = lambda a, b: np.testing.assert_allclose(
        np.asarray(a), np.asarray(b), rtol=0, atol=1e-10
    )
    codes = ours.quantile_of.stack()
    pd.testing.assert_series_equal(
        codes[codes > 0], clean["factor_quantile"], check_names=False, check_dtype=False
    )
    equal(ours.ic, ap.factor_information_coefficient(clean))
    equal(ours.quantile_returns, ap.mean_return_by_quantile(clean)[0])
    equal(ours.quantile_returns_raw, ap.mean_return_by_quantile(clean, demeaned=False)[0])
    by_date = ap.mean_return_by_quantile(clean, by_date=True)[0].unstack("factor_quantile")
    equal(ours.quantile_returns_by_date, by_date)
    equal(ours.factor_returns, ap.factor_returns(clean))
    equal(
        ours.rank_autocorrelation_by_date.iloc[1:],
        ap.factor_rank_autocorrelation(clean).iloc[1:],
    )
    for q in range(1, quantiles + 1):
        theirs = ap.quantile_turnover(clean["factor_quantile"], q).dropna()
        equal(ours.turnover_by_date[q].dropna(), theirs)
    theirs = ap.factor_alpha_beta(clean)
    equal(ours.alpha_beta["beta"], theirs.loc["beta"])
    per_year = np.array([252 / 1, 252 / 5])
    equal((1 + ours.alpha_beta["alpha"]) ** per_year - 1, theirs.loc["Ann. alpha"])


def test_equals_alphalens_by_group(noisy):
    from alphalens import performance as ap

    prices, factor = noisy
    ahead = forward(prices)
    groups = pd.Series(["a", "b", "c"] * 12 + ["a"], index=prices.columns)
    clean = alphalens_clean(factor, ahead, groupby=groups.to_dict())
    theirs = ap.factor_information_coefficient(clean, by_group=True).groupby("group").mean()
    ours = fa.evaluate_factor(factor, ahead, groups=groups, conventions="alphalens").ic_by_group
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_alphalens_drops_tied_dates_and_we_do_not(noisy):
    prices, factor = noisy
    coarse = factor.round(0)
    clean = alphalens_clean(coarse, forward(prices), max_loss=1.0)
    theirs = fa.evaluate_factor(coarse, forward(prices), max_loss=0.999, conventions="alphalens")
    dates = clean.index.get_level_values(0).unique()
    assert list(theirs.ic.index) == list(dates)
    assert (theirs.dropped["reason"] == "ties across quantile edges").any()
    ours = fa.evaluate_factor(coarse, forward(prices))
    assert ours.n_dates == 89 > theirs.n_dates


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 120), st.integers(2, 12), st.integers(0, 10_000))
def test_quantiles_are_pandas_qcut(n, q, seed):
    rng = np.random.default_rng(seed)
    values = rng.permutation(n) * 0.1 if seed % 2 else rng.normal(size=n)
    factor = pd.DataFrame([values, values[::-1]], pd.bdate_range("2020-01-01", periods=2))
    ahead = {1: pd.DataFrame(rng.normal(size=(2, n)), factor.index)}
    got = fa.evaluate_factor(factor, ahead, quantiles=q, conventions="alphalens")
    np.testing.assert_array_equal(got.quantile_of.iloc[0], pd.qcut(values, q, labels=False) + 1)
    if n >= q:
        mine = fa.evaluate_factor(factor, ahead, quantiles=q).quantile_of.iloc[0]
        ranks = pd.Series(values).rank().to_numpy()
        on_edge = (ranks - 1) * q % (n - 1) == 0  # there qcut's answer is rounding, ours is exact
        theirs = pd.qcut(ranks, q, labels=False) + 1
        np.testing.assert_array_equal(mine[~on_edge], theirs[~on_edge])
        exact = np.maximum(1, (ranks - 1) * q // (n - 1))
        np.testing.assert_array_equal(mine[on_edge], exact[on_edge])


# ---------------------------------------------------------------- evaluation


def test_long_and_wide_agree(noisy):
    prices, factor = noisy
    ahead = forward(prices)
    wide = fa.evaluate_factor(factor, ahead)
    long = fa.evaluate_factor(factor.stack().dropna().sample(frac=1, random_state=0), ahead)
    pd.testing.assert_frame_equal(wide.ic, long.ic)


def test_monthly_factor_does_not_overlap():
    world = factor_world(800, 30, rng=np.random.default_rng(0))
    prices = (1 + world.returns).cumprod()
    factor = world.returns.rolling(20).sum().iloc[21::21]
    found = fa.evaluate_factor(factor, forward(prices, (1, 20, 42))).ic_summary
    assert found.loc[20, "n_disjoint"] == found.loc[20, "n_dates"]
    assert found.loc[20, "t_disjoint"] == pytest.approx(found.loc[20, "t_naive"])
    assert found.loc[42, "n_disjoint"] == -(-found.loc[42, "n_dates"] // 2)


def test_disjoint_takes_every_hth_date(noisy):
    prices, factor = noisy
    ic = fa.evaluate_factor(factor, forward(prices)).ic[5].dropna()
    thin = ic.iloc[::5]
    expected = thin.mean() / (thin.std() / np.sqrt(len(thin)))
    found = fa.evaluate_factor(factor, forward(prices)).ic_summary
    assert found.loc[5, "t_disjoint"] == pytest.approx(expected, rel=1e-12)
    tails = [
        stats.t.sf(abs(found.loc[5, k]), found.loc[5, n] - 1)
        for k, n in (("t_hac", "n_dates"), ("t_disjoint", "n_disjoint"))
    ]
    assert found.loc[5, "pvalue"] == pytest.approx(2 * max(tails), rel=1e-12)
    fit = sm.OLS(ic.to_numpy(), np.ones(len(ic))).fit(
        cov_type="HAC", cov_kwds={"maxlags": int(found.loc[5, "hac_lags"])}
    )
    assert found.loc[5, "t_hac"] == pytest.approx(fit.tvalues[0], rel=1e-9)


def test_breakeven_cost_by_hand(noisy):
    prices, factor = noisy
    found = fa.evaluate_factor(factor, forward(prices))
    gross = found.quantile_returns[1].iloc[-1] - found.quantile_returns[1].iloc[0]
    traded = 2 * (found.turnover[1] + found.turnover[5])
    assert found.breakeven_cost_bps[1] == pytest.approx(1e4 * gross / traded, rel=1e-12)


def flag_world(share, size=240, n=12, edge=4e-5, move=0.01, seed=3):
    "`share(date)` names are flagged and earn `edge` more; the market falls when they are many"
    rng, days = np.random.default_rng(seed), pd.bdate_range("2019-01-01", periods=size)
    flag, ahead = np.zeros((size, n)), np.zeros((size, n))
    for t in range(size):
        flag[t, rng.permutation(n)[: share(t)]] = 1
        ahead[t] = (-move if share(t) > n / 2 else move) + 1e-4 * rng.normal(size=n)
    ahead += edge * flag
    return pd.DataFrame(flag, days), {1: pd.DataFrame(ahead, days)}


@pytest.mark.parametrize("quantiles", [3, 4, 5, 10])
def test_spread_needs_both_legs_on_the_same_dates(quantiles):
    "Means over different dates, of falling and of rising days, would give 100 bps and more"
    factor, ahead = flag_world(lambda t: 9 if (t // 20) % 2 else 3)
    found = fa.evaluate_factor(factor, ahead, quantiles=quantiles)
    legs = (found.quantile_of == 1).any(axis=1) & (found.quantile_of == quantiles).any(axis=1)
    assert found.long_short[1].notna().equals(legs.rename(1))
    row = found.dropped[found.dropped["reason"] == "no names in the top or the bottom quantile"]
    assert set(row["date"]) == set(factor.index[~legs]) and (row["count"] == 12).all()
    assert found.loss == 0
    if not legs.any():
        assert np.isnan(found.summary().loc[1, ["spread_bps", "breakeven_cost_bps"]]).all()
        assert np.isnan(found.decay.loc[1, "long_short"])
        assert found.long_short_summary.loc[1, "n_dates"] == 0
    table = fa.compare_factors({"flag": found}, period=1, cost_bps=5.0).table.loc["flag"]
    assert not table["survives_costs"] and (
        np.isnan(table["spread_bps"]) or abs(table["spread_bps"]) < 2
    )


@pytest.mark.parametrize("cut", [{"bins": 2}, {"bins": [-0.5, 0.5, 1.5]}, {"quantiles": 2}])
@pytest.mark.parametrize("conventions", ["quantlab", "alphalens"])
def test_bins_part_a_flag(cut, conventions):
    factor, ahead = flag_world(lambda t: 9 if (t // 20) % 2 else 3)
    if conventions == "alphalens" and "quantiles" in cut:
        with pytest.raises(LossExceededError, match="ties across quantile edges"):
            fa.evaluate_factor(factor, ahead, conventions=conventions, **cut)
        return
    found = fa.evaluate_factor(factor, ahead, conventions=conventions, **cut)
    right = (
        ahead[1].where(factor == 1).mean(axis=1) - ahead[1].where(factor == 0).mean(axis=1)
    ).mean()
    assert found.summary().loc[1, "spread_bps"] == pytest.approx(1e4 * right, rel=1e-9)
    ones, zeros = factor == 1, factor == 0
    new = [(x & ~x.shift(1, fill_value=False)).sum(axis=1) / x.sum(axis=1) for x in (ones, zeros)]
    traded = 2 * (new[0][1:].mean() + new[1][1:].mean())
    assert found.breakeven_cost_bps[1] == pytest.approx(1e4 * right / traded, rel=1e-9)
    assert found.long_short_summary.loc[1, "n_dates"] == len(factor)


def test_constant_dates_of_a_flag_are_listed():
    "Half of the dates are constant: they have no spread and no turnover, and say so"
    factor, ahead = flag_world(lambda t: 4 if t % 2 else 12 * (t % 4 == 0))
    found = fa.evaluate_factor(factor, ahead, bins=[-0.5, 0.5, 1.5], max_loss=0.6)
    both = found.quantile_of.isin([1]).any(axis=1) & found.quantile_of.isin([2]).any(axis=1)
    assert both.sum() == 120 and found.long_short[1].notna().sum() == 120
    lost = found.dropped.groupby("reason")["count"].sum()
    assert lost.to_dict() == {"constant factor": 120 * 12}
    with pytest.raises(SpecificationError, match="not both"):
        fa.evaluate_factor(factor, ahead, bins=2, quantiles=3)
    for wrong in (1, 101, 2.5, True, "2", [0, 1], [0, 2, 1], [0, np.nan, 1], [0, 1, "x"]):
        with pytest.raises(SpecificationError, match="bins"):
            fa.evaluate_factor(factor, ahead, bins=wrong)
    with pytest.raises(LossExceededError, match="outside the bins"):
        fa.evaluate_factor(factor, ahead, bins=[5, 6, 7])


def test_a_leg_that_comes_back_is_bought_anew():
    "The same three names are on top on each other day, and nobody between"
    days = pd.bdate_range("2020-01-01", periods=41)
    top = np.where(np.arange(41) % 2, 0.5, 1.0)[:, None] * [0, 0, 0, 1, 1, 1]
    ahead = {1: pd.DataFrame(0.01 * top, days)}
    found = fa.evaluate_factor(pd.DataFrame(top, days), ahead, bins=[-0.5, 0.25, 0.75, 1.5])
    assert (found.turnover_by_date[3].iloc[2::2] == 1).all()
    assert (found.turnover_by_date[1].iloc[1:] == 0).all()
    assert found.long_short[1].notna().sum() == 21
    assert found.breakeven_cost_bps[1] == pytest.approx(1e4 * 0.01 / 2, rel=1e-9)


def test_groups_are_needed_for_what_is_done_by_group(noisy):
    prices, factor = noisy
    for option in ("binning_by_group", "group_neutral"):
        with pytest.raises(SpecificationError, match=option):
            fa.evaluate_factor(factor, forward(prices), **{option: True})
    groups = pd.Series(["a", "b", "c"] * 12 + ["one"], index=prices.columns)
    found = fa.evaluate_factor(
        factor,
        forward(prices),
        groups=groups,
        quantiles=3,
        binning_by_group=True,
        group_neutral=True,
    )
    used = found.quantile_of.loc[found.ic.index]
    assert not (used["S36"] > 0).any()  # alone in its group: fewer names than quantiles
    assert (
        found.dropped.query("reason == 'fewer names than quantiles'")["count"].sum()
        == factor["S36"].iloc[:-1].notna().sum()
    )
    for name in "abc":
        sizes = used.loc[:, groups == name].apply(
            lambda row: row[row > 0].value_counts().max() - row[row > 0].value_counts().min(),
            axis=1,
        )
        assert sizes.max() <= 1
    day, inside = found.ic.index[40], used.iloc[40] > 0
    ahead = forward(prices)[1].loc[day, inside[inside].index]
    beyond = ahead - ahead.groupby(groups).transform("mean")
    assert found.ic.loc[day, 1] == pytest.approx(
        spearmanr(factor.loc[day, beyond.index], beyond).statistic, abs=1e-12
    )
    top, bottom = (beyond[used.loc[day, beyond.index] == q].mean() for q in (3, 1))
    assert found.long_short.loc[day, 1] == pytest.approx(top - bottom, abs=1e-15)


# ---------------------------------------------------------------- order of time, rounding noise


def test_lags_need_time_order():
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2020-01-01", periods=120)
    for index in (
        days,
        pd.RangeIndex(120),
        pd.period_range("2010-01", periods=120, freq="M"),
        pd.Index(days.date),
    ):
        series = pd.Series(rng.normal(1, 1, 120).cumsum(), index)
        mixed = series.sample(frac=1, random_state=0)
        for call in (
            lambda s: fa.mean_inference(s, horizon=5),
            lambda s: fa.bootstrap_interval(s, horizon=5, seed=0),
            lambda s: fa.hac_standard_errors(s, None, lags=3),
        ):
            assert call(series) is not None
            with pytest.raises(DataError, match="time order"):
                call(mixed)
        white = fa.hac_standard_errors(mixed, None, lags=0)
        assert white.iloc[0] == pytest.approx(fa.hac_standard_errors(series, None, lags=0).iloc[0])
    text = pd.Series(rng.normal(size=12), [f"M{i}" for i in range(1, 13)])
    assert fa.mean_inference(text).t_hac == fa.mean_inference(text.to_numpy()).t_hac
    with pytest.raises(DataError, match="more than once"):
        fa.mean_inference(pd.concat([text, text.head(1)]))


def test_text_periods_keep_their_order_or_are_refused():
    rng, n, size = np.random.default_rng(2), 15, 12
    when = np.repeat(np.arange(size), n)
    x = rng.normal(size=n * size)
    y = 0.3 * when * x + rng.normal(size=n * size)
    right = fa.fama_macbeth(y, x, time=when, hac_lags=3)
    words = np.array([f"M{i + 1}" for i in when])
    ordered = pd.Categorical(words, [f"M{i + 1}" for i in range(size)], ordered=True)
    same = lambda found: np.testing.assert_allclose(found.std_errors, right.std_errors, rtol=1e-12)
    for labels in (
        words,
        words.astype(object),
        list(words),
        pd.Series(words),
        ordered,
        pd.Series(ordered),
    ):
        found = fa.fama_macbeth(y, x, time=labels, hac_lags=3)
        same(found)
        assert list(found.coefficients.index) == [f"M{i + 1}" for i in range(size)]
    by_name = np.argsort(
        np.tile(np.arange(n), size), kind="stable"
    )  # all periods of a name together
    mixed = rng.permutation(n * size)
    for rows in (by_name, mixed):
        same(fa.fama_macbeth(y[rows], x[rows], time=when[rows], hac_lags=3))
        same(fa.fama_macbeth(y[rows], x[rows], time=ordered[rows], hac_lags=3))
        with pytest.raises(DataError, match="order cannot be told"):
            fa.fama_macbeth(y[rows], x[rows], time=words[rows], hac_lags=3)
        plain = fa.fama_macbeth(
            y[rows], x[rows], time=words[rows]
        )  # without lags the order does not matter
        np.testing.assert_allclose(
            plain.std_errors, fa.fama_macbeth(y, x, time=when).std_errors, rtol=1e-9
        )
    years = np.array([str(2001 + i) for i in when])
    same(fa.fama_macbeth(y[by_name], x[by_name], time=years[by_name], hac_lags=3))
    index = pd.MultiIndex.from_arrays(
        [words, np.tile(np.arange(n), size)], names=["month", "asset"]
    )
    same(fa.fama_macbeth(pd.Series(y, index), pd.DataFrame({"x1": x}, index), hac_lags=3))


def test_no_t_statistic_over_rounding_noise():
    steady = pd.Series(100 * 1.01 ** np.arange(80)).pct_change().dropna()
    assert 0 < steady.std() < 1e-12
    found = fa.mean_inference(steady)
    assert np.isnan([found.t_naive, found.t_hac, found.t_disjoint, found.pvalue]).all()
    assert "rounding" in found.note and found.summary()["note"] == found.note
    assert "one value" in fa.mean_inference(steady.head(1)).note
    rng = np.random.default_rng(0)
    assert fa.mean_inference(rng.normal(size=50)).note == ""
    x = pd.DataFrame({"f": rng.normal(0, 0.01, 200)}, pd.bdate_range("2020-01-01", periods=200))
    exact = fa.factor_attribution(0.001 + 1.3 * x["f"], x, periods_per_year=252)
    assert (
        exact.rsquared == pytest.approx(1)
        and exact.tstats.isna().all()
        and exact.pvalues.isna().all()
    )
    same = fa.fama_macbeth(
        2 + 3 * np.tile(x["f"], 2), np.tile(x["f"], 2), time=np.arange(400) // 40
    )
    assert same.params["x1"] == pytest.approx(3) and same.tstats.isna().all()
    ahead = pd.DataFrame(rng.normal(0, 0.01, (200, 6)), x.index)
    oracle = fa.evaluate_factor(ahead, {1: ahead}, quantiles=2)
    assert oracle.ic_summary.loc[1, "mean"] == pytest.approx(1)
    assert oracle.ic_summary.loc[1, ["t_naive", "t_hac", "t_disjoint", "pvalue"]].isna().all()


def test_a_backtests_own_weights_were_held():
    from quantlab.backtest import run_backtest

    rng, days = np.random.default_rng(0), pd.bdate_range("2020-01-01", periods=60)
    returns = pd.DataFrame(rng.normal(0, 0.02, (60, 4)), days, list("abcd"))
    sectors = pd.Series(list("xxyy"), list("abcd"))
    decided = pd.DataFrame(rng.dirichlet(np.ones(4), 60), days, list("abcd"))
    for lag in (1, 2):
        result = run_backtest(decided, returns, decision_lag=lag)
        by_sector = fa.sector_contributions(result.weights, returns, sectors)
        np.testing.assert_allclose(by_sector.sum(axis=1), result.gross_returns, atol=1e-14)
        bare = pd.DataFrame(result.weights.to_numpy(), days, list("abcd"))
        pd.testing.assert_frame_equal(
            fa.sector_contributions(bare, returns, sectors, held=True), by_sector
        )
    by_hand = (decided.shift(1) * returns).sum(axis=1)
    np.testing.assert_allclose(
        fa.sector_contributions(decided, returns, sectors).sum(axis=1), by_hand, atol=1e-15
    )
    with pytest.raises(SpecificationError, match="held"):
        fa.sector_contributions(decided, returns, sectors, held="yes")


@pytest.mark.parametrize("path", [[103, 90, 103.0], [97.3, 71.1, 97.3], [11, 10, 9, 10, 11.0]])
def test_a_recovered_drawdown_is_at_the_high(path):
    prices = pd.Series(
        [*path, *[path[0]] * 30], pd.bdate_range("2020-01-01", periods=len(path) + 30)
    )
    state = fa.drawdown_regime(prices.pct_change().dropna())
    assert (state.iloc[len(path) - 1 :] == "at high").all() and not (
        state.iloc[1 : len(path) - 1] == "at high"
    ).any()


def test_define_factor_takes_any_function_of_fields(market):
    import functools

    made = fa.define_factor(family="own", source="own", horizon=5)

    @made
    def bare(returns):
        return returns.rolling(5).sum()

    assert (
        bare.description == ""
        and bare.inputs == ("returns",)
        and bare.summary()["description"] == ""
    )
    window = made(lambda returns, window=3: returns.rolling(window).sum())
    assert window.inputs == ("returns",) and window(market).notna().any(axis=None)
    partial = made(functools.partial(lambda returns, span: returns.rolling(span).sum(), span=4))
    pd.testing.assert_frame_equal(
        partial(market), market.returns.rolling(4).sum().where(market.membership)
    )
    for wrong in (3, None, lambda: 1, lambda *fields: fields[0], lambda **fields: 1):
        with pytest.raises(SpecificationError, match="define_factor"):
            made(wrong)
    with pytest.raises(DataError, match="wide frame"):
        made(lambda returns: returns.to_numpy())(market)


def test_sign_and_scale(noisy):
    prices, factor = noisy
    ahead = forward(prices)
    base = fa.evaluate_factor(factor, ahead)
    up = fa.evaluate_factor(3 + 2 * factor, ahead)
    down = fa.evaluate_factor(-factor, ahead)
    pd.testing.assert_frame_equal(base.ic, up.ic)
    np.testing.assert_allclose(base.ic, -down.ic, atol=1e-14)
    np.testing.assert_allclose(base.factor_returns, up.factor_returns, atol=1e-14)


def test_result_forms(noisy):
    prices, factor = noisy
    found = fa.evaluate_factor(factor, forward(prices))
    assert "0x" not in repr(found)
    json.dumps(found.to_dict())
    assert list(found.summary().index) == [1, 5]
    axes = found.plot()
    assert axes.get_title("left")
    assert axes.get_ylabel() == "mean forward return (bp per period)"  # a row may be a week
    band = found.bootstrap(5, seed=0)
    assert band.lower < found.ic[5].mean() < band.upper
    assert 0 <= found.monotonicity(1, seed=0).pvalue <= 1


def test_monotonicity_finds_a_ladder():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(500, 5))
    ladder = pd.DataFrame(noise + 0.2 * np.arange(5))
    assert fa.monotonicity_test(ladder, seed=1).pvalue < 0.01
    assert fa.monotonicity_test(pd.DataFrame(noise), seed=1).pvalue > 0.05
    hump = pd.DataFrame(noise + 0.3 * np.array([0, 1, 2, 3, 1]))
    assert fa.monotonicity_test(hump, seed=1).pvalue > 0.5


# ---------------------------------------------------------------- library


@pytest.fixture(scope="module")
def market():
    world = factor_world(880, 20, rng=np.random.default_rng(2))
    membership = pd.DataFrame(True, world.returns.index, world.returns.columns)
    membership.iloc[:300, :3] = False
    membership.iloc[820:, 5] = False
    holes = np.random.default_rng(3).random(world.returns.shape) < 0.01
    panel = panel_of(world, membership)
    panel.returns = panel.returns.mask(holes)
    return panel


@pytest.mark.parametrize("name", sorted(fa.LIBRARY))
def test_factor_is_causal(market, name):
    factor, cut = fa.LIBRARY[name], 800
    full = factor(market)
    fields = ("returns", "dollar_volume", "intraday_abs_return", "membership")
    short = {k: getattr(market, k).iloc[:cut] for k in fields}
    changed = {}
    for field in fields:
        frame = getattr(market, field)
        upside_down = frame.iloc[cut:].to_numpy()[::-1, ::-1]
        scaled = upside_down if field == "membership" else 0.5 * upside_down
        changed[field] = pd.DataFrame(
            np.vstack([frame.iloc[:cut].to_numpy(), scaled]), frame.index, frame.columns
        )
    for world in (short, changed):
        got = factor(SimpleNamespace(sectors=market.sectors, **world)).iloc[:cut]
        pd.testing.assert_frame_equal(got, full.iloc[:cut], rtol=1e-9, atol=1e-13)
    assert full.iloc[800].notna().sum() >= 18
    assert not full.where(~market.membership).notna().any(axis=None)
    assert not np.isinf(full.to_numpy()).any()


def test_library_covers_the_families():
    table = fa.library_table()
    assert len(fa.LIBRARY) >= 25
    assert set(fa.LIBRARY) >= {
        "momentum_12_1",
        "short_term_reversal",
        "low_volatility",
        "illiquidity",
    }
    assert set(table["family"]) == {
        "momentum",
        "reversal",
        "risk",
        "liquidity",
        "lottery",
        "seasonality",
        "residual",
        "lead-lag",
    }


def test_momentum_finds_the_planted_drift():
    world = factor_world(1300, 60, edge=0.001, rng=np.random.default_rng(8))
    prices = (1 + world.returns).cumprod()
    found = fa.evaluate_factor(
        fa.LIBRARY["momentum_12_1"](panel_of(world)), forward(prices, (1, 20))
    )
    assert found.ic_summary.loc[20, "pvalue"] < 0.01
    assert found.ic_summary.loc[20, "mean"] > 0.05


def test_rolling_beta_equals_statsmodels():
    from statsmodels.regression.rolling import RollingOLS

    world = factor_world(300, 4, rng=np.random.default_rng(9))
    market = world.returns.mean(axis=1)
    ours = fa.rolling_beta(world.returns, market, window=60)
    for name in world.returns:
        fit = RollingOLS(world.returns[name], sm.add_constant(market.to_numpy()), window=60).fit()
        np.testing.assert_allclose(ours[name], np.asarray(fit.params)[:, 1], rtol=0, atol=1e-12)


def test_rolling_beta_forgets_an_absurd_return():
    world = factor_world(1500, 2, rng=np.random.default_rng(9))
    spoiled, market = world.returns.copy(), world.returns.mean(axis=1)
    spoiled.iloc[100, 0] = 1e4
    ours = fa.rolling_beta(spoiled, market, window=60).iloc[600:]
    clean = fa.rolling_beta(world.returns, market, window=60).iloc[600:]
    np.testing.assert_allclose(ours, clean, atol=1e-9)


# ---------------------------------------------------------------- bad input


BAD = {
    "all missing": (lambda f: f * np.nan, MissingDataError, "no value at all"),
    "infinite": (lambda f: f.mask(f == f.iloc[3, 3], np.inf), DataError, "infinite"),
    "text": (lambda f: f.astype(str), DataError, "text"),
    "duplicated": (lambda f: pd.concat([f, f.tail(1)]), DataError, "more than once"),
    "unsorted": (lambda f: f.iloc[::-1], DataError, "time order"),
    "twice a column": (
        lambda f: pd.concat([f, f.iloc[:, :1]], axis=1),
        DataError,
        "more than once",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_frames_are_refused(noisy, kind):
    prices, factor = noisy
    ahead, groups = forward(prices), pd.Series("a", prices.columns)
    spoil, error, text = BAD[kind]
    bad = spoil(factor)
    market = prices.mean(axis=1).rename("market")
    calls = [
        lambda: fa.winsorize(bad),
        lambda: fa.zscore(bad),
        lambda: fa.rank(bad),
        lambda: fa.neutralize(bad, groups),
        lambda: fa.lag(bad, 1),
        lambda: fa.mask(bad, None),
        lambda: fa.evaluate_factor(bad, ahead),
        lambda: fa.evaluate_factor(factor, {1: bad}),
        lambda: fa.rolling_beta(bad, market, window=5),
        lambda: fa.combine({"a": bad}),
        lambda: fa.LIBRARY["low_volatility"](SimpleNamespace(returns=bad)),
        lambda: fa.factor_attribution(market, bad, periods_per_year=252),
        lambda: fa.amihud_illiquidity(bad, prices, window=5),
    ]
    for call in calls:
        with pytest.raises(error, match=text):
            call()


def test_evaluate_refuses(noisy):
    prices, factor = noisy
    ahead = forward(prices)
    with pytest.raises(LossExceededError, match="constant factor"):
        fa.evaluate_factor(factor * 0, ahead)
    with pytest.raises(LossExceededError, match="not in forward returns"):
        fa.evaluate_factor(factor, {1: ahead[1].iloc[:40]})
    with pytest.raises(MisalignedError, match="no dates"):
        fa.evaluate_factor(factor.shift(900, freq="B"), ahead)
    with pytest.raises(MisalignedError, match="no assets"):
        fa.evaluate_factor(factor.add_prefix("x"), ahead)
    with pytest.raises(MisalignedError, match="one index"):
        fa.evaluate_factor(factor, {1: ahead[1], 5: ahead[5].iloc[3:]})
    with pytest.raises(MisalignedError, match="none of the assets"):
        fa.evaluate_factor(factor, ahead, groups=pd.Series({"x": "a"}))
    for wrong in (None, ahead[1], {}, {0: ahead[1]}, {"1D": ahead[1]}):
        with pytest.raises(SpecificationError):
            fa.evaluate_factor(factor, wrong)
    for name, value in (
        ("quantiles", 1),
        ("quantiles", 2.5),
        ("max_loss", 2),
        ("conventions", "x"),
    ):
        with pytest.raises(SpecificationError, match=name):
            fa.evaluate_factor(factor, ahead, **{name: value})
    for wrong in (None, "text", 3, [1, 2]):
        with pytest.raises(QuantlabError):
            fa.evaluate_factor(wrong, ahead)


def test_lag_refuses_the_future(noisy):
    with pytest.raises(LookaheadError, match="future"):
        fa.lag(noisy[1], -1)
    with pytest.raises(SpecificationError):
        fa.lag(noisy[1], 1.5)


def test_inference_refuses():
    rng = np.random.default_rng(0)
    y, X = pd.Series(rng.normal(size=30)), pd.DataFrame(rng.normal(size=(30, 2)))
    bad_y = {
        "missing": (y.where(y > 0), MissingDataError),
        "infinite": (y.replace(y[3], np.inf), DataError),
        "text": (y.astype(str), DataError),
        "short": (y.iloc[:2], DataError),
        "all missing": (y * np.nan, MissingDataError),
        "misaligned": (y.iloc[1:], MisalignedError),
    }
    for kind, (bad, error) in bad_y.items():
        X_bad = X.iloc[:2] if kind == "short" else X
        with pytest.raises(error):
            fa.hac_standard_errors(bad, X_bad, lags=1)
        with pytest.raises(error):
            fa.clustered_standard_errors(bad, X_bad, clusters=np.arange(len(X_bad)) // 2)
    with pytest.raises(SpecificationError, match="level of dates"):
        fa.fama_macbeth(y, X)
    with pytest.raises(MisalignedError, match="`clusters`"):
        fa.clustered_standard_errors(y, X, clusters=np.arange(29))
    with pytest.raises(SpecificationError, match="nothing to estimate"):
        fa.hac_standard_errors(y, None, lags=1, add_constant=False)
    with pytest.raises(DataError, match="collinear"):
        fa.hac_standard_errors(y, X.assign(c=X[0]), lags=1)


# ---------------------------------------------------------------- transformations


def test_neutralize_by_label_is_demeaning(noisy):
    _, factor = noisy
    groups = pd.Series(["a", "b", "c"] * 12 + ["a"], index=factor.columns)
    got = fa.neutralize(factor, groups)
    expected = factor - factor.T.groupby(groups).transform("mean").T
    pd.testing.assert_frame_equal(got, expected, check_names=False, check_freq=False)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_neutralised_factor_is_orthogonal(seed):
    rng = np.random.default_rng(seed)
    frame = lambda: pd.DataFrame(rng.normal(size=(3, 30)))
    factor, x = frame().mask(rng.random((3, 30)) < 0.1), frame()
    residual = fa.neutralize(factor, x)
    inner = (residual * x.where(residual.notna())).sum(axis=1)
    np.testing.assert_allclose(inner, 0, atol=1e-9)
    np.testing.assert_allclose(residual.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(fa.neutralize(residual, x), residual, atol=1e-9)


def test_rank_ic_by_scipy(noisy):
    prices, factor = noisy
    ahead = forward(prices)
    found = fa.evaluate_factor(factor, ahead)
    for date in found.ic.index[::20]:
        both = pd.concat([factor.loc[date], ahead[1].loc[date]], axis=1).dropna()
        expected = spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic
        assert found.ic.loc[date, 1] == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------- alphalens interop, redundancy


def test_to_and_from_alphalens(noisy):
    prices, factor = noisy
    ahead = forward(prices)
    groups = pd.Series(["a", "b", "c"] * 12 + ["a"], index=prices.columns)
    theirs = alphalens_clean(factor, ahead, groupby=groups.to_dict())
    ours = fa.to_alphalens(factor, ahead, groups=groups)
    pd.testing.assert_frame_equal(
        ours.astype({"group": str}),
        theirs.astype({"group": str})[list(ours.columns)],
        check_dtype=False,
        check_index_type=False,
    )
    back = fa.from_alphalens(theirs)
    again = fa.evaluate_factor(back.factor, back.forward_returns, conventions="alphalens")
    whole = fa.evaluate_factor(factor, ahead, conventions="alphalens")
    pd.testing.assert_frame_equal(again.ic, whole.ic, check_freq=False)
    for wrong in (factor, theirs[["factor"]], None, theirs.drop(columns="factor")):
        with pytest.raises(DataError):
            fa.from_alphalens(wrong)


def test_pictures_draw_on_the_axes_given(noisy):
    import matplotlib.pyplot as plt

    prices, factor = noisy
    found = fa.evaluate_factor(factor, forward(prices))
    ax = plt.subplots()[1]
    assert found.plot(ax) is fa.quantile_bars(found.quantile_returns, ax=ax) is ax
    assert fa.cumulative_quantiles(found.quantile_returns_by_date[5], period=5, ax=ax) is ax
    for draw in (fa.ic_series, fa.ic_histogram, fa.ic_heatmap):
        assert draw(found.ic[5], ax=ax) is ax
    assert fa.ic_decay(found.decay, ax=ax) is ax
    assert len(fa.tear_sheet(found, 5).axes) == 7
    plt.close("all")


def test_capacity(noisy):
    prices, factor = noisy
    found = fa.evaluate_factor(factor, forward(prices))
    volume = prices * 0 + 2e6
    n = (found.quantile_of == 1).sum(axis=1)[found.ic.index]
    room = found.capacity(volume, participation=0.1)
    lower = np.minimum(n, (found.quantile_of == 5).sum(axis=1)[found.ic.index])
    np.testing.assert_allclose(room.by_date[found.ic.index], 0.1 * 2e6 * lower)
    with pytest.raises(MisalignedError, match="shares no"):
        found.capacity(volume.add_prefix("x"))
    with pytest.raises(SpecificationError, match="participation"):
        found.capacity(volume, participation=0)


def test_comparison_counts_the_failures(noisy):
    prices, _ = noisy
    rng, ahead = np.random.default_rng(0), forward(prices)
    tried = {
        f"n{i}": fa.evaluate_factor(prices * 0 + rng.normal(size=prices.shape), ahead)
        for i in range(6)
    }
    found = fa.compare_factors(tried, period=1)
    assert found.n_tested == 6 and found.n_surviving == 0
    pvalues = pd.Series({k: v.ic_summary.loc[1, "pvalue"] for k, v in tried.items()})
    expected = stats.false_discovery_control(pvalues, method="by")
    np.testing.assert_allclose(found.table["qvalue"].reindex(pvalues.index), expected)
    more = fa.compare_factors(tried, period=1, n_tested=60)
    assert (more.table["qvalue"] >= found.table["qvalue"].reindex(more.table.index)).all()
    with pytest.raises(SpecificationError, match="n_tested"):
        fa.compare_factors(tried, period=1, n_tested=5)


def test_factor_correlation_is_the_mean_of_spearman(noisy):
    _, ragged = noisy
    a = ragged.fillna(0.0)
    b = a + np.random.default_rng(0).normal(size=a.shape)
    got = fa.factor_correlation({"a": a, "b": b})
    expected = np.mean([stats.spearmanr(a.iloc[t], b.iloc[t]).statistic for t in range(len(a))])
    assert got.loc["a", "b"] == pytest.approx(expected, rel=1e-12)
    factor = a
    with pytest.raises(SpecificationError, match="at least 2"):
        fa.factor_correlation({"a": factor})
    with pytest.raises(DataError, match="square"):
        fa.cluster_factors(factor)


# ---------------------------------------------------------------- attribution, combination


def test_attribution_equals_statsmodels():
    rng = np.random.default_rng(5)
    dates = pd.bdate_range("2015-01-01", periods=400)
    factors = pd.DataFrame(rng.normal(0, 0.01, (400, 2)), dates, ["a", "b"])
    returns = 0.0002 + factors @ [0.5, -0.2] + pd.Series(rng.normal(0, 0.01, 400), dates)
    got = fa.factor_attribution(returns, factors, periods_per_year=252, hac_lags=7)
    fit = sm.OLS(returns, sm.add_constant(factors)).fit(
        cov_type="HAC", cov_kwds={"maxlags": 7, "use_correction": False}
    )
    assert got.params["alpha"] == pytest.approx(252 * fit.params["const"], rel=1e-10)
    np.testing.assert_allclose(got.params[["a", "b"]], fit.params[["a", "b"]], rtol=1e-10)
    np.testing.assert_allclose(got.tstats, fit.tvalues, rtol=1e-10)
    assert got.rsquared == pytest.approx(fit.rsquared, rel=1e-10)
    years = pd.Series(dates.year, dates)
    table = fa.attribution_by(returns, factors, years, periods_per_year=252)
    one = fa.factor_attribution(returns["2015"], factors.loc["2015"], periods_per_year=252)
    assert table.loc[2015, "alpha"] == pytest.approx(one.params["alpha"], rel=1e-12)
    with pytest.raises(MisalignedError):
        fa.factor_attribution(returns.iloc[1:], factors, periods_per_year=252)
    with pytest.raises(SpecificationError, match="periods_per_year"):
        fa.factor_attribution(returns, factors, periods_per_year=0)
    with pytest.raises(SpecificationError, match="'alpha'"):
        fa.factor_attribution(returns, factors.rename(columns={"a": "alpha"}), periods_per_year=12)


def test_fama_french_value_on_market_and_size():
    "The sample's monthly file, where it is there: value beyond market and size"
    from conftest import ROOT

    files = sorted((ROOT / "data").rglob("frenchdata.csv.gz")) if (ROOT / "data").exists() else []
    if not files:
        pytest.skip("the raw data have not been pulled")
    table = pd.read_csv(files[0])
    table.index = pd.PeriodIndex(table["Date"].astype(str), freq="M").to_timestamp()
    monthly = table[["Mkt-RF", "SMB", "HML"]].loc["1963-07":"1991-12"] / 100
    got = fa.factor_attribution(monthly["HML"], monthly[["Mkt-RF", "SMB"]], periods_per_year=12)
    assert got.n_obs == 342 and got.tstats["alpha"] > 2.5 and got.params["Mkt-RF"] < 0
    assert got.contributions.sum() == pytest.approx(12 * monthly["HML"].mean(), rel=1e-10)


@pytest.mark.parametrize("method", ["ic", "ridge"])
def test_combination_uses_complete_returns_only(noisy, method):
    prices, factor = noisy
    rng = np.random.default_rng(0)
    factors = {"a": factor, "b": factor * 0 + rng.normal(size=factor.shape)}
    ahead = forward(prices, (5,))
    options = {"method": method, "window": 30, "min_dates": 10}
    base = fa.combine(factors, forward_returns=ahead, **options)
    for t in (40, 60):
        spoiled = ahead[5].copy()
        spoiled.iloc[t - 4 :] = 0.05 * rng.normal(size=spoiled.iloc[t - 4 :].shape)
        again = fa.combine(factors, forward_returns={5: spoiled}, **options)
        pd.testing.assert_frame_equal(again.iloc[: t + 1], base.iloc[: t + 1], rtol=1e-9)
        assert not np.allclose(again.iloc[t + 1], base.iloc[t + 1], equal_nan=True)
    weights = fa.combination_weights(factors, forward_returns=ahead, **options)
    np.testing.assert_allclose(weights.abs().sum(axis=1).iloc[20:], 1.0)


def test_equal_combination_is_the_mean_of_zscores(noisy):
    _, factor = noisy
    other = factor**3
    expected = (fa.zscore(factor).fillna(0) + fa.zscore(other).fillna(0)) / 2
    got = fa.combine({"a": factor, "b": other})
    pd.testing.assert_frame_equal(got, expected.where(factor.notna()))


def test_learned_combination_refuses_unfinished_returns(noisy):
    pytest.importorskip("lightgbm")
    prices, factor = noisy
    ahead = forward(prices, (5,))
    with pytest.raises(LookaheadError, match="unfinished"):
        fa.learned_combination({"a": factor}, ahead, purge=4, seed=0)
    options = {"train_size": 30, "test_size": 20, "seed": 0, "params": {"min_data_in_leaf": 20}}
    got = fa.learned_combination({"a": factor, "b": -(factor**2)}, ahead, **options)
    again = fa.learned_combination({"a": factor, "b": -(factor**2)}, ahead, **options)
    pd.testing.assert_frame_equal(got.factor, again.factor)
    first = got.folds.iloc[0]
    rows = factor.index.get_indexer([first["train_end"], first["test_start"]])
    assert rows[1] - rows[0] == 6 and got.factor.iloc[: rows[1]].isna().all(axis=None)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_short_panels_give_no_values_and_no_error(market, n):
    fields = ("returns", "dollar_volume", "intraday_abs_return", "membership")
    short = SimpleNamespace(
        sectors=market.sectors, **{k: getattr(market, k).iloc[:n] for k in fields}
    )
    for name, factor in fa.LIBRARY.items():
        values = factor(short)
        assert values.shape == short.returns.shape, name
        assert n == 30 or values.isna().all(axis=None), name


# ---------------------------------------------------------------- what issue and reviewers ask for


@pytest.mark.parametrize("name", sorted(fa.LIBRARY))
def test_factor_passes_the_lookahead_audit(market, name):
    "The future cut off, replaced, and made calm: the past must not move"
    from quantlab.backtest import lookahead_audit

    fields = ("returns", "dollar_volume", "intraday_abs_return", "membership")
    tables = {k: getattr(market, k) for k in fields}
    factor = lambda t: fa.LIBRARY[name](SimpleNamespace(sectors=market.sectors, **t))
    found = lookahead_audit(factor, tables, n_cuts=2, seed=1)
    assert found.passed, found.first_leak


def test_lookahead_audit_catches_a_factor_that_looks(market):
    from quantlab.backtest import lookahead_audit

    peek = lambda t: t["returns"].shift(-1).rolling(5).sum()
    assert not lookahead_audit(peek, {"returns": market.returns}, n_cuts=4, seed=1).passed


def test_drop_ledger_names_every_loss(noisy):
    "The future in the factor, a group map with holes, a foreign asset, a constant date"
    prices, factor = noisy
    factor = factor.copy()
    factor.iloc[10] = 1.0
    later = factor.iloc[-3:].set_axis(pd.bdate_range("2023-01-02", periods=3, name="date"))
    factor = pd.concat([factor, later]).assign(S99=0.5)
    groups = pd.Series("a", prices.columns).drop("S03")
    got = fa.evaluate_factor(factor, forward(prices), groups=groups, max_loss=0.5)
    lost = got.dropped.groupby("reason")["count"].sum()
    assert lost["date not in forward returns"] == later.notna().sum().sum() + 3
    assert lost["asset not in forward returns"] == 90
    assert lost["no group"] == factor.loc[prices.index, "S03"].notna().sum()
    assert got.dropped.query("reason == 'constant factor'")["date"].tolist() == [prices.index[10]]
    assert not got.ic.index.isin(later.index).any()
    used = got.quantile_of.drop(columns=["S03", "S99"]).loc[got.ic.index]
    assert not (got.quantile_of[["S03", "S99"]] > 0).any(axis=None) and (used > 0).any(axis=None)


def test_reference_kyle_lambda(reference):
    "Kyle's lambda is the slope of price changes on signed volume; t by the textbook's error"
    entry = reference("kyle_lambda_regression")
    volume = pd.DataFrame({"volume": entry["input"]["signed_volume"]}, dtype=float)
    change = pd.Series(entry["input"]["dp"])
    got = fa.factor_attribution(change, volume, periods_per_year=1)
    moves = volume["volume"] - volume["volume"].mean()
    error = got.residual_volatility / np.sqrt((moves**2).sum())
    found = {"lam": got.params["volume"], "const": got.params["alpha"]}
    found["t"] = found["lam"] / error
    for name, value in found.items():
        assert close(value, entry["expected"][name], entry["tol"]), name


def test_french_portfolios_on_their_factors():
    "Monthly sorts of the sample: small value loads on size and value, winners on momentum"
    from conftest import ROOT

    path = ROOT / "data/market/french_portfolios.csv.bz2"
    if not path.exists():
        pytest.skip("the raw data have not been pulled")
    table = pd.read_csv(path, index_col="dates", parse_dates=True).loc["1963-07":]
    factors = table[["MktRF", "SMB", "HML", "Mom"]]
    excess = table.drop(columns=[*factors, "RF"]).sub(table["RF"], axis=0)
    loads = {
        name: fa.factor_attribution(excess[name], factors, periods_per_year=12)
        for name in ("S1V5", "S5V1", "S1M5", "S1M1", "Utils")
    }
    beta = pd.DataFrame({name: a.params for name, a in loads.items()})
    assert beta.loc["SMB", "S1V5"] > 0.8 > 0.0 > beta.loc["SMB", "S5V1"]
    assert beta.loc["HML", "S1V5"] > 0.4 and beta.loc["HML", "S5V1"] < -0.2
    assert beta.loc["Mom", "S1M5"] > 0.2 and beta.loc["Mom", "S1M1"] < -0.4
    assert beta.loc["MktRF", "Utils"] < 0.9 and loads["S1V5"].rsquared > 0.9
    fit = sm.OLS(excess["S1V5"], sm.add_constant(factors)).fit()
    np.testing.assert_allclose(beta["S1V5"].drop("alpha"), fit.params.drop("const"), rtol=1e-10)
    decades = pd.Series(10 * (excess.index.year // 10), excess.index)
    parts = fa.attribution_by(excess["S1V5"], factors, decades, periods_per_year=12)
    assert (parts["HML"] > 0.2).all() and parts["n_obs"].sum() == len(excess)


def test_volatility_regime_is_filtered():
    rng = np.random.default_rng(6)
    days = pd.bdate_range("2015-01-01", periods=600)
    returns = pd.Series(rng.normal(0, np.where(np.arange(600) < 400, 0.01, 0.04)), days)
    full = fa.volatility_regime(returns)
    assert full.iloc[:400].equals(fa.volatility_regime(returns.iloc[:400]))
    assert (full.iloc[420:] == "turbulent").all()
    changed = returns.copy()
    changed.iloc[-1] = 0.5
    assert full.equals(fa.volatility_regime(changed))


def test_redundancy_table_agrees_with_one_by_one(noisy):
    prices, factor = noisy
    rng = np.random.default_rng(8)
    full = factor.fillna(0.1)
    noise = lambda: pd.DataFrame(rng.normal(size=full.shape), full.index, full.columns)
    factors = {"a": full, "b": full + noise(), "c": noise(), "d": noise().mask(full > 2)}
    ahead = forward(prices)
    table = fa.redundancy_table(factors, ahead, horizon=5, every=1)
    for name in ("a", "b", "c"):
        others = {k: v for k, v in factors.items() if k != name}
        one = fa.factor_redundancy(factors[name], others, ahead, horizon=5, every=1)
        row = table.loc[name]
        assert row["explained"] == pytest.approx(one.explained, abs=1e-9)
        assert row["ic_beyond"] == pytest.approx(one.incremental.mean, abs=1e-9)
        assert row["t"] == pytest.approx(one.alone.t_disjoint, abs=1e-9)
        assert row["closest"] == one.closest
    twice = fa.redundancy_table({"a": full, "copy": 3 * full, "c": factors["c"]}, ahead, every=1)
    assert twice.loc[["a", "copy"], "ic_beyond"].isna().all()
    assert twice.loc["c", "explained"] < 0.1
    for wrong in ({"a": full}, None, {"a": full, "b": full.iloc[1:]}):
        with pytest.raises(QuantlabError):
            fa.redundancy_table(wrong, ahead)
    with pytest.raises(SpecificationError, match="horizon"):
        fa.redundancy_table(factors, ahead, horizon=3)


# ---------------------------------------------------------------- rolling beta, exactly


def beta_in_long_double(x, Y, window, least):
    "Slopes from centred sums in extended precision, each window on its own"
    out = np.full(Y.shape, np.nan)
    for t, j in np.ndindex(*Y.shape):
        rows = slice(max(0, t - window + 1), t + 1)
        a, b = x[rows].astype(np.longdouble), Y[rows, j].astype(np.longdouble)
        there = np.isfinite(a + b)
        if there.sum() >= least:
            a, b = a[there] - a[there].mean(), b[there] - b[there].mean()
            out[t, j] = (a * b).sum() / (a * a).sum() if (a * a).sum() > 0 else np.nan
    return out


SHAPES = {
    "returns": lambda e: 0.01 * e,
    "a mean of 1e6 beside a deviation of 0.01": lambda e: 1e6 + 0.01 * e,
    "tiny": lambda e: 1 + 1e-8 * e,
    "prices": lambda e: 1e3 + e.cumsum(axis=0),
    "an absurd first row": lambda e: np.vstack([np.full((1, e.shape[1]), 1e4), 0.01 * e[1:]]),
    "a market that stops": lambda e: np.vstack([0.01 * e[:300], np.full((300, e.shape[1]), 0.03)]),
}


@pytest.mark.parametrize("window, least, holes", [(60, 60, 0), (60, 40, 0.05), (5, 5, 0.05)])
@pytest.mark.parametrize("shape", SHAPES)
def test_rolling_beta_in_extended_precision(shape, window, least, holes):
    rng = np.random.default_rng(len(shape) + window)
    common = rng.normal(size=(600, 1))
    Y = SHAPES[shape](common + 2 * rng.normal(size=(600, 3)))
    x = SHAPES[shape](common)[:, 0]
    Y[rng.random(Y.shape) < holes] = np.nan
    Y[:90, 1], Y[400:, 2] = np.nan, np.nan
    x[350] = np.nan if holes else x[350]
    frame, market = pd.DataFrame(Y), pd.Series(x)
    got = fa.rolling_beta(frame, market, window=window, min_observations=least).to_numpy()
    expected = beta_in_long_double(x, Y, window, least)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    cut = fa.rolling_beta(frame[:333], market[:333], window=window, min_observations=least)
    np.testing.assert_array_equal(cut, got[:333])
