"""Pieces of a file, bars of them, the panel the backtest takes, and the simulated market."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import CostModel, run_backtest
from quantlab.errors import DataError, MissingDataError, SpecificationError
from quantlab.microstructure import (
    OrderFlowModel,
    bars,
    bars_panel,
    load_ticks,
    order_flow_sessions,
    simulate_order_flow,
    tick_chunks,
)

few = settings(max_examples=15, deadline=None)


def rows_of(seed, n=120):
    "Trades and quote rows with ties and pauses"
    rng = np.random.default_rng(seed)
    wait = rng.choice([0, 0, 1, 5, 900], n, p=[0.4, 0.2, 0.25, 0.1, 0.05])
    frame = pd.DataFrame(
        {"time": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(wait.cumsum(), "s")}
    )
    trade = rng.random(n) < 0.6
    bid = rng.integers(400, 404, n) / 4
    frame["price"] = np.where(trade, bid, np.nan)
    frame["volume"] = np.where(trade, rng.integers(1, 9, n), np.nan)
    frame["bid"], frame["ask"] = np.where(trade, np.nan, bid), np.where(trade, np.nan, bid + 0.25)
    return frame


@few
@given(st.integers(0, 10_000), st.lists(st.integers(0, 120), max_size=6))
def test_pieces_are_the_rows_of_the_whole(seed, cuts):
    frame = rows_of(seed)
    whole = load_ticks(frame, timezone="UTC")
    borders = sorted({0, *cuts, len(frame)})
    parts = [frame[a:b] for a, b in zip(borders, borders[1:])]
    pieces = list(tick_chunks(parts, timezone="UTC"))
    pd.testing.assert_frame_equal(pd.concat([p.table for p in pieces]), whole.table)
    assert (np.concatenate([p.sessions for p in pieces]) == whole.sessions).all()


@pytest.mark.parametrize("rows", [1, 7, 119, 1000])
@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_a_file_in_pieces_gives_the_bars_of_the_whole(tmp_path, ending, rows):
    frame, path = rows_of(3), tmp_path / f"rows.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=50)
    else:
        frame.to_csv(path, index=False)
    for kind, size in (("volume", 20), ("time", "1min"), ("tick_imbalance", 3)):
        whole = bars(load_ticks(path, timezone="UTC"), kind=kind, size=size)
        pieces = bars(tick_chunks(path, timezone="UTC", rows=rows), kind=kind, size=size)
        pd.testing.assert_frame_equal(pieces.table, whole.table, check_exact=True)


def test_what_is_wrong_with_a_piece_is_said():
    frame = rows_of(0).assign(bid=1.0, ask=2.0)
    with pytest.raises(DataError, match="not in time order"):
        list(tick_chunks([frame[60:], frame[:60]], timezone="UTC"))
    with pytest.raises(DataError, match="begins with row 60: `bid` is -1"):
        list(tick_chunks([frame[:60], frame[60:].assign(bid=-1.0)], timezone="UTC"))
    with pytest.raises(MissingDataError, match="no file"):
        list(tick_chunks("nowhere.csv", timezone="UTC"))
    with pytest.raises(DataError, match="no rows"):
        list(tick_chunks([], timezone="UTC"))
    for how in ({"rows": 0}, {"timezone": "Mars"}, {"session_gap": 3}):
        with pytest.raises(SpecificationError, match=f"`{next(iter(how))}`"):
            tick_chunks([frame], **({"timezone": "UTC"} | how))


def market(seed, **how):
    return simulate_order_flow(8, rng=np.random.default_rng(seed), model=OrderFlowModel(**how))


def test_the_backtest_takes_bars_of_several_instruments_as_it_takes_days():
    made = {
        name: bars(market(seed).ticks, kind="volume", size=400)
        for seed, name in enumerate("ABC", 1)
    }
    panel = bars_panel(made)
    prices = panel.prices.dropna()
    returns = prices.pct_change().iloc[1:]
    trend = np.sign(prices / prices.shift(10) - 1).loc[returns.index].fillna(0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run_backtest(
            trend / 3,
            returns,
            costs=CostModel(half_spread_bps=2),
            periods_per_year=len(returns) / 8 * 252,
        )
    gross = (trend.shift(1) / 3 * returns).sum(axis=1)
    assert result.gross_returns.index.equals(returns.index[-len(result.gross_returns) :])
    assert abs(gross.sum() - result.gross_returns.sum()) < 0.02
    assert result.returns.sum() < result.gross_returns.sum()


@few
@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_a_row_of_the_panel_knows_no_bar_that_had_not_ended(seed, share):
    ticks = {"A": market(seed).ticks, "B": market(seed + 1).ticks}
    index = ticks["A"].table.index
    cut = index[int(share * len(index))]
    make = lambda t: bars(t, kind="tick", size=40)
    whole = bars_panel({name: make(t) for name, t in ticks.items()})
    part = bars_panel({n: make(t.take(t.table.index <= cut)) for n, t in ticks.items()})
    then = cut.tz_convert("UTC").tz_localize(None)
    for field in ("prices", "vwap", "dollar_volume"):
        pd.testing.assert_frame_equal(
            getattr(part, field), getattr(whole, field).loc[:then], check_freq=False
        )


def test_a_panel_of_what_is_no_bars_is_refused():
    made = bars(market(0).ticks, kind="tick", size=40)
    for wrong, why in [(made, "must map"), ({"A": made.table}, "must be a Bars"), (None, "map")]:
        with pytest.raises(SpecificationError, match=why):
            bars_panel(wrong)
    with pytest.raises(DataError, match="empty"):
        bars_panel({})
    with pytest.raises(SpecificationError, match="`carry`"):
        bars_panel({"A": made}, carry=1)


def test_a_bar_that_ends_with_another_gives_one_row():
    times = ["2024-03-01 10:00:00"] * 4
    rows = pd.DataFrame({"time": times, "price": [1.0, 2.0, 3.0, 4.0], "volume": 1})
    made = bars(load_ticks(rows, timezone="UTC"), kind="tick", size=2)
    panel = bars_panel({"A": made})
    assert panel.prices["A"].tolist() == [4.0]
    assert panel.dollar_volume["A"].tolist() == [10.0] and panel.vwap["A"].tolist() == [2.5]


@few
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.7]), st.sampled_from([0.0, 0.01]))
def test_a_simulated_market_keeps_its_own_rules(seed, persistence, tick):
    found = market(seed, sign_persistence=persistence, tick_size=tick)
    table, days = found.ticks.table, found.days
    assert (days["buys"].sum(), days["sells"].sum()) == (
        (table["side"] > 0).sum(),
        (table["side"] < 0).sum(),
    )
    assert table.index.is_monotonic_increasing and found.ticks.n_sessions == 8
    assert (table["price"] == np.where(table["side"] > 0, table["ask"], table["bid"])).all()
    assert (table["ask"] > table["bid"]).all() and (table["volume"] >= 1).all()
    assert (np.abs(table["price"] - found.mid) <= found.half_spread + tick / 2 + 1e-9).all()
    moved = np.diff(found.mid) - found.kyle_lambda * (table["side"] * table["volume"])[:-1]
    same = np.diff(found.ticks.sessions) == 0
    assert abs(moved[same].sum()) < 5 * 0.5 * np.sqrt(8)
    parts = order_flow_sessions(
        8,
        rng=np.random.default_rng(seed),
        model=OrderFlowModel(sign_persistence=persistence, tick_size=tick),
    )
    pd.testing.assert_frame_equal(pd.concat([p.ticks.table for p in parts]), table)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"alpha": 1.5}, "`alpha`"),
        ({"delta": -0.1}, "`delta`"),
        ({"mu": -1}, "`mu`"),
        ({"kyle_lambda": -1}, "`kyle_lambda`"),
        ({"volatility": np.nan}, "`volatility`"),
        ({"half_spread": 0.001}, "`half_spread`"),
        ({"mean_size": 0.5}, "`mean_size`"),
        ({"sign_persistence": 1.0}, "`sign_persistence`"),
        ({"profile": (0.0,)}, "`profile`"),
        ({"profile": [1.0]}, "`profile`"),
        ({"epsilon_buy": 0, "epsilon_sell": 0}, "both zero"),
        ({"timezone": "Nowhere"}, "`timezone`"),
        ({"session_hours": 24}, "`session_hours`"),
        ({"start_price": 0.0}, "`start_price`"),
    ],
)
def test_a_truth_out_of_range_is_named(how, why):
    with pytest.raises(SpecificationError, match=why):
        OrderFlowModel(**how)


def test_a_simulation_that_cannot_be_is_refused():
    with pytest.raises(SpecificationError, match="`rng`"):
        simulate_order_flow(1, rng=0)
    with pytest.raises(SpecificationError, match="`n_sessions`"):
        simulate_order_flow(0, rng=np.random.default_rng(0))
    with pytest.raises(SpecificationError, match="`model`"):
        simulate_order_flow(1, rng=np.random.default_rng(0), model={})
    with pytest.raises(DataError, match="fell to zero"):
        market(0, start_price=0.1, half_spread=0.05)
