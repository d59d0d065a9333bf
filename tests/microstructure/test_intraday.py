"""Volatility inside the day and what a feature predicts: by hand, properties, leaks, bad input."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal
from scipy import stats

from quantlab.errors import (
    DataError,
    LookaheadError,
    MisalignedError,
    MissingDataError,
    QuantlabError,
    SpecificationError,
)
from quantlab.microstructure import (
    adaptive_volatility,
    bipower_variation,
    compare_intraday_features,
    evaluate_intraday_feature,
    event_windows,
    forward_windows,
    jump_test,
    known_at,
    realized_variance,
    session_numbers,
    session_profile,
    session_returns,
    window_correlation,
)

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10_000)


def clock(n_days=3, n=120, zone=None):
    "Minutes of several sessions, the last of them longer"
    days = pd.bdate_range("2024-01-02", periods=n_days)
    minutes = [pd.date_range(d + pd.Timedelta("9h31min"), periods=n, freq="min") for d in days]
    return pd.DatetimeIndex(np.concatenate(minutes)).tz_localize(zone)


def market(seed, n_days=3, n=120, zone=None):
    "Minute bars of trades at bid or ask around a walk"
    rng = np.random.default_rng(seed)
    times = clock(n_days, n, zone)
    steps = rng.normal(0, 0.0003 / 3, (len(times), 9))
    mid = 100 * np.exp(steps.cumsum().reshape(steps.shape))
    trades = mid * (1 + 0.0002 * rng.choice([-1, 1], mid.shape))
    return pd.DataFrame(
        {"close": trades[:, -1], "vwap": trades.mean(axis=1), "mid": mid[:, -1]}, index=times
    )


# --- sessions and realised variance -------------------------------------------------------------


def test_sessions_are_told_by_their_silence_on_any_clock():
    times = clock()
    expected = np.repeat([0, 1, 2], 120)
    assert (session_numbers(times) == expected).all()
    # the night of the change to summer time is an hour shorter on the wall, and no other session
    for zone in ("UTC", "America/Chicago"):
        assert (session_numbers(times.tz_localize(zone)) == expected).all()
    assert session_numbers(times.as_unit("us")).tolist() == expected.tolist()
    assert session_numbers(times[:1]).tolist() == [0]


def test_a_session_that_crosses_the_hour_twice_keeps_its_minutes():
    utc = pd.date_range("2024-11-03 05:00", periods=240, freq="min", tz="UTC")
    local = utc.tz_convert("America/New_York")  # the hour from one to two comes twice
    assert session_numbers(local).nunique() == 1
    prices = pd.Series(np.linspace(100, 101, 240), index=local)
    assert session_returns(prices).notna().sum() == 239


@few
@given(seeds)
def test_realised_variance_is_the_sum_of_squares_and_scales(seed):
    r = session_returns(market(seed)["mid"])
    got = realized_variance(r)
    assert got.to_numpy() == pytest.approx((r**2).groupby(r.index.date).sum().to_numpy())
    assert realized_variance(3 * r).to_numpy() == pytest.approx(9 * got.to_numpy())
    assert bipower_variation(-2 * r).to_numpy() == pytest.approx(
        4 * bipower_variation(r).to_numpy()
    )
    assert jump_test(5 * r).table["statistic"].to_numpy() == pytest.approx(
        jump_test(r).table["statistic"].to_numpy()
    )


def _statistic_by_hand(r):
    "Huang and Tauchen (2005), equation 14, one product at a time"
    n, mu = len(r), 2 ** (2 / 3) * math.gamma(7 / 6) / math.gamma(1 / 2)
    size = [abs(x) for x in r]
    rv = sum(x * x for x in r)
    bv = math.pi / 2 * n / (n - 1) * sum(size[i] * size[i - 1] for i in range(1, n))
    tp = sum((size[i] * size[i - 1] * size[i - 2]) ** (4 / 3) for i in range(2, n))
    tp *= n * mu**-3 * n / (n - 2)
    error = (math.pi**2 / 4 + math.pi - 5) / n * max(1.0, tp / bv**2)
    return rv, bv, (rv - bv) / rv / math.sqrt(error)


@few
@given(seeds)
def test_the_jump_statistic_by_hand(seed):
    r = session_returns(market(seed)["close"])
    table = jump_test(r).table
    for day, (_, part) in zip(table.itertuples(), r.dropna().groupby(r.dropna().index.date)):
        rv, bv, z = _statistic_by_hand(part.tolist())
        assert (day.realized, day.bipower, day.statistic) == pytest.approx((rv, bv, z))
        assert day.pvalue == pytest.approx(stats.norm.sf(z))


def test_skip_leaves_out_so_many_returns():
    r = pd.Series([1.0, 2, 3, 4, 5], index=pd.date_range("2024-01-02", periods=5, freq="min"))
    # products of those two apart: 1*3 + 2*4 + 3*5
    expected = math.pi / 2 * 5 / 3 * (3 + 8 + 15)
    assert bipower_variation(r, skip=1).iloc[0] == pytest.approx(expected)


# --- profile and filter -------------------------------------------------------------------------


def test_a_bar_belongs_to_the_bucket_in_which_it_lay():
    times = pd.DatetimeIndex(["2024-01-02 10:00", "2024-01-02 10:01"])
    days = times.append([times + pd.Timedelta(days=k) for k in range(1, 12)])
    busy = pd.DatetimeIndex(days.append(days + pd.Timedelta("30min")).sort_values())
    r = pd.Series(np.tile([0.01, 0.02, 0.01, 0.02], 12), index=busy)
    table = session_profile(r, bucket="30min", session_gap="2h").table
    assert [str(b)[-8:] for b in table.index] == ["10:00:00", "10:30:00"]
    # 10:00, the first row of its session, is left out; 10:01 and 10:30 lay before half past ten
    assert table["sessions"].tolist() == [12, 12]
    assert (table["measured"] ** 2).tolist() == pytest.approx([(4 + 1) / 2 / 3, 4 / 3])


@few
@given(seeds)
def test_a_profile_does_not_know_the_unit_and_is_one_on_average(seed):
    r = session_returns(market(seed, n_days=12)["mid"])
    one, other = session_profile(r, bucket="15min"), session_profile(100 * r, bucket="15min")
    assert one.table["volatility"].to_numpy() == pytest.approx(other.table["volatility"].to_numpy())
    assert (one.table["volatility"] ** 2).mean() == pytest.approx(1.0)
    # shrunk toward flat, never beyond it
    gap, raw = one.table["volatility"] - 1, one.table["measured"] - 1
    assert (gap.abs() <= raw.abs() + 0.05).all() and 0 <= one.weight <= 1


@few
@given(seeds, st.integers(20, 300))
def test_the_filter_knows_nothing_of_what_comes(seed, cut):
    r = session_returns(market(seed)["mid"])
    profile = session_profile(
        session_returns(market(seed + 1, n_days=12)["mid"]).pipe(
            lambda x: x.set_axis(x.index - pd.Timedelta(days=60))
        ),
        bucket="15min",
    )
    changed = r.copy()
    changed.iloc[cut:] = 7 * changed.iloc[cut:] + 0.01
    for p in (None, profile):
        one = adaptive_volatility(r, profile=p, half_life=20)
        two = adaptive_volatility(changed, profile=p, half_life=20)
        pd.testing.assert_series_equal(one.volatility.iloc[:cut], two.volatility.iloc[:cut])
        pd.testing.assert_series_equal(one.forecast.iloc[: cut + 1], two.forecast.iloc[: cut + 1])


def test_a_profile_is_used_after_it_was_measured_or_not_at_all():
    r = session_returns(market(0, n_days=20)["mid"])
    past, coming = r.iloc[: 12 * 120], r.iloc[12 * 120 :]
    profile = session_profile(past, bucket="15min")
    assert profile.known_from == past.index[-1]
    adaptive_volatility(coming, profile=profile, half_life=20)
    with pytest.raises(LookaheadError, match="earlier sessions only"):
        adaptive_volatility(r.iloc[12 * 120 - 1 :], profile=profile, half_life=20)
    with pytest.raises(DataError, match="9 sessions and a profile needs 10"):
        session_profile(r.iloc[: 9 * 120], bucket="15min")


# --- news ---------------------------------------------------------------------------------------


@few
@given(seeds)
def test_what_was_known_is_the_last_arrival_by_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    times = clock(1, 60)
    arrival = times[0] + pd.to_timedelta(rng.choice(80, 12, replace=False), unit="min")
    items = rng.choice(["a", "b"], 12)
    records = pd.DataFrame({"arrival": arrival, "item": items, "value": rng.normal(size=12)})
    known = known_at(times, records, latency="2min").values
    for item in known:
        of_item = records[records["item"] == item]
        for t in times:
            there = of_item[of_item["arrival"] + pd.Timedelta("2min") <= t]
            expected = there.loc[there["arrival"].idxmax(), "value"] if len(there) else np.nan
            assert known.loc[t, item] == expected or (
                np.isnan(expected) and np.isnan(known.loc[t, item])
            )


def test_a_surprise_has_no_before():
    times, news = clock(1, 60), clock(1, 60)[[30]]
    with pytest.raises(LookaheadError, match="nobody knew"):
        event_windows(times, news, before="5min", after="5min")
    marked = event_windows(times, news, after="5min")["window"]
    assert (marked.iloc[:30] == "none").all() and (marked.iloc[30:35] == "after").all()
    planned = event_windows(times, news, before="5min", after="5min", scheduled=True)["window"]
    assert planned.iloc[25:30].tolist() == ["before"] * 5 and planned.iloc[24] == "none"


# --- windows and evaluation ---------------------------------------------------------------------


@few
@given(seeds, st.sampled_from(["5min", "7min"]), st.sampled_from(["mid", "vwap"]))
def test_windows_by_a_plain_loop(seed, horizon, price):
    prices = market(seed, n_days=2, n=40)
    prices = prices.drop(prices.index[np.random.default_rng(seed).choice(80, 8, replace=False)])
    span, got = (
        pd.Timedelta(horizon),
        forward_windows(prices.index, prices, horizon=horizon, price=price),
    )
    for t in prices.index:
        day = prices.loc[prices.index.date == t.date(), price]
        expected = np.nan
        if t + span <= day.index[-1]:
            if price == "mid":
                first, last = day[day.index <= t], day[day.index <= t + span]
                expected = np.log(last.iloc[-1] / first.iloc[-1])
            else:  # of bars that end after the row at or after the time
                after = lambda x, day=day: day[day.index >= x].iloc[1:2]
                if len(after(t)) and len(after(t + span)):
                    expected = np.log(after(t + span).iloc[0] / after(t).iloc[0])
        assert got.loc[t, "forward_return"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    chosen = got.index[got["disjoint"]]
    assert (np.diff(chosen) >= span.to_timedelta64()).all()
    assert got.loc[chosen, "forward_return"].notna().all()


@few
@given(seeds)
def test_a_shifted_feature_is_seen_and_what_was_before_is_not(seed):
    "The target begins at t: prices before do not move it, and a feature dated too early shows"
    prices = market(seed)
    feature = session_returns(prices["mid"]).rename("last")
    honest = evaluate_intraday_feature(feature, prices, price="mid", horizons=["5min"])
    early = evaluate_intraday_feature(feature.shift(-1), prices, price="mid", horizons=["5min"])
    assert early.table["ic"].iloc[0] > 0.25 > abs(honest.table["ic"].iloc[0])
    t = prices.index[60]
    moved = prices.copy()
    moved.loc[: prices.index[59]] *= 2
    for price in ("mid", "vwap"):
        one = forward_windows(prices.index, prices, horizon="5min", price=price)
        two = forward_windows(prices.index, moved, horizon="5min", price=price)
        pd.testing.assert_frame_equal(one.loc[t:], two.loc[t:])


@few
@given(seeds)
def test_a_coefficient_does_not_know_the_unit_and_turns_with_the_sign(seed):
    prices = market(seed)
    x = pd.Series(np.random.default_rng(seed).normal(size=len(prices)), index=prices.index)
    w = forward_windows(prices.index, prices, horizon="5min")
    one, other = window_correlation(x, w), window_correlation(-np.exp(x), w)
    for name in ("ic", "t_naive", "t_hac", "t_disjoint"):
        assert getattr(other, name) == pytest.approx(-getattr(one, name))
    assert other.pvalue == pytest.approx(one.pvalue)
    assert one.n_independent <= one.n_windows <= len(prices)


def test_a_bounce_is_there_at_trades_and_gone_without():
    prices = market(3, n_days=5, n=300)
    found = evaluate_intraday_feature(
        session_returns(prices["close"]).rename("last"), prices, horizons=["5min"]
    )
    assert found.bounce_only is True
    assert found.bounce["ic"].loc["close", "5min"] < -0.15
    assert abs(found.bounce["ic"].loc["mid", "5min"]) < 0.08
    assert "bounce" in found.sentence()


def test_a_time_zone_changes_nothing():
    plain, zoned = market(5), market(5, zone="America/Chicago")
    x = pd.Series(np.random.default_rng(0).normal(size=len(plain)), index=plain.index)
    one = evaluate_intraday_feature(x, plain)
    two = evaluate_intraday_feature(x.set_axis(zoned.index), zoned)
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.bounce, two.bounce)
    pd.testing.assert_frame_equal(one.by_group, two.by_group)


def test_what_was_earned_takes_the_side_that_was_known():
    prices = market(6)
    x = pd.Series(np.random.default_rng(1).normal(size=len(prices)), index=prices.index)
    one = evaluate_intraday_feature(x, prices, horizons=["5min"]).earned("5min")
    changed = x.copy()
    changed.iloc[200:] += 50
    two = evaluate_intraday_feature(changed, prices, horizons=["5min"]).earned("5min")
    cut = prices.index[200]
    pd.testing.assert_series_equal(one[one.index < cut], two[two.index < cut])


# --- bad input ----------------------------------------------------------------------------------

PRICES = market(1)
R = session_returns(PRICES["mid"])
X = pd.Series(np.random.default_rng(2).normal(size=len(R)), index=R.index, name="x")
W = forward_windows(R.index, PRICES, horizon="5min")
NEWS = R.index[[50]]
RECORDS = pd.DataFrame({"arrival": NEWS, "item": "a", "value": 1.0})
TAKE_SERIES = {
    "realized_variance": realized_variance,
    "bipower_variation": bipower_variation,
    "jump_test": jump_test,
    "session_returns": session_returns,
    "session_profile": lambda x: session_profile(x, bucket="15min", min_sessions=2),
    "adaptive_volatility": lambda x: adaptive_volatility(x, half_life=20),
    "evaluate_intraday_feature": lambda x: evaluate_intraday_feature(x, PRICES),
    "compare_intraday_features": lambda x: compare_intraday_features({"x": x}, PRICES),
    "prices": lambda x: forward_windows(R.index, x, horizon="5min"),
}
SPOILT = {
    "nothing": None,
    "a number": 3.0,
    "text": "prices.csv",
    "an array": X.to_numpy(),
    "words": X.astype(str),
    "truth values": X > 0,
    "infinite": X.mask(X > 1, np.inf),
    "all missing": X * np.nan,
    "empty": X.iloc[:0],
    "one row": X.iloc[:1],
    "backwards": X.iloc[::-1],
    "a row twice, out of order": pd.concat([X, X.iloc[:1]]),
    "no times": X.reset_index(drop=True),
    "a time missing": X.set_axis(X.index.where(X.index != X.index[5])),
}


def tied(x):
    "A row before the last of a time that it shares, as of two bars that closed at once"
    return pd.concat([x.iloc[:200], x.iloc[200:201] * 1.5, x.iloc[200:]])


def test_of_levels_that_share_a_time_the_last_stands():
    mid, x = PRICES["mid"], X
    assert_series_equal(session_returns(tied(mid)), session_returns(mid))
    once = evaluate_intraday_feature(x, PRICES, horizons=["5min"], price="mid")
    twice = evaluate_intraday_feature(tied(x), tied(PRICES), horizons=["5min"], price="mid")
    assert_frame_equal(twice.table, once.table)
    assert session_numbers(tied(mid).index).nunique() == session_numbers(mid.index).nunique()


def test_flows_that_share_a_time_are_to_be_added_up():
    with pytest.raises(DataError, match="add them up, as in `returns.groupby"):
        realized_variance(tied(R.dropna()))


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", TAKE_SERIES)
def test_a_spoilt_series_is_refused_in_a_sentence(name, how):
    with pytest.raises(QuantlabError) as refused:
        TAKE_SERIES[name](SPOILT[how])
    assert str(refused.value).rstrip().endswith(".") and "`" in str(refused.value)


@pytest.mark.parametrize(
    ("call", "kind", "why"),
    [
        (lambda: session_numbers(R.index, session_gap="0s"), SpecificationError, "`session_gap`"),
        (lambda: session_numbers([1, 2]), DataError, "must be a DatetimeIndex"),
        (lambda: jump_test(R, alpha=0.7), SpecificationError, "`alpha`"),
        (lambda: jump_test(R, skip=9), SpecificationError, "`skip`"),
        (lambda: jump_test(0 * R), DataError, "neighbouring returns move"),
        (lambda: session_profile(R, bucket="13h"), SpecificationError, "half a day"),
        (lambda: session_profile(R, bucket="15min"), DataError, "3 sessions and a profile needs"),
        (lambda: adaptive_volatility(R, half_life=-1), SpecificationError, "`half_life`"),
        (lambda: adaptive_volatility(R, half_life=5, profile=1), SpecificationError, "`profile`"),
        (lambda: event_windows(R.index, NEWS, after="soon"), SpecificationError, "`after`"),
        (lambda: event_windows(R.index, [], after="5min"), DataError, "`news`"),
        (
            lambda: event_windows(R.index, NEWS.tz_localize("UTC"), after="5min"),
            MisalignedError,
            "time zone",
        ),
        (lambda: known_at(R.index, 3), DataError, "`records`"),
        (lambda: known_at(R.index, RECORDS.assign(arrival="now")), DataError, "to_datetime"),
        (lambda: known_at(R.index, RECORDS.assign(item=None)), MissingDataError, "about"),
        (lambda: known_at(R.index, RECORDS.assign(value="x")), DataError, "`records`"),
        (lambda: known_at(R.index, RECORDS, latency=-1), SpecificationError, "`latency`"),
        (
            lambda: forward_windows(R.index, PRICES, horizon="-5min"),
            SpecificationError,
            "`horizon`",
        ),
        (
            lambda: forward_windows(R.index, PRICES, horizon="5min", price="ask"),
            SpecificationError,
            "there are close, vwap, mid",
        ),
        (lambda: forward_windows(R.index, -PRICES, horizon="5min"), DataError, "above zero"),
        (lambda: forward_windows(R, PRICES, horizon="5min"), DataError, "`times`"),
        (lambda: window_correlation(X.iloc[1:], W), MisalignedError, "the same times"),
        (lambda: window_correlation(X, W.drop(columns="ends")), DataError, "lacks ends"),
        (lambda: window_correlation(X, W, hac_lags=-1), SpecificationError, "`hac_lags`"),
        (lambda: window_correlation(X, W, method="tau"), SpecificationError, "`method`"),
        (
            lambda: evaluate_intraday_feature(X, PRICES, horizons=["1D"]),
            DataError,
            "no window of 1D fits",
        ),
        (
            lambda: evaluate_intraday_feature(X, PRICES, horizons=[5]),
            SpecificationError,
            "`horizons`",
        ),
        (lambda: evaluate_intraday_feature(X, PRICES, by=X.iloc[1:]), MisalignedError, "`by`"),
        (lambda: compare_intraday_features({}, PRICES), DataError, "`features`"),
        (
            lambda: compare_intraday_features({"x": X}, PRICES, method="no"),
            SpecificationError,
            "`method`",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(call, kind, why):
    with pytest.raises(kind, match=why):
        call()
