"""Findings on ticks: each where it was put, none where there is nothing, and bad input."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, SpecificationError
from quantlab.microstructure import (
    check_ticks,
    estimate_tick_size,
    load_ticks,
    simulate_order_flow,
)

few = settings(max_examples=15, deadline=None)


def clean_rows(n=500):
    rows = pd.DataFrame({"time": pd.date_range("2024-03-01 10:00", periods=n, freq="s")})
    rows["price"], rows["volume"] = 100 + np.arange(n) % 4 / 4, 1.0
    rows["bid"], rows["ask"] = rows["price"] - 0.25, rows["price"] + 0.25
    return rows


SPOIL = {
    "zero_size": {"volume": 0.0},
    "off_grid": {"price": 100.1, "bid": 100.0, "ask": 100.25},
    "crossed_quote": {"bid": 101.0, "ask": 100.0},
    "locked_quote": {"price": 100.0, "bid": 100.0, "ask": 100.0},
    "outside_quote": {"price": 100.0, "bid": 100.25, "ask": 100.5},
    "price_spike": {"price": 110.0, "bid": 109.75, "ask": 110.25},
}


@pytest.mark.parametrize("kind", SPOIL)
@pytest.mark.parametrize("row", [1, 250, 498])
def test_each_kind_is_found_where_it_was_put(kind, row):
    rows = clean_rows()
    rows.loc[row, list(SPOIL[kind])] = list(SPOIL[kind].values())
    report = check_ticks(load_ticks(rows, timezone="UTC", session_gap=None))
    found = report.issues[report.issues["kind"] != "one_session"]
    assert list(zip(found["row"], found["kind"])) == [(row, kind)]
    assert report.counts[kind] == 1 and kind.replace("_", " ") in report.sentence()


def test_a_clean_market_has_no_findings():
    report = check_ticks(simulate_order_flow(3, rng=np.random.default_rng(0)).ticks)
    assert report.counts.drop("outside_quote").sum() == 0 and report.counts["outside_quote"] == 0
    assert report.tick_size == pytest.approx(0.01) and "nothing suspicious" in report.sentence()


@few
@given(st.sampled_from([0.01, 0.05, 0.25, 1 / 32, 1.0]), st.integers(0, 1000))
def test_the_grid_of_prices_is_found(tick, seed):
    levels = np.random.default_rng(seed).integers(1000, 1010, 400)
    assert estimate_tick_size(levels * tick) == pytest.approx(tick)


def test_bad_input_is_refused():
    ticks = load_ticks(clean_rows(), timezone="UTC")
    with pytest.raises(DataError, match="all one"):
        estimate_tick_size([1.0, 1.0])
    for how in ({"tick_size": 0}, {"tick_size": np.nan}, {"spike_ticks": 0}, {"spike_ticks": 1.5}):
        with pytest.raises(SpecificationError, match=f"`{next(iter(how))}`"):
            check_ticks(ticks, **how)
    with pytest.raises(SpecificationError, match="from `load_ticks`"):
        check_ticks(clean_rows())
