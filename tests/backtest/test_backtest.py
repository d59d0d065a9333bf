"""The backtest wing: costs by hand, two engines, no look-ahead, published performance figures."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import (
    CostModel,
    Market,
    candidate_weights,
    declare_candidates,
    drawdown_table,
    drawdowns,
    equal_weight,
    expected_shortfall,
    grid_returns,
    leave_one_out,
    long_short_weights,
    lookahead_audit,
    pair_trades,
    pairs_weights,
    parameter_surface,
    performance_summary,
    placebo_market,
    run_backtest,
    run_backtests,
    stress_windows,
    subperiods,
    sweep_returns,
    value_at_risk,
)
from quantlab.data import Panel
from quantlab.errors import (
    DataError,
    LookaheadError,
    MisalignedError,
    MissingDataError,
    QuantlabError,
    SpecificationError,
)
from quantlab.factors import LIBRARY
from quantlab.simulate import cointegrated_pair, factor_world, random_walks
from quantlab.validation import Ledger, open_trials


def dates(n):
    return pd.bdate_range("2010-01-04", periods=n, name="date")


def table(values, columns=None):
    values = np.asarray(values, dtype=float)
    return pd.DataFrame(values, dates(len(values)), columns or list("ABCDEFGH")[: values.shape[1]])


def world(seed, n=60, assets=4, *, holes=0.0, gaps=0.0, leverage=1.0):
    "Random targets, returns, volumes and volatilities"
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n, assets))
    weights *= leverage / np.abs(weights).sum(1, keepdims=True)
    weights[rng.random(weights.shape) < holes] = np.nan
    weights[rng.random(n) < holes] = np.nan
    weights[0, 0] = 0.1
    returns = rng.normal(0, 0.02, (n, assets))
    returns[rng.random(returns.shape) < gaps] = np.nan
    volume, sigma = rng.uniform(1e6, 1e9, (n, assets)), rng.uniform(0.005, 0.03, (n, assets))
    return table(weights), table(returns), table(volume), table(sigma)


def accountant(weights, returns, costs, volume, sigma, *, lag, capital, periods_per_year):
    "The rules of the book in shares and cash, in plain Python: an oracle that shares no code"
    days, names = returns.shape
    shares, price, cash = np.zeros(names), np.ones(names), capital
    net, turnover, charged = np.zeros(days), np.zeros(days), np.zeros(days)
    for t in range(lag, days):
        if t == lag:
            for s in range(lag):
                price = price * (1 + np.nan_to_num(returns.iloc[s].to_numpy()))
        equity = cash + shares @ price
        target, fee, traded = weights.iloc[t - lag].to_numpy(), 0.0, 0.0
        for j in range(names):
            if np.isnan(target[j]):
                continue
            order = target[j] * equity / price[j] - shares[j]
            value = order * price[j]
            at = volume.iloc[t - 1, j], sigma.iloc[t - 1, j]
            fee += costs.cost(value, *at)
            cash -= value
            shares[j] += order
            traded += abs(value)
        fee += (
            costs.borrow_bps_per_year
            / 1e4
            / periods_per_year
            * -np.minimum(shares * price, 0).sum()
        )
        cash -= fee
        price = price * (1 + np.nan_to_num(returns.iloc[t].to_numpy()))
        net[t] = (cash + shares @ price) / equity - 1
        turnover[t], charged[t] = traded / equity, fee / equity
    return net, turnover, charged


ALL = CostModel(2, 3, 0.7, 80)


# costs -----------------------------------------------------------------------------------------


def test_cost_by_hand():
    model = CostModel(commission_bps=1, half_spread_bps=4, impact_coefficient=0.5)
    assert model.cost(-1e6, 1e8, 0.02) == pytest.approx(1500)  # 500 linear, 10 bps of impact
    got = model.cost(np.array([1e6, 0.0]), np.array([1e8, 0.0]), np.array([0.02, np.nan]))
    assert got == pytest.approx([1500, 0])


def test_cost_keeps_the_form_of_the_trades():
    trades = table([[1e6, -2e6], [0, 5]])
    assert isinstance(ALL.cost(trades, 1e8, 0.02), pd.DataFrame)
    assert ALL.cost(trades["A"], trades["A"] + 1e8, 0.02).index.equals(trades.index)
    cross_section = pd.Series([1e6, 2e6], index=["B", "A"])  # labels need not be sorted
    assert ALL.cost(cross_section, 1e8, 0.02).index.tolist() == ["B", "A"]
    assert isinstance(ALL.cost(1, 1, 1), float)


@pytest.mark.parametrize("field", list(CostModel.LABELS))
@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "1", None])
def test_a_charge_must_be_a_number(field, value):
    with pytest.raises(SpecificationError, match=f"`{field}` must be a finite number"):
        CostModel(**{field: value})


def test_bad_trades():
    with pytest.raises(DataError, match="numbers only"):
        ALL.cost("a lot", 1, 1)
    with pytest.raises(DataError, match="infinite"):
        ALL.cost([1, np.inf], 1, 1)
    with pytest.raises(MissingDataError, match="impact is unknown|unknown"):
        ALL.cost(1.0, 0.0, 0.02)
    with pytest.raises(MissingDataError, match="both needed"):
        ALL.cost(1.0)
    with pytest.raises(MisalignedError, match="different labels"):
        ALL.cost(table([[1.0, 1.0]]), table([[1.0, 1.0]], ["B", "A"]), 0.1)


# engine ----------------------------------------------------------------------------------------


def test_a_weight_earns_from_the_next_day_on():
    returns = table([[0.5], [0.1], [0.2], [0.3]])
    weights = table([[1], [0], [0], [0]])
    assert run_backtest(weights, returns).returns.tolist() == [0, 0.1, 0, 0]
    assert run_backtest(weights, returns, decision_lag=2).returns.tolist() == [0, 0, 0.2, 0]


def test_daily_targets_without_costs_are_the_shifted_product():
    weights, returns, *_ = world(1)
    for lag in (1, 3):
        result = run_backtest(weights, returns, decision_lag=lag)
        expected = (weights.shift(lag) * returns).sum(axis=1)
        np.testing.assert_allclose(result.returns, expected, atol=1e-14)


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("engine", ["kernel", "vectorbt"])
def test_engines_agree_with_the_accountant(engine, lag):
    weights, returns, volume, sigma = world(2, holes=0.4, gaps=0.05, leverage=2.0)
    options = {"capital": 1e8, "periods_per_year": 252}
    result = run_backtest(
        weights,
        returns,
        costs=ALL,
        dollar_volume=volume,
        volatility=sigma,
        decision_lag=lag,
        engine=engine,
        **options,
    )
    net, turnover, charged = accountant(weights, returns, ALL, volume, sigma, lag=lag, **options)
    np.testing.assert_allclose(result.returns, net, atol=1e-11)
    np.testing.assert_allclose(result.turnover, turnover, atol=1e-10)
    np.testing.assert_allclose(result.costs, charged, atol=1e-11)
    assert result.impact_costs.sum() > 0 and result.borrow_costs.sum() > 0


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 30),
    assets=st.integers(1, 8),
    holes=st.sampled_from([0.0, 0.3, 0.9]),
    leverage=st.floats(0.1, 4.0),
    lag=st.integers(1, 2),
    commission=st.floats(0, 50),
    impact=st.sampled_from([0.0, 0.5]),
    borrow=st.sampled_from([0.0, 300.0]),
    rebalance=st.sampled_from(["daily", "weekly", 3]),
)
def test_two_engines_one_answer(
    seed, n, assets, holes, leverage, lag, commission, impact, borrow, rebalance
):
    weights, returns, volume, sigma = world(
        seed, n, assets, holes=holes, gaps=0.02, leverage=leverage
    )
    costs = CostModel(commission, 0.0, impact, borrow)
    a, b = (
        run_backtest(
            weights,
            returns,
            costs=costs,
            decision_lag=lag,
            engine=engine,
            dollar_volume=volume,
            volatility=sigma,
            rebalance=rebalance,
        )
        for engine in ("kernel", "vectorbt")
    )
    for name in ("returns", "gross_returns", "turnover", "costs", "borrow_costs", "weights"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-9)
    assert a.n_missing_returns == b.n_missing_returns


def test_borrow_goes_with_the_calendar_or_with_the_rows():
    returns = table(np.zeros((8, 1)))  # Monday to Monday, and a day
    weights = table(-np.ones((8, 1)))
    costs = CostModel(borrow_bps_per_year=365)
    calendar = run_backtest(weights, returns, costs=costs).borrow_costs * 1e4
    np.testing.assert_allclose(calendar, [0, 1, 1, 1, 1, 3, 1, 1])
    rows = run_backtest(weights, returns, costs=costs, periods_per_year=250).borrow_costs
    np.testing.assert_allclose(rows.iloc[1:], 0.0365 / 250)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), holes=st.sampled_from([0.0, 0.5]))
def test_the_accounts_add_up(seed, holes):
    weights, returns, volume, _ = world(seed, holes=holes)
    result = run_backtest(weights, returns, costs=ALL, dollar_volume=volume, periods_per_year=252)
    np.testing.assert_allclose(result.gross_returns - result.costs, result.returns, atol=1e-15)
    np.testing.assert_allclose(
        (result.weights * returns).sum(axis=1), result.gross_returns, atol=1e-14
    )
    held, grown = result.weights, result.weights * (1 + returns)
    drifted = grown.div(1 + result.returns, axis=0).shift(1).fillna(0)
    np.testing.assert_allclose((held - drifted).abs().sum(axis=1), result.turnover, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_assets_does_not_matter(seed):
    weights, returns, *_ = world(seed, holes=0.3)
    other = ["C", "A", "D", "B"]
    a = run_backtest(weights, returns, costs=CostModel(5))
    b = run_backtest(weights[other], returns[other], costs=CostModel(5))
    np.testing.assert_allclose(a.returns, b.returns, atol=1e-14)


def test_the_future_does_not_change_the_past():
    weights, returns, volume, _ = world(3, holes=0.3)
    options = {"costs": ALL, "periods_per_year": 252}
    full = run_backtest(weights, returns, dollar_volume=volume, **options)
    head = run_backtest(
        weights.iloc[:30], returns.iloc[:30], dollar_volume=volume.iloc[:30], **options
    )
    pd.testing.assert_series_equal(full.returns.iloc[:30], head.returns, check_exact=True)


def test_memory_layout_does_not_matter():
    weights, returns, *_ = world(4)
    rows = lambda f: pd.DataFrame(np.ascontiguousarray(f), f.index, f.columns, copy=False)
    a, b = run_backtest(weights, returns), run_backtest(rows(weights), rows(returns))
    pd.testing.assert_series_equal(a.returns, b.returns, check_exact=True)


def test_a_later_change_of_the_inputs_does_not_change_the_result():
    weights, returns, *_ = world(5)
    result = run_backtest(weights, returns)
    before = result.weights
    weights.iloc[:] = 0.0
    pd.testing.assert_frame_equal(result.weights, before)


def test_missing_returns_are_zero_and_counted():
    weights, returns, *_ = world(6)
    gaps = returns.copy()
    gaps.iloc[5, 1] = gaps.iloc[6, 2] = np.nan
    result = run_backtest(weights, gaps)
    assert result.n_missing_returns == 2
    expected = run_backtest(weights, gaps.fillna(0.0)).returns
    pd.testing.assert_series_equal(result.returns, expected)
    with pytest.raises(MissingDataError, match="2 returns are missing while"):
        run_backtest(weights, gaps, missing_returns="raise")
    with pytest.raises(MissingDataError, match="2 returns are missing while"):
        sweep_returns({"a": weights}, gaps, missing_returns="raise")


def test_stress_is_a_run_with_multiplied_costs():
    weights, returns, volume, _ = world(7, holes=0.5)
    options = {"dollar_volume": volume, "periods_per_year": 252}
    stressed = run_backtest(weights, returns, costs=ALL, **options).stress((1, 3))
    again = run_backtest(weights, returns, costs=ALL.scaled(3), **options).returns
    assert stressed.index.tolist() == [1, 3]
    assert stressed.loc[3, "total_return"] == (1 + again).prod() - 1
    assert stressed.loc[3, "total_return"] < stressed.loc[1, "total_return"]


def test_the_breakeven_cost_breaks_even():
    weights, returns, *_ = world(8)  # daily targets: gross and turnover hardly depend on the cost
    breakeven = run_backtest(
        weights, returns + 0.002 * np.sign(weights.shift(1))
    ).breakeven_cost_bps
    assert breakeven > 0
    costs = CostModel(commission_bps=breakeven)
    result = run_backtest(weights, returns + 0.002 * np.sign(weights.shift(1)), costs=costs)
    assert abs(result.returns.mean()) < 1e-2 * result.gross_returns.mean()


def test_at_capacity_nothing_is_left():
    rng = np.random.default_rng(0)
    edge = factor_world(1000, 40, edge=0.002, rng=rng)
    weights = long_short_weights(edge.returns.rolling(60).mean())
    options = {
        "costs": CostModel(1, 1, 1.0),
        "dollar_volume": edge.dollar_volume,
        "periods_per_year": 252,
    }
    small = run_backtest(weights, edge.returns, capital=1e5, **options)
    assert small.returns.mean() > 0 and np.isfinite(small.capacity)
    large = run_backtest(weights, edge.returns, capital=small.capacity, **options)
    assert abs(large.returns.mean()) < 1e-5 * small.returns.mean()
    free = run_backtest(weights, edge.returns)
    assert np.isnan(free.capacity)
    thin = run_backtest(weights, edge.returns, capital=1.0, **options)  # from far below
    assert thin.capacity == pytest.approx(small.capacity, rel=1e-4)


def test_days_before_the_first_position_do_not_dilute():
    weights, returns, *_ = world(9)
    weights.iloc[:20] = np.nan
    result = run_backtest(weights, returns, periods_per_year=252)
    assert result.start == returns.index[21] and result.nobs == len(returns) - 21
    live = result.returns.iloc[21:]
    assert result.stress((1,)).loc[1, "sharpe_ratio"] == live.mean() / live.std()


def test_a_flat_book_is_flat_not_an_error():
    _, returns, *_ = world(10)
    result = run_backtest(returns * 0, returns)
    assert not result.returns.any() and result.start is None and np.isnan(result.breakeven_cost_bps)


def test_sweeps_give_the_numbers_of_single_runs():
    _, returns, volume, sigma = world(11, n=90, gaps=0.02)
    books = {f"book {seed}": world(seed, n=90, holes=0.4)[0] for seed in range(4)}
    options = {
        "costs": ALL,
        "dollar_volume": volume,
        "volatility": sigma,
        "periods_per_year": 252,
        "rebalance": "weekly",
    }
    swept, results = (
        sweep_returns(books, returns, **options),
        run_backtests(books, returns, **options),
    )
    for name, weights in books.items():
        single = run_backtest(weights, returns, **options).returns
        assert (swept[name] == single).all() and (results[name].returns == single).all()


@pytest.mark.parametrize("rebalance", ["daily", "monthly", 5])
def test_books_in_one_asset_are_columns(rebalance):
    weights, returns, volume, sigma = world(12, n=90, assets=6, holes=0.3, gaps=0.05)
    options = {"costs": ALL, "periods_per_year": 252, "rebalance": rebalance, "decision_lag": 2}
    swept = sweep_returns(
        weights, returns["A"], dollar_volume=volume["A"], volatility=sigma["A"], **options
    )
    for name in weights:
        single = run_backtest(
            weights[[name]].set_axis(["A"], axis=1),
            returns[["A"]],
            dollar_volume=volume[["A"]],
            volatility=sigma[["A"]],
            **options,
        )
        assert (swept[name] == single.returns).all()


@pytest.mark.parametrize("lag", [0, -1])
def test_a_decision_cannot_earn_its_own_day(lag):
    weights, returns, *_ = world(13)
    for run in (run_backtest, lambda w, r, **k: sweep_returns({"a": w}, r, **k)):
        with pytest.raises(LookaheadError, match="`decision_lag` must be at least 1"):
            run(weights, returns, decision_lag=lag)


@pytest.mark.parametrize("engine", ["kernel", "vectorbt"])
@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (lambda w, r: (w.iloc[1:], r), MisalignedError, "on one index"),
        (lambda w, r: (w, r.rename(columns={"A": "Z"})), MisalignedError, "same columns"),
        (lambda w, r: (w.astype(str), r), DataError, "text or objects"),
        (lambda w, r: (w[::-1], r[::-1]), DataError, "not in time order"),
        (lambda w, r: (w * np.nan, r), MissingDataError, "no value at all"),
        (lambda w, r: (w, r * np.nan), MissingDataError, "no value at all"),
        (lambda w, r: (w.replace(w.iat[3, 0], np.inf), r), DataError, "infinite"),
        (lambda w, r: (w, r.replace(r.iat[3, 0], np.inf)), DataError, "infinite"),
        (lambda w, r: (w, r * 100), DataError, "falls below -100 %"),
        (lambda w, r: (w * 500, r), DataError, "loses all its equity"),
        (lambda w, r: (w.tz_localize("UTC"), r), DataError, "time zone"),
        (lambda w, r: (w.iloc[:1], r.iloc[:1]), DataError, "needs more rows"),
        (lambda w, r: (w.iloc[:0], r.iloc[:0]), DataError, "at least 1 rows"),
    ],
)
def test_bad_panels(spoil, error, text, engine):
    weights, returns = spoil(*world(14)[:2])
    with pytest.raises(error, match=text):
        run_backtest(weights, returns, engine=engine)


def test_an_unknown_volume_is_an_error():
    weights, returns, volume, _ = world(15)
    volume.iloc[10, 2] = np.nan
    day = volume.index[10]
    for engine in ("kernel", "vectorbt"):
        with pytest.raises(MissingDataError, match=f"A trade on {day} has no positive"):
            run_backtest(
                weights,
                returns,
                costs=ALL,
                dollar_volume=volume,
                periods_per_year=252,
                engine=engine,
            )


def test_vectorbt_is_imported_only_when_asked():
    code = "import sys, quantlab.backtest.engine; sys.exit('vectorbt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# strategies ------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    quantile=st.sampled_from([0.1, 0.2, 0.5]),
    gross=st.floats(0.5, 2),
    ties=st.booleans(),
    weighted=st.booleans(),
)
def test_long_short_is_dollar_neutral_and_blind_to_column_order(
    seed, quantile, gross, ties, weighted
):
    rng = np.random.default_rng(seed)
    factor = table(rng.normal(size=(12, 8)))
    factor = (factor * 2).round() if ties else factor.mask(table(rng.random((12, 8))) < 0.1)
    volatility = table(rng.uniform(0.01, 0.05, (12, 8))) if weighted else None
    options = {"quantile": quantile, "gross": gross, "rebalance_every": 3}
    try:
        weights = long_short_weights(factor, volatility=volatility, **options)
    except DataError:
        assert quantile == 0.1  # eight names do not fill a tenth
        return
    full = weights.dropna()
    np.testing.assert_allclose(full.sum(axis=1), 0, atol=1e-12)
    total = full.abs().sum(axis=1)
    assert np.all(np.isclose(total, gross) | np.isclose(total, 0))
    order = list("HBDACGEF")
    shuffled = volatility if volatility is None else volatility[order]
    other = long_short_weights(factor[order], volatility=shuffled, **options)
    np.testing.assert_allclose(other[weights.columns], weights, atol=1e-14)


def test_long_short_follows_the_factor():
    factor = table(np.tile(np.arange(8.0), (3, 1)))
    weights = long_short_weights(factor, quantile=0.25).iloc[0]
    assert weights.tolist() == [-0.25, -0.25, 0, 0, 0, 0, 0.25, 0.25]


def test_members_only_and_leavers_are_sold():
    factor = table(np.tile(np.arange(8.0), (6, 1)))
    member = factor.notna()
    member["H"] = [True, True, False, False, False, False]
    weights = long_short_weights(factor, quantile=0.25, rebalance_every=4, membership=member)
    assert weights.loc[weights.index[2], "H"] == 0 and weights.iloc[2].notna().sum() == 1
    assert weights.iloc[3].isna().all()
    assert weights.iloc[4]["H"] == 0 and weights.iloc[4]["G"] > 0


def test_a_universe_that_grows_later_does_not_move_the_rebalancing_days():
    rng = np.random.default_rng(0)
    returns = pd.DataFrame(rng.normal(0, 0.01, (300, 12)), dates(300))
    returns = returns.where(np.arange(300)[:, None] >= 20 * np.arange(12))
    book = lambda r: long_short_weights(r.rolling(5).mean(), quantile=0.3)
    pd.testing.assert_frame_equal(book(returns).iloc[:90], book(returns.iloc[:90]))
    assert lookahead_audit(book, returns).passed


def test_a_book_that_can_no_longer_be_filled_is_sold():
    factor = table(np.tile(np.arange(8.0), (6, 1)))
    factor.iloc[3:, 2:] = np.nan
    weights = long_short_weights(factor, quantile=0.25, rebalance_every=4)
    assert (weights.iloc[4] == 0).all()


def test_equal_weight_of_masks_and_returns():
    mask = pd.DataFrame({"A": [True, False], "B": [True, False]}, dates(2))
    assert equal_weight(mask).to_numpy().tolist() == [[0.5, 0.5], [0, 0]]
    assert equal_weight(table([[0.0, np.nan], [0.1, 0.2]])).to_numpy().tolist() == [
        [1, 0],
        [0.5, 0.5],
    ]


def pair_table(index, **changes):
    row = {
        "window": 0,
        "y": "A",
        "x": "B",
        "hedge_ratio": 1.0,
        "intercept": 0.0,
        "spread_mean": 0.0,
        "spread_std": 0.01,
        "trade_start": index[0],
        "trade_end": index[-1],
    }
    return pd.DataFrame([{**row, **changes}])


def zigzag(path):
    path = np.asarray(path, dtype=float)
    return table(np.column_stack([path / 100, 0 * path]))


@pytest.mark.parametrize(
    ("path", "options", "expected"),
    [
        ([0, 2.5, 1, 0.4, 0, 0], {}, [(1, 3, -1, "exit")]),
        ([0, -2.5, -1, -0.4, 0, 0], {}, [(1, 3, 1, "exit")]),
        ([0, 2.5, 4.5, 2.5, 0, 0], {}, [(1, 2, -1, "stop")]),
        ([0, 2.5, -0.6, -1, 0, 0], {}, [(1, 2, -1, "exit")]),  # across the mean
        ([0, 2.5, -2.5, -1, 0, 0], {}, [(1, 2, -1, "exit"), (2, 4, 1, "exit")]),
        ([0, 4.5, 2.5, 2.2, 2.1, 2.4], {}, [(2, 5, -1, "window end")]),  # not entered beyond stop
        ([0, 2.5, 2.4, 2.3, 0, 2.5], {"max_holding": 2}, [(1, 3, -1, "max holding")]),
        ([0, 2.5, np.nan, np.nan, 0.1, 0], {}, [(1, 4, -1, "exit")]),
        ([np.nan, 2.5, 2.5, 2.5, 2.5, np.nan], {}, [(1, 5, -1, "window end")]),
        ([0, 1, 1.9, -1.9, 0, 0], {}, []),
    ],
)
def test_the_pair_machine(path, options, expected):
    prices = zigzag(path)
    trades = pair_trades(prices, pair_table(prices.index), max_pairs=1, **options)
    at = prices.index.get_indexer
    got = list(
        zip(at(trades["entry_date"]), at(trades["exit_date"]), trades["side"], trades["reason"])
    )
    assert got == expected


def test_a_pair_beyond_the_data_stays_open():
    prices = zigzag([0, 2.5, 2.4])
    pairs = pair_table(prices.index, trade_end=pd.Timestamp("2030-01-01"))
    assert pair_trades(prices, pairs)["reason"].tolist() == ["open"]


@pytest.mark.parametrize("hedge", [1.0, 0.4, 2.5, -0.7])
def test_the_book_earns_what_the_trades_say(hedge):
    y, x = cointegrated_pair(800, hedge_ratio=hedge, phi=0.9, rng=np.random.default_rng(2))
    logs = pd.concat([y.rename("A"), x.rename("B")], axis=1)
    std = (y - hedge * x).std()
    pairs = pair_table(logs.index, hedge_ratio=hedge, spread_std=std)
    trades = pair_trades(logs, pairs)
    assert len(trades) > 5
    returns = np.expm1(logs.diff())
    weights = pairs_weights(logs, pairs, max_pairs=1, gross=0.8)
    result = run_backtest(weights, returns)
    assert np.isclose((1 + result.returns).prod(), (1 + 0.8 * trades["return"]).prod(), rtol=1e-12)
    assert result.weights.abs().sum(axis=1).iloc[1:].gt(0).sum() == trades["holding"].sum()


def many_pairs(seed, n=400, names=8):
    rng = np.random.default_rng(seed)
    logs = random_walks(n, names, rng=rng)
    rows = []
    for window, start in enumerate(range(50, n - 100, 60)):  # windows overlap
        for rank in range(12):
            y, x = rng.choice(names, 2, replace=False)
            rows.append(
                {
                    **pair_table(logs.index).iloc[0],
                    "window": window,
                    "rank": rank,
                    "y": f"A{y}",
                    "x": f"A{x}",
                    "hedge_ratio": rng.uniform(0.5, 2),
                    "spread_std": rng.uniform(0.02, 0.1),
                    "trade_start": logs.index[start],
                    "trade_end": logs.index[start + 90],
                }
            )
    return logs, pd.DataFrame(rows)


def test_gross_never_exceeds_its_cap():
    logs, pairs = many_pairs(0)
    weights = pairs_weights(logs, pairs, max_pairs=5, entry=1.5)
    wanted = weights.ffill().abs().sum(axis=1)
    assert 0.5 < wanted.max() <= 1 + 1e-12
    trades = pair_trades(logs, pairs, max_pairs=5, entry=1.5)
    open_ = [((trades["entry_date"] <= d) & (trades["exit_date"] > d)).sum() for d in logs.index]
    assert max(open_) == 5
    flat = np.array(open_) == 0
    assert (weights.ffill()[flat].fillna(0) == 0).all().all()  # exactly, no dust left


def test_rank_decides_who_is_served():
    prices = table([[0, 0, 0], [0.025, 0, 0.03], [0, 0, 0]])
    pairs = pd.concat([pair_table(prices.index, rank=2), pair_table(prices.index, y="C", rank=1)])
    assert pair_trades(prices, pairs, max_pairs=1)["y"].tolist() == ["C"]


@pytest.mark.parametrize("seed", range(3))
def test_strategies_pass_the_audit(seed):
    logs, pairs = many_pairs(seed)
    assert lookahead_audit(lambda p: pairs_weights(p, pairs, max_pairs=5, entry=1.5), logs).passed
    w = factor_world(300, 12, rng=np.random.default_rng(seed))
    tables = {"returns": w.returns, "volume": w.dollar_volume, "member": w.dollar_volume > 5e7}

    def book(d):
        return long_short_weights(
            d["returns"].rolling(20).mean(),
            volatility=d["returns"].rolling(30).std(),
            membership=d["member"],
        )

    assert lookahead_audit(book, tables).passed
    assert lookahead_audit(lambda d: equal_weight(d["member"]), tables).passed


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda p: p.drop(columns="y"), MissingDataError, "lacks the columns y"),
        (lambda p: p.assign(x="Q"), MissingDataError, "names 'Q'"),
        (lambda p: p.assign(x="A"), DataError, "cannot be traded"),
        (lambda p: p.assign(spread_std=0.0), DataError, "cannot be traded"),
        (lambda p: p.assign(hedge_ratio=np.nan), DataError, "cannot be traded"),
        (lambda p: p.assign(hedge_ratio="big"), DataError, "cannot be traded"),
        (lambda p: p.assign(trade_end=p["trade_start"]), DataError, "not after"),
        (lambda p: p.assign(formation_end=p["trade_start"]), LookaheadError, "seen in formation"),
        (lambda p: [1, 2], MissingDataError, "lacks the columns"),
    ],
)
def test_bad_pairs(change, error, text):
    prices = zigzag([0, 1, 2])
    for function in (pairs_weights, pair_trades):
        with pytest.raises(error, match=text):
            function(prices, change(pair_table(prices.index)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.astype(str),
        lambda f: f[::-1],
        lambda f: f * np.nan,
        lambda f: f.replace(f.iat[0, 0], np.inf),
        lambda f: f.set_axis([f.index[0]] * len(f)),
        lambda f: f.iloc[:0],
        lambda f: pd.concat([f, f], axis=1),
    ],
)
def test_bad_tables(spoil):
    frame = table(np.random.default_rng(0).normal(size=(30, 8)))
    bad = spoil(frame)
    calls = [
        lambda: long_short_weights(bad),
        lambda: equal_weight(bad),
        lambda: pairs_weights(bad, pair_table(frame.index)),
        lambda: pair_trades(bad, pair_table(frame.index)),
        lambda: lookahead_audit(lambda d: d, bad),
        lambda: run_backtest(bad, frame),
        lambda: run_backtest(frame, bad),
    ]
    for call in calls:
        with pytest.raises(QuantlabError, match="`.*`"):
            call()


# audit -----------------------------------------------------------------------------------------

LEAKS = {
    "z-score": lambda p: (p - p.mean()) / p.std(),
    "quantile": lambda p: (p > p.quantile(0.7)) * 1.0,
    "rare": lambda p: (p.pct_change().rolling(3).mean() > p.pct_change().quantile(0.9)) * 1.0,
    "rank in time": lambda p: p.rank(pct=True),
    "centred": lambda p: p.rolling(11, center=True).mean(),
    "shift": lambda p: p.shift(-1),
    "bfill": lambda p: p.bfill(),
    "interpolate": lambda p: p.interpolate(),
    "reversed average": lambda p: p[::-1].ewm(halflife=5).mean()[::-1],
    "sparse": lambda p: p.shift(-1)[np.arange(len(p)) % 21 == 0],
    "best column of all": lambda p: p[[p.iloc[-1].idxmax()]],
    "one column": lambda p: p.assign(A1=p["A1"].shift(-5)),
    "only the sign": lambda p: np.sign(p.shift(-1) - p),
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("seed", range(3))
def test_leaks_are_caught(name, seed):
    prices = np.exp(random_walks(300, 3, rng=np.random.default_rng(seed)))
    audit = lookahead_audit(LEAKS[name], prices, seed=seed)
    assert not audit.passed and audit.first_leak.date in prices.index
    assert audit.leaks["n_changed"].gt(0).all()
    if name == "one column":
        assert set(audit.leaks["column"]) == {"A1"} and audit.first_leak[1] == "A1"


def test_first_leak_is_the_earliest_date():
    prices = np.exp(random_walks(200, 3, rng=np.random.default_rng(0)))
    seen = prices.index[150]
    late = lambda p: p.mul(np.where(p.index < seen, 1.0, p["A0"].iloc[-1]), axis=0)

    audit = lookahead_audit(late, prices)
    assert audit.first_leak.date == seen == audit.leaks["date"].min()


def test_audit_of_a_panel_and_of_hidden_fields():
    class Panel:
        def __init__(self, fields):
            self.fields = fields

        def with_fields(self, fields):
            return Panel(fields)

    w = factor_world(200, 5, rng=np.random.default_rng(0))
    panel = Panel({"returns": w.returns, "volume": w.dollar_volume})
    assert lookahead_audit(lambda d: d.fields["returns"].cumsum(), panel).passed
    leak = lambda d: d.fields["returns"].cumsum() * d.fields["volume"].max()
    assert not lookahead_audit(leak, panel).passed


def test_an_audited_strategy_may_spoil_its_data():
    prices = np.exp(random_walks(200, 3, rng=np.random.default_rng(0)))
    before = prices.copy()

    def greedy(p):
        p.iloc[:, 0] = 0.0
        return p

    assert lookahead_audit(greedy, prices).passed
    pd.testing.assert_frame_equal(prices, before)


def _steps(seed, columns="abcd", n=400):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        rng.normal(0, 0.01, (n, len(columns))),
        pd.bdate_range("2020-01-01", periods=n),
        list(columns),
    )


def _beforehand(r, mix):
    "Tomorrow's signs, closed over; `mix` makes the output from them and the data"
    known = np.sign(r.shift(-1)).fillna(0) / 4
    return lambda data: mix(known.reindex(data.index), data)


UNTESTED = {
    "as they are": lambda k, d: k,
    "but for gaps": lambda k, d: k.where(d.notna(), 0.0),
    "scaled": lambda k, d: k / d.rolling(20).std(),
    "with a pinch of data": lambda k, d: k + 1e-3 * d,
    "one column": lambda k, d: np.sign(d.rolling(20).mean()).assign(a=k["a"]),
    "the first half": lambda k, d: pd.concat(
        [k[:200], np.sign(d.rolling(20).mean())[200:]]
    ).reindex(d.index),
    "a constant": lambda k, d: k * 0 + 0.25,
    "the calendar": lambda k, d: k * 0 + (k.index.month > 5).astype(float)[:, None],
}


@pytest.mark.parametrize("name", UNTESTED)
@pytest.mark.parametrize("seed", range(2))
def test_what_was_not_tested_has_not_passed(name, seed):
    r = _steps(seed)
    audit = lookahead_audit(_beforehand(r, UNTESTED[name]), r, seed=seed, n_cuts=4)
    assert audit.verdict == "inconclusive" and audit.passed is False and audit.first_leak is None
    assert audit.doubts and "doubt 1" in audit.summary().index


@pytest.mark.parametrize("seed", range(4))
def test_honest_books_pass_the_controls(seed):
    r = _steps(seed)
    for book in (
        lambda d: np.sign(d.rolling(20).mean()) / 4,
        lambda d: -d,
        lambda d: 0.01 / d[["a"]].rolling(20).std(),
        lambda d: (1 + d).cumprod(),
        lambda d: ((1 + d).cumprod() > (1 + d).cumprod().rolling(100).mean()) * 1.0,
    ):
        audit = lookahead_audit(book, r, n_cuts=4, seed=seed)
        assert audit.passed and audit.verdict == "passed", audit.doubts


def test_a_future_that_lies_among_the_data_is_no_pass():
    r = _steps(0)
    tables = {"returns": r, "forecast": r.shift(-1).fillna(0) + _steps(1) / 3}
    audit = lookahead_audit(lambda d: np.sign(d["forecast"]), tables, n_cuts=4)
    assert audit.verdict == "inconclusive" and not audit.controls.loc["hit rate", "ok"]
    assert abs(audit.delays.loc[1, "t"]) > 20 > 4 > abs(audit.delays.loc[2, "t"])
    # right on 53 % of the days
    weak = {"returns": r, "forecast": r.shift(-1).fillna(0) / 10 + _steps(1)}
    assert lookahead_audit(lambda d: np.sign(d["forecast"]), weak, n_cuts=4).passed


def test_an_audit_names_the_files_that_were_read(tmp_path):
    r = _steps(0)
    (tmp_path / "signal.csv").write_text("1")

    def reads(d):
        (tmp_path / "log.txt").write_text("written, not read")
        return d.rolling(5).mean() * float((tmp_path / "signal.csv").read_text())

    audit = lookahead_audit(reads, r, n_cuts=4)
    assert audit.files == (str(tmp_path / "signal.csv"),) and audit.verdict == "inconclusive"
    assert lookahead_audit(lambda d: d.rolling(5).mean(), r, n_cuts=4).files == ()


def test_an_output_that_begins_late_is_compared_after_it_began():
    r = _steps(0)
    late = lambda d: d.rolling(390).mean()
    assert lookahead_audit(late, r, n_cuts=2).passed
    assert lookahead_audit(lambda d: late(d).shift(-1), r, n_cuts=2).verdict == "failed"


def test_audit_is_deterministic():
    prices = np.exp(random_walks(200, 3, rng=np.random.default_rng(0)))
    a, b = (lookahead_audit(LEAKS["shift"], prices, seed=3) for _ in range(2))
    assert a.to_dict() == b.to_dict()
    pd.testing.assert_frame_equal(a.leaks, b.leaks)


# performance -----------------------------------------------------------------------------------

FIELDS = {
    "n": "nobs",
    "mean": "mean_return",
    "sd": "volatility",
    "ret_ann": "annualized_return",
    "sd_ann": "annualized_volatility",
    "cum": "total_return",
    "Sortino0": "sortino_ratio",
    "DD0": "downside_deviation",
    "semi": "semideviation",
    "maxDD": "max_drawdown",
    "avgDD": "average_drawdown",
    "Calmar": "calmar_ratio",
    "Omega0": "omega_ratio",
    "Ulcer": "ulcer_index",
    "skew_m": "skewness",
    "kurt_moment": "kurtosis",
}


@pytest.mark.parametrize("column", ["fat", "loser"])
def test_performance_reference(column, reference, reference_data):
    entry = reference(f"performance_synthetic_{column}")
    returns = pd.read_csv(reference_data / entry["input"]["file"])[column]
    expected, tol = entry["expected"], entry["tol"]
    got = performance_summary(returns, periods_per_year=12)
    for name, field in FIELDS.items():
        assert close(getattr(got, field), expected[name], tol), name
    threshold = performance_summary(returns, periods_per_year=12, risk_free=0.005)
    assert close(threshold.sortino_ratio, expected["Sortino_005"], tol)
    assert close(threshold.omega_ratio, expected["Omega_005"], tol)
    assert got.annualized_sharpe_ratio == pytest.approx(expected["mean"] / expected["sd"] * 12**0.5)
    for name, method in (("hist", "historical"), ("gauss", "gaussian"), ("mod", "modified")):
        assert close(-value_at_risk(returns, method=method), expected[f"VaR_{name}95"], tol)
        assert close(-expected_shortfall(returns, method=method), expected[f"ES_{name}95"], tol)
    modified = -value_at_risk(returns, level=0.01, method="modified")
    assert close(modified, expected["VaR_mod99"], tol)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 3))
def test_performance_properties(seed, scale):
    r = pd.Series(np.random.default_rng(seed).normal(0.001, 0.01, 50))
    a, b = (performance_summary(x, periods_per_year=252) for x in (r, scale * r))
    assert b.sharpe_ratio == pytest.approx(a.sharpe_ratio)
    assert b.sortino_ratio == pytest.approx(a.sortino_ratio)
    assert b.kurtosis == pytest.approx(a.kurtosis)
    assert b.value_at_risk == pytest.approx(scale * a.value_at_risk)
    assert b.expected_shortfall >= b.value_at_risk
    assert 0 <= a.max_drawdown < 1
    assert drawdown_table(r, top=None)["length"].sum() == (drawdown_depths(r) > 1e-15).sum()


def drawdown_depths(returns):
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns.to_numpy())])
    return (1 - wealth / np.maximum.accumulate(wealth))[1:]


def test_ratios_without_a_loss_are_undefined():
    got = performance_summary(pd.Series([0.01, 0.02, 0.01]), periods_per_year=12)
    assert np.isnan([got.sortino_ratio, got.omega_ratio, got.calmar_ratio]).all()
    assert got.max_drawdown == 0


def test_results_survive_a_pickle():
    weights, returns, *_ = world(17)
    result = run_backtest(weights, returns, costs=CostModel(5))
    again = pickle.loads(pickle.dumps(result))
    pd.testing.assert_frame_equal(again.stress(), result.stress())


def test_results_show_themselves():
    weights, returns, *_ = world(16)
    result = run_backtest(weights, returns, costs=CostModel(5), periods_per_year=252)
    shown = [
        result,
        performance_summary(result.returns, periods_per_year=252),
        lookahead_audit(lambda p: p, returns),
        CostModel(1),
    ]
    for thing in shown:
        assert len(thing.summary()) and "0x" not in repr(thing) and "<table" in thing._repr_html_()
        assert all(
            isinstance(v, (str, int, float, bool, type(None))) for v in thing.to_dict().values()
        )
    for thing in shown[:2]:
        assert thing.plot().get_figure() is not None


# sensitivity -----------------------------------------------------------------------------------


def test_neighbours_of_a_grid_point():
    rng = np.random.default_rng(0)
    returns = table(rng.normal(0.001, 0.01, (200, 1)))
    # the Sharpe ratio of a constant book does not depend on its size, but on its sign
    surface = parameter_surface(
        lambda size, sign: returns * 0 + size * sign,
        returns,
        grid={"size": [0.1, 0.2, 0.4], "sign": [-1, 1]},
        centre={"size": 0.2, "sign": 1},
    )
    assert surface.n_points == 6 and surface.n_neighbours == 3
    assert surface.plateau == pytest.approx(2 / 3)
    assert surface.worst_neighbour == pytest.approx(-1)
    assert surface.table.loc[surface.table["is_centre"], "size"].tolist() == [0.2]
    assert surface.plot().get_figure() is not None


def test_a_losing_centre_has_no_plateau():
    returns = table(np.random.default_rng(0).normal(0.001, 0.01, (200, 1)))
    surface = parameter_surface(
        lambda k: returns * 0 + k, returns, grid={"k": [-2.0, -1.0, 1.0]}, centre={"k": -1.0}
    )
    assert np.isnan(surface.plateau) and np.isnan(surface.worst_neighbour)


def test_a_group_left_out_is_a_book_without_it():
    weights, returns, *_ = world(20, n=100)
    groups = pd.Series({"A": "x", "B": "x", "C": "y", "D": "z"})
    got = leave_one_out(weights, returns, groups=groups, costs=CostModel(5))
    assert got.index.tolist() == ["all", "x", "y", "z"] and got["n_names"].tolist() == [0, 2, 1, 1]
    alone = run_backtest(weights.assign(A=0.0, B=0.0), returns, costs=CostModel(5)).returns.iloc[1:]
    assert got.loc["x", "sharpe_ratio"] == pytest.approx(alone.mean() / alone.std())


@pytest.mark.parametrize("by", ["year", "quarter", "month", 1, 7])
def test_parts_make_the_whole(by):
    returns = pd.Series(np.random.default_rng(0).normal(0.001, 0.01, 600), dates(600))
    got = subperiods(returns, periods_per_year=252, by=by)
    assert got["nobs"].sum() == 600 and got["share_of_total"].sum() == pytest.approx(1)
    assert (1 + got["total_return"]).prod() == pytest.approx((1 + returns).prod())
    assert (got["start"].to_numpy()[1:] > got["end"].to_numpy()[:-1]).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(1, 30), top=st.integers(1, 6))
def test_stress_windows_are_the_worst_and_disjoint(seed, length, top):
    returns = pd.Series(np.random.default_rng(seed).normal(0, 0.02, 80), dates(80))
    got = stress_windows(returns, length=length, top=top)
    every = [(1 + returns.iloc[i : i + length]).prod() - 1 for i in range(80 - length + 1)]
    assert got["total_return"].iloc[0] == pytest.approx(min(every))
    assert got["total_return"].is_monotonic_increasing and len(got) <= top
    spans = got.sort_values("start")
    assert (spans["start"].to_numpy()[1:] > spans["end"].to_numpy()[:-1]).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda r: subperiods(r * np.nan, periods_per_year=12),
            MissingDataError,
            "no value at all",
        ),
        (lambda r: subperiods(r, periods_per_year=0), SpecificationError, "`periods_per_year`"),
        (lambda r: subperiods(r[::-1], periods_per_year=12), DataError, "not in time order"),
        (lambda r: stress_windows(r, length=0), SpecificationError, "`length`"),
        (lambda r: stress_windows(r, length=99), DataError, "exceeds the 30 returns"),
        (lambda r: stress_windows(r * 100, length=5), DataError, "-100 % or less"),
        (lambda r: stress_windows(r, benchmark=r.iloc[1:]), MisalignedError, "on one index"),
        (lambda r: drawdowns(r.astype(str)), DataError, "text or objects"),
        (lambda r: drawdown_table(r.replace(r.iloc[3], np.inf)), DataError, "infinite"),
    ],
)
def test_bad_series(call, error, text):
    returns = pd.Series(np.random.default_rng(0).normal(0, 0.02, 30), dates(30))
    with pytest.raises(error, match=text):
        call(returns)


# the grid in another world ----------------------------------------------------------------------


def small_market(seed: int, n: int = 420, names: int = 24):
    w = factor_world(n, names, rng=np.random.default_rng(seed))
    member = w.returns.notna().astype(float)
    member.iloc[: n - 100, names // 2 :] = 0.0  # half the names join late
    panel = Panel(
        {
            "returns": w.returns,
            "log_prices": np.log1p(w.returns).cumsum(),
            "dollar_volume": w.dollar_volume,
            "member": member,
        }
    )
    sigma = w.returns.rolling(40).std().shift(1)
    return panel, Market.from_panel(panel, volatility=sigma, start=panel.index[300])


GRID = {
    "factors": {
        "factor": ["short_term_reversal", "combined", "low_volatility"],
        "rebalance_every": [5, 21],
        "inverse_volatility": [False, True],
        "quantile": [0.2, 0.5],
    }
}


@pytest.mark.parametrize("seed", range(2))
def test_a_grid_in_a_world_is_book_by_book_the_same(seed):
    panel, market = small_market(seed)
    fields = {name: panel.fields[name].copy() for name in ("returns", "dollar_volume")}
    fields["returns"].iloc[200:260, 3] = np.nan
    fields["returns"].iloc[:, 5] = fields["returns"].iloc[:, 6]  # ties at the edge of a leg
    world = placebo_market(market, fields)
    points = {c.name: c for c in declare_candidates(GRID)}
    account = {"costs": ALL, "capital": 1e6, "periods_per_year": 252}
    fast = grid_returns(points, world, **account)
    for name, point in points.items():
        slow = run_backtest(
            candidate_weights(point, world),
            world.returns,
            dollar_volume=world.dollar_volume,
            volatility=world.volatility,
            **account,
        ).returns
        assert np.abs(fast[name] - slow).max() < 1e-12, name
        assert slow.ne(0).any()


def test_a_world_is_known_in_time():
    panel, market = small_market(4)
    points = {c.name: c for c in declare_candidates(GRID)}
    account = {"costs": CostModel(), "capital": 1e6, "periods_per_year": 252}
    fields = {name: panel.fields[name] for name in ("returns", "dollar_volume")}
    whole = grid_returns(points, placebo_market(market, fields), **account)
    rng = np.random.default_rng(0)
    for cut in (340, 390):
        other = {name: frame.copy() for name, frame in fields.items()}
        for frame in other.values():
            frame.iloc[cut + 1 :] = rng.permutation(frame.iloc[cut + 1 :].to_numpy())
        changed = grid_returns(points, placebo_market(market, other), **account)
        past = panel.index[300 : cut + 1]
        pd.testing.assert_frame_equal(changed.loc[past], whole.loc[past], rtol=0, atol=1e-12)
        assert (changed - whole).abs().max(axis=None) > 0


def test_bad_worlds():
    panel, market = small_market(0)
    short = {"returns": panel.returns.iloc[1:], "dollar_volume": panel.dollar_volume.iloc[1:]}
    with pytest.raises(MissingDataError, match="lacks returns and dollar_volume"):
        placebo_market(market, {})
    with pytest.raises(QuantlabError):
        placebo_market(market, short)
    with pytest.raises(SpecificationError, match="at least one candidate"):
        grid_returns({}, market, costs=ALL, capital=1e6, periods_per_year=252)


@pytest.mark.parametrize("name", LIBRARY)
def test_no_factor_of_the_library_looks_ahead(name):
    w = factor_world(1100, 10, rng=np.random.default_rng(8))
    fields = ("returns", "dollar_volume", "intraday_abs_return")
    panel = Panel({field: getattr(w, field) for field in fields}, sectors=w.sectors)
    audit = lookahead_audit(LIBRARY[name].function, panel, n_cuts=4, seed=2)
    assert audit.passed and audit.n_compared > 0, audit


def test_the_audit_sees_a_factor_that_looks_ahead():
    w = factor_world(400, 10, rng=np.random.default_rng(8))
    panel = Panel({"returns": w.returns, "dollar_volume": w.dollar_volume})
    late = lambda p: LIBRARY["short_term_reversal"].function(p).shift(-1)
    assert not lookahead_audit(late, panel, n_cuts=4, seed=2).passed


def test_every_backtest_inside_open_trials_is_counted(tmp_path):
    world = factor_world(300, 8, rng=np.random.default_rng(1))
    book = world.returns.rolling(20).mean().rank(axis=1, pct=True).sub(0.5)
    path = tmp_path / "trials" / "ledger.jsonl"
    with open_trials("f", hypothesis="h", path=path) as trials:
        named = run_backtest(book, world.returns)
        run_backtest(-book, world.returns)
        run_backtests({"a": book, "b": book.abs()}, world.returns)
        named.stress()
        trials.record(strategy="s", parameters={"n": 20}, returns=named)
    run_backtest(book * 2, world.returns)
    ledger = Ledger(path)
    assert ledger.count() == 3 and ledger.verify().ok
    assert ledger.table()["strategy"].tolist() == ["s"] + ["(run without a name)"] * 2
    with pytest.raises(ZeroDivisionError), open_trials("f", hypothesis="h", path=path):
        run_backtest(book.abs() / 2, world.returns)
        raise ZeroDivisionError
    assert Ledger(path).table()["status"].tolist()[-2:] == ["abandoned", "complete"]
