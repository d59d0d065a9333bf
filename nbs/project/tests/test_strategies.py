"""The families of params.yaml decide with the past alone, on a simulated market that is not yours."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PROJECT = Path(__file__).parents[1]
sys.path.append(str(PROJECT))

from quantlab.backtest import Market, load_families, lookahead_audit  # noqa: E402
from quantlab.data import market_panel  # noqa: E402
from quantlab.pipeline import read_params  # noqa: E402
from quantlab.simulate import factor_world  # noqa: E402

OWN = [m for m in read_params(PROJECT / "params.yaml")["base"]["families"] if "quantlab." not in m]


@pytest.fixture(scope="module")
def market():
    from quantlab.data import load_panel

    dates = pd.bdate_range("2015-01-01", periods=900, name="date")
    world = factor_world(dates, 12, rng=np.random.default_rng(1))
    panel = load_panel({"returns": world.returns, "dollar_volume": world.dollar_volume})
    panel = market_panel(panel)
    volatility = world.returns.rolling(63).std().shift(1)  # of day t, known at the close before
    return Market.from_panel(panel, volatility=volatility, start=dates[600])


@pytest.mark.parametrize("module", OWN)
def test_a_family_of_ones_own_does_not_look_ahead(module, market):
    for family in load_families([module]).values():
        if family.beyond_volatility:
            pytest.skip(f"{family.name} needs {', '.join(family.beyond_volatility)}")
        decide = lambda data: family.weights(market.with_panel(data), **family.defaults)  # noqa: B023, E731
        audit = lookahead_audit(decide, market.panel, n_cuts=5)
        assert audit.first_leak is None, audit
