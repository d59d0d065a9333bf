"""The factors wing beside alphalens and statsmodels, on many other data sets."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from alphalens import performance as ap
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from test_factors import alphalens_clean, forward

from quantlab import factors as fa
from quantlab.errors import LossExceededError


def ragged_world(seed, n_days=45, n_names=31, holes=0.08, ties=None):
    "Prices and a factor with holes, late listings, early ends and, if asked, ties"
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-01-01", periods=n_days, name="date")
    names = pd.Index([f"N{i:02d}" for i in range(n_names)], name="asset")
    steps = rng.standard_t(3, (n_days, n_names)) * 0.01
    prices = pd.DataFrame(50 * np.exp(steps.cumsum(axis=0)), dates, names)
    factor = pd.DataFrame(rng.standard_t(2, (n_days, n_names)).cumsum(axis=0), dates, names)
    factor = factor if ties is None else (factor / ties).round() * ties
    rows = np.arange(n_days)[:, None]
    listed = rng.integers(0, 12, n_names) * (rng.random(n_names) < 0.3)
    ended = n_days - rng.integers(0, 12, n_names) * (rng.random(n_names) < 0.3)
    prices = prices.where((rows >= listed) & (rows < ended))
    prices = prices.mask(rng.random(prices.shape) < holes / 4)
    return prices, factor.mask(rng.random(factor.shape) < holes), rng


def assert_equals_alphalens(
    prices, factor, periods, quantiles, groups=None, bins=None, neutral=False, within=False
):
    "Every table that both have, to 1e-10"
    ahead = forward(prices, periods)
    cut = {"quantiles": quantiles, "bins": bins, "binning_by_group": within}
    options = cut if groups is None else cut | {"groupby": groups.to_dict()}
    try:
        clean = alphalens_clean(factor, ahead, max_loss=1.0, **options)
    except (ValueError, KeyError):
        clean = []
    if not len(clean):
        with pytest.raises(LossExceededError):
            fa.evaluate_factor(
                factor, ahead, groups=groups, max_loss=1.0, conventions="alphalens", **cut
            )
        return
    options = cut | {"groups": groups, "group_neutral": neutral}
    ours = fa.evaluate_factor(factor, ahead, max_loss=1.0, conventions="alphalens", **options)
    equal = lambda a, b: np.testing.assert_allclose(
        np.asarray(a, float), np.asarray(b, float), rtol=0, atol=1e-10
    )
    codes = ours.quantile_of.stack()
    pd.testing.assert_series_equal(
        codes[codes > 0], clean["factor_quantile"], check_names=False, check_dtype=False
    )
    dates = ours.ic.index  # alphalens' tables also have rows of missing values for dates it dropped
    assert list(dates) == list(clean.index.get_level_values("date").unique())
    on_dates = lambda table: table.reindex(dates)
    equal(ours.ic, on_dates(ap.factor_information_coefficient(clean, group_adjust=neutral)))
    for adjust, table in (
        ({"group_adjust": neutral}, ours.quantile_returns),
        ({"demeaned": False}, ours.quantile_returns_raw),
    ):
        theirs = ap.mean_return_by_quantile(clean, **adjust)[0]
        equal(table.reindex(theirs.index), theirs)
        assert table.drop(index=theirs.index).isna().all(axis=None)
    by_date = ap.mean_return_by_quantile(clean, by_date=True, group_adjust=neutral)[0]
    legs = [by_date.loc[q] for q in (1, ours.quantiles) if q in by_date.index]
    spread = legs[-1] - legs[0] if len(legs) == 2 else legs[0] * np.nan
    equal(ours.long_short, on_dates(spread))
    equal(ours.factor_returns, on_dates(ap.factor_returns(clean, group_adjust=neutral)))
    theirs = on_dates(ap.factor_rank_autocorrelation(clean))
    equal(ours.rank_autocorrelation_by_date.iloc[1:], theirs.iloc[1:])
    for q in clean["factor_quantile"].unique():
        theirs = on_dates(ap.quantile_turnover(clean["factor_quantile"], q))
        equal(ours.turnover_by_date[q].iloc[1:], theirs.iloc[1:])
    theirs = ap.factor_alpha_beta(clean, group_adjust=neutral)
    equal(ours.alpha_beta["beta"], theirs.loc["beta"])
    per_year = 252 / np.array(periods)
    with np.errstate(over="ignore"):
        alpha = (1 + ours.alpha_beta["alpha"]) ** per_year - 1
    np.testing.assert_allclose(alpha, theirs.loc["Ann. alpha"], rtol=1e-9, atol=1e-10)
    if groups is not None:
        theirs = ap.factor_information_coefficient(clean, by_group=True).groupby("group").mean()
        equal(ours.ic_by_group.reindex(theirs.index), theirs)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("quantiles, periods", [(5, (1, 5, 10)), (3, (2,)), (10, (1, 3))])
def test_ragged_universes_equal_alphalens(seed, quantiles, periods):
    prices, factor, _ = ragged_world(seed)
    assert_equals_alphalens(prices, factor, periods, quantiles)


@pytest.mark.parametrize("seed", range(4))
def test_groups_equal_alphalens(seed):
    prices, factor, rng = ragged_world(100 + seed, n_names=40)
    groups = pd.Series(rng.choice(["a", "b", "c"], prices.shape[1]), prices.columns)
    assert_equals_alphalens(prices, factor, (1, 5), 4, groups)


def coarse(prices, factor):
    "A flag, signs, a few whole numbers, and the factor itself, each with bins that suit it"
    flag = (factor > 0).astype(float).where(factor.notna())
    return {
        "flag": (flag, 2),
        "flag by edges": (flag, [-0.5, 0.5, 1.5]),
        "signs": (np.sign(factor), 3),
        "whole numbers": (factor.round().clip(-3, 3), 4),
        "edges that leave names out": (factor, [-6, -2, -0.5, 0, 10]),
        "equal widths": (factor, 5),
    }


# alphalens asks for the correlation of one name
ONE_NAME = pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")


@ONE_NAME
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("kind", list(coarse(*ragged_world(0)[:2])))
@pytest.mark.parametrize("with_frequency", [False, True])
def test_bins_equal_alphalens(kind, within, with_frequency):
    "Groups of very different size, one of them a single name; returns beyond the group's too"
    prices, factor, rng = ragged_world(200 + len(kind), n_names=34)
    if not with_frequency:
        prices, factor = (
            f.set_axis(pd.DatetimeIndex(list(f.index), name="date")) for f in (prices, factor)
        )
    groups = pd.Series(rng.choice(["a", "b", "c"], 34, p=[0.6, 0.3, 0.1]), prices.columns)
    groups.iloc[3] = "alone"
    values, bins = coarse(prices, factor)[kind]
    assert_equals_alphalens(prices, values, (1, 4), None, groups, bins, not within, within)


@ONE_NAME
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("neutral", [False, True])
def test_quantiles_by_group_equal_alphalens(seed, neutral):
    prices, factor, rng = ragged_world(300 + seed, n_names=40, ties=(None, 0.5, 2.0)[seed])
    groups = pd.Series(rng.choice(["a", "b", "c"], 40), prices.columns)
    groups.iloc[0] = "alone"
    assert_equals_alphalens(prices, factor, (1, 5), 3, groups, None, neutral, True)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_names=st.integers(8, 60),
    quantiles=st.integers(2, 8),
    ties=st.sampled_from([None, 0.01, 0.5, 2.0]),
    holes=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_any_small_world_equals_alphalens(seed, n_names, quantiles, ties, holes):
    prices, factor, _ = ragged_world(seed, 25, n_names, holes, ties)
    assert_equals_alphalens(prices, factor, (1, 4), quantiles)


# ---------------------------------------------------------------- shapes of input


def test_forms_of_the_same_factor_agree():
    prices, factor, rng = ragged_world(7)
    ahead = forward(prices, (1, 5))
    wide = fa.evaluate_factor(factor, ahead)
    long = factor.stack().dropna().sample(frac=1, random_state=1)
    swapped = long.swaplevel()  # (asset, date), told by the names of the levels
    long_ahead = {h: f.stack() for h, f in ahead.items()}
    backwards = {5: ahead[5], 1: ahead[1]}
    for values, returns in (
        (long, ahead),
        (swapped, ahead),
        (long, long_ahead),
        (factor, backwards),
    ):
        found = fa.evaluate_factor(values, returns)
        pd.testing.assert_frame_equal(found.ic, wide.ic, check_freq=False)
        pd.testing.assert_series_equal(found.turnover, wide.turnover)
    alone = fa.evaluate_factor(factor, {5: ahead[5]})
    pd.testing.assert_series_equal(alone.ic[5], wide.ic[5].dropna(), check_freq=False)
    assert alone.ic_summary.index.tolist() == [5]


def test_few_names_are_a_ledger_entry_and_not_a_number():
    prices, factor, _ = ragged_world(8, n_names=12, holes=0.0)
    factor = factor.copy()
    factor.iloc[10:20, 4:] = np.nan
    found = fa.evaluate_factor(factor, forward(prices, (1,)), quantiles=10, max_loss=0.9)
    few = found.dropped.query("reason == 'fewer names than quantiles'")
    assert set(few["date"]) >= set(factor.index[12:20])
    assert not found.ic.index.isin(few["date"]).any()
    with pytest.raises(LossExceededError, match="fewer names than quantiles"):
        fa.evaluate_factor(factor.iloc[:, :6], forward(prices, (1,)), quantiles=10)


def test_days_without_spread_have_no_correlation():
    prices, factor, _ = ragged_world(9, holes=0.0)
    ahead = forward(prices, (1,))
    ahead[1].iloc[20] = ahead[1].iloc[20].notna().map({True: 0.01, False: np.nan})
    found = fa.evaluate_factor(factor, ahead)
    assert np.isnan(found.ic.loc[factor.index[20], 1])
    assert np.isfinite(found.ic_summary.loc[1, "t_hac"])
    tied = fa.evaluate_factor(np.sign(factor), ahead).ic[1].drop(factor.index[20])
    for date in tied.index[::7]:
        both = pd.concat([np.sign(factor.loc[date]), ahead[1].loc[date]], axis=1).dropna()
        expected = np.corrcoef(rankdata(both.iloc[:, 0]), rankdata(both.iloc[:, 1]))[0, 1]
        assert tied[date] == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------- standard errors


def panel_of_shocks(seed, n_firms=17, n_years=13):
    "An unbalanced panel with a firm effect and a year effect"
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([range(n_firms), range(n_years)], names=["firm", "year"])
    firm, year = (index.get_level_values(k).to_numpy() for k in (0, 1))
    x = pd.DataFrame(rng.normal(size=(len(index), 2)) + rng.normal(size=n_firms)[firm, None], index)
    noise = rng.normal(size=n_firms)[firm] + rng.normal(size=n_years)[year]
    y = pd.Series(1 + x[0] - 0.5 * x[1] + noise + rng.normal(size=len(index)), index)
    kept = rng.random(len(index)) < 0.85
    return y[kept], x[kept].rename(columns={0: "a", 1: "b"}), firm[kept], year[kept]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("small", [False, True])
def test_hac_equals_statsmodels(seed, small):
    y, x, _, _ = panel_of_shocks(seed)
    fit = sm.OLS(y, sm.add_constant(x))
    for lags in (0, 1, 5, 20):
        theirs = fit.fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": small}).bse
        ours = fa.hac_standard_errors(y, x, lags=lags, small_sample=small)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
        arrays = fa.hac_standard_errors(y.to_numpy(), x.to_numpy(), lags=lags, small_sample=small)
        np.testing.assert_allclose(arrays, theirs, rtol=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("small", [False, True])
def test_clusters_equal_statsmodels(seed, small):
    y, x, firm, year = panel_of_shocks(seed)
    model = sm.OLS(y, sm.add_constant(x))
    options = {"use_correction": small, "df_correction": False}
    for labels in (firm, year):
        theirs = model.fit(cov_type="cluster", cov_kwds={"groups": labels} | options).bse
        ours = fa.clustered_standard_errors(y, x, clusters=labels, small_sample=small)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    words = np.array([f"firm {k}" for k in firm])
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": firm} | options).bse
    ours = fa.clustered_standard_errors(y, x, clusters=words, small_sample=small)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    both = np.column_stack([firm, year])
    ours = fa.clustered_standard_errors(y, x, clusters=both, small_sample=False)
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": both, "use_correction": False}).bse
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lags", [0, 1, 4])
def test_fama_macbeth_by_hand(seed, lags):
    y, x, firm, year = panel_of_shocks(seed)
    rows = {t: sm.OLS(y[year == t], sm.add_constant(x[year == t])).fit() for t in np.unique(year)}
    slopes = pd.DataFrame({t: fit.params for t, fit in rows.items()}).T
    ours = fa.fama_macbeth(y, x, entity=firm, time=year, hac_lags=lags)
    np.testing.assert_allclose(ours.coefficients, slopes, rtol=1e-9, atol=1e-12)
    for name in slopes:
        fit = sm.OLS(slopes[name].to_numpy(), np.ones(len(slopes))).fit(
            cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
        )
        assert ours.params[name] == pytest.approx(fit.params[0], rel=1e-9)
        assert ours.std_errors[name] == pytest.approx(fit.bse[0], rel=1e-9)
    assert ours.rsquared == pytest.approx(
        np.mean([fit.rsquared for fit in rows.values()]), rel=1e-9
    )
    told = fa.fama_macbeth(y, x, hac_lags=lags)  # the level called "year"
    named = fa.fama_macbeth(y, x, time="year", hac_lags=lags)
    shuffled = np.random.default_rng(0).permutation(len(y))
    mixed = fa.fama_macbeth(y.iloc[shuffled], x.iloc[shuffled], hac_lags=lags)
    bare = fa.fama_macbeth(y.to_numpy(), sm.add_constant(x.to_numpy()), time=year, hac_lags=lags)
    for other in (told, named, mixed, bare):
        np.testing.assert_allclose(other.std_errors, ours.std_errors, rtol=1e-9)
