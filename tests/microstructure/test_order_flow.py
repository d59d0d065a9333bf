"""Order flow: plain loops that must agree, what must not matter, and what is known when."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import MissingDataError
from quantlab.microstructure import (
    Ticks,
    arrival_asymmetry,
    load_ticks,
    order_flow_imbalance,
    queue_imbalance,
    session_vwap,
    sign_trades,
    trade_costs,
    vpin,
    vwap_distance,
)

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10_000)


def market(seed, n=120):
    "Trades with sides and quotes, with ties, pauses and some quote rows"
    rng = np.random.default_rng(seed)
    step = rng.choice([0, 0, 1, 7, 40, 900], n, p=[0.3, 0.2, 0.2, 0.18, 0.1, 0.02])
    side = rng.choice([-1, 1], n)
    mid = 100 + 0.125 * rng.choice([-1, 0, 1], n).cumsum()
    trade = rng.random(n) < 0.8
    frame = pd.DataFrame(
        {
            "time": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(step.cumsum(), "s"),
            "price": np.where(trade, mid + 0.125 * side, np.nan),
            "volume": np.where(trade, rng.integers(1, 9, n), np.nan),
            "side": np.where(trade, side, 0),
            "bid": mid - 0.125,
            "ask": mid + 0.125,
            "bid_size": rng.integers(1, 9, n),
            "ask_size": rng.integers(1, 9, n),
        }
    )
    return load_ticks(frame, timezone="UTC")


def whole_times(ticks, cut):
    "The first rows, up to the end of a time stamp"
    time = ticks.table.index
    return ticks.take(slice(0, int(time.searchsorted(time[cut], side="right"))))


@few
@given(seeds)
def test_the_tick_rule_is_that_of_a_loop(seed):
    ticks = market(seed).trades
    expected, sign, last, number = [], 0, None, None
    for price, session in zip(ticks.table["price"], ticks.sessions):
        if session != number:
            sign, number = 0, session
        elif price != last:
            sign = 1 if price > last else -1
        last = price
        expected.append(sign)
    assert sign_trades(ticks).tolist() == expected


@few
@given(seeds)
def test_signs_turn_with_the_prices(seed):
    ticks = market(seed).trades
    turned = ticks.table.assign(price=200 - ticks.table["price"], bid=200 - ticks.table["ask"])
    turned = Ticks(turned.assign(ask=200 - ticks.table["bid"]), sessions=ticks.sessions)
    for method in ("tick", "lee_ready", "bulk_volume"):
        there, back = (sign_trades(t, method=method).to_numpy() for t in (ticks, turned))
        np.testing.assert_allclose(back, -there, atol=1e-12)


@few
@given(seeds)
def test_trades_at_the_quotes_are_signed_right(seed):
    ticks = market(seed).trades
    signed = sign_trades(ticks, method="lee_ready")
    assert signed.tolist() == ticks.table["side"].tolist()


@few
@given(seeds)
def test_a_bulk_sign_is_that_of_its_bar(seed):
    "The definition, bar by bar, with what was known at the end of each"
    from scipy.stats import norm

    ticks = market(seed).trades
    minute = ticks.table.index.floor("min")
    changes, expected, last = [], [], {}
    for (session, _), rows in ticks.table.groupby([ticks.sessions, minute]):
        close = rows["price"].iloc[-1]
        changes.append(close - last.get(session, rows["price"].iloc[0]))
        last[session] = close
        size = np.sqrt(np.mean(np.square(changes)))
        share = norm.cdf(changes[-1] / size) if size > 0 else 0.5
        expected += [2 * share - 1] * len(rows)
    got = sign_trades(ticks, method="bulk_volume")
    np.testing.assert_allclose(got, expected, atol=1e-12)


@few
@given(seeds, st.floats(0.5, 40))
def test_vpin_is_that_of_single_units(seed, size):
    "Each trade cut into small pieces of one sign; a bucket is as many of them as it holds"
    ticks = market(seed).trades
    pieces = 40
    size = max(1, round(size * pieces)) / pieces
    sign = np.repeat(
        ticks.table["side"].to_numpy(), (ticks.table["volume"] * pieces).astype(int).to_numpy()
    )
    width = round(size * pieces)
    full = len(sign) // width
    if not full:
        return
    expected = sign[: full * width].reshape(full, width).mean(axis=1)
    got = vpin(ticks, bucket_volume=size, n_buckets=1, classification="side")
    assert abs(len(got.buckets) - full) <= 1  # rounding may leave the last one open
    got = got.buckets["signed_share"].to_numpy()[: min(full, len(got.buckets))]
    np.testing.assert_allclose(got, expected[: len(got)], atol=1e-9)


@few
@given(seeds, st.integers(20, 119))
def test_nothing_is_known_before_its_time(seed, cut):
    whole = market(seed)
    part = whole_times(whole, cut)
    now = part.table.index[-1]
    functions = {
        "tick": lambda t: sign_trades(t),
        "lee_ready": lambda t: sign_trades(t, method="lee_ready"),
        "imbalance": lambda t: order_flow_imbalance(t, window="10s"),
        "queue": queue_imbalance,
        "arrivals": lambda t: arrival_asymmetry(t, window="20s"),
        "vwap": session_vwap,
        "distance": vwap_distance,
        "vpin": lambda t: vpin(t, bucket_volume=3, n_buckets=2).vpin,
    }
    for name, function in functions.items():
        if name == "vpin" and part.table["volume"].sum() < 6:
            continue
        early, late = function(part), function(whole)
        early = early[early.index <= now]
        pd.testing.assert_series_equal(early, late.iloc[: len(early)], check_freq=False)
        known = late.index[late.index <= now]
        assert len(early) == len(known), name
    bulk = [sign_trades(t, method="bulk_volume") for t in (part, whole)]
    over = bulk[0].index < now.floor("min")
    pd.testing.assert_series_equal(bulk[0][over], bulk[1].iloc[: len(over)][over])


@few
@given(seeds)
def test_flow_is_that_of_a_loop_over_the_equation(seed):
    ticks = market(seed)
    rows, flows = list(ticks.table[["bid", "bid_size", "ask", "ask_size"]].itertuples()), {}
    for n, (now, before) in enumerate(zip(rows[1:], rows[:-1]), start=1):
        (time, pb, qb, pa, qa), (_, pb0, qb0, pa0, qa0) = now, before
        if ticks.sessions[n] != ticks.sessions[n - 1]:
            continue
        e = (pb >= pb0) * qb - (pb <= pb0) * qb0 - (pa <= pa0) * qa + (pa >= pa0) * qa0
        end = time.ceil("10s")
        flows[end] = flows.get(end, 0.0) + e
    got = order_flow_imbalance(ticks, window="10s")
    assert got.index.is_unique or ticks.n_sessions > 1
    for end, flow in flows.items():
        assert got[got.index == end].sum() == pytest.approx(flow, abs=1e-9)
    assert got.sum() == pytest.approx(sum(flows.values()), abs=1e-9)


@few
@given(seeds)
def test_queues_exchanged_turn_the_imbalance(seed):
    ticks = market(seed)
    turned = ticks.table.rename(columns={"bid_size": "ask_size", "ask_size": "bid_size"})
    there, back = queue_imbalance(ticks), queue_imbalance(Ticks(turned))
    np.testing.assert_allclose(back, -there, atol=1e-12)
    assert (there.abs() <= 1).all()


@few
@given(seeds, st.sampled_from(["1s", "10s", "2min"]))
def test_the_parts_of_a_spread_add_up_to_it(seed, horizon):
    ticks = market(seed)
    costs = trade_costs(ticks, horizon=horizon)
    table = costs.table.dropna()
    np.testing.assert_allclose(table["realised"] + table["impact"], table["effective"], atol=1e-15)
    np.testing.assert_allclose(costs.realised + costs.impact, costs.effective, atol=1e-15)
    np.testing.assert_allclose(table["effective"], table["quoted"], atol=1e-12)
    assert len(table) == costs.n_trades and len(costs.table) + 0 >= costs.n_trades


@few
@given(seeds)
def test_the_mid_after_the_horizon_is_that_of_a_search(seed):
    ticks, horizon = market(seed), pd.Timedelta("20s")
    table = trade_costs(ticks, horizon=horizon).table
    mids = ticks.table[["bid", "ask"]].mean(axis=1)
    trades = ticks.table["price"].notna().to_numpy()
    for (time, row), session, mid in zip(
        table.iterrows(), ticks.sessions[trades], mids[trades], strict=True
    ):
        own = mids[ticks.sessions == session]
        if own.index[-1] < time + horizon:
            assert np.isnan(row["impact"])
        else:
            after = own[own.index <= time + horizon].iloc[-1]
            assert row["impact"] == pytest.approx(2 * row["side"] * (after - mid) / mid, abs=1e-12)
            assert row["known"] == time + horizon


@few
@given(seeds)
def test_arrivals_and_the_average_price_are_those_of_a_search(seed):
    ticks = market(seed).trades
    table = ticks.table.assign(session=ticks.sessions)
    got = arrival_asymmetry(ticks, window="20s").to_numpy()
    average = session_vwap(ticks).to_numpy()
    for i, (time, row) in enumerate(table.iterrows()):
        own = table[table["session"] == row["session"]]
        recent = own[(own.index <= time) & (own.index > time - pd.Timedelta("20s"))]["side"]
        assert got[i] == pytest.approx(recent.sum() / len(recent))
        paid = table.iloc[: i + 1]
        paid = paid[paid["session"] == row["session"]]
        assert average[i] == pytest.approx(np.average(paid["price"], weights=paid["volume"]))


def test_trades_alone_are_told_what_is_missing():
    trades = Ticks(market(0).trades.table[["price", "volume"]])
    for call in (
        lambda: order_flow_imbalance(trades, window="10s"),
        lambda: queue_imbalance(trades),
        lambda: trade_costs(trades, horizon="10s"),
        lambda: sign_trades(trades, method="lee_ready"),
    ):
        with pytest.raises(MissingDataError, match=r"needs quotes \(bid, ask\)"):
            call()
