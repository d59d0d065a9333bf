"""NautilusTrader behind its pipe: it keeps the same book, and fails in one sentence."""

import os
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.backtest import run_backtest
from quantlab.errors import HandoffError
from quantlab.handoff import PaperEngine
from quantlab.venues import (
    NautilusBackend,
    build_environment,
    find_environment,
    reconcile_engines,
)

sys.path.append(str(ROOT / "tests/live"))
from floor import COSTS, FREE, WIDE, a_bundle, a_feed, a_world, paper  # noqa: E402


@pytest.fixture(scope="session")
def environment():
    "The Python of an environment with NautilusTrader: found, or built once"
    found = find_environment()
    if not found.fits and "QUANTLAB_NAUTILUS" not in os.environ:
        try:
            found = build_environment()
        except HandoffError as error:
            pytest.skip(f"no second engine on this machine: {error}")
    if not found.fits:
        pytest.skip(f"no second engine on this machine: {found.problem}")
    return found.python


def bundle_of(folder, market, weights, costs, **options):
    "A bundle that expects what the backtest makes of its weights"
    options.setdefault("limits", WIDE)
    made = run_backtest(
        weights,
        market.returns,
        costs=costs,
        dollar_volume=market.dollar_volume,
        capital=1e7,
        periods_per_year=252,
    )
    names = ("returns", "gross_returns", "turnover", "costs")
    expected = pd.DataFrame({name: getattr(made, name) for name in names})
    return a_bundle(folder, market, weights, costs=costs, expected=expected, **options)


def by_nautilus(bundle, feed, **options):
    "What the daily engine makes of the bars with NautilusTrader as its venue"
    with NautilusBackend(bundle, **options) as venue:
        return PaperEngine(bundle, venue).run(feed)


def with_holes(market, weights, seed):
    "The same market, in which prices are missing here and there, and one asset stops for good"
    rng, returns = np.random.default_rng(seed), market.returns.copy()
    returns = returns.mask(rng.random(returns.shape) < 0.05)
    stop, last = len(returns) * 2 // 3, returns.columns[-1]
    returns.iloc[stop:, -1] = np.nan
    weights = weights.copy()
    weights.loc[weights.index[stop - 1] :, last] = weights.loc[
        weights.index[stop - 1] :, last
    ].where(lambda x: x.isna(), 0.0)
    return replace(market, returns=returns), weights


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 1000), st.sampled_from([FREE, COSTS]), st.booleans())
def test_three_engines_keep_one_book(environment, tmp_path_factory, seed, costs, holes):
    market, weights = a_world(seed=seed, n_days=60, n_assets=4)
    if holes:
        market, weights = with_holes(market, weights, seed)
    bundle = bundle_of(tmp_path_factory.mktemp("bundle"), market, weights, costs)
    feed = a_feed(market)
    found = reconcile_engines(bundle, feed, paper(bundle, feed), by_nautilus(bundle, feed))
    assert found.agrees, found.summary()
    assert found.n_orders > 20 and found.max_equity_difference < 1e-12
