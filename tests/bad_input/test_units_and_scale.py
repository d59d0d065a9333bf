"""A column's unit decides nothing: what is small beside another, or far from zero, is no
rounding."""

import datetime
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import (
    CostModel,
    expected_shortfall,
    lookahead_audit,
    performance_summary,
    run_backtest,
    sweep_returns,
    value_at_risk,
)
from quantlab.cointegration import (
    dfgls,
    gregory_hansen,
    hedge_ratios,
    johansen,
    johansen_bootstrap,
    phillips_ouliaris,
    screen_formations,
    screen_johansen,
)
from quantlab.data import (
    DataContract,
    Panel,
    apply_quarantine,
    before,
    check_panel,
    forward_returns_from_returns,
    membership_mask,
    simple_returns,
    survivorship_gap,
    trading_sessions,
)
from quantlab.errors import (
    DataError,
    DataWarning,
    MisalignedError,
    QuantlabError,
    QuantlabWarning,
    ScaleWarning,
    SmallSampleWarning,
    SpecificationError,
)
from quantlab.factors import (
    LIBRARY,
    attribution_by,
    evaluate_factor,
    factor_attribution,
    from_alphalens,
    market_residuals,
    neutralize,
    to_alphalens,
    zscore,
)
from quantlab.validation import annualized_sharpe_ratio
from quantlab.volatility import (
    compare_forecasts,
    fit_garch,
    harq,
    mincer_zarnowitz,
    volatility_loss,
)

DAYS = pd.bdate_range("2020-01-01", periods=300)
NAMES = list("abcdefgh")


def table(seed, scale=0.01, columns=NAMES):
    return pd.DataFrame(
        scale * np.random.default_rng(seed).standard_normal((len(DAYS), len(columns))),
        DAYS,
        columns,
    )


def by_hand(y, x):
    "Least squares with columns over their own largest"
    design = np.column_stack([np.ones(len(y)), x])
    size = np.abs(design).max(axis=0)
    return np.linalg.lstsq(design / size, y, rcond=None)[0] / size


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e6])
def test_an_exposure_counts_in_any_unit(unit):
    factor, volume, small = table(0, 1.0), np.exp(20 + table(1, 1.0)), table(2, 1.0)
    found = neutralize(factor, {"volume": volume, "small": small * unit}).iloc[7]
    x = np.column_stack([volume.iloc[7], small.iloc[7]])
    want = factor.iloc[7] - np.column_stack([np.ones(8), x]) @ by_hand(factor.iloc[7], x)
    np.testing.assert_allclose(found, want, atol=1e-9)


def test_an_exposure_that_does_not_vary_is_left_out_however_it_is_rounded():
    factor, flat = table(0, 1.0), pd.DataFrame(0.1 + 0.2, DAYS, NAMES)
    flat.iloc[:, ::2] = 0.3
    np.testing.assert_allclose(
        neutralize(factor, {"flat": flat}), factor.sub(factor.mean(axis=1), axis=0), atol=1e-12
    )


def test_values_that_differ_by_rounding_have_no_score():
    assert zscore(pd.DataFrame({"a": [0.3], "b": [0.1 + 0.2], "c": [0.3]})).isna().all(axis=None)


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e9, 1e-9), (1e-12, 1.0)])
def test_attribution_in_any_unit(units):
    factors, own = table(3)[["b", "c"]], table(4)["a"]
    returns = own + 0.5 * factors["b"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScaleWarning)
        found = factor_attribution(returns, factors * list(units), periods_per_year=252)
    want = by_hand(returns, factors)
    np.testing.assert_allclose(found.params * [1 / 252, *units], want, rtol=1e-8)
    assert found.contributions.sum() == pytest.approx(found.mean_return)


def test_alpha_is_annualised_whatever_the_columns_are_called():
    factors, returns = table(3)[["b", "c"]], table(4)["a"]
    plain = factor_attribution(returns, factors, periods_per_year=252)
    levels = factor_attribution(
        returns, pd.concat({"style": factors}, axis=1), periods_per_year=252
    )
    np.testing.assert_allclose(levels.params, plain.params)
    np.testing.assert_allclose(levels.std_errors, plain.std_errors)


def test_days_of_one_label_with_others_between_them_are_no_neighbours():
    returns, factors = table(4)["a"], table(3)[["b"]]
    odd = np.arange(300) % 2 == 1
    labels = pd.Series(np.where(odd, "odd", "even"), DAYS)
    x = np.column_stack([np.ones(300), factors["b"]]) * odd[:, None]
    y = returns.to_numpy() * odd
    slopes = np.linalg.solve(x.T @ x, x.T @ y)
    scores = x * (y - x @ slopes)[:, None]
    lags, meat = 5, scores.T @ scores
    for k in range(1, lags + 1):
        cross = scores[k:].T @ scores[:-k]
        meat += (1 - k / (lags + 1)) * (cross + cross.T)
    inverse = np.linalg.inv(x.T @ x)
    want = slopes[0] / np.sqrt((inverse @ meat @ inverse)[0, 0])
    found = attribution_by(returns, factors, labels, periods_per_year=252).loc["odd"]
    assert found["t_alpha"] == pytest.approx(want) and found["n_obs"] == 150
    whole = attribution_by(returns, factors, pd.Series("all", DAYS), periods_per_year=252).loc[
        "all"
    ]
    assert whole["t_alpha"] == pytest.approx(
        factor_attribution(returns, factors, periods_per_year=252).tstats["alpha"]
    )


def test_percent_prices_and_periods_are_said_in_attribution():
    returns, factors = table(4)["a"], table(3)[["b", "c"]]
    with pytest.warns(ScaleWarning, match="percent"):
        factor_attribution(returns, 100 * factors, periods_per_year=252)
    with pytest.warns(ScaleWarning, match="prices"):
        factor_attribution(returns, 100 * (1 + factors).cumprod(), periods_per_year=252)
    with pytest.warns(ScaleWarning, match="periods_per_year"):
        factor_attribution(returns, factors, periods_per_year=12)
    with pytest.raises(DataError, match="prices"):
        factor_attribution(100 * (1 + returns).cumprod(), factors, periods_per_year=252)


def test_prices_given_as_forward_returns_are_said():
    prices = 100 * (1 + table(5)).cumprod()
    with pytest.warns(ScaleWarning, match="prices"):
        evaluate_factor(table(6, 1.0), {1: prices}, quantiles=2)
    with pytest.warns(ScaleWarning, match="prices"):
        forward_returns_from_returns(prices)


def test_membership_gap_says_what_its_dates_deny():
    spells = pd.DataFrame(
        {"symbol": ["a", "b"], "added": ["2019-01-01"] * 2, "removed": [None, None]}
    )
    with pytest.warns(ScaleWarning, match="periods_per_year"):
        survivorship_gap(table(5), spells, periods_per_year=12)


def test_periods_count_as_dates():
    monthly = table(5)["a"].set_axis(pd.period_range("1990-01", periods=300, freq="M"))
    for call in (annualized_sharpe_ratio, performance_summary):
        with pytest.warns(ScaleWarning, match="12 rows a year"):
            call(monthly, periods_per_year=252)


def relation(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((300, 2)).cumsum(axis=0)
    rest = pd.Series(rng.standard_normal(300)).ewm(alpha=0.3).mean()
    return pd.DataFrame(
        {"y": x[:, 0] - 0.5 * x[:, 1] + rest.to_numpy(), "a": x[:, 0], "b": x[:, 1]}, DAYS
    )


@pytest.mark.parametrize("kind", ["Pu", "Pz", "Za", "Zt"])
def test_phillips_ouliaris_in_any_unit_and_far_from_zero(kind):
    data = relation()
    run = lambda d: phillips_ouliaris(d["y"], d[["a", "b"]], kind=kind, bandwidth=10)
    want = run(data)
    for other in (data * [1, 1e9, 1e-9], data * 1e-9, data + 1e8):
        found = run(other)
        assert found.statistic == pytest.approx(want.statistic, rel=1e-6)


def test_error_correction_in_any_unit():
    data, units = relation(), np.array([1.0, 1e9, 1e-9])
    plain, other = (johansen(d, lags=2).vecm(1) for d in (data, data * units))
    assert other.loglikelihood == pytest.approx(plain.loglikelihood)
    np.testing.assert_allclose(
        other.std_errors_loadings.iloc[:, 0] / units,
        plain.std_errors_loadings.iloc[:, 0],
        rtol=1e-6,
    )
    found = [
        johansen_bootstrap(d, lags=2, n_resamples=99, seed=1).table["pvalue"]
        for d in (data, data * units)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("unit, level", [(1e-12, 0.0), (1e12, 0.0), (1.0, 1e8)])
def test_dfgls_in_any_unit_and_far_from_zero(unit, level):
    walk = relation()["a"]
    assert dfgls(walk * unit + level).statistic == pytest.approx(dfgls(walk).statistic, rel=1e-5)


def test_variances_in_two_units_are_said():
    variance = pd.Series(1e-4 * (1 + table(8, 1.0)["a"] ** 2), DAYS)
    forecast = variance.rolling(5, min_periods=1).mean()
    for call in (volatility_loss, mincer_zarnowitz):
        with pytest.warns(ScaleWarning, match="square a volatility"):
            call(variance, np.sqrt(forecast))
    with pytest.warns(ScaleWarning, match="'root'"):
        compare_forecasts(variance, pd.DataFrame({"good": forecast, "root": np.sqrt(forecast)}))


# one day like no other, and what was never known


@pytest.mark.parametrize(
    "model",
    [
        {"vol": "egarch", "o": 1},
        {"vol": "aparch", "o": 1},
        {"dist": "t"},
        {"vol": "gjr", "dist": "t"},
    ],
)
def test_one_wild_day_gives_a_fit_that_says_it_failed_or_an_error_of_ours(model):
    returns = table(9)["a"].copy()
    returns.iloc[100] = 10.0
    found = fit_garch(returns, **model)
    assert np.isfinite(found.loglikelihood)
    assert not found.certificate.passed


def test_quarticity_of_zero_is_refused():
    variance = pd.Series(1e-4 * (1 + table(8, 1.0)["a"] ** 2), DAYS)
    with pytest.raises(DataError, match="collinear"):
        harq(variance, 0 * variance)


def test_nothing_comes_after_a_total_loss():
    returns = table(5)
    returns.iloc[10, 0] = -1.0
    logs = Panel({"returns": returns}).log_prices
    assert (
        logs["a"].iloc[10:].isna().all()
        and logs["a"].iloc[:10].notna().all()
        and logs["b"].notna().all()
    )


@pytest.mark.parametrize("last", [-1.0, -3.0])
def test_ruin_is_said_in_a_sweep_of_one_asset(last):
    returns = pd.Series(0.01, DAYS)
    returns.iloc[9] = last
    with pytest.raises(DataError, match="loses all its equity|below -100 %"):
        sweep_returns(pd.DataFrame(1.0, DAYS, ["all in"]), returns)


# doors


def test_a_benchmark_on_other_labels_is_refused_in_our_words():
    returns = table(5)["a"]
    for other in (
        table(6)["a"].reset_index(drop=True),
        table(6)["a"].set_axis(DAYS.astype(str)),
        table(6)["a"].set_axis(np.arange(300) / 2),
        table(6)["a"].to_period("D"),
        table(6)["a"].tz_localize("UTC"),
    ):
        with pytest.raises(QuantlabError):
            performance_summary(returns, periods_per_year=252, benchmark=other)
    with pytest.raises(MisalignedError):
        performance_summary(returns.to_numpy(), periods_per_year=252, benchmark=table(6)["a"])
    longer = performance_summary(returns.iloc[50:], periods_per_year=252, benchmark=table(6)["a"])
    same = performance_summary(
        returns.iloc[50:], periods_per_year=252, benchmark=table(6)["a"].iloc[50:]
    )
    assert longer.beta == same.beta


def test_residuals_of_any_kind_of_number():
    returns, market = table(5), table(6)["a"]
    want = market_residuals(returns, market, window=60)
    for other in (
        returns.map(lambda v: Decimal(repr(v))),
        returns.astype("Float64"),
        returns.astype("category"),
    ):
        pd.testing.assert_frame_equal(market_residuals(other, market, window=60), want)


def test_an_audit_takes_what_the_checks_take():
    returns = table(5)
    holed = returns.mask(returns > 0.02)
    for data in (holed.astype("Float64"), returns.map(lambda v: Decimal(repr(v)))):
        assert lookahead_audit(lambda d: d.rolling(5).mean(), data, n_cuts=3).passed


@pytest.mark.parametrize(
    "data", [None, 3.0, [1, 2], table(5).iloc[:0], table(5).tz_localize("UTC")]
)
def test_only_dated_rows_lie_before_a_date(data):
    with pytest.raises((SpecificationError, DataError)):
        before(data, "2020-06-01")


def test_weights_that_trade_what_moves_slowly_are_no_returns():
    bills = pd.DataFrame(
        {
            "bill": 1e-4 * (2 + np.sin(np.arange(300) / 50)),
            "note": 1e-4 * (2 + np.cos(np.arange(300) / 50)),
        },
        DAYS,
    )
    weights = table(5, 0.3, ["bill", "note"])
    assert len(run_backtest(weights, bills).returns) == 300
    with pytest.raises(DataError, match="places"):
        run_backtest(table(5, 0.01, ["bill", "note"]), pd.DataFrame(0.5, DAYS, ["bill", "note"]))


def test_alphalens_columns_that_are_not_read_are_named():
    factor, forward = table(6, 1.0), {1: table(5)}
    made = to_alphalens(factor, forward, quantiles=2)
    with pytest.warns(DataWarning, match="'1h'"):
        from_alphalens(made.assign(**{"1h": 0.0}))
    weekly = made.set_axis(
        made.index.set_levels(pd.date_range("2010-01-01", periods=300, freq="W-FRI"), level=0),
        axis=0,
    )
    with pytest.warns(DataWarning, match="7 days apart"):
        assert list(from_alphalens(weekly.rename(columns={"1D": "7D"})).forward_returns) == [7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(from_alphalens(made).forward_returns) == [1]


def test_a_return_over_a_gap_is_not_set_against_one_day_of_the_market():
    days = pd.bdate_range("2018-01-01", periods=400)
    moves = pd.DataFrame(
        0.01 * np.random.default_rng(3).standard_normal((400, 6)), days, list("abcdef")
    )
    prices = 100 * (1 + moves).cumprod()
    prices.iloc[360:380, 0] = np.nan
    prices.iloc[380:, 0] *= 2
    found = LIBRARY["low_idiosyncratic_volatility"](Panel({"prices": prices})).iloc[-1]
    assert found.drop("a").notna().all()
    assert not found["a"] < -0.05  # a doubling over twenty days is no day's volatility


def test_a_factor_that_its_exposures_explain_leaves_nothing_to_rank():
    factor = table(1, 1.0)
    assert (neutralize(2 * factor + 3, {"itself": factor}) == 0).all(axis=None)


def test_returns_since_the_beginning_are_said():
    since = (1 + table(5)["a"] + 0.001).cumprod() - 1
    with pytest.warns(ScaleWarning, match="since the beginning"):
        performance_summary(since, periods_per_year=252)
    with pytest.warns(ScaleWarning, match="since the beginning"):
        annualized_sharpe_ratio(since, periods_per_year=252)


def test_a_quantile_beyond_cornish_and_fisher_is_said():
    returns = pd.Series(np.r_[np.full(99, 0.001), -0.5])
    for call in (value_at_risk, expected_shortfall):
        with pytest.warns(QuantlabWarning, match="Cornish-Fisher"):
            call(returns, level=0.01, method="modified")
    assert value_at_risk(table(5)["a"], level=0.01, method="modified") > 0


def test_dates_beyond_nanoseconds():
    spells = pd.DataFrame({"symbol": ["a"], "added": ["2019-01-01"], "removed": ["9999-12-31"]})
    for removed in ("9999-12-31", pd.Timestamp("9999-12-31"), datetime.date(9999, 12, 31)):
        mask = membership_mask(DAYS, pd.Index(NAMES), spells.assign(removed=[removed]))
        assert mask["a"].all() and not mask["b"].any()
    with pytest.raises(DataError, match="9999-12-31"):
        membership_mask(DAYS, pd.Index(NAMES), spells.assign(added="9999-12-31", removed=None))
    with pytest.raises(DataError, match="3000-01-01"):
        Panel({"prices": table(5).abs().set_axis(pd.date_range("3000-01-01", periods=300))})
    panel = Panel({"returns": table(5)})
    assert len(panel.between(end="9999-12-31").index) == 300
    with pytest.raises(DataError, match="time zone"):
        membership_mask(
            DAYS,
            pd.Index(NAMES),
            spells.assign(added=pd.Timestamp("2019-01-01", tz="UTC"), removed=None),
        )


@pytest.mark.parametrize("end", [None, "soon", pd.NaT])
def test_sessions_want_two_dates(end):
    with pytest.raises(SpecificationError, match="date"):
        trading_sessions("XNYS", "2019-01-01", end)


@pytest.mark.parametrize("rows", [20, 40])
def test_few_rows_are_said_by_every_search(rows):
    data = relation().iloc[:rows]
    with pytest.warns(SmallSampleWarning, match="rows are few"):
        screen_johansen(data)
    if rows >= 40:
        with pytest.warns(SmallSampleWarning, match="few for a search"):
            gregory_hansen(data["y"], data["a"])


def test_labels_of_two_levels():
    prices = np.log(100 * (1 + table(5)[list("abcd")]).cumprod())
    prices["d"] = prices["a"] + 0.01 * table(6)["a"]
    levels = pd.concat({"close": prices}, axis=1)
    plain = screen_formations(prices, formation=120, trading=40).pairs
    found = screen_formations(levels, formation=120, trading=40).pairs
    np.testing.assert_array_equal(found["statistic"], plain["statistic"])
    a, b = ("close", "a"), ("close", "b")
    pd.testing.assert_frame_equal(
        hedge_ratios(levels[a], levels[b]), hedge_ratios(prices["a"], prices["b"])
    )
    variance = table(8, 1.0)[["a", "b"]] ** 2 * 1e-4 + 1e-5
    forecasts = pd.concat({"model": variance.rolling(5, min_periods=1).mean()}, axis=1)
    assert len(compare_forecasts(variance["a"], forecasts)) == 2
    with pytest.raises(DataError, match="one label"):
        to_alphalens(
            pd.concat({"x": table(6, 1.0)}, axis=1), {1: pd.concat({"x": table(5)}, axis=1)}
        )


def test_a_book_of_any_kind_of_number():
    returns, weights, volume = table(5), table(6, 0.1), np.exp(15 + table(7, 1.0))
    costs = CostModel(impact_coefficient=0.1)
    want = run_backtest(weights, returns, costs=costs, dollar_volume=volume).returns
    for kind in ("category", "Float64", "object"):
        other = [t.astype(kind) for t in (weights, returns, volume)]
        found = run_backtest(other[0], other[1], costs=costs, dollar_volume=other[2]).returns
        pd.testing.assert_series_equal(found, want)


def test_labels_by_nullable_numbers():
    index = pd.Index(np.arange(300), dtype="Int64")
    returns, factors = (t.set_axis(index, axis=0) for t in (table(4)["a"], table(3)[["b"]]))
    labels = pd.Series(np.repeat(["early", "late"], 150), index)
    assert attribution_by(returns, factors, labels, periods_per_year=252)["n_obs"].tolist() == [
        150,
        150,
    ]


@pytest.mark.parametrize("market, closed", [("XLON", 11), ("XTKS", 17)])
def test_days_of_another_exchange_are_not_taken_away(market, closed):
    days = trading_sessions(market, "2018-01-01", "2019-12-31")
    rng = np.random.default_rng(0)
    panel = Panel({"returns": pd.DataFrame(0.01 * rng.standard_normal((len(days), 12)), days)})
    with pytest.warns(DataWarning, match=f"moved on {closed} rows"):
        report = check_panel(panel)
    assert not report.issues["kind"].isin(["non_session", "missing_session"]).any()
    assert apply_quarantine(panel, report).returns.notna().all(axis=None)
    own = check_panel(panel, contract=DataContract(calendar=market))
    assert not own.issues["kind"].isin(["non_session", "missing_session"]).any()


def test_rows_on_holidays_that_only_repeat_are_still_found():
    days = pd.bdate_range("2018-01-01", "2019-12-31")
    sessions = trading_sessions("XNYS", days[0], days[-1])
    returns = pd.DataFrame(0.01 * np.random.default_rng(0).standard_normal((len(days), 12)), days)
    returns[~days.isin(sessions)] = 0.0
    found = check_panel(Panel({"returns": returns})).issues
    assert set(found.loc[found["kind"] == "non_session", "date"]) == set(days.difference(sessions))


def test_a_market_that_never_closes_is_checked_too():
    days = pd.date_range("2018-01-01", periods=500)
    panel = Panel(
        {"returns": pd.DataFrame(0.02 * np.random.default_rng(0).standard_normal((500, 6)), days)}
    )
    with pytest.warns(DataWarning, match="another calendar"):
        check_panel(panel)


def test_returns_that_are_not_those_of_the_prices_are_said():
    days = trading_sessions("XNYS", "2019-01-01", "2020-02-28")
    rng = np.random.default_rng(0)
    prices = 100 * (1 + pd.DataFrame(0.01 * rng.standard_normal((len(days), 5)), days)).cumprod()
    returns = simple_returns(prices)
    for wrong in (returns.shift(-1), 0.5 * returns):
        with pytest.warns(DataWarning, match="not those of `prices`"):
            check_panel(Panel({"prices": prices, "returns": wrong}))
    paid = returns.copy()
    paid.iloc[::63] += 0.01  # dividends
    check_panel(Panel({"prices": prices, "returns": paid}))
    check_panel(Panel({"prices": prices, "returns": np.log1p(returns)}))


def test_a_number_by_asset_may_have_a_name():
    factor, beta = table(0, 1.0), pd.Series(np.arange(8.0), NAMES)
    pd.testing.assert_frame_equal(
        neutralize(factor, beta.rename("beta")), neutralize(factor, {"beta": beta})
    )
    sector = pd.Series(list("xxxxyyyy"), NAMES)
    dummies = pd.get_dummies(sector).astype(float)
    pd.testing.assert_frame_equal(
        neutralize(factor, {name: dummies[name] for name in dummies}), neutralize(factor, sector)
    )


@pytest.mark.parametrize("place", [0, 7, -1])
def test_a_row_without_a_date_is_called_so(place):
    days = DAYS.to_numpy().copy()
    days[place] = np.datetime64("NaT")
    with pytest.raises(DataError, match="1 rows without a date"):
        performance_summary(table(5)["a"].set_axis(pd.DatetimeIndex(days)), periods_per_year=252)
