"""What went through as a number that looked right: clocks set back, fractions, the mid, leaks."""

import numpy as np
import pandas as pd
import pytest

from quantlab.errors import DataError, MissingDataError
from quantlab.microstructure import (
    adaptive_volatility,
    bars,
    bars_panel,
    evaluate_intraday_feature,
    event_windows,
    forward_windows,
    jump_test,
    load_ticks,
    sign_trades,
    trade_costs,
    window_correlation,
)

NEW_YORK = "America/New_York"


def trades(times, prices, volume=1.0, **more):
    frame = pd.DataFrame({"time": times, "price": prices, "volume": volume} | more)
    return load_ticks(frame, timezone=NEW_YORK, session_gap=None)


@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03", "2024-06-03"])
@pytest.mark.parametrize("size", ["1h", "2h", "4h", "1D"])
def test_bars_of_a_day_on_which_the_clock_is_set(day, size):
    start = pd.Timestamp(day, tz=NEW_YORK)
    times = pd.date_range(start.tz_convert("UTC"), periods=6 * 24, freq="10min")
    made = bars(trades(times, np.arange(100.0, 244)), kind="time", size=size, drop_partial=False)
    table = made.table
    assert (table["end"].diff().iloc[1:] > pd.Timedelta(0)).all()
    assert (table["start"] < table["end"]).all()
    assert table["close"].is_monotonic_increasing
    hours = pd.Timedelta(size) / pd.Timedelta("1h")
    wall = table["end"].dt.hour + table["end"].dt.minute / 60
    moved = (day == "2024-03-10") & (wall == 3)  # two o'clock is not there
    assert ((wall % hours == 0) | moved).all()
    assert bars_panel({"A": made}).prices["A"].is_monotonic_increasing
    assert table["n_trades"].sum() == 6 * 24


@pytest.mark.parametrize(
    "text",
    ["03/09/2013 09:30:00", "01.03.2024 09:30", "09:30:00", "now", "2024-03-01", "1709285400"],
)
def test_a_time_that_could_be_another_is_refused(text):
    with pytest.raises(DataError, match="cannot be read for sure"):
        trades([text, text], [1.0, 2.0])


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T09:30:00z",
        "2024-03-01 09:30:00 GMT",
        "20240301T093000Z",
        "2024-03-01 09:30:00+0000",
        "2024-03-01T10:30:00.000+01:00",
    ],
)
def test_a_zone_is_read_however_it_is_written(text):
    found = trades([text], [1.0]).table.index[0]
    assert found == pd.Timestamp("2024-03-01 04:30", tz=NEW_YORK)


def test_fractions_of_a_second_may_be_there_or_not():
    made = trades(["2024-03-01T09:30:00", "2024-03-01T09:31:00.250"], [1.0, 2.0])
    assert made.table.index[1] == pd.Timestamp("2024-03-01 09:31:00.250", tz=NEW_YORK)


def test_an_index_of_times_goes_before_a_column_of_dates():
    times = pd.date_range("2024-03-01 09:30", periods=3, freq="min", tz=NEW_YORK)
    frame = pd.DataFrame({"date": [t.date() for t in times], "price": 1.0, "volume": 1}, times)
    assert (load_ticks(frame, timezone=NEW_YORK).table.index == times).all()


def test_ten_tenths_are_one():
    times = pd.date_range("2024-03-01 09:30", periods=100, freq="s", tz=NEW_YORK)
    table = bars(trades(times, 1.0 + np.arange(100), 0.1), kind="volume", size=1.0).table
    assert (table["n_trades"] == 10).all()


def test_a_trade_at_the_mid_is_at_the_mid():
    k = np.arange(1, 20_000)
    times = pd.date_range("2024-03-01 09:30", periods=len(k), freq="s", tz=NEW_YORK)
    ticks = trades(times, (k + 1) / 100, bid=k / 100, ask=(k + 2) / 100)
    assert (sign_trades(ticks, method="lee_ready") == sign_trades(ticks)).all()


def test_the_way_that_the_error_names_can_be_gone():
    rng = np.random.default_rng(0)
    n = 400
    mid = 100 + rng.integers(-1, 2, n).cumsum() * 0.01
    times = pd.date_range("2024-03-01 09:30", periods=n, freq="s", tz=NEW_YORK)
    side = rng.choice([-1, 1], n)
    quotes = pd.DataFrame({"time": times, "bid": mid - 0.02, "ask": mid + 0.02})
    hits = pd.DataFrame(
        {"time": times + pd.Timedelta("500ms"), "price": mid + 0.02 * side, "volume": 1.0}
    )
    both = pd.concat([quotes, hits]).sort_values("time")
    ticks = load_ticks(both, timezone=NEW_YORK)
    with pytest.raises(MissingDataError, match="with_side"):
        trade_costs(ticks, horizon="2s")
    found = trade_costs(ticks.with_side(sign_trades(ticks, method="lee_ready")), horizon="2s")
    given = trade_costs(ticks.with_side(side), horizon="2s")
    assert found.effective == pytest.approx(given.effective)
    assert found.impact == pytest.approx(given.impact)
    with pytest.raises(DataError, match="one a trade"):
        ticks.with_side(side[1:])


def test_sides_that_say_nothing_are_none():
    times = pd.date_range("2024-03-01 09:30", periods=50, freq="s", tz=NEW_YORK)
    ticks = trades(times, 1.0 + np.arange(50) % 3, side=0)
    assert not ticks.has_side
    with pytest.raises(MissingDataError, match="none of these ticks has one"):
        ticks.require("side")
    with pytest.raises(DataError, match="true and false"):
        trades(times, 1.0, side=True)


def test_knowing_the_future_is_not_acquitted():
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-03-01 09:31", periods=380, freq="min")
    mid = pd.Series(100 * np.exp(rng.normal(0, 1e-3, 380).cumsum()), times)
    leak = np.log(mid.shift(-5) / mid)  # looks ahead on purpose: it is what must be found
    windows = forward_windows(times, mid, horizon="5min", price="mid")
    assert window_correlation(leak, windows).pvalue < 1e-6
    found = evaluate_intraday_feature(leak, mid, horizons=("5min",), price="mid")
    assert "leak of the future" in found.sentence()
    assert "no more than chance" not in found.sentence()


def test_a_coarse_grid_is_named_beside_its_jumps():
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-03-01 09:31", periods=390, freq="min")
    walk = pd.Series(1640 * np.exp(rng.normal(0, 3e-4, 390).cumsum()), times)
    fine, coarse = (jump_test(np.log(p).diff().dropna()) for p in (walk, walk.round()))
    assert fine.zero_returns < 0.01 < 0.3 < coarse.zero_returns
    assert "coarse" in coarse.sentence() and "coarse" not in fine.sentence()


def test_lengths_of_nothing_and_returns_of_nothing():
    times = pd.date_range("2024-03-01 09:31", periods=60, freq="min")
    one, two = (
        event_windows(times, times[[5]], before=zero, after="5min")
        for zero in ("0s", pd.Timedelta(0))
    )
    pd.testing.assert_frame_equal(one, two)
    assert adaptive_volatility(pd.Series(0.0, times), half_life=5).sentence()
