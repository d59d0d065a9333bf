"""Shortfall in four parts, the prices it is measured by, and the impact fitted to own fills."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.execution import fit_impact, transaction_cost_analysis
from quantlab.execution.cost_analysis import ratio_interval
from quantlab.execution.cost_tables import Tape
from quantlab.trading import CostModel

PARTS = ["delay", "execution", "opportunity", "fees"]
KEYS = ("order", "symbol", "side", "day", "size", "venue", "hour")
START = pd.Timestamp("2026-03-02 09:30")

prices = st.floats(0.01, 1e5)
quantities = st.floats(1e-3, 1e7)


@st.composite
def parents(draw):
    "A few orders with their fills; some are filled whole, in part or not at all"
    orders, fills = [], []
    for i in range(draw(st.integers(1, 6))):
        quantity, day = draw(quantities), START + pd.Timedelta(days=draw(st.integers(0, 2)))
        orders.append(
            {
                "order": f"o{i}",
                "symbol": draw(st.sampled_from("AB")),
                "side": draw(st.sampled_from(["buy", "sell"])),
                "quantity": quantity,
                "decision_time": day,
                "end_time": day + pd.Timedelta("6h"),
                "decision_price": draw(prices),
                "arrival_price": draw(prices),
                "end_price": draw(prices),
            }
        )
        cuts = draw(st.lists(st.floats(0.01, 1), max_size=4))
        whole = draw(st.booleans())
        for cut in cuts:
            share = cut / sum(cuts) if whole else cut / (sum(cuts) + 0.5)
            fills.append(
                {
                    "order": f"o{i}",
                    "time": day + pd.Timedelta(hours=draw(st.integers(0, 6))),
                    "price": draw(prices),
                    "quantity": quantity * share,
                    "fee": draw(st.floats(-100, 100)),
                    "venue": draw(st.sampled_from(["X", "Y"])),
                }
            )
    columns = ["order", "time", "price", "quantity", "fee", "venue"]
    fills = pd.DataFrame(fills, columns=columns)
    if not len(fills):
        fills = fills.astype({"time": "datetime64[ns]", "quantity": float, "price": float})
    market = pd.DataFrame({"time": [START], "symbol": ["A"], "price": [1.0]})
    return pd.DataFrame(orders), fills, market


def exact(order, fills):
    "Perold's two portfolios in fractions: the paper's gain less the account's"
    side = 1 if order["side"] == "buy" else -1
    size, filled = Fraction(order["quantity"]), sum(map(Fraction, fills["quantity"]), Fraction())
    start, end = Fraction(order["decision_price"]), Fraction(order["end_price"])
    if abs(size - filled) <= size * Fraction(1, 10**9):
        size = filled  # whole but for rounding: nothing was missed
    paid = sum(
        (Fraction(q) * Fraction(p) for q, p in zip(fills["quantity"], fills["price"])), Fraction()
    )
    fees = sum(map(Fraction, fills["fee"]), Fraction())
    return side * size * (end - start) - (side * (filled * end - paid) - fees)


@settings(deadline=None, max_examples=60)
@given(parents())
def test_four_parts_are_the_shortfall_of_the_paper_portfolio(tables):
    orders, fills, market = tables
    found = transaction_cost_analysis(orders, fills, market)
    total, scale = Fraction(), 0.0
    for _, order in orders.iterrows():
        mine = fills[fills["order"] == order["order"]]
        row = found.table.loc[order["order"]]
        want = exact(order, mine)
        high = max([order["decision_price"], order["arrival_price"], order["end_price"]])
        size = order["quantity"] * max([high, *mine["price"]]) + mine["fee"].abs().sum()
        assert abs(Fraction(float(row["shortfall"])) - want) <= Fraction(size) / 10**12
        assert abs(row[PARTS].sum() - row["shortfall"]) <= 1e-12 * size
        assert row["shortfall_bps"] == pytest.approx(1e4 * row["shortfall"] / row["value"])
        if not len(mine):
            assert (row[["delay", "execution", "fees"]] == 0).all()
        total, scale = total + want, scale + size
    assert abs(Fraction(found.shortfall) - total) <= Fraction(scale) / 10**12
    assert abs(sum(getattr(found, p) for p in PARTS) - found.shortfall) <= 1e-12 * scale
    for key in KEYS:
        rows = found.by(key)
        for part in [*PARTS, "shortfall"]:
            assert abs(rows[part].sum() - getattr(found, part)) <= 1e-12 * scale
        assert rows["value"].sum() == pytest.approx(found.value, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(parents())
def test_the_other_side_of_every_trade_gains_what_this_one_lost(tables):
    orders, fills, market = tables
    found = transaction_cost_analysis(orders, fills, market)
    turned = orders.assign(side=orders["side"].map({"buy": "sell", "sell": "buy"}))
    other = transaction_cost_analysis(turned, fills, market)
    for part in ("delay", "execution", "opportunity"):
        assert (other.table[part] == -found.table[part]).all()
    assert other.fees == found.fees


@st.composite
def tapes(draw):
    "A market of two names over three days, and questions at times on and between its rows"
    n = draw(st.integers(2, 40))
    minutes = draw(st.lists(st.integers(0, 3 * 1440 - 1), min_size=n, max_size=n))
    market = pd.DataFrame(
        {
            "time": START.normalize() + pd.to_timedelta(minutes, unit="min"),
            "symbol": draw(st.lists(st.sampled_from("AB"), min_size=n, max_size=n)),
            "price": draw(st.lists(st.floats(1, 100), min_size=n, max_size=n)),
            "volume": draw(st.lists(st.integers(0, 1000), min_size=n, max_size=n)),
        }
    )
    asked = draw(st.lists(st.integers(0, 3 * 1440), min_size=1, max_size=10))
    times = START.normalize() + pd.to_timedelta(asked, unit="min") + pd.Timedelta("0s")
    return market, pd.Series(times), draw(st.sampled_from("AB"))


@settings(deadline=None, max_examples=60)
@given(tapes(), st.integers(0, 3000))
def test_prices_are_those_of_a_plain_search(drawn, length):
    market, times, symbol = drawn
    tape, names = Tape(market), pd.Series([symbol] * len(times))
    mine = market[market["symbol"] == symbol].sort_values("time", kind="stable")
    ends = times + pd.Timedelta(minutes=length)
    last = tape.last(names, times, since=times - pd.Timedelta("5D"))
    close, at = tape.close(names, times)
    vwap = tape.vwap(names, times, ends)
    for i, (time, end) in enumerate(zip(times, ends)):
        known = mine[mine["time"] <= time]
        day = mine[mine["time"].dt.normalize() == time.normalize()]
        inside = mine[(mine["time"] > time) & (mine["time"] <= end)]
        assert (last[i] == known["price"].iloc[-1]) if len(known) else np.isnan(last[i])
        if len(day):
            assert (close[i], at[i]) == (day["price"].iloc[-1], day["time"].iloc[-1])
        else:
            assert np.isnan(close[i]) and pd.isna(at[i])
        if inside["volume"].sum():
            want = (inside["price"] * inside["volume"]).sum() / inside["volume"].sum()
            assert vwap[i] == pytest.approx(want, rel=1e-9)
        else:
            assert np.isnan(vwap[i])


def session(zone="America/New_York"):
    "A day of one name by the minute, with one order filled in two parts"
    minutes = pd.date_range("2026-03-02 09:31", "2026-03-02 16:00", freq="min", tz=zone)
    walk = 50 + 0.02 * np.random.default_rng(0).standard_normal(len(minutes)).cumsum()
    market = pd.DataFrame({"time": minutes, "symbol": "A", "price": walk, "volume": 100.0})
    orders = pd.DataFrame(
        {
            "order": [7],
            "symbol": "A",
            "side": "sell",
            "quantity": 900,
            "decision_time": minutes[30],
            "arrival_time": minutes[40] + pd.Timedelta("30s"),
        }
    )
    fills = pd.DataFrame(
        {"order": 7, "time": minutes[[50, 70]], "price": [50.0, 49.9], "quantity": [400, 200]}
    )
    return orders, fills, market


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 389), st.floats(1, 1000))
def test_a_later_price_changes_nothing_that_was_known(cut, price):
    orders, fills, market = session()
    later = market.assign(price=market["price"].where(market.index <= cut, price))
    before, after = (transaction_cost_analysis(orders, fills, m).table for m in (market, later))
    for what, row in (("decision_price", 30), ("arrival_price", 40)):
        same = before[what].iloc[0] == after[what].iloc[0]
        assert same if cut >= row else (after[what].iloc[0] == price)


def test_the_same_instants_in_another_zone_and_unit_are_the_same():
    orders, fills, market = session()
    want = transaction_cost_analysis(orders, fills, market).table
    for unit in ("s", "us"):
        moved = [
            t.assign(**{c: t[c].dt.as_unit("ns") for c in t if t[c].dtype.kind == "M"})
            for t in (orders, fills, market)
        ]
        moved[1] = fills.assign(time=fills["time"].dt.tz_convert("Asia/Tokyo").dt.as_unit(unit))
        got = transaction_cost_analysis(*moved).table
        pd.testing.assert_frame_equal(got, want)
    mixed = pd.Series([fills["time"][0], fills["time"][1].tz_convert("UTC")], dtype=object)
    with pytest.raises(DataError, match="mixes time zones"):
        transaction_cost_analysis(orders, fills.assign(time=mixed), market)


def test_groups_have_the_interval_of_their_orders_alone():
    rng, n = np.random.default_rng(3), 60
    days = START + pd.to_timedelta(rng.integers(0, 8, n), unit="D")
    columns = {"order": range(n), "symbol": rng.choice(list("ABC"), n), "side": "buy"}
    columns |= {"quantity": rng.integers(1, 500, n), "decision_time": days}
    orders = pd.DataFrame(columns | {"decision_price": 10.0, "end_price": 10.0})
    fills = pd.DataFrame({"order": range(n), "time": days, "price": rng.normal(10, 0.01, n)})
    fills["quantity"] = orders["quantity"]
    market = pd.DataFrame({"time": [START], "symbol": ["A"], "price": [10.0]})
    found = transaction_cost_analysis(orders, fills, market)
    for name, row in found.by("symbol").iterrows():
        mine = found.table[found.table["symbol"] == name]
        cost, value = mine["shortfall"].to_numpy(), mine["value"].to_numpy()
        want = 1e4 * np.array(ratio_interval(cost, value, mine["day"], 0.95))
        assert np.allclose(row[["bps", "lower", "upper"]].astype(float), want, rtol=1e-9)
    assert found.by("order")[["lower", "upper"]].isna().all(axis=None)
    assert len(found.by("size", n_buckets=7)) == 7


def test_thirds_that_do_not_add_up_exactly_are_a_whole():
    time = START + pd.Timedelta("1h")
    columns = {"order": ["x", 3], "symbol": "A", "side": "buy", "quantity": 0.3}
    orders = pd.DataFrame(columns | {"decision_time": START, "decision_price": 10.0})
    fills = pd.DataFrame({"order": ["x", 3] * 3, "time": time, "price": 10.0, "quantity": 0.1})
    market = pd.DataFrame({"time": [START], "symbol": ["A"], "price": [12.0]})
    found = transaction_cost_analysis(orders, fills, market)
    assert (found.table["opportunity"] == 0).all() and found.share_filled == pytest.approx(1)
    assert list(found.by("venue").index) == ["unknown"]
    assert set(found.by("order").index) == {"x", 3}


def test_one_order_a_cluster_of_equal_value_is_the_usual_t_interval():
    from scipy import stats

    cost = np.random.default_rng(0).normal(1, 2, 25)
    want = stats.ttest_1samp(cost, 0).confidence_interval(0.9)
    got = ratio_interval(cost, np.ones(25), np.arange(25), 0.9)
    assert got == pytest.approx((cost.mean(), want.low, want.high), rel=1e-12)


BAD = {
    "no such order": (lambda o, f, m: (o, f.assign(order=8), m), "belong to no order"),
    "two names": (
        lambda o, f, m: (pd.concat([o, o.assign(symbol="B")]), f, m),
        "for 'A' and 'B'; give one row a parent",
    ),
    "a fill in another name": (lambda o, f, m: (o, f.assign(symbol="B"), m), "its own order"),
    "before the arrival": (
        lambda o, f, m: (o, f.assign(time=m["time"][5]), m),
        "before its arrival",
    ),
    "after the end": (lambda o, f, m: (o.assign(end_time=m["time"][60]), f, m), "after its end"),
    "arrival first": (lambda o, f, m: (o.assign(arrival_time=m["time"][1]), f, m), "before its"),
    "no time": (lambda o, f, m: (o, f.assign(time=pd.NaT), m), "without a time"),
    "zero": (lambda o, f, m: (o.assign(quantity=0), f, m), "above 0; got 0 for order 7"),
    "negative": (lambda o, f, m: (o.assign(quantity=-900), f, m), "`side` says which way"),
    "negative fill": (lambda o, f, m: (o, f.assign(quantity=-1), m), "`fills.quantity`"),
    "no price": (lambda o, f, m: (o, f.assign(price=np.nan), m), "`fills.price`"),
    "a fee that is none": (lambda o, f, m: (o, f.assign(fee=np.inf), m), "`fills.fee`"),
    "side": (lambda o, f, m: (o.assign(side=1), f, m), "'buy' or 'sell'; got 1"),
    "too much": (lambda o, f, m: (o.assign(quantity=500), f, m), "600 were filled"),
    "text for times": (lambda o, f, m: (o, f.assign(time="noon"), m), "must be times"),
    "numbers for times": (lambda o, f, m: (o, f.assign(time=1), m), "must be times"),
    "naive": (
        lambda o, f, m: (o, f.assign(time=f["time"].dt.tz_localize(None)), m),
        "has a time zone",
    ),
    "naive market": (
        lambda o, f, m: (o, f, m.assign(time=m["time"].dt.tz_localize(None))),
        "has a time zone",
    ),
    "a column less": (lambda o, f, m: (o, f.drop(columns="price"), m), "`fills` lack price"),
    "no orders": (lambda o, f, m: (o.iloc[:0], f.iloc[:0], m), "are empty"),
    "a list": (lambda o, f, m: (o, [1], m), "`fills` must be a DataFrame"),
    "no id": (lambda o, f, m: (o.assign(order=None), f, m), "`orders.order` is missing"),
    "unknown name": (lambda o, f, m: (o.assign(symbol="B"), f, m), "no price of 'B'"),
    "too old": (
        lambda o, f, m: (o.assign(decision_time=o["decision_time"] - pd.Timedelta("3D")), f, m),
        "had its decision",
    ),
    "halted": (
        lambda o, f, m: (o.assign(end_time=m["time"][60] + pd.Timedelta("1D")), f, m),
        "no price of 'A' on 2026-03-03, where order 7 ended with 300 unfilled; was it halted",
    ),
    "market price": (lambda o, f, m: (o, f, m.assign(price=-1.0)), "`market.price`"),
    "market volume": (lambda o, f, m: (o, f, m.assign(volume=-1.0)), "`market.volume`"),
}


@pytest.mark.parametrize("name", BAD)
def test_tables_that_contradict_themselves_are_one_sentence(name):
    change, why = BAD[name]
    with pytest.raises(QuantlabError, match=why) as raised:
        transaction_cost_analysis(*change(*session()))
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    assert isinstance(raised.value, (DataError, SpecificationError))


def test_a_halted_day_with_a_price_given_can_be_measured():
    orders, fills, market = session()
    end = market["time"][60] + pd.Timedelta("1D")
    found = transaction_cost_analysis(
        orders.assign(end_time=end, end_price=48.0), fills, market
    ).table.iloc[0]
    assert found["opportunity"] == pytest.approx(-300 * (48.0 - market["price"][30]))
    assert np.isnan(found["close"])


def traded(seed, n_days=40, per_day=10, c=0.6):
    "Orders whose impact is known, priced without a search"
    rng, n = np.random.default_rng(seed), n_days * per_day
    day = np.repeat(pd.bdate_range("2026-01-05 10:00", periods=n_days), per_day)
    side, sigma = rng.choice([1, -1], n), rng.uniform(0.01, 0.03, n)
    share = rng.lognormal(np.log(0.01), 1, n)
    moved = side * rng.standard_normal(n_days).repeat(per_day) * 0.15 + 0.2 * rng.normal(size=n)
    cost = 2e-4 + sigma * (c * np.sqrt(share) + moved)
    columns = {"order": range(n), "symbol": "X", "side": np.where(side > 0, "buy", "sell")}
    columns |= {"quantity": 1000, "decision_time": day, "decision_price": 50.0}
    orders = pd.DataFrame(columns | {"arrival_price": 50.0})
    fills = pd.DataFrame({"order": range(n), "time": day, "price": 50 * (1 + side * cost)})
    fills["quantity"] = 1000
    market = pd.DataFrame({"time": day[:1], "symbol": "X", "price": [50.0]})
    found = transaction_cost_analysis(orders, fills, market)
    known = {"dollar_volume": pd.Series(5e4 / share), "volatility": pd.Series(sigma)}
    return found, known, cost, share, sigma


def test_the_fit_is_the_regression_by_days_of_statsmodels():
    import statsmodels.api as sm

    found, known, cost, share, sigma = traded(1)
    got = fit_impact(found, **known)
    x = np.column_stack([1 / sigma, np.sqrt(share)])
    day = pd.factorize(found.table["day"])[0]
    want = sm.OLS(cost / sigma, x).fit(cov_type="cluster", cov_kwds={"groups": day}, use_t=True)
    assert got.coefficient == pytest.approx(want.params[1], rel=1e-8)
    assert (got.lower, got.upper) == pytest.approx(want.conf_int()[1], rel=1e-8)
    ends = 1e4 * want.conf_int()[0]
    assert (got.half_spread_lower, got.half_spread_upper) == pytest.approx(ends, rel=1e-8)


def test_an_estimated_exponent_is_the_least_squares_of_scipy():
    from scipy.optimize import least_squares

    found, known, cost, share, sigma = traded(2, n_days=60, per_day=40)
    got = fit_impact(found, exponent=None, **known)
    loss = lambda p: (p[0] / sigma + p[1] * share ** p[2]) - cost / sigma
    want = least_squares(loss, [0, 0.5, 0.5], xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    assert got.exponent == pytest.approx(want[2], rel=1e-4)
    assert got.coefficient == pytest.approx(want[1], rel=1e-4)


def test_what_is_fitted_is_what_a_backtest_then_charges():
    found, known, *_ = traded(3)
    assumed = CostModel(impact_coefficient=0.1)
    fit = fit_impact(found, assumed=assumed, half_spread_bps=2.0, **known)
    costs = fit.cost_model()
    row = fit.table.iloc[5]
    paid = costs.cost(1e4 * row["participation"], 1e4, row["volatility"])
    assert paid / (1e4 * row["participation"]) == pytest.approx(row["fitted"], rel=1e-12)
    assert fit.assumed_bps / fit.median_bps == pytest.approx(0.1 / fit.coefficient)


def test_the_interval_of_a_known_impact_keeps_its_word():
    hits = np.zeros(2)
    for seed in range(120):
        found, known, *_ = traded(1000 + seed, n_days=25, per_day=8)
        fit = fit_impact(found, **known)
        hits += (fit.lower < 0.6 < fit.upper, fit.half_spread_lower < 2 < fit.half_spread_upper)
    assert (hits >= 105).all() and (hits < 120).all(), hits  # of 120; 114 are expected


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dollar_volume": pd.Series([1.0, 2.0])}, "no number above 0 for 398"),
        ({"volatility": pd.Series(np.zeros(400))}, "`volatility` has no number"),
        ({"volatility": 0.02}, "`volatility` must be a Series"),
        ({"dollar_volume": pd.Series(np.full(400, 1e6))}, "the same share"),
        ({"exponent": 0}, "`exponent`"),
        ({"exponent": np.nan}, "`exponent`"),
        ({"half_spread_bps": -1}, "`half_spread_bps`"),
        ({"assumed": 0.5}, "`assumed`"),
        ({"confidence": 1}, "`confidence`"),
    ],
)
def test_bad_input_of_the_fit_is_one_sentence(changes, why):
    found, known, *_ = traded(0)
    with pytest.raises(QuantlabError, match=why) as raised:
        fit_impact(found, **(known | changes))
    assert "\n" not in str(raised.value)


def test_a_fit_that_cannot_be_is_refused():
    found, known, *_ = traded(0, c=-0.6)
    with pytest.raises(SpecificationError, match="must not be paid"):
        fit_impact(found, **known).cost_model()
    with pytest.raises(SpecificationError, match="`costs` must be a CostModel"):
        fit_impact(found, **known).cost_model(3)
    few, known, *_ = traded(0, n_days=3)
    with pytest.raises(DataError, match="got 30 on 3"):
        fit_impact(few, **known)
    with pytest.raises(SpecificationError, match="`analysis` must be a TCAResult"):
        fit_impact(few.table, **known)
    orders, fills, market = session()
    none = transaction_cost_analysis(orders, fills.iloc[:0], market)
    with pytest.raises(DataError, match="got 0 on 0"):
        fit_impact(none, dollar_volume=pd.Series(dtype=float), volatility=pd.Series(dtype=float))
