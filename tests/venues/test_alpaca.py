"""A broker in Alpaca's shape, against a local stand-in: a process that outlives the engine."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
import floor
from alpaca_floor import compare, control, faults, prices_of, stand_in, trade


@pytest.fixture(scope="module")
def world():
    return floor.a_world(n_days=40)


@pytest.fixture(scope="module")
def bundle(world, tmp_path_factory):
    return floor.a_bundle(tmp_path_factory.mktemp("bundle"), *world, costs=floor.FREE)


@pytest.fixture(scope="module")
def bars(world):
    return floor.a_feed(world[0])


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with stand_in(tmp_path_factory.mktemp("broker")) as server:
        yield server.port


@pytest.fixture
def port(broker):
    control(broker, {"do": "reset"})
    return broker


# A replay


@pytest.mark.parametrize(("fill", "tell"), [("now", "all"), ("parts", "shuffled"), ("now", "none")])
def test_a_replay_is_traded_whatever_the_stream_tells(bundle, bars, port, tmp_path, fill, tell):
    "Whole; in parts, told in the wrong order and twice; told by REST alone"
    control(port, fill=fill, tell=tell)
    got, seen = trade(bundle, bars, port, tmp_path)
    found = compare(tmp_path, control(port))
    assert faults(found) == {} and found["orders"] == got.orders["sent"].sum() > 20
    assert got.state == "ACTIVE" and got.n_days == len(bars)
    assert seen.connections == 1 and bool(seen.messages) is (tell != "none")
    account, last = control(port), last_prices(bundle, bars)
    held = {asset: float(shares) for asset, (shares, _) in account["positions"].items()}
    worth = float(account["cash"]) + sum(n * last[asset] for asset, n in held.items())
    assert abs(got.equity.iloc[-1] / worth - 1) < 1e-9


def last_prices(bundle, bars):
    prices = prices_of(bundle)
    for bar in bars:
        prices = {a: p * (1 + bar.returns.get(a, 0.0)) for a, p in prices.items()}
    return prices
