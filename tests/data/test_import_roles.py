"""A header may be a name or a field: it is told by the values, or asked for."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from quantlab.cli import main
from quantlab.data import import_prices
from quantlab.errors import DataError, SpecificationError


def truth(names=("KO", "PEP", "XOM"), n: int = 120, seed: int = 0) -> pd.DataFrame:
    "Prices as a vendor rounds them"
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2018-01-02", periods=n, name="Date")
    steps = rng.normal(0, 0.02, (n, len(names))).cumsum(axis=0)
    return pd.DataFrame(
        (rng.uniform(20, 300, len(names)) * np.exp(steps)).round(2), days, list(names)
    )


def bars(close: pd.Series, seed: int = 1) -> pd.DataFrame:
    "Open, high, low, close and volume of a name"
    rng = np.random.default_rng(seed)
    open_ = (close * np.exp(rng.normal(0, 0.005, len(close)))).round(2)
    return pd.DataFrame(
        {
            "Open": open_,
            "High": (np.maximum(open_, close) * 1.01).round(2),
            "Low": (np.minimum(open_, close) * 0.99).round(2),
            "Close": close,
            "Volume": rng.integers(1000, 9_000_000, len(close)),
        }
    )


def write(folder, table: pd.DataFrame, name: str = "sheet.csv", **options):
    path = folder / name
    table.to_csv(path, **options)
    return path


def same(path, want: pd.DataFrame, field: str = "prices", **options):
    "Cell by cell, to the last digit"
    found = import_prices(path, **options)
    pd.testing.assert_frame_equal(
        found.panel.fields[field][list(want.columns)],
        want.astype(float),
        check_freq=False,
        check_names=False,
        check_index_type=False,
        check_column_type=False,
        rtol=0,
        atol=0 if field == "prices" else 1e-15,
    )
    assert set(found.panel.columns) == set(want.columns)
    return found


T = truth()
KO = T[["KO"]]
BARS = bars(T["KO"])


def dollars(table: pd.DataFrame) -> pd.DataFrame:
    "As Nasdaq writes it: newest first, the close first"
    out = table[["Close", "Volume", "Open", "High", "Low"]].rename(columns={"Close": "Close/Last"})
    for column in out.columns.drop("Volume"):
        out[column] = out[column].map("${:.2f}".format)
    return out.set_axis(out.index.strftime("%m/%d/%Y")).rename_axis("Date").iloc[::-1]


def pasted(table: pd.DataFrame) -> pd.DataFrame:
    "As the page of Yahoo is pasted"
    out = table.assign(adjusted=table["Close"])
    out.columns = [
        *("Open", "High", "Low", "Close Close price adjusted for splits.", "Volume"),
        "Adj Close Adjusted close price adjusted for splits and dividend distributions.",
    ]
    return out


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    names = [f"{i}. {c.lower()}" for i, c in enumerate(table.columns, 1)]
    return table.set_axis(names, axis=1)


FULL = {"open", "high", "low", "close", "volume"}
ONE_NAME = {
    "nasdaq": (dollars(BARS), FULL),
    "yahoo, pasted": (pasted(BARS), FULL),
    "alphavantage": (numbered(BARS), FULL),
    "one letter a field": (BARS.set_axis(list("OHLCV"), axis=1), FULL),
    "with six averages": (
        BARS.join(pd.DataFrame({f"SMA_{k}": T["KO"].rolling(k).mean() for k in range(5, 11)})),
        FULL,
    ),
    "coingecko": (
        pd.DataFrame({"price": T["KO"], "market_cap": T["KO"] * 19e6, "total_volume": 5e6})
        .set_axis(T.index.strftime("%Y-%m-%d 00:00:00 UTC"))
        .rename_axis("snapped_at"),
        set(),
    ),
    "a value alone": (KO.set_axis(["Value"], axis=1), set()),
}


@pytest.mark.parametrize("case", ONE_NAME)
def test_a_table_of_one_name_is_one_name(case, tmp_path):
    table, fields = ONE_NAME[case]
    found = same(write(tmp_path, table, "KO.csv"), KO)
    made = {"returns", "prices", "dollar_volume", "intraday_abs_return"}
    assert set(found.panel.fields) - made == fields
    for field in fields & {"open", "high", "low"}:
        assert found.panel.fields[field]["KO"].tolist() == BARS[field.title()].tolist()


@pytest.mark.parametrize(
    "names",
    [
        list("CHLOV"),
        list("CVOL"),
        list("CFTVO"),
        ["LOW", "KO", "PEP"],
        ["RET", "KO", "PEP", "XOM"],
        ["KO", "PEP", "VOL"],
        ["F.V", "AAPL.O", "KO.C"],
        ["KO.L", "PEP.L", "KO", "X.L"],
        ["1101.0", "1101", "2330"],
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_names_that_are_spelt_as_fields_are_names(names, seed, tmp_path):
    table = truth(names, seed=seed)
    same(write(tmp_path, table), table)


@pytest.mark.parametrize("stem", ["v2", "l", "h2", "c1"])
def test_one_letter_of_a_file_names_no_field(stem, tmp_path):
    same(write(tmp_path, T, f"{stem}.csv"), T)


def test_a_file_that_is_named_for_a_field_holds_names(tmp_path):
    table = truth(["LAST", "KO"])
    same(write(tmp_path, table, "prices.csv"), table)


ASKED = {
    "averages": (
        pd.DataFrame({"Close": T["KO"], "SMA20": T["KO"] + 1, "SMA50": T["KO"] + 2}),
        "'Close', spelt as close beside 'SMA20', 'SMA50'.*--names file.*--column close=Close",
        ({"names": "file"}, {"columns": {"close": "Close"}}),
    ),
    "letters": (
        BARS[["Close", "Volume"]].set_axis(["C", "V"], axis=1),
        "--names file",
        ({"names": "file"}, {"columns": {"close": "C"}}),
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_header_of_field_or_name_is_asked_about(case, tmp_path):
    table, words, answers = ASKED[case]
    path = write(tmp_path, table, "KO.csv")
    with pytest.raises(DataError, match=words) as caught:
        import_prices(path)
    assert "\n" not in str(caught.value)
    for answer in answers:
        same(path, KO, **answer)
    found = import_prices(path, names="header")
    assert list(found.field("prices").columns) == list(table.columns)


@pytest.mark.parametrize(
    "names, words",
    [
        (["LAST", "KO"], "'LAST', spelt as close beside 'KO'"),
        (["LAST", "LOW", "KO", "PEP"], "spelt as close, low"),
        (["OPEN", "HIGH", "LOW", "LAST"], "the values do not tell"),
        (["ID", "KO"], "'ID', spelt as the names of assets, and in it numbers"),
        (["LOW", "OPEN", "CODE", "SID"], "spelt as the names of assets"),
    ],
)
def test_companies_that_might_be_columns_are_names_when_it_is_said(names, words, tmp_path):
    table = truth(names)
    path = write(tmp_path, table)
    with pytest.raises(DataError, match=words + ".*--names header"):
        import_prices(path)
    same(path, table, names="header")


def test_a_volume_among_names_is_asked_about(tmp_path):
    path = write(tmp_path, T.assign(Volume=BARS["Volume"]))
    with pytest.raises(DataError, match="'Volume', spelt as volume.*leave 'Volume' out"):
        import_prices(path)


def test_a_calendar_a_counter_and_a_flag_are_no_names(tmp_path):
    table = T.assign(Year=T.index.year, Weekday=T.index.day_of_week + 1).reset_index()
    table.insert(0, "id", range(len(table)))
    table.insert(0, "Unnamed: 0", range(len(table)))
    said = same(write(tmp_path, table, index=False), T).taken
    unused = said.loc[said["taken for"] == "not used", "column"]
    assert set(unused) == {"Year", "Weekday", "id", "Unnamed: 0"}
    T.reset_index().assign(flag=True).to_parquet(tmp_path / "flag.parquet")
    said = same(tmp_path / "flag.parquet", T).taken
    assert said.loc[said["taken for"] == "not used", "column"].tolist() == ["flag"]


def test_a_column_that_pandas_found_twice_is_asked_about(tmp_path):
    table = T.assign(**{"KO.1": T["KO"] + 1})
    path = write(tmp_path, table)
    with pytest.raises(DataError, match="'KO' and 'KO.1'.*--names header"):
        import_prices(path)
    same(path, table, names="header")


def test_names_in_numbers_stay_names(tmp_path):
    numbers = {"KO": 11308, "PEP": 13856, "XOM": 11850}
    table = T.stack().rename("close").rename_axis(["date", "id"]).reset_index()
    table["id"] = table["id"].map(numbers)
    same(write(tmp_path, table, index=False), T.set_axis(map(str, numbers.values()), axis=1))


# --- what stands above and beside a table


@pytest.mark.parametrize(
    "above",
    [
        "# made today, by me, at home, x\n",
        "# one\n# two, b, c, d\n",
        "# x,y,z,u\n#",
        "#",
        "Report of, KO, and, others\n",
    ],
)
def test_a_remark_above_the_header_is_no_header(above, tmp_path):
    (tmp_path / "w.csv").write_text(above + T.to_csv())
    assert same(tmp_path / "w.csv", T).n_bad == 0
    lines = (above + T.to_csv()).splitlines()
    lines[-1] = lines[-1].replace("2018", "soon")
    (tmp_path / "w.csv").write_text("\n".join(lines) + "\n")
    assert import_prices(tmp_path / "w.csv").bad_rows["row"].tolist() == [len(lines)]


def test_a_text_beside_the_tables_is_left_out_with_a_word(tmp_path):
    inner = tmp_path / "in"
    (inner / "older").mkdir(parents=True)
    write(inner, KO.set_axis(["Close"], axis=1), "KO.csv")
    write(inner / "older", KO, "KO.csv")
    (inner / "README.txt").write_text("Prices of mine.\nDo not touch, please.\n")
    (inner / "notes.txt").write_text("nothing here\nnor here\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as box:
        box.write(inner / "KO.csv", "KO.csv")
        box.write(inner / "README.txt", "README.txt")
    for source, left in (
        (inner, {"README.txt", "notes.txt", "older/"}),
        (tmp_path / "a.zip", {"a.zip/README.txt"}),
    ):
        said = same(source, KO).taken
        assert set(said.loc[said["taken for"] == "left out", "column"]) == left
    (inner / "empty.csv").write_text("")  # a table that lacks everything is no remark
    with pytest.raises(DataError, match="empty.csv is empty"):
        import_prices(inner)


@pytest.mark.parametrize("text", ['[{"Date": "2020-01-01", "KO": 1}]', '{"KO": 1}', "<html><p>no"])
def test_what_is_called_csv_and_is_none_is_named(text, tmp_path):
    (tmp_path / "j.csv").write_text(text)
    with pytest.raises(DataError, match="is (JSON|a web page) and no table; save it as CSV"):
        import_prices(tmp_path / "j.csv")


def test_two_listings_of_one_name_are_asked_about(tmp_path):
    close = KO.set_axis(["Close"], axis=1)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as box:
        box.writestr("US/KO.csv", close.iloc[:60].to_csv())
        box.writestr("DE/KO.csv", close.iloc[60:].to_csv())
    with pytest.raises(DataError, match="DE/KO.csv and .*US/KO.csv are both called 'KO'.*--names"):
        import_prices(tmp_path / "two.zip")
    same(tmp_path / "two.zip", KO, names="file")


# --- logs, and columns that contradict each other

LOGS = np.log(T).diff().iloc[1:]
SIMPLE = (T / T.shift(1) - 1).iloc[1:]


@pytest.mark.parametrize(
    "name, table, options",
    [
        ("log_returns.csv", LOGS, {}),
        ("logreturns.csv", LOGS, {}),
        ("sheet.csv", LOGS, {"values": "log-returns"}),
        ("sheet.csv", LOGS * 100, {"values": "log-returns", "unit": "percent"}),
    ],
)
def test_log_returns_become_simple_ones_and_it_is_said(name, table, options, tmp_path):
    said = same(write(tmp_path, table, name), SIMPLE, "returns", **options).taken
    assert said["evidence"].str.contains("given as log returns; made simple").any()
    long = LOGS.stack().rename("log_return").rename_axis(["date", "ticker"]).reset_index()
    same(write(tmp_path, long, "long.csv", index=False), SIMPLE, "returns")
    one = LOGS[["KO"]].set_axis(["log_ret"], axis=1)
    same(write(tmp_path, one, "KO.csv"), SIMPLE[["KO"]], "returns")


def test_log_returns_of_prices_are_refused(tmp_path):
    with pytest.raises(DataError, match="above zero.*log-returns"):
        import_prices(write(tmp_path, T, "log_returns.csv"))
    both = pd.DataFrame({"return": SIMPLE["KO"], "log_return": LOGS["KO"]})
    with pytest.raises(DataError, match="returns and log returns; leave one of them out"):
        import_prices(write(tmp_path, both, "KO.csv"))


def test_returns_that_are_not_those_of_the_close_are_said(tmp_path):
    for scale, n in ((1.0, 0), (0.5, 1)):
        table = pd.DataFrame({"Close": T["KO"], "Return": T["KO"].pct_change() * scale})
        said = import_prices(write(tmp_path, table, "KO.csv")).taken
        assert said["evidence"].str.contains("not those of the close").sum() == n


def test_a_high_below_the_low_is_listed_and_left_out(tmp_path):
    wrong = BARS.copy()
    swapped = wrong.index[30:60]
    wrong.loc[swapped, ["High", "Low"]] = wrong.loc[swapped, ["Low", "High"]].to_numpy()
    wrong.loc[wrong.index[10], "High"] = 1.0
    found = same(write(tmp_path, wrong, "KO.csv"), KO)
    assert found.n_bad == 31 and found.bad_rows["reason"].str.contains("below the low").all()
    assert found.bad_rows["row"].tolist() == [12, *range(32, 62)]
    gone = [10, *range(30, 60)]
    high = BARS["High"].mask(np.isin(np.arange(len(BARS)), gone))
    np.testing.assert_array_equal(found.panel.high["KO"], high)
    assert main(["data", "check", str(tmp_path / "KO.csv")]) == 1


def test_a_close_in_cents_beside_its_adjusted_close_is_said(tmp_path):
    table = BARS.assign(**{"Adj Close": T["KO"]}).astype(float)
    clean = import_prices(write(tmp_path, table, "KO.csv")).taken
    table.loc[table.index[40:70], ["Open", "High", "Low", "Close"]] *= 100
    said = same(write(tmp_path, table, "KO.csv"), KO).taken
    about = lambda t: t["evidence"].str.contains("100 times the adjusted close").sum()
    assert (about(clean), about(said)) == (0, 1)


def test_benchmark_and_cash_cannot_be_one_name(tmp_path):
    with pytest.raises(SpecificationError, match="as `benchmark` and as `cash`"):
        import_prices(write(tmp_path, T), benchmark="KO", cash="KO")
