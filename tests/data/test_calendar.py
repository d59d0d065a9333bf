"""Days that are sessions, days that are none, and days that the data lack."""

import numpy as np
import pandas as pd
import pytest

from quantlab.data import Panel, align_to_calendar, trading_sessions
from quantlab.errors import DataError, QuantlabError, SpecificationError

SESSIONS = trading_sessions("XNYS", "2019-12-02", "2020-03-31")


def panel_on(days, n=6, seed=0, fields=("prices",)):
    rng = np.random.default_rng(seed)
    names = [f"S{i}" for i in range(n)]
    returns = pd.DataFrame(0.01 * rng.standard_normal((len(days), n)), days, names)
    made = {"returns": returns, "prices": 100 * (1 + returns).cumprod()}
    made["volume"] = pd.DataFrame(rng.uniform(1e5, 2e5, returns.shape), days, names)
    return Panel({name: made[name] for name in fields})


def test_a_panel_on_its_calendar_stays():
    panel = panel_on(SESSIONS, fields=("returns", "prices", "volume"))
    same = align_to_calendar(panel, "XNYS")
    assert (same.n_dropped, same.n_missing, len(same.table)) == (0, 0, 0)
    assert same.sentence() == f"All {len(SESSIONS)} days are those of XNYS."
    for name, frame in panel.fields.items():
        pd.testing.assert_frame_equal(same.panel.fields[name], frame)


@pytest.mark.parametrize("missing", ["report", "add"])
def test_holidays_go_and_absent_sessions_are_named(missing):
    every = pd.bdate_range("2019-12-02", "2020-03-31")
    holidays = every.difference(SESSIONS)
    assert len(holidays) == 4  # Christmas, New Year, Martin Luther King's, Washington's
    days = every.delete([every.get_loc("2020-02-03"), every.get_loc("2020-02-04")])
    found = align_to_calendar(panel_on(days), "XNYS", missing=missing)
    table = found.table.set_index("kind")["date"]
    assert list(table.loc["no_session"]) == list(holidays)
    assert list(table.loc["missing_session"]) == list(
        pd.DatetimeIndex(["2020-02-03", "2020-02-04"])
    )
    assert found.n_added == (2 if missing == "add" else 0)
    assert found.panel.index.equals(
        (SESSIONS if missing == "add" else days.intersection(SESSIONS)).rename("date")
    )


def test_no_return_is_lost_on_any_random_set_of_dropped_days():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        days = pd.date_range("2020-01-01", periods=90)
        panel = panel_on(days, seed=seed, fields=("returns", "prices"))
        holes = panel.returns.where(rng.uniform(size=panel.returns.shape) > 0.1)
        holes.iloc[-3:] = panel.returns.iloc[-3:]  # known at the end, so all is carried there
        kept = align_to_calendar(Panel({"returns": holes}), "XNYS").panel.returns
        np.testing.assert_allclose(
            np.log1p(kept).sum(), np.log1p(holes.loc[: kept.index[-1]]).sum(), atol=1e-12
        )
    by_price = align_to_calendar(panel.select(panel.columns), "XNYS").panel
    np.testing.assert_allclose(
        by_price.returns.iloc[1:], by_price.prices.pct_change().iloc[1:], atol=1e-12
    )


def test_every_day_and_the_data_s_own_days():
    gaps = pd.date_range("2020-01-01", periods=60).delete([10, 11, 40])
    found = align_to_calendar(panel_on(gaps), "24/7", missing="add")
    assert len(found.panel.index) == 60 and found.n_added == 3
    prices = panel_on(SESSIONS).prices
    prices.iloc[20, 1:] = np.nan  # one stray price
    prices.iloc[:40, 4:] = np.nan  # two names begin late, and are not held against the days before
    own = align_to_calendar(Panel({"prices": prices}), "from-data", share=0.5)
    assert list(own.table["date"]) == [SESSIONS[20]]
    assert align_to_calendar(Panel({"prices": prices}), "from-data", share=0.2).n_dropped == 0


BAD = [
    ({"calendar": "XNYZ"}, SpecificationError, "near it are 'XNZE', 'XNYS'"),
    ({"calendar": "xnys"}, SpecificationError, "near it is 'XNYS'|near it are 'XNYS'"),
    ({"calendar": 5}, SpecificationError, "must be a market code"),
    ({"calendar": "XNYS", "missing": "drop"}, SpecificationError, "must be one of 'report', 'add'"),
    ({"calendar": "from-data", "share": 2}, SpecificationError, r"`share` must be .* \[0, 1\]"),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD)
def test_bad_input_ends_in_one_sentence(given, error, message):
    with pytest.raises(error, match=message) as caught:
        align_to_calendar(panel_on(SESSIONS), **given)
    assert isinstance(caught.value, QuantlabError) and "\n" not in str(caught.value)


def test_bad_panels():
    with pytest.raises(SpecificationError, match="must be a Panel"):
        align_to_calendar(panel_on(SESSIONS).prices, "XNYS")
    with pytest.raises(SpecificationError, match=r"not daily .* 'from-data'"):
        align_to_calendar(panel_on(pd.date_range("2015-01-02", periods=80, freq="W-FRI")), "XNYS")
    with pytest.raises(DataError, match="time of day"):
        align_to_calendar(panel_on(pd.date_range("2020-01-01", periods=80, freq="h")), "24/7")
    with pytest.raises(DataError, match="no row of the panel"):
        align_to_calendar(panel_on(pd.DatetimeIndex(["2020-01-04", "2020-01-05"])), "XNYS")
