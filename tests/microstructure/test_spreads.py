"""Spreads from daily prices: the reference, a known spread, what must not matter, and bad input."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import MeasuredSpread, lookahead_audit, measured_half_spread
from quantlab.data import Panel
from quantlab.errors import (
    DataError,
    MisalignedError,
    MissingDataError,
    ScaleWarning,
    SpecificationError,
)
from quantlab.microstructure import (
    abdi_ranaldo_spread,
    bounce_bars,
    corwin_schultz_spread,
    roll_spread,
)

ESTIMATORS = {
    "roll": lambda b, **how: roll_spread(b["close"], **how),
    "cs": lambda b, **how: corwin_schultz_spread(b["high"], b["low"], **how),
    "cs, night": lambda b, **how: corwin_schultz_spread(
        b["high"], b["low"], close=b["close"], **how
    ),
    "ar": lambda b, **how: abdi_ranaldo_spread(b["high"], b["low"], b["close"], **how),
    "ar, two days": lambda b, **how: abdi_ranaldo_spread(
        b["high"], b["low"], b["close"], version="two_day", **how
    ),
}
every = pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS)
worlds = st.builds(
    lambda seed, spread, night: bounce_bars(
        40,
        3,
        spread=spread,
        volatility=0.01,
        overnight_volatility=night,
        trades_per_day=20,
        rng=np.random.default_rng(seed),
    ),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.002, 0.03]),
    st.sampled_from([0.0, 0.02]),
)
few = settings(max_examples=8, deadline=None)


@pytest.fixture
def bars():
    return bounce_bars(
        300, 4, spread=0.02, volatility=0.01, trades_per_day=100, rng=np.random.default_rng(1)
    )


def same(got, expected):
    "Equal but for rounding, which a root makes larger near zero"
    np.testing.assert_allclose(
        np.asarray(got, dtype=float), np.asarray(expected, dtype=float), rtol=1e-6, atol=1e-7
    )


def test_corwin_schultz_on_five_bars(reference):
    entry = reference("corwin_schultz_5bars")
    high, low = np.array(entry["input"]["high_low"]).T
    for negative, name in [("keep", "raw"), ("zero", "floored")]:
        values = corwin_schultz_spread(high, low, window=2, negative=negative).spread
        assert np.isnan(values[0])
        for got, expected in zip(values[1:], entry["expected"][name], strict=True):
            assert close(got, expected, entry["tol"])
        mean = corwin_schultz_spread(high, low, negative=negative).spread
        assert close(mean, np.mean(entry["expected"][name]), entry["tol"])


def _corwin_schultz(high, low):
    "Equations 14 and 18, two days at a time"
    values, k = [], 3 - 2 * np.sqrt(2)
    for t in range(1, len(high)):
        beta = np.log(high[t - 1] / low[t - 1]) ** 2 + np.log(high[t] / low[t]) ** 2
        gamma = np.log(max(high[t - 1], high[t]) / min(low[t - 1], low[t])) ** 2
        alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
        values.append(2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)))
    return np.array(values)


def test_corwin_schultz_and_what_becomes_of_negative_values():
    bars = bounce_bars(
        60, spread=0.002, volatility=0.02, trades_per_day=50, rng=np.random.default_rng(2)
    )
    high, low = bars["high"].iloc[:, 0], bars["low"].iloc[:, 0]
    values = _corwin_schultz(high.to_numpy(), low.to_numpy())
    assert (values < 0).any()
    for negative, expected in [
        ("keep", values),
        ("zero", values.clip(0)),
        ("drop", values[values >= 0]),
    ]:
        got = corwin_schultz_spread(high, low, negative=negative)
        same(got.spread, expected.mean())
        assert got.share_negative == pytest.approx((values < 0).mean())
        assert got.n_values == len(values)


def test_the_night_is_moved_by_the_jump_past_the_close():
    high, low, last = np.array([102, 107, 99.0]), np.array([100, 105, 97.0]), [101, 106, 98]
    # up by 105 - 101, down by 106 - 99
    first = _corwin_schultz([102, 103], [100, 101])
    second = _corwin_schultz([107, 106], [105, 104])
    got = corwin_schultz_spread(high, low, close=last, window=2).spread[1:]
    same(got, [*first, *second])


def test_abdi_ranaldo_by_hand(bars):
    high, low, last = (np.log(bars[k].to_numpy()[:, 0]) for k in ("high", "low", "close"))
    middle = (high + low) / 2
    products = 4 * (last[:-1] - middle[:-1]) * (last[:-1] - middle[1:])
    name = bars["high"].columns[0]
    given = [bars[k][name] for k in ("high", "low", "close")]
    same(abdi_ranaldo_spread(*given).spread, np.sqrt(products.mean()))
    two = abdi_ranaldo_spread(*given, version="two_day")
    same(two.spread, np.sqrt(products.clip(0)).mean())
    assert two.share_negative == pytest.approx((products < 0).mean())


def test_roll_by_hand(bars):
    change = np.diff(np.log(bars["close"].to_numpy()[:, 0]))
    covariance = np.cov(change[1:], change[:-1])[0, 1]
    same(roll_spread(bars["close"].iloc[:, 0]).spread, 2 * np.sqrt(-covariance))


def test_a_trend_has_a_negative_roll_spread_which_can_be_zero_or_missing():
    steps = np.repeat([0.01, -0.01], 10)
    prices = 100 * np.exp(np.tile(steps, 5).cumsum())
    got = {n: roll_spread(prices, negative=n) for n in ("keep", "zero", "drop")}
    assert got["keep"].spread < 0 and got["zero"].spread == 0 and np.isnan(got["drop"].spread)
    assert {e.share_negative for e in got.values()} == {1.0}


def test_prints_of_one_time_count_once():
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-02", periods=5000, freq="s")
    orders = pd.Series(100 + 0.125 * rng.choice([-1, 1], 5000), index=times)
    prints = orders.repeat(rng.integers(1, 6, 5000))
    assert roll_spread(prints).spread == roll_spread(orders).spread
    assert roll_spread(orders).spread == pytest.approx(0.0025, rel=0.05)
    each = roll_spread(prints, one_price_per_timestamp=False)
    assert each.spread < 0.4 * roll_spread(orders).spread
    rolled = roll_spread(prints, one_price_per_timestamp=False, window=100).spread
    assert rolled.index.equals(prints.index)


@every
@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_a_wide_spread_is_found(estimate, spread):
    world = bounce_bars(500, 20, spread=spread, volatility=0.004, rng=np.random.default_rng(3))
    assert estimate(world).spread.mean() == pytest.approx(spread, rel=0.07)


@every
def test_without_a_spread_many_windows_are_negative(estimate):
    world = bounce_bars(250, 10, spread=0.0, volatility=0.02, rng=np.random.default_rng(4))
    got = estimate(world, window=42, negative="keep")
    assert 0.25 < got.share_negative.mean() < 0.75
    assert (estimate(world, window=42, negative="zero").spread.iloc[50:] >= 0).all(axis=None)


@every
@few
@given(worlds, st.floats(1e-3, 1e3))
def test_the_unit_of_the_price_does_not_matter(estimate, world, unit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScaleWarning)  # a unit may make them look like logs
        scaled = estimate({k: v * unit for k, v in world.items()}, negative="keep").spread
    same(scaled, estimate(world, negative="keep").spread)


@every
@few
@given(worlds, st.permutations([0, 1, 2]))
def test_names_do_not_touch_each_other(estimate, world, order):
    mixed = estimate({k: v.iloc[:, order] for k, v in world.items()}, window=15)
    pd.testing.assert_frame_equal(mixed.spread, estimate(world, window=15).spread.iloc[:, order])
    alone = estimate({k: v.iloc[:, 0] for k, v in world.items()}, window=15)
    same(alone.spread, estimate(world, window=15).spread.iloc[:, 0])
    assert isinstance(alone.spread, pd.Series) and isinstance(alone.share_negative, float)


@every
@few
@given(worlds, st.integers(8, 39), st.integers(0, 10_000))
def test_a_row_uses_no_later_row(estimate, world, cut, seed):
    rng = np.random.default_rng(seed)
    noise = 1 + np.where(np.arange(40) > cut, rng.uniform(0.5, 2, 40), 0.0)[:, None]
    other = {k: v * noise for k, v in world.items()}
    full, changed = (estimate(w, window=8).spread for w in (world, other))
    same(changed.iloc[: cut + 1], full.iloc[: cut + 1])


@every
@few
@given(worlds, st.integers(6, 30), st.sampled_from(["keep", "zero", "drop"]))
def test_a_window_is_the_estimate_of_its_rows(estimate, world, window, negative):
    rolled = estimate(world, window=window, negative=negative).spread
    for t in (window - 1, 39):
        rows = {k: v.iloc[t - window + 1 : t + 1] for k, v in world.items()}
        same(rolled.iloc[t], estimate(rows, negative=negative).spread)


@every
def test_a_hole_costs_the_values_that_touch_it_and_no_other(estimate, bars):
    holed = {k: v.copy() for k, v in bars.items()}
    for table in holed.values():
        table.iloc[100, 0] = np.nan
        table.iloc[50:, 1] = np.nan
    got, whole = (estimate(b, window=10, min_values=2) for b in (holed, bars))
    same(got.spread.iloc[:100, 0], whole.spread.iloc[:100, 0])
    same(got.spread.iloc[115:, 0], whole.spread.iloc[115:, 0])
    same(got.spread.iloc[:, 2:], whole.spread.iloc[:, 2:])
    assert got.spread.iloc[60:, 1].isna().all() and got.spread.iloc[:50, 1].equals(
        whole.spread.iloc[:50, 1]
    )
    least = estimate(holed, window=10, min_values=8).spread.iloc[:, 0]
    assert least.iloc[101:103].isna().all() and least.iloc[115:].notna().all()


@every
def test_a_name_without_prices_has_no_spread(estimate, bars):
    empty = {k: v.assign(NONE=np.nan) for k, v in bars.items()}
    got = estimate(empty)
    assert np.isnan(got.spread["NONE"]) and np.isnan(got.share_negative["NONE"])
    assert got.n_values["NONE"] == 0 and got.summary().shape == (5, 3)


def test_a_result_says_what_it_is(bars):
    got = corwin_schultz_spread(bars["high"], bars["low"], window=21)
    assert got.summary().index.equals(bars["high"].columns)
    same(got.half_spread_bps.iloc[-1], got.spread.iloc[-1] * 1e4 / 2)
    one = corwin_schultz_spread(bars["high"].iloc[:, 0], bars["low"].iloc[:, 0])
    assert one.to_dict()["spread"] == one.spread and len(one.summary()) == 1
    assert one.half_spread_bps == pytest.approx(5000 * one.spread)


BAD = {
    "exchanged": (lambda b: (b["low"], b["high"]), DataError, "are `high` and `low` exchanged"),
    "one high below": (
        lambda b: (b["high"].mul(np.where(np.arange(300) == 7, 0.01, 1), axis=0), b["low"]),
        DataError,
        "4 bars have a high below the low",
    ),
    "negative": (lambda b: (b["high"], -b["low"]), DataError, "must be prices above zero"),
    "zero": (lambda b: (b["high"], b["low"] * 0), DataError, "must be prices above zero"),
    "returns": (
        lambda b: (b["high"].pct_change(), b["low"].pct_change()),
        DataError,
        "give the prices themselves where these are returns",
    ),
    "other days": (lambda b: (b["high"].iloc[1:], b["low"]), MisalignedError, "on one index"),
    "other names": (lambda b: (b["high"].iloc[:, 1:], b["low"]), MisalignedError, "same columns"),
    "text": (lambda b: (b["high"].astype(str), b["low"]), DataError, "text or objects"),
    "infinite": (lambda b: (b["high"] * np.inf, b["low"]), DataError, "infinite values"),
    "one day": (lambda b: (b["high"].iloc[:1], b["low"].iloc[:1]), DataError, "at least 2 rows"),
}


@pytest.mark.parametrize(("change", "error", "sentence"), BAD.values(), ids=BAD)
def test_bad_bars_end_in_a_sentence(bars, change, error, sentence):
    high, low = change(bars)
    with pytest.raises(error, match=sentence):
        corwin_schultz_spread(high, low)
    with pytest.raises(error):
        abdi_ranaldo_spread(high, low, bars["close"].loc[high.index])


@pytest.mark.parametrize(
    ("factor", "sentence"), [(2.0, "close above the high"), (0.5, "close below the low")]
)
def test_a_close_on_another_footing_is_refused(bars, factor, sentence):
    with pytest.raises(DataError, match=sentence):
        abdi_ranaldo_spread(bars["high"], bars["low"], bars["close"] * factor)
    with pytest.raises(DataError, match=sentence):
        corwin_schultz_spread(bars["high"], bars["low"], close=bars["close"] * factor)


@every
def test_logs_of_prices_are_warned_of(estimate, bars):
    with pytest.warns(ScaleWarning, match="look like logs of prices"):
        estimate({k: np.log(v) for k, v in bars.items()})


@pytest.mark.parametrize(
    ("prices", "sentence"),
    [
        ([100.0, 101.0, 99.0], "at least 4 rows"),
        ([100.0, -1.0, 99.0, 101.0, 100.0], "must be prices above zero"),
        ([0.01, -0.02, 0.01, 0.0, 0.01], "where these are returns"),
        (pd.Series([1.0, 2, 3, 4], index=[3, 1, 2, 4]), "not in time order"),
        (pd.Series([1.0, 2, 3, 4], index=list("abcd")), "is no date"),
        ([True, False, True, False], "true and false"),
    ],
)
def test_bad_prices_end_in_a_sentence(prices, sentence):
    with pytest.raises(DataError, match=sentence):
        roll_spread(prices)


@every
@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"negative": "abs"}, "negative"),
        ({"window": 1}, "window"),
        ({"window": 2.5}, "window"),
        ({"window": 10, "min_values": 40}, "min_values"),
        ({"min_values": 0}, "min_values"),
    ],
)
def test_bad_options_are_named(estimate, bars, how, name):
    with pytest.raises(SpecificationError, match=f"`{name}`"):
        estimate(bars, **how)


def test_a_panel_gives_half_spreads_with_the_median_where_there_is_none(bars):
    late = {k: v.copy() for k, v in bars.items()}
    for table in late.values():
        table.iloc[:200, 3] = np.nan
    measured = MeasuredSpread.from_panel(Panel(late), window=42)
    table = measured.half_spread_bps
    same(table.iloc[210, 3], table.iloc[210, :3].median())
    signed = abdi_ranaldo_spread(
        *(late[k] for k in ("high", "low", "close")), window=42, negative="keep"
    )
    same(table.iloc[60:, :3], signed.half_spread_bps.iloc[60:, :3].clip(lower=0.5))
    assert measured.median_bps == pytest.approx(100, rel=0.05)
    assert 0 < measured.share_filled < 0.1 and measured.share_bad_bars == 0
    assert set(measured.summary().index) >= {"median half-spread (bps of traded value)"}


def test_half_spreads_have_a_floor(bars):
    world = bounce_bars(200, 3, spread=0.0, volatility=0.02, rng=np.random.default_rng(5))
    measured = MeasuredSpread.from_panel(Panel(world), floor_bps=2.0)
    assert measured.half_spread_bps.min(axis=None) == 2.0 and measured.median_bps >= 2.0
    assert measured.share_negative > 0.2


@pytest.mark.parametrize("method", ["abdi_ranaldo", "corwin_schultz", "roll"])
def test_half_spreads_pass_the_audit(bars, method):
    last = bars["close"].iloc[:150]
    moves = {"last": last, "up": bars["high"] / last, "down": last / bars["low"]}

    def run(data):  # whatever the audit puts in, the high is above the low
        high, low = (data["last"] * data["up"].clip(1), data["last"] / data["down"].clip(1))
        panel = Panel({"high": high, "low": low, "close": data["last"]})
        return measured_half_spread(panel, method=method, window=21)

    moves = {name: table.loc[last.index] for name, table in moves.items()}
    assert lookahead_audit(run, moves, n_cuts=6).verdict == "passed"
    assert lookahead_audit(lambda data: run(data).shift(-1), moves, n_cuts=6).verdict == "failed"


def test_a_few_wrong_bars_are_left_out_and_counted(bars):
    wrong = {k: v.copy() for k, v in bars.items()}
    wrong["high"].iloc[10, 0] = 1.0
    wrong["close"].iloc[20, 1] *= 1.5
    measured = MeasuredSpread.from_panel(Panel(wrong))
    assert measured.share_bad_bars == pytest.approx(2 / 1200)
    assert measured.median_bps == pytest.approx(100, rel=0.05)


def test_a_panel_that_cannot_be_measured_says_why(bars):
    with pytest.raises(MissingDataError, match="has no field high and no field low"):
        measured_half_spread(Panel({"prices": bars["close"]}))
    with pytest.raises(DataError, match="adjusted by different factors"):
        measured_half_spread(Panel({**bars, "close": bars["close"] * 2}))
    with pytest.raises(DataError, match="shorter `window`"):
        measured_half_spread(Panel(bars), window=2000)
    closes = measured_half_spread(Panel({"prices": bars["close"]}), method="roll")
    assert closes.iloc[-1].median() == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"spread": -0.1}, "spread"),
        ({"share_seen": 1.1}, "share_seen"),
        ({"n_days": 0}, "n_days"),
        ({"rng": 3}, "rng"),
    ],
)
def test_a_world_that_cannot_be_is_refused(how, name):
    usual = {"n_days": 5, "spread": 0.01, "volatility": 0.01, "rng": np.random.default_rng(0)}
    with pytest.raises(SpecificationError, match=f"`{name}`"):
        bounce_bars(**usual | how)
