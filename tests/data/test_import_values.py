"""Dates, decimal signs and units that a file leaves open: read as they are meant, or asked for."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from quantlab.cli import main
from quantlab.data import import_prices
from quantlab.errors import DataError, SpecificationError


def truth(
    n: int = 300, names: tuple[str, ...] = ("KO", "PEP", "XOM"), start: str = "2018-01-02"
) -> pd.DataFrame:
    "Prices of two digits on business days"
    rng = np.random.default_rng(0)
    days = pd.bdate_range(start, periods=n, name="Date")
    level = rng.uniform(40, 90, len(names))
    path = level * np.exp(rng.normal(0, 0.01, (n, len(names))).cumsum(axis=0))
    return pd.DataFrame(path.round(2), days, list(names))


def written(frame: pd.DataFrame, form: str) -> pd.DataFrame:
    "The dates as texts"
    return frame.set_axis(frame.index.strftime(form), axis=0).rename_axis("Date")


def same(found, frame: pd.DataFrame, field: str = "prices") -> None:
    "Cell by cell"
    got = found.field(field)[list(frame.columns)]
    pd.testing.assert_frame_equal(
        got,
        frame,
        check_freq=False,
        check_names=False,
        rtol=1e-14,
        check_index_type=False,
        check_column_type=False,
    )


def refused(sources, *words: str, **options) -> None:
    with pytest.raises(DataError) as error:
        import_prices(sources, **options)
    for word in words:
        assert word in str(error.value)


# --- the order of dates


def test_files_of_two_orders_are_refused_by_name(tmp_path):
    prices = truth()
    for name, form, n in (("KO", "%d/%m/%Y", 300), ("PEP", "%m/%d/%Y", 200)):
        own = written(prices[[name]].iloc[:n].rename(columns={name: "Close"}), form)
        own.to_csv(tmp_path / f"{name}.csv")
    refused(tmp_path, "PEP.csv", "do not share one order", "--dates")
    refused(tmp_path, "PEP.csv", "cannot be read", "--dates", dates="day-first")
    found = import_prices(tmp_path / "PEP.csv")
    same(found, prices[["PEP"]].iloc[:200])


def test_two_files_of_two_orders_and_one_length(tmp_path):
    prices = truth()
    for name, form in (("KO", "%d/%m/%Y"), ("PEP", "%m/%d/%Y")):
        own = written(prices[[name]].rename(columns={name: "Close"}), form)
        own.to_csv(tmp_path / f"{name}.csv")
    refused(tmp_path, "'15/01/2018'", "'01/15/2018'", "share no order")


def test_a_file_that_changes_its_order_is_refused(tmp_path):
    prices = truth()
    a, b = written(prices.iloc[:260], "%d/%m/%Y"), written(prices.iloc[260:], "%m/%d/%Y")
    pd.concat([a, b]).to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "do not share one order")


def test_an_order_that_was_said_and_does_not_hold_is_refused(tmp_path):
    written(truth(600), "%m/%d/%Y").to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "of 600 dates that cannot be read", dates="day-first")


def test_many_unreadable_dates_are_refused_and_few_are_listed(tmp_path):
    frame = written(truth(), "%Y-%m-%d")
    days = frame.index.to_numpy(dtype=object).copy()
    days[[10, 20]] = ["holiday", "2018-02-30"]
    frame.set_axis(days, axis=0).rename_axis("Date").to_csv(tmp_path / "w.csv")
    found = import_prices(tmp_path / "w.csv")
    assert found.n_bad == 2
    same(found, truth().drop(truth().index[[10, 20]]))
    days[40:60] = [f"day {i}" for i in range(20)]
    frame.set_axis(days, axis=0).rename_axis("Date").to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "22 of 300 dates")


# --- centuries and slips


@pytest.mark.parametrize("at", [0, 100, 299])
@pytest.mark.parametrize("year", ["2081", "1918"])
def test_a_lone_date_is_a_bad_row(tmp_path, at, year):
    prices = truth()
    days = prices.index.strftime("%Y-%m-%d").tolist()
    days[at] = year + days[at][4:]
    prices.set_axis(days, axis=0).rename_axis("Date").to_csv(tmp_path / "w.csv")
    found = import_prices(tmp_path / "w.csv")
    assert found.bad_rows["reason"].tolist() == ["a date far from those around it"]
    same(found, prices.drop(prices.index[at]))


def test_a_lone_date_of_one_file_stands_in_another(tmp_path):
    old, new = truth(start="2014-01-02"), truth()
    days = new.index.strftime("%Y-%m-%d").tolist()
    days[100] = f"{old.index[50]:%Y-%m-%d}"
    old[["KO"]].rename(columns={"KO": "Close"}).to_csv(tmp_path / "KO.csv")
    bent = new[["PEP"]].set_axis(days, axis=0).rename_axis("Date")
    bent.rename(columns={"PEP": "Close"}).to_csv(tmp_path / "PEP.csv")
    found = import_prices(tmp_path)
    want = old[["KO"]].join(new[["PEP"]].drop(new.index[100]), how="outer")
    assert found.n_bad == 1
    same(found, want)


def test_a_gap_of_years_is_no_slip(tmp_path):
    prices = pd.concat([truth(60, start="2001-01-02"), truth(60)])
    prices.to_csv(tmp_path / "w.csv")
    found = import_prices(tmp_path / "w.csv")
    assert found.n_bad == 0
    same(found, prices)


def test_years_of_two_digits_make_the_shortest_run(tmp_path):
    prices = truth(1500, start="1966-01-03")
    written(prices, "%m/%d/%y").to_csv(tmp_path / "w.csv")
    same(import_prices(tmp_path / "w.csv"), prices)
    late = truth(1500, start="1998-01-02")
    written(late, "%d-%b-%y").to_csv(tmp_path / "w.csv")
    same(import_prices(tmp_path / "w.csv"), late)


def test_years_of_two_digits_that_nothing_places_are_asked_for(tmp_path):
    prices = truth(start="1962-01-02")
    written(prices, "%d-%b-%y").to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "`as_of`", "four digits")
    same(import_prices(tmp_path / "w.csv", as_of=dt.date(2024, 1, 31)), prices)
    with pytest.raises(SpecificationError, match="`as_of` must be a date"):
        import_prices(tmp_path / "w.csv", as_of="2024")


def test_the_command_is_told_the_century_and_the_place(tmp_path, capsys):
    prices = truth(start="1962-01-02")
    written(prices, "%d-%b-%y").to_csv(tmp_path / "w.csv")
    run = ["data", "import", str(tmp_path / "w.csv"), "--to", str(tmp_path / "p/panel")]
    assert main(run) != 0
    assert "--as-of" in capsys.readouterr().err
    assert main([*run, "--as-of", "soon"]) != 0
    assert "--as-of takes a day" in capsys.readouterr().err
    assert main([*run, "--as-of", "2024-01-31"]) == 0
    assert pd.read_parquet(tmp_path / "p/panel/prices.parquet").index[0] == prices.index[0]
    moments = truth().tz_localize("Asia/Tokyo").tz_convert("UTC")
    moments.to_csv(tmp_path / "w.csv")
    assert main(run) != 0
    assert main([*run, "--timezone", "Asia/Tokyo"]) == 0
    assert pd.read_parquet(tmp_path / "p/panel/prices.parquet").index[0] == truth().index[0]


# --- time zones


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo"])
@pytest.mark.parametrize("how", ["seconds", "milliseconds", "nanoseconds", "parquet", "text"])
def test_midnight_abroad_is_asked_for_and_read(tmp_path, zone, how):
    prices = truth()
    moments = prices.tz_localize(zone).tz_convert("UTC")
    path = tmp_path / ("w.parquet" if how == "parquet" else "w.csv")
    if how == "parquet":
        moments.to_parquet(path)
    elif how == "text":
        moments.to_csv(path)
    else:
        unit = {"seconds": 1, "milliseconds": 1000, "nanoseconds": 10**9}[how]
        stamps = [int(day.timestamp()) * unit for day in moments.index]
        prices.set_axis(stamps, axis=0).rename_axis("Date").to_csv(path)
    refused(path, "bars on Sundays and none on Fridays", "--timezone Europe/Berlin")
    found = import_prices(path, timezone=zone)
    same(found, prices)
    assert f"days in {zone}" in " ".join(found.taken["evidence"])


def test_an_evening_of_new_york_in_utc(tmp_path):
    prices = truth()
    late = prices.set_axis(prices.index + pd.Timedelta("20h"), axis=0).rename_axis("Date")
    late.tz_localize("America/New_York").tz_convert("UTC").to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "bars on Saturdays and none on Mondays", "--timezone")
    same(import_prices(tmp_path / "w.csv", timezone="America/New_York"), prices)


def test_moments_of_a_market_without_a_weekend_are_asked_for(tmp_path):
    prices = truth()
    prices.index = pd.date_range("2018-01-02", periods=300, name="Date")
    moments = prices.tz_localize("Europe/Berlin").tz_convert("UTC")
    moments.to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "moments in UTC", "--timezone")
    same(import_prices(tmp_path / "w.csv", timezone="Europe/Berlin"), prices)


def test_days_that_are_written_as_midnight_are_not_asked_for(tmp_path):
    prices = truth()
    for zone in ("UTC", "America/New_York", "Europe/Berlin"):
        prices.tz_localize(zone).to_csv(tmp_path / "w.csv")
        same(import_prices(tmp_path / "w.csv"), prices)
        prices.tz_localize(zone).to_parquet(tmp_path / "w.parquet")
        same(import_prices(tmp_path / "w.parquet"), prices)
    close = prices.set_axis(prices.index + pd.Timedelta("16h"), axis=0).rename_axis("Date")
    close.to_csv(tmp_path / "w.csv")
    same(import_prices(tmp_path / "w.csv"), prices)


def test_an_unknown_time_zone(tmp_path):
    for zone in ("Mars/Base", 5, "../x"):
        with pytest.raises(SpecificationError, match="`timezone` must be"):
            import_prices(truth(), timezone=zone)


# --- adjusted and not


def adjusted_and_not(folder, full: bool = True) -> pd.DataFrame:
    prices = truth()
    for name in prices:
        own = pd.DataFrame({"Close": prices[name]})
        if name == "KO" or not full:
            own["Adj Close"] = (prices[name] * 0.9).round(2) if full else np.nan
        own.to_csv(folder / f"{name}.csv")
    return prices


def test_a_close_beside_adjusted_ones_is_asked_for(tmp_path):
    prices = adjusted_and_not(tmp_path)
    refused(tmp_path, "2 of 3 names have no adjusted price and a close (PEP, XOM)", "--price")
    same(import_prices(tmp_path, price="close"), prices)
    found = import_prices(tmp_path, price="adjusted")
    same(found, prices.assign(KO=(prices["KO"] * 0.9).round(2)))
    same(found, prices, "close")
    assert "close of 2 names (PEP, XOM) taken for adjusted" in " ".join(found.taken["evidence"])


def test_an_adjusted_close_that_is_empty(tmp_path):
    prices = adjusted_and_not(tmp_path, full=False)
    refused(tmp_path, "3 of 3 names have no adjusted price", "--price")
    same(import_prices(tmp_path, price="close"), prices)


# --- decimal signs


@pytest.mark.parametrize("n", [1, 1000])
def test_a_fraction_of_three_digits_is_no_thousand(tmp_path, n):
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2000-01-03", periods=5000).strftime("%Y-%m-%d")
    price = 60 * np.exp(rng.normal(0, 0.003, 5000).cumsum())
    cells = [f"{p:.2f}" for p in price[:4000]] + [f"{p:.3f}" for p in price[4000:]]
    cells[4000 : 4000 + n] = [c.replace(".", ",") for c in cells[4000 : 4000 + n]]
    lines = ["Date;Close", *(f"{d};{c}" for d, c in zip(days, cells))]
    (tmp_path / "KO.csv").write_text("\n".join(lines))
    if n == 1000:
        refused(tmp_path / "KO.csv", "row 4002", "a fraction by its neighbours", "--decimal")
        return
    found = import_prices(tmp_path / "KO.csv")
    assert found.bad_rows["text"].tolist() == [cells[4000]]
    got = found.field("prices")["KO"]
    kept = [i for i in range(5000) if i != 4000]
    assert got.tolist() == [float(cells[i]) for i in kept]


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_thousands_of_a_price_that_grew_are_kept(tmp_path, layout):
    prices = truth(names=("KO", "BTC"))
    prices["BTC"] = np.geomspace(5, 60_000, 300).round(2)
    prices.iloc[200:, 1] = prices.iloc[200:, 1].round()
    cells = prices.map(lambda x: f"{x:,.0f}" if x >= 1000 and x == round(x) else f"{x:.2f}")
    if layout == "long":
        cells = cells.stack().rename("Close").rename_axis(["Date", "Ticker"]).to_frame()
    cells.to_csv(tmp_path / "prices.csv")
    found = import_prices(tmp_path / "prices.csv")
    assert found.n_bad == 0
    same(found, prices)


def test_a_thousand_does_not_begin_with_nought(tmp_path):
    cells = truth()[["KO"]].map("{:.2f}".format)
    cells.iloc[250, 0] = "0,523"
    cells.to_csv(tmp_path / "prices.csv")
    refused(tmp_path / "prices.csv", "two decimal signs", "--decimal")
    found = import_prices(tmp_path / "prices.csv", decimal="point")
    assert found.bad_rows["text"].tolist() == ["0,523"]


def test_indian_groups_and_other_currencies(tmp_path):
    prices = truth(60)
    prices["KO"] = (prices["KO"] * 2000).round(2)

    def indian(x: float) -> str:
        whole, _, rest = f"{x:.2f}".partition(".")
        return f"¥ {whole[:-5]},{whole[-5:-3]},{whole[-3:]}.{rest}" if x >= 1e5 else f"₹{x:.2f}"

    prices.map(indian).to_csv(tmp_path / "prices.csv")
    same(import_prices(tmp_path / "prices.csv"), prices)


# --- units


def test_percent_of_calm_names_is_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2018-01-02", periods=300, name="Date")
    calm = pd.DataFrame(rng.normal(0, 0.0025, (300, 3)), days, ["A", "B", "C"])
    (calm * 100).to_csv(tmp_path / "returns.csv")
    refused(tmp_path / "returns.csv", "a day in decimals", "--unit")
    found = import_prices(tmp_path / "returns.csv", unit="percent")
    same(found, calm, "returns")
    wild = calm * 16
    wild.to_csv(tmp_path / "returns.csv")
    same(import_prices(tmp_path / "returns.csv"), wild, "returns")
    months = (calm * 60).set_axis(pd.date_range("1990-01-31", periods=300, freq="ME"), axis=0)
    months.rename_axis("Date").to_csv(tmp_path / "returns.csv")
    same(import_prices(tmp_path / "returns.csv"), months, "returns")


@pytest.mark.parametrize("unit", [None, "percent"])
def test_cells_with_a_percent_sign_are_divided_once(tmp_path, unit):
    returns = truth().pct_change().iloc[1:].round(6)
    (returns * 100).map("{:.4f}%".format).to_csv(tmp_path / "returns.csv")
    found = import_prices(tmp_path / "returns.csv", unit=unit)
    np.testing.assert_allclose(found.field("returns"), returns, rtol=0, atol=1e-12)


def test_signs_that_a_price_does_not_have_are_listed(tmp_path):
    prices = truth()
    frame = pd.DataFrame({"Close": prices["KO"].map(str), "Volume": "5.5M"})
    frame.iloc[[10, 20], 0] = ["55.1%", "5.5T"]
    frame.to_csv(tmp_path / "KO.csv")
    found = import_prices(tmp_path / "KO.csv")
    assert found.bad_rows["text"].tolist() == ["55.1%", "5.5T"]
    assert (found.field("volume")["KO"] == 5.5e6).all()
    kept = prices[["KO"]].drop(prices.index[[10, 20]])
    assert found.field("prices")["KO"].dropna().tolist() == kept["KO"].tolist()


# --- sentences where there were tracebacks


def test_a_broken_zip(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + b"junk" * 50)
    refused(tmp_path / "a.zip", "a.zip cannot be unpacked", "complete")


@pytest.mark.parametrize("kind", ["moment", "list", "bytes"])
def test_a_column_of_no_numbers_among_prices(tmp_path, kind):
    table = truth().reset_index()
    values = {"moment": pd.Timestamp("2020-01-01"), "bytes": b"x"}
    table["extra"] = [[1]] * len(table) if kind == "list" else values[kind]
    table.to_parquet(tmp_path / "w.parquet")
    refused(tmp_path / "w.parquet", "'extra'", "no numbers")


def test_a_number_beyond_those_a_float_holds(tmp_path):
    frame = pd.DataFrame({"Close": truth()["KO"], "Volume": 2**53 + 1})
    frame.to_parquet(tmp_path / "KO.parquet")
    found = import_prices(tmp_path / "KO.parquet")
    assert (found.field("volume")["KO"] == 2.0**53).all()


def test_periods_as_dates(tmp_path):
    prices = truth()
    daily = prices.set_axis(prices.index.to_period("D"), axis=0).rename_axis("Date")
    same(import_prices(daily), prices)
    months = daily.set_axis(pd.period_range("1990-01", periods=300, freq="M"), axis=0)
    refused(months, "periods", "to_timestamp")
    months.rename_axis("Date").to_parquet(tmp_path / "w.parquet")
    refused(tmp_path / "w.parquet", "periods", "to_timestamp")


@pytest.mark.parametrize(
    ("cell", "options"),
    [("198 USD", {}), ("'198.5'", {}), ("١٩٨", {}), ("198.55", {"decimal": "comma"})],
)
def test_no_cell_is_a_number(tmp_path, cell, options):
    truth().map(lambda x: cell).to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", repr(cell), "no cell is a number", "--decimal", **options)


def test_few_negative_values_are_counted(tmp_path):
    prices = truth()
    prices.iloc[[3, 4, 5], 0] *= -1
    prices.to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "3 of 900 values are negative", "--values")


def test_a_comma_more_on_the_rows_of_data(tmp_path):
    prices = truth()
    head, *rows = prices.to_csv().splitlines()
    (tmp_path / "w.csv").write_text("\n".join([head, *(row + "," for row in rows)]))
    same(import_prices(tmp_path / "w.csv"), prices)


def test_dates_as_numbers(tmp_path):
    prices = truth()
    table = prices.reset_index()
    table["Date"] = prices.index.strftime("%Y%m%d").astype(float)
    table.to_parquet(tmp_path / "w.parquet")
    same(import_prices(tmp_path / "w.parquet"), prices)
    nanoseconds = pa.array(prices.index.as_unit("ns").astype("int64").to_numpy())
    columns = {"Date": nanoseconds, **{n: prices[n].to_numpy() for n in prices}}
    parquet.write_table(pa.table(columns), tmp_path / "w.parquet")
    same(import_prices(tmp_path / "w.parquet"), prices)
    serial = (prices.index - pd.Timestamp("1899-12-30")).days
    prices.set_axis(serial, axis=0).rename_axis("Date").to_csv(tmp_path / "w.csv")
    refused(tmp_path / "w.csv", "a count of days as Excel keeps")
