"""Portfolios in random small worlds: limits hold on every traded day, and only the past decides."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from quantlab.backtest import (
    CostModel,
    Limits,
    construct,
    covariance_forecast,
    lookahead_audit,
    run_backtest,
)
from quantlab.errors import MissingExtraError, ScaleWarning, SpecificationError
from quantlab.simulate import factor_world

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # a smaller failing world tells no more
)
OBJECTIVES = {
    "minimum_variance": {},
    "mean_variance": {"risk_aversion": 5.0, "costs": CostModel(half_spread_bps=2)},
    "risk_parity": {},
    "hierarchical_risk_parity": {},
    "volatility_target": {"target_volatility": 0.2},
}


def _world(seed, n=140, n_assets=6):
    "Returns of which one name lists late and one is delisted, and what belongs to them"
    world = factor_world(n, n_assets, n_sectors=3, rng=np.random.default_rng(seed))
    returns = world.returns.copy()
    returns.iloc[:80, 1] = np.nan
    returns.iloc[110:, 2] = np.nan
    return world, returns


def _build(returns, objective, **more):
    "Weights of an objective; the signal is the sign of the mean return of forty rows"
    signal = 1e-3 * np.sign(returns.rolling(40, min_periods=20).mean())
    uses = objective in ("mean_variance", "volatility_target")
    risk = covariance_forecast(returns, method="ledoit_wolf", window=50, min_observations=40)
    choices = {"rebalance": 15} | OBJECTIVES[objective] | more
    return risk, construct(signal if uses else None, risk, objective=objective, **choices)


@few
@given(
    seed=st.integers(0, 10_000),
    objective=st.sampled_from(list(OBJECTIVES)),
    infeasible=st.sampled_from(["keep", "relax"]),
    position=st.floats(0.15, 0.6),
    sector=st.floats(0.2, 1.0),
    beta=st.floats(0.3, 1.5),
    turnover=st.floats(0.05, 1.0),
    participation=st.floats(0.02, 1.0),
)
def test_limits_hold_on_every_traded_day(
    seed, objective, infeasible, position, sector, beta, turnover, participation
):
    world, returns = _world(seed)
    benchmark = world.returns.mean(axis=1)
    volume = world.dollar_volume.rolling(21, min_periods=1).median()
    capital, tolerance = 1e8, 1e-6
    limits = Limits(
        gross=1.5,
        position=position,
        sector=sector,
        beta=beta,
        turnover=turnover,
        participation=participation,
    )
    risk, built = _build(
        returns,
        objective,
        limits=limits,
        infeasible=infeasible,
        sectors=world.sectors,
        benchmark=benchmark,
        dollar_volume=volume,
        capital=capital,
    )
    run = run_backtest(built.weights, returns)
    held, first = run.weights, True
    for date, weights in built.weights.dropna(how="all").iterrows():
        usable = risk.usable.loc[date]
        assert (weights[~usable] == 0).all(), "only names with enough history are held"
        if date in set(built.notes["date"]):
            continue
        row = returns.index.get_loc(date)
        before = held.iloc[row] * (1 + returns.iloc[row].fillna(0))
        before = before / (1 + (held.iloc[row] * returns.iloc[row].fillna(0)).sum())
        trade = (weights - before)[usable]
        assert weights.abs().sum() <= 1.5 + tolerance
        assert weights.abs().max() <= position + tolerance
        assert weights.groupby(world.sectors).sum().abs().max() <= sector + tolerance
        window = risk.window_returns(date)
        market = benchmark.loc[window.index]
        betas = window.apply(lambda r, m=market: np.cov(r, m)[0, 1]) / market.var()
        assert abs((betas * weights[usable]).sum()) <= beta + tolerance
        assert first or trade.abs().sum() <= turnover + tolerance
        most = participation * volume.loc[date][usable] / capital
        assert (trade.abs() - most).max() <= tolerance
        first = first and not weights.any()
    assert set(built.notes["done"]) <= {"kept" if infeasible == "keep" else "relaxed"}


@few
@given(seed=st.integers(0, 10_000), objective=st.sampled_from(list(OBJECTIVES)))
def test_the_past_decides_alone(seed, objective):
    world, returns = _world(seed)
    cut = 125
    other = returns.copy()
    other.iloc[cut:] = np.random.default_rng(seed).normal(0, 0.05, other.iloc[cut:].shape)
    limits = Limits(gross=2, position=0.5)
    one, two = (_build(data, objective, limits=limits)[1] for data in (returns, other))
    assert one.weights.iloc[:cut].equals(two.weights.iloc[:cut])
    assert one.forecast_volatility.loc[: returns.index[cut - 1]].equals(
        two.forecast_volatility.loc[: returns.index[cut - 1]]
    )


def test_a_covariance_of_tomorrow_is_caught():
    returns = factor_world(140, 4, rng=np.random.default_rng(0)).returns

    def weights(data, shift):
        risk = covariance_forecast(data.shift(-shift).ffill(), method="ledoit_wolf", window=60)
        return construct(None, risk, objective="minimum_variance", rebalance=20).weights

    assert lookahead_audit(lambda data: weights(data, 0), returns, n_cuts=4).first_leak is None
    assert lookahead_audit(lambda data: weights(data, 1), returns, n_cuts=8).verdict == "failed"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_engine_trades_what_was_decided(objective):
    _, returns = _world(1)
    more = {"limits": Limits(gross=3)} if objective == "mean_variance" else {}
    _, built = _build(returns, objective, **more)
    run = run_backtest(built.weights, returns)
    rows = returns.index.get_indexer(built.turnover.index) + 1
    keep = rows < len(returns)
    np.testing.assert_allclose(run.turnover.iloc[rows[keep]], built.turnover[keep], atol=1e-9)


def test_solvers_agree_and_a_run_repeats_itself():
    _, returns = _world(3)
    limits = Limits(net=(0.5, 1), gross=1.3, position=0.35, turnover=0.4)
    books = {
        solver: _build(returns, "minimum_variance", limits=limits, solver=solver)[1].weights
        for solver in ("CLARABEL", "OSQP", "SCS")
    }
    for other in ("OSQP", "SCS"):
        assert (books[other] - books["CLARABEL"]).abs().max(axis=None) < 1e-4
    again = _build(returns, "minimum_variance", limits=limits)[1].weights
    assert again.equals(books["CLARABEL"])


@pytest.mark.parametrize(
    "package, objective",
    [("cvxpy", "minimum_variance"), ("skfolio.optimization", "hierarchical_risk_parity")],
)
def test_a_missing_package_names_the_extra(package, objective, monkeypatch):
    _, returns = _world(2)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match="portfolio"):
        _build(returns, objective)


def test_conflicts_are_told_before_and_after():
    with pytest.raises(SpecificationError, match="cannot hold with a `gross`"):
        Limits(gross=0.5, net=(1, 1))
    _, returns = _world(4)
    limits = Limits(position=0.1)  # six names of at most 0.1 never add up to 1
    _, built = _build(returns, "minimum_variance", limits=limits, infeasible="keep")
    assert built.n_conflicts == built.n_rebalances
    assert built.weights.abs().sum(axis=None) == 0
    assert set(built.notes["limits"]) == {"net and position"}
    _, built = _build(returns, "minimum_variance", limits=limits, infeasible="relax")
    traded = built.weights.dropna()
    assert len(traded) == built.n_rebalances
    assert pd.Series(built.notes["done"]).eq("relaxed").all()
    np.testing.assert_allclose(traded.max(axis=1), 1 / built.n_names, atol=1e-5)


def test_given_covariances_are_dated_and_in_the_unit_of_the_returns():
    returns = pd.DataFrame(
        np.random.default_rng(0).normal(0, 0.01, (200, 3)),
        pd.bdate_range("2015-01-01", periods=200),
        list("ABC"),
    )
    ask = lambda tables: covariance_forecast(returns, method="given", window=60, covariances=tables)
    by_text, by_date = ask({"2015-05-01": returns.cov()}), returns.index[86]
    assert by_date == pd.Timestamp("2015-05-01")
    pd.testing.assert_frame_equal(
        by_text.covariance(returns.index[-1]), returns.cov(), check_exact=True
    )
    for wrong in ("soon", 3, ("a", 1)):
        with pytest.raises(SpecificationError, match="given by date"):
            ask({wrong: returns.cov()})
    with pytest.warns(ScaleWarning, match="1e\\+04 times those of the returns"):
        ask({by_date: 1e4 * returns.cov()})


def test_limits_that_limit_nothing_have_a_picture_that_says_so():
    ax = Limits().plot()
    assert [text.get_text() for text in ax.texts] == [Limits().sentence()] and not ax.tables
    assert Limits(gross=1.0).plot().tables
