"The family of pairs in placebo worlds: screened on the world, and on nothing else"

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import CostModel, Market, declare_candidates, grid_returns
from quantlab.backtest.pairs_family import PAIRS, screened_pairs, screened_world
from quantlab.data import Panel
from quantlab.errors import MissingDataError, SpecificationError
from quantlab.simulate import cointegrated_pair, random_walks

DAYS = pd.bdate_range("2010-01-01", periods=520, name="date")
RULES = {"formation": 250, "trading": 90, "keep": 5, "half_life": (0.5, 100.0)}
SETTINGS = {"screen_pairs": RULES}
TRUE, PLANTED = {"N00", "N01"}, {"N04", "N05"}
VOLUME = 1e9


def walks(seed: int, n: int = 10, tied: set[str] = frozenset()) -> pd.DataFrame:
    "Returns of independent walks, of which two may be tied together"
    rng = np.random.default_rng(seed)
    prices = random_walks(DAYS, n, rng=rng).set_axis([f"N{k:02}" for k in range(n)], axis=1)
    if tied:
        prices[sorted(tied)] = np.column_stack(cointegrated_pair(DAYS, phi=0.7, rng=rng))
    return np.expm1(prices.diff())


def market_of(returns: pd.DataFrame, **options) -> Market:
    "A market of these returns with the pairs that its screen finds"
    panel = Panel(
        {
            "returns": returns,
            "dollar_volume": 0 * returns.fillna(0) + VOLUME,
            "member": 0 * returns.fillna(0) + 1.0,
        }
    )
    fields = {"log_prices": np.log1p(returns.fillna(0)).cumsum()}
    panel = panel.with_fields(fields)
    pairs = screened_pairs(panel, first_trade=DAYS[300], **RULES)
    given = {"artifacts": {"pairs": pairs}, "start": DAYS[300], "settings": SETTINGS} | options
    return Market.from_panel(panel, volatility=returns.rolling(50).std().shift(1), **given)


def world_of(returns: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"returns": returns, "dollar_volume": 0 * returns.fillna(0) + VOLUME}


def best(market: Market) -> list[set]:
    "The best pair of each window"
    table = market.artifacts["pairs"].query("rank == 1")
    return [{y, x} for y, x in zip(table["y"], table["x"])]


MARKET = market_of(walks(0, tied=TRUE))


def test_a_world_yields_its_own_pair_and_not_the_true_one():
    assert best(MARKET) == [TRUE] * 3
    there = PAIRS.placebo(MARKET, world_of(walks(1, tied=PLANTED)))
    assert best(there) == [PLANTED] * 3
    table = there.artifacts["pairs"]
    found = table[table["qvalue"] <= 0.05]
    assert [{y, x} for y, x in zip(found["y"], found["x"])] == [PLANTED] * 3


def test_a_world_of_independent_walks_yields_next_to_nothing():
    n_windows = n_below = n_found = 0
    for seed in range(2, 22):
        table = PAIRS.placebo(MARKET, world_of(walks(seed))).artifacts["pairs"]
        n_windows += table["window"].nunique()
        n_found += table.loc[table["qvalue"] <= 0.05, "window"].nunique()
        n_below += TRUE in [{y, x} for y, x in zip(table["y"], table["x"])]
    assert n_windows == 60 and n_found <= 5  # a window in twenty at most, and a little luck
    assert n_below < 20  # the true pair is a pair as any other


def test_nothing_of_the_true_market_is_in_a_world():
    world = world_of(walks(1, tied=PLANTED))
    here = PAIRS.placebo(MARKET, world)
    for other in (market_of(walks(7)), replace(MARKET, artifacts={})):
        there = PAIRS.placebo(other, world)
        pd.testing.assert_frame_equal(there.artifacts["pairs"], here.artifacts["pairs"])
        weights = PAIRS.weights(there, entry=1.5)
        pd.testing.assert_frame_equal(weights, PAIRS.weights(here, entry=1.5))
    assert weights.abs().sum().sum() > 0


def test_the_pairs_of_a_world_know_its_past_alone():
    returns = walks(1, tied=PLANTED)
    whole = PAIRS.placebo(MARKET, world_of(returns)).artifacts["pairs"]
    later = returns.copy()
    later.iloc[400:] = walks(9).iloc[400:]
    changed = PAIRS.placebo(MARKET, world_of(later)).artifacts["pairs"]
    past = whole["formation_end"] < DAYS[400]
    assert past.any() and not past.all() and not changed.equals(whole)
    pd.testing.assert_frame_equal(changed[past], whole[past])


def test_some_of_the_names_are_drawn_by_the_world():
    returns = walks(3, 30)
    large = market_of(returns)
    drawn = []
    for seed in range(12):
        days = np.random.default_rng(seed).integers(1, len(DAYS), len(DAYS))
        world = world_of(returns.iloc[days].set_axis(DAYS))
        there = screened_world(large, world, names=10)
        names = there.returns.columns
        assert len(names) == 10 and names.is_unique and names.equals(names.sort_values())
        tables = (there.membership, there.volatility, there.dollar_volume, there.panel.returns)
        assert all(table.columns.equals(names) for table in tables)
        pairs = there.artifacts["pairs"]
        assert set(pairs["y"]) | set(pairs["x"]) <= set(names) and "pvalue_next" not in pairs
        again = screened_world(large, world, names=10).artifacts["pairs"]
        pd.testing.assert_frame_equal(again, pairs)
        drawn.append(frozenset(names))
    assert len(set(drawn)) == 12 and len(frozenset.union(*drawn)) > 25
    rounded = {name: table * (1 + 1e-15) for name, table in world.items()}
    assert screened_world(large, rounded, names=10).returns.columns.equals(names)
    assert screened_world(large, world, names=99).returns.columns.equals(returns.columns)


def test_a_name_without_returns_is_not_tested():
    returns = walks(1, tied=PLANTED)
    returns.loc[DAYS[20:40], "N04"] = np.nan  # a twelfth of the first window, none of the last
    there = PAIRS.placebo(MARKET, world_of(returns))
    assert best(there)[0] != PLANTED and best(there)[-1] == PLANTED
    table = there.artifacts["pairs"]
    assert "N04" not in set(table.loc[table["window"] == 0, ["y", "x"]].to_numpy().ravel())


@pytest.mark.parametrize("half_life", [(0.5, 100.0), (1e-9, 2e-9)])
def test_a_grid_runs_in_a_world_even_without_pairs(half_life):
    market = replace(MARKET, settings={"screen_pairs": RULES | {"half_life": half_life}})
    points = {c.name: c for c in declare_candidates({"pairs": {"entry": [1.5, 2.0]}})}
    there = PAIRS.placebo(market, world_of(walks(1, tied=PLANTED)))
    net = grid_returns(points, there, costs=CostModel(), capital=1e6, periods_per_year=252)
    assert net.index.equals(MARKET.returns.index) and net.notna().all(axis=None)
    assert net.ne(0).any().all() == (half_life[0] > 0.1)


def test_settings_go_with_a_market():
    assert MARKET.with_panel(MARKET.panel).settings is SETTINGS
    assert "at most 90 of its names" in PAIRS.placebo_sentence()
    world = world_of(walks(1))
    with pytest.raises(SpecificationError, match="needs the settings of the stage 'screen_pairs'"):
        PAIRS.placebo(market_of(walks(0), settings=None), world)
    with pytest.raises(SpecificationError, match="`settings`"):
        market_of(walks(0), settings=[1])
    with pytest.raises(SpecificationError, match="`names`"):
        screened_world(MARKET, world, names=1)
    with pytest.raises(MissingDataError, match="lacks dollar_volume"):
        screened_world(MARKET, {"returns": world["returns"]})
