"""FIX order entry: an engine, an acceptor in another process, other FIX engines, any accident."""

import fix_floor
import pytest
from fix_floor import floor

pytest.importorskip("simplefix", reason="simplefix is not installed: pip install 'quantlab[fix]'")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    "A bundle that trades five assets, its feed, and their names"
    market, weights = floor.a_world(n_days=40, n_assets=5)
    folder = tmp_path_factory.mktemp("bundle")
    bundle = floor.a_bundle(folder / "b", market, weights, costs=floor.FREE)
    return bundle, floor.a_feed(market), list(market.returns.columns)


def test_an_engine_trades_a_bundle_over_fix_and_both_sides_agree(world, tmp_path):
    bundle, feed, assets = world
    with fix_floor.acceptor(tmp_path / "there", assets) as server:
        result = fix_floor.trade(bundle, feed, tmp_path / "desk", server.port)
    found = fix_floor.compare(tmp_path / "desk", tmp_path / "there/DESK")
    assert found["orders"] > 10 and not fix_floor.faults(found), found
    assert set(result.fills["order"]) <= set(result.orders["id"])
