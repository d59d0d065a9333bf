"""Ticks: what a file holds is what one gets, what is known at a row, and bad input."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, MissingDataError, SpecificationError
from quantlab.microstructure import Ticks, load_ticks
from quantlab.microstructure.tick_rule import tick_rule, tick_rule_kernel

SAMPLE = ROOT / "data/ticks/es_trades.csv.gz"
few = settings(max_examples=20, deadline=None)


def random_rows(seed, n=60):
    "Trades and quote rows with ties, repeats and pauses"
    rng = np.random.default_rng(seed)
    pause = rng.choice([0, 0, 1, 3, 900], n)
    frame = pd.DataFrame(
        {"time": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(pause.cumsum(), "s")}
    )
    trade = rng.random(n) < 0.6
    bid = rng.integers(100, 104, n) / 4
    frame["price"] = np.where(trade, rng.integers(100, 104, n) / 4, np.nan)
    frame["volume"] = np.where(trade, rng.integers(1, 5, n), np.nan)
    frame["bid"], frame["ask"] = np.where(trade, np.nan, bid), np.where(trade, np.nan, bid + 0.25)
    return frame


def test_a_file_is_read_as_it_is():
    raw = pd.read_csv(SAMPLE)
    ticks = load_ticks(SAMPLE, timezone="America/Chicago")
    assert (ticks.table["price"].to_numpy() == raw["Price"].to_numpy()).all()
    assert (ticks.table["volume"].to_numpy() == raw["Volume"].to_numpy()).all()
    assert ticks.table.index.unit == "ns" and str(ticks.table.index.tz) == "America/Chicago"
    assert (ticks.n_sessions, len(ticks.session(0))) == (2, 55_799)
    assert len(ticks) == 500_000 and ticks.table.index.name == "time"


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_every_kind_of_file_gives_the_same(tmp_path, ending):
    frame, path = random_rows(1), tmp_path / f"rows.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    read = load_ticks(path, timezone="UTC").table
    pd.testing.assert_frame_equal(read, load_ticks(frame, timezone="UTC").table)


@few
@given(st.integers(0, 10_000), st.integers(1, 59))
def test_a_row_knows_nothing_of_what_comes_later(seed, cut):
    frame = random_rows(seed)
    whole, part = (load_ticks(f, timezone="UTC") for f in (frame, frame[:cut]))
    pd.testing.assert_frame_equal(part.table, whole.table[:cut])
    assert (part.sessions == whole.sessions[:cut]).all()


@few
@given(st.integers(0, 10_000))
def test_a_trade_stands_beside_the_last_quote_of_its_session(seed):
    ticks = load_ticks(random_rows(seed), timezone="UTC")
    standing, number = np.nan, -1
    for bid, was, session in zip(ticks.table["bid"], random_rows(seed)["bid"], ticks.sessions):
        standing = np.nan if session != number else standing
        number, standing = session, was if was == was else standing
        assert bid == standing or (np.isnan(bid) and np.isnan(standing))


@few
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_the_tick_rule_goes_on_where_it_was(seed, cut):
    trades = load_ticks(random_rows(seed), timezone="UTC").trades
    price, session = trades.table["price"].to_numpy(), trades.sessions
    out = np.empty(len(price), np.int8)
    state = tick_rule_kernel(price[:cut], session[:cut], out[:cut], np.nan, 0, -1)
    tick_rule_kernel(price[cut:], session[cut:], out[cut:], *state)
    assert (out == tick_rule(price, session)).all()
    sign, last, number = 0, None, -1
    for p, s, found in zip(price, session, out):
        sign = 0 if s != number else int(np.sign(p - last)) or sign
        last, number = p, s
        assert sign == found


ROW = {
    "time": ["2024-03-01 10:00:00", "2024-03-01 10:00:01"],
    "price": [100.0, 100.25],
    "volume": [1, 2],
}
BAD = {
    "unsorted": (lambda f: f[::-1], "not in time order"),
    "mixed zones": (lambda f: f.assign(time=[f["time"][0] + "Z", f["time"][1]]), "have no zone"),
    "a missing time": (lambda f: f.assign(time=[None, f["time"][1]]), "1 row has no time"),
    "numbers for times": (lambda f: f.assign(time=[1, 2]), "what they count"),
    "an hour shown twice": (lambda f: f.assign(time="2024-11-03 01:30:00"), "the clock of"),
    "no such hour": (lambda f: f.assign(time="2024-03-10 02:30:00"), "the clock of"),
    "a size below zero": (lambda f: f.assign(volume=[1, -2]), "`volume` is -2 in row 1"),
    "a price of zero": (lambda f: f.assign(price=[0, 1]), "must be above zero"),
    "an infinite price": (lambda f: f.assign(price=[np.inf, 1]), "no number"),
    "text for a price": (lambda f: f.assign(price=["n/a", "1"]), "holds 'n/a' in row 0"),
    "half a trade": (lambda f: f.assign(volume=[np.nan, 1]), "a trade has both"),
    "half a quote": (lambda f: f.assign(bid=1.0), "no `ask`"),
    "no volume": (lambda f: f.drop(columns="volume"), "no `volume`"),
    "no prices": (lambda f: f[["time"]], "neither price and volume nor"),
    "no times": (lambda f: f.drop(columns="time"), "no column of times"),
    "two volumes": (lambda f: f.assign(qty=1), "could both be the volume"),
    "a side of another language": (lambda f: f.assign(side="Kauf"), "holds 'Kauf'"),
    "no rows": (lambda f: f[:0], "no ticks"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_in_one_sentence(name):
    spoil, why = BAD[name]
    with pytest.raises(DataError, match=why) as error:
        load_ticks(spoil(pd.DataFrame(ROW)), timezone="America/Chicago")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"timezone": "Chicago"}, "`timezone`"),
        ({"timezone": None}, "`timezone`"),
        ({"session_gap": 10}, "`session_gap`"),
        ({"session_gap": "soon"}, "`session_gap`"),
        ({"columns": {"price": "Prise"}}, "'Prise'"),
        ({"columns": {"prize": "price"}}, "did you mean|'prize'"),
    ],
)
def test_an_argument_out_of_range_is_named(how, why):
    with pytest.raises(SpecificationError, match=why):
        load_ticks(pd.DataFrame(ROW), **({"timezone": "UTC"} | how))


@pytest.mark.parametrize("source", [None, 3, [1.0]])
def test_a_source_that_is_none_is_refused(source):
    with pytest.raises(SpecificationError, match="`source` must be a DataFrame"):
        load_ticks(source, timezone="UTC")


def test_what_is_lacking_is_said():
    ticks = load_ticks(pd.DataFrame(ROW), timezone="UTC")
    for need, why in [("side", "sign the trades"), ("quotes", "bids and asks"), ("sizes", "sizes")]:
        with pytest.raises(MissingDataError, match=f"the test needs {need}.*{why}"):
            ticks.require("trades", need, by="the test")
    with pytest.raises(SpecificationError, match="`needs`"):
        ticks.require("sides")
    with pytest.raises(SpecificationError, match="`number`"):
        ticks.session(1)
    with pytest.raises(DataError, match="one value a row"):
        ticks.with_side([1])
    with pytest.raises(DataError, match="`load_ticks` makes one"):
        Ticks(pd.DataFrame(ROW))
    with pytest.raises(DataError, match="no zone"):
        Ticks(pd.DataFrame(ROW).assign(time=pd.to_datetime(ROW["time"])).set_index("time"))
    with pytest.raises(DataError, match="`sessions`"):
        Ticks(ticks.table, sessions=np.array([1, 0]))


def test_sides_of_every_spelling():
    texts = pd.DataFrame(ROW).assign(aggressor=["SELL", "b"])
    numbers = pd.DataFrame(ROW).assign(side=[-1.0, 1.0])
    for frame in (texts, numbers):
        assert load_ticks(frame, timezone="UTC").table["side"].tolist() == [-1, 1]
    named = pd.DataFrame(ROW).rename(columns={"price": "Kurs", "volume": "Stück"})
    read = load_ticks(named, timezone="UTC", columns={"price": "Kurs", "volume": "Stück"})
    assert read.table["volume"].tolist() == [1, 2]


def test_offsets_are_instants():
    shown = ["2024-11-03 01:30:00-05:00", "2024-11-03 01:30:00-06:00"]
    ticks = load_ticks(pd.DataFrame(ROW).assign(time=shown), timezone="America/Chicago")
    assert np.diff(ticks.table.index.asi8).tolist() == [3_600_000_000_000]
    assert ticks.n_sessions == 2
