"""Neutral and optimised books in small worlds: their limits hold, and only the past decides."""

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import Market, lookahead_audit, placebo_market, run_backtest
from quantlab.backtest.factors_family import factor_values
from quantlab.backtest.neutral_family import (
    NEUTRAL,
    banded_weights,
    members_return,
    neutral_targets,
)
from quantlab.backtest.optimised_family import OPTIMISED, optimised_construction
from quantlab.data import Panel
from quantlab.errors import DataError
from quantlab.factors import rolling_beta
from quantlab.simulate import factor_world


def _panel(seed=0, n=700, n_assets=30, sectors=True):
    "A panel in which names list late, are delisted, join, leave and miss a return"
    world = factor_world(n, n_assets, n_sectors=4, edge=0.0005, rng=np.random.default_rng(seed))
    returns = world.returns.copy()
    returns.iloc[:330, 1] = np.nan
    returns.iloc[n - 90 :, 2] = np.nan
    returns.iloc[450::37, 3] = np.nan
    returns.iloc[430:, 4] *= 0.01  # bought for cash: it hardly moves any more
    member = returns.notna().astype(float)
    member.iloc[: n // 2, 20:] = 0.0
    member.iloc[n - 150 :, 6] = 0.0
    member.iloc[:, 3] = 1.0
    labels = world.sectors.copy()
    labels.iloc[[5, 9]] = None
    fields = {
        "returns": returns,
        "log_prices": np.log1p(returns.fillna(0.0)).cumsum(),
        "dollar_volume": world.dollar_volume,
        "member": member,
    }
    return Panel(fields, sectors=labels if sectors else None)


def _market(panel):
    volatility = panel.returns.rolling(50, min_periods=30).std().shift(1)
    return Market.from_panel(panel, volatility=volatility, start=panel.index[330])


def _parts(market, factor):
    "Factor, beta, volatility and sectors of a market"
    values = factor_values(factor, market.panel, market.membership).loc[market.start :]
    member = members_return(market.panel, market.membership)
    beta = rolling_beta(market.panel.returns, member, window=252, min_observations=202)
    return values, beta.loc[market.start :], market.volatility, market.panel.sectors


@pytest.mark.parametrize("sectors", [True, False])
@pytest.mark.parametrize("factor", ["momentum_12_1", "low_volatility", "illiquidity", "combined"])
def test_targets_are_neutral_to_every_exposure(factor, sectors):
    market = _market(_panel(sectors=sectors))
    values, beta, volatility, labels = _parts(market, factor)
    targets = neutral_targets(values, beta, volatility, sectors=labels)
    decided = targets[targets.notna().any(axis=1)]
    assert len(decided) > 300
    assert (decided.abs().sum(axis=1) - 1).abs().max() < 1e-10
    assert decided.sum(axis=1).abs().max() < 1e-10
    assert (decided * beta.loc[decided.index]).sum(axis=1).abs().max() < 1e-10
    if sectors:
        by_sector = decided.T.groupby(labels.fillna("unknown")).sum()
        assert by_sector.abs().max(axis=None) < 1e-10
    assert targets.where(values.isna() | beta.isna() | ~(volatility > 0)).isna().all(axis=None)


def test_targets_are_those_of_the_constrained_optimum():
    market = _market(_panel(seed=3))
    values, beta, volatility, labels = _parts(market, "low_volatility")
    targets = neutral_targets(values, beta, volatility, sectors=labels)
    for day in targets.index[[40, 200, 365]]:
        row = targets.loc[day].dropna()
        z = values.loc[day, row.index]
        z = ((z - z.mean()) / z.std()).clip(-3, 3)
        sigma = volatility.loc[day, row.index]
        sigma = sigma.clip(lower=sigma.median() / 2)
        x = pd.get_dummies(labels.fillna("unknown")[row.index]).astype(float)
        x = x.assign(beta=beta.loc[day, row.index]).to_numpy()
        zeros = np.zeros((x.shape[1], x.shape[1]))
        system = np.block([[np.diag(sigma**2), x], [x.T, zeros]])
        w = np.linalg.solve(system, np.append(sigma * z, zeros[0]))[: len(row)]
        np.testing.assert_allclose(row, w / np.abs(w).sum(), atol=1e-12)


def test_nothing_is_held_where_the_exposures_leave_nothing():
    market = _market(_panel())
    values, beta, volatility, _ = _parts(market, "momentum_12_1")
    names = pd.Series(values.columns, index=values.columns)
    assert neutral_targets(values, beta, volatility, sectors=names).isna().all(axis=None)
    same = 0 * values + 1.0
    assert neutral_targets(same, beta, volatility).isna().all(axis=None)
    with pytest.raises(DataError, match="No day has a target"):
        banded_weights(values * np.nan, market.returns, market.membership.loc[market.start :])


def _by_hand(targets, returns, member, step, band):
    "`banded_weights` name by name, in plain Python"
    out = pd.DataFrame(np.nan, index=targets.index, columns=targets.columns)
    held, first = dict.fromkeys(targets.columns, 0.0), None
    for t, day in enumerate(targets.index):
        moves = {j: 0.0 if np.isnan(r) else r for j, r in returns.loc[day].items()}
        if first is not None:
            growth = 1 + sum(held[j] * moves[j] for j in held)
            held = {j: held[j] * (1 + moves[j]) / growth for j in held}
        wanted = targets.loc[day].dropna()
        if first is None and len(wanted):
            first = t
        if first is None:
            continue
        rebalancing = (t - first) % step == 0
        least = band * wanted.abs().mean() if len(wanted) else 0.0
        for j in held:
            if not rebalancing:
                if held[j] != 0 and not member.at[day, j]:
                    out.at[day, j] = held[j] = 0.0
            elif j not in wanted:
                out.at[day, j] = held[j] = 0.0
            elif abs(wanted[j] - held[j]) >= least:
                out.at[day, j] = held[j] = wanted[j]
    return out


@pytest.mark.parametrize("band", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("step", [1, 21])
def test_the_band_is_that_of_a_plain_loop(band, step):
    market = _market(_panel(seed=1, n=480))
    values, beta, volatility, labels = _parts(market, "momentum_12_1")
    targets = neutral_targets(values, beta, volatility, sectors=labels)
    member = market.membership.loc[market.start :]
    got = banded_weights(targets, market.returns, member, rebalance_every=step, band=band)
    expected = _by_hand(targets, market.returns, member, step, band)
    pd.testing.assert_frame_equal(got, expected, rtol=0, atol=1e-14)
    if not band:
        traded = got.index[got.notna().all(axis=1)]
        assert len(traded) == -(-targets.notna().any(axis=1).sum() // step)


def test_a_name_within_the_band_is_held_as_the_engine_holds_it():
    market = _market(_panel(seed=2))
    book = NEUTRAL.weights(market, factor="combined", band=1.0)
    all_traded = NEUTRAL.weights(market, factor="combined")
    run, plain = (run_backtest(one, market.returns) for one in (book, all_traded))
    assert 0 < run.turnover.sum() < 0.8 * plain.turnover.sum()
    values, beta, volatility, labels = _parts(market, "combined")
    targets = neutral_targets(values, beta, volatility, sectors=labels)
    first = int(targets.notna().any(axis=1).to_numpy().argmax())
    held = run.weights.to_numpy()
    for t in range(first, len(book) - 1, 21):
        wanted = targets.iloc[t].dropna()
        after = held[t + 1][targets.columns.get_indexer(wanted.index)]
        assert (np.abs(after - wanted) <= wanted.abs().mean() + 1e-12).all()


@pytest.mark.parametrize("where", ["market", "placebo"])
def test_books_share_work_and_are_those_of_each_alone(where):
    panel = _panel(seed=4)
    market = _market(panel)
    if where == "placebo":
        rng = np.random.default_rng(0)
        rows = rng.integers(1, len(panel.index), len(panel.index))
        drawn = {
            name: panel.fields[name].iloc[rows].set_axis(panel.index)
            for name in ("returns", "dollar_volume")
        }
        market = placebo_market(market, drawn)
    choices = [
        {"factor": factor, "band": band, **more}
        for factor in ("momentum_12_1", "low_volatility", "combined")
        for band in (0.0, 0.5)
        for more in ({}, {"beta_window": 120, "rebalance_every": 5})
    ]
    points = {p.name: p.parameters for p in map(NEUTRAL.point, choices)}
    books = NEUTRAL.books(market, points)
    assert len(books) == len(choices)
    for name, point in points.items():
        alone = NEUTRAL.weights(market, **point)
        pd.testing.assert_frame_equal(books[name], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("band", [0.0, 0.5])
def test_a_neutral_book_passes_the_audit(band):
    panel = _panel(seed=5)
    market = _market(panel)

    def decide(data):
        return NEUTRAL.weights(market.with_panel(data), factor="combined", band=band)

    assert lookahead_audit(decide, panel, n_cuts=8, seed=2).verdict == "passed"


@pytest.mark.parametrize("sectors", [True, False])
@pytest.mark.parametrize("risk_aversion", [0.5, 20.0])
def test_limits_hold_on_every_rebalance(risk_aversion, sectors):
    market = _market(_panel(seed=6, sectors=sectors))
    built = optimised_construction(
        market, factor="combined", risk_aversion=risk_aversion, names=20, rebalance_every=21
    )
    decided = built.weights.loc[built.turnover.index]
    assert len(decided) > 15 and built.n_conflicts == 0 and built.infeasible == "raise"
    assert (decided.abs().sum(axis=1) < 1 + 1e-6).all()
    assert decided.sum(axis=1).abs().max() < 1e-6
    assert decided.abs().max(axis=None) < 0.05 + 1e-6
    assert ((decided != 0).sum(axis=1) <= 20).all()
    if sectors:
        by_sector = decided.T.groupby(market.panel.sectors.fillna("unknown")).sum()
        assert by_sector.abs().max(axis=None) < 0.02 + 1e-6
    member = members_return(market.panel, market.membership)
    for day, row in decided.iterrows():
        held = row.index[row != 0]
        rows = market.panel.returns.loc[:day].iloc[-252:]
        gap = member.loc[rows.index] - member.loc[rows.index].mean()
        beta = gap @ rows[held].fillna(rows[held].mean()) / (gap @ gap)
        assert abs(beta @ row[held]) < 1e-6
        assert market.membership.loc[day, held].all()
    gone = ~market.membership.loc[market.start :]
    kept = built.weights.ffill().fillna(0.0)
    assert (kept.where(gone, 0.0) == 0).all(axis=None)


def test_both_constructions_decide_on_the_same_names_and_days():
    market = _market(_panel(seed=7))
    point = {"factor": "combined", "names": 20, "rebalance_every": 21}
    built = optimised_construction(market, **point)
    ranked = OPTIMISED.weights(market, construction="ranked", **point)
    days = ranked.index[ranked.notna().all(axis=1)]
    assert days.equals(built.turnover.index)
    chosen = built.weights.loc[days] != 0
    assert (ranked.loc[days].abs().sum(axis=1) - 1).abs().max() < 1e-12
    assert not ((ranked.loc[days] != 0) & ~chosen).any(axis=None)
    gone = ~market.membership.loc[market.start :]
    assert (ranked.ffill().fillna(0.0).where(gone, 0.0) == 0).all(axis=None)


@pytest.mark.parametrize("construction", ["optimised", "ranked"])
def test_an_optimised_book_passes_the_audit(construction):
    panel = _panel(seed=8, n=560)
    market = _market(panel)
    point = {"factor": "combined", "names": 12, "rebalance_every": 42}

    def decide(data):
        return OPTIMISED.weights(market.with_panel(data), construction=construction, **point)

    assert lookahead_audit(decide, panel, n_cuts=4, seed=2).verdict == "passed"


def test_an_optimised_book_without_enough_names_says_so():
    market = _market(_panel())
    few = market.of_names(list(market.returns.columns[:8]))
    with pytest.raises(DataError, match="No day has 10 members"):
        OPTIMISED.weights(few, factor="momentum_12_1")
