"""Price files of every usual shape, clean and dirty, against the panel they were written from."""

import bz2
import datetime as dt
import gzip
import json
import lzma
import shutil
import zipfile
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.cli import main
from quantlab.data import import_prices, load_panel
from quantlab.data.fields import returns_of_prices
from quantlab.errors import DataError, MissingDataError, SpecificationError

# LOW is Lowe's and no column of low prices, NA is a bank and not missing
NAMES = ["KO", "PEP", "LOW", "BRK.B", "NA"]
HEADERS = {
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "adjusted": "Adj Close",
    "volume": "Volume",
}


def truth(n_days: int = 80, names: list[str] = NAMES, seed: int = 0) -> dict[str, pd.DataFrame]:
    "Columns that a vendor gives, for names that begin late, end early, and have a hole"
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2019-11-18", periods=n_days, name="date").as_unit("ns")
    shape = (n_days, len(names))
    close = rng.uniform(20, 300, len(names)) * np.exp(rng.normal(0, 0.02, shape).cumsum(axis=0))
    open_ = close * np.exp(rng.normal(0, 0.01, shape))
    made = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) / 1.01,
        "close": close,
        "adjusted": close * np.linspace(0.8, 1, n_days)[:, None],
        "volume": rng.integers(1000, 9_000_000, shape).astype(float),
    }
    gone = np.zeros(shape, bool)
    gone[:7, 1], gone[-9:, 2 % len(names)], gone[20, 0] = True, True, True
    index = pd.Index(names, name="asset", dtype="str")
    return {k: pd.DataFrame(v, days, index).mask(gone).round(4) for k, v in made.items()}


def expected(columns: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "The canonical fields of what a vendor gave"
    fields = {k: v for k, v in columns.items() if k != "adjusted"}
    if "adjusted" in columns:
        fields["prices"] = columns["adjusted"]
    elif "close" in columns:
        fields["prices"] = columns["close"]
    if "close" in fields and len(columns) == 1:
        del fields["close"]
    if "prices" in fields and "returns" not in fields:
        fields["returns"] = returns_of_prices(fields["prices"])
    if {"close", "volume"} <= set(columns):
        fields["dollar_volume"] = columns["close"] * columns["volume"]
    if {"open", "close"} <= set(columns):
        fields["intraday_abs_return"] = (columns["close"] / columns["open"] - 1).abs()
    return fields


def same(panel, fields: dict[str, pd.DataFrame]) -> None:
    "Cell by cell, to the last digit"
    assert set(panel.fields) == set(fields)
    known = fields["returns"].notna() | fields.get("prices", fields["returns"]).notna()
    days, names = known.any(axis=1), list(panel.columns)
    assert sorted(names) == sorted(fields["returns"].columns[known.any()])
    for name, frame in fields.items():
        got = panel.fields[name][list(frame.columns[known.any()])]
        pd.testing.assert_frame_equal(
            got,
            frame.loc[days, known.any()],
            check_freq=False,
            rtol=0,
            atol=0,
            check_names=False,
            obj=name,
            check_column_type=False,
        )


# --- how a vendor lays a table out: cells, and what each of them is


@dataclass
class Sheet:
    name: str
    header: list[list[str]]
    days: list[pd.Timestamp]  # one a row
    cells: list[list]  # what stands beside the date: floats, and texts as they are
    what: list[list[tuple | None]]  # (column, day, name) of each
    date_at: int = 0
    typed: pd.DataFrame | None = field(default=None)


def wide(columns: dict, kind: str, name: str) -> Sheet:
    frame = columns[kind]
    what = [[(kind, day, n) for n in frame.columns] for day in frame.index]
    return Sheet(
        name,
        [["Date", *frame.columns]],
        list(frame.index),
        frame.to_numpy().tolist(),
        what,
        typed=frame.reset_index(),
    )


def rows_of(columns: dict, asset: str) -> list[tuple]:
    known = columns["close"][asset].dropna().index
    return [(day, [columns[k].at[day, asset] for k in columns]) for day in known]


def by_name(columns: dict) -> list[Sheet]:
    sheets = []
    for asset in columns["close"].columns:
        rows = rows_of(columns, asset)
        what = [[(k, day, asset) for k in columns] for day, _ in rows]
        header = ["Date", *(HEADERS[k] for k in columns)]
        sheets.append(Sheet(asset, [header], [d for d, _ in rows], [c for _, c in rows], what))
    return sheets


def long(columns: dict) -> list[Sheet]:
    days, cells, what = [], [], []
    for day in columns["close"].index:
        for asset in columns["close"].columns:
            if not np.isnan(columns["close"].at[day, asset]):
                days.append(day)
                cells.append([asset, *(columns[k].at[day, asset] for k in columns)])
                what.append([None, *((k, day, asset) for k in columns)])
    header = ["date", "ticker", *(HEADERS[k].lower().replace(" ", "_") for k in columns)]
    typed = pd.DataFrame([[d, *c] for d, c in zip(days, cells)], columns=header)
    return [Sheet("daily", [header], days, cells, what, typed=typed)]


def two_levels(columns: dict, ticker_first: bool = False) -> list[Sheet]:
    assets = list(columns["close"].columns)
    pairs = [(HEADERS[k], a, k) for k in columns for a in assets]
    table = pd.concat(
        {HEADERS[k]: f for k, f in columns.items()}, axis=1, names=["Price", "Ticker"]
    )
    table = table.swaplevel(axis=1) if ticker_first else table
    first, second = ["Price"] + [p[0] for p in pairs], ["Ticker"] + [p[1] for p in pairs]
    header = [second, first] if ticker_first else [first, second]
    index = columns["close"].index
    cells = [[columns[k].at[day, a] for _, a, k in pairs] for day in index]
    what = [[(k, day, a) for _, a, k in pairs] for day in index]
    header.append(["Date", *[""] * len(pairs)])
    return [Sheet("yahoo", header, list(index), cells, what, typed=table)]


def flat(columns: dict) -> list[Sheet]:
    (sheet,) = two_levels(columns)
    names = [f"{a}.{p}" for p, a in zip(sheet.header[0][1:], sheet.header[1][1:])]
    return [replace(sheet, header=[["Index", *names]], typed=None)]


SHAPES = {
    "wide prices": lambda c: [wide(c, "adjusted", "adj_close")],
    "wide returns": lambda c: [
        wide({"returns": returns_of_prices(c["adjusted"])}, "returns", "table")
    ],
    "a file a field": lambda c: [wide(c, k, {"adjusted": "adjusted_close"}.get(k, k)) for k in c],
    "a file a name": by_name,
    "long": long,
    "two levels": two_levels,
    "two levels, ticker first": lambda c: two_levels(c, ticker_first=True),
    "names and fields in one header": flat,
}


def given_by(shape: str, columns: dict) -> dict:
    "What of the truth a shape holds"
    if shape == "wide prices":
        return {"adjusted": columns["adjusted"]}
    return (
        {"returns": returns_of_prices(columns["adjusted"])} if shape == "wide returns" else columns
    )


# --- how it is written


@dataclass(frozen=True)
class Style:
    delimiter: str = ","
    decimal: str = "."
    date: str = "%Y-%m-%d"
    newest_first: bool = False
    packing: str = ""
    encoding: str = "utf-8"
    remarks: int = 0


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def texts(sheet: Sheet, style: Style) -> tuple[list[list[str]], list[list[tuple | None]]]:
    "Rows of texts, and what their cells are"
    say = lambda x: (
        x
        if isinstance(x, str)
        else ""
        if np.isnan(x)
        else repr(float(x)).replace(".", style.decimal)
    )
    rows = [
        [day.strftime(style.date), *map(say, cells)] for day, cells in zip(sheet.days, sheet.cells)
    ]
    what = [[None, *row] for row in sheet.what]
    return (rows[::-1], what[::-1]) if style.newest_first else (rows, what)


def write(folder, sheet: Sheet, rows: list[list[str]], style: Style, extra: tuple[str, ...] = ()):
    "One file"
    lines = [
        *["# from a vendor"] * style.remarks,
        *(style.delimiter.join(r) for r in [*sheet.header, *rows]),
    ]
    data = ("\n".join([*lines, *extra]) + "\n").encode(style.encoding)
    path = folder / f"{sheet.name}.csv"
    if style.packing == "zip":
        path = folder / f"{sheet.name}.zip"
        with zipfile.ZipFile(path, "w") as box:
            box.writestr(f"{sheet.name}.csv", data)
    elif style.packing:
        path = folder / f"{sheet.name}.csv.{style.packing}"
        path.write_bytes(PACKERS[style.packing](data))
    else:
        path.write_bytes(data)
    return path


STYLES = {
    "plain": Style(),
    "german": Style(";", ",", "%d.%m.%Y"),
    "american, newest first": Style(",", ".", "%m/%d/%Y", newest_first=True),
    "tabs, latin, remarks": Style("\t", ".", "%d-%b-%Y", encoding="cp1252", remarks=2),
    "gzip": Style(packing="gz"),
    "bzip2": Style(packing="bz2", newest_first=True),
    "xz, bars": Style("|", packing="xz"),
    "zip": Style(packing="zip", date="%Y%m%d"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_clean_file_is_the_truth(shape, style, tmp_path):
    columns = truth()
    for sheet in SHAPES[shape](columns):
        write(tmp_path, sheet, texts(sheet, STYLES[style])[0], STYLES[style])
    found = import_prices(tmp_path)
    assert found.n_bad == found.n_duplicates == 0
    same(found.panel, expected(given_by(shape, columns)))
    assert set(found.taken.columns) == {"file", "column", "taken for", "evidence"}


def spoil(rows: list, what: list, style: Style, named: bool) -> tuple[list, list, dict]:
    "Eight things that happen to files; what is left of the truth, and how often"
    rows, lost = [list(r) for r in rows], []
    whole = lambda i: [w for w in what[i] if w]
    cell = lambda i, k=-1: [j for j, w in enumerate(what[i]) if w and rows[i][j]][k]
    j = cell(10)
    rows[10][j] = "n/k"
    lost.append(what[10][j])
    rows[15][0] = "soon"
    lost += whole(15)
    j = cell(22, 0)
    rows[22][j] = "-" + rows[22][j] if what[22][j][0] != "returns" else "-7" + style.decimal + "5"
    lost.append(what[22][j])
    j = cell(30, 0)
    other = list(rows[30])
    other[j] = f"{float(other[j].replace(style.decimal, '.')) / 2 + 0.001:.6f}".replace(
        ".", style.decimal
    )
    lost.append(what[30][j])
    counts = {"no number": 1, "no date": 1, "above zero|below": 1, "given twice": 1, "cells": 2}
    if named:
        rows[26][1] = ""
        lost += whole(26)
        counts["no name"] = 1
    extra = [other, rows[5], rows[6]]
    ragged = [rows[7][:2] if len(rows[7]) > 2 else [rows[7][0]], ["Source: vendor"]]
    return [*rows, *extra, *ragged], lost, counts


@pytest.mark.parametrize("style", ["plain", "german", "american, newest first", "gzip"])
@pytest.mark.parametrize("shape", SHAPES)
def test_of_a_dirty_file_the_rest_is_the_truth(shape, style, tmp_path):
    columns = {k: v.copy() for k, v in truth().items()}
    given_columns = {k: v.copy() for k, v in given_by(shape, columns).items()}
    sheets, style = SHAPES[shape](columns), STYLES[style]
    for number, sheet in enumerate(sheets):
        rows, what = texts(sheet, style)
        if number == 0:
            rows, lost, counts = spoil(rows, what, style, named=shape == "long")
            dirty = sheet.name
        write(tmp_path, sheet, rows, style)
    for kind, day, name in lost:
        given_columns[kind].loc[day, name] = np.nan
    found = import_prices(tmp_path)
    same(found.panel, expected(given_columns))
    assert found.n_duplicates == 2 and found.n_bad == sum(counts.values()) == len(found.bad_rows)
    assert found.bad_rows["file"].str.startswith(dirty).all()
    for words, n in counts.items():
        assert found.bad_rows["reason"].str.contains(words).sum() == n, (words, found.bad_rows)
    lines = [*sheets[0].header, *rows]  # the row that is named is the line of the file
    if len(sheets) == 1:
        for row in found.bad_rows.itertuples():
            line = lines[row.row - 1]
            assert row.text[:20] in style.delimiter.join(line) or "twice" in row.reason
    with pytest.raises(DataError, match="import without `strict`"):
        import_prices(tmp_path, strict=True)


@pytest.mark.parametrize("shape", ["wide prices", "long", "two levels", "two levels, ticker first"])
@pytest.mark.parametrize("dirty", [False, True])
def test_parquet_and_tables_are_read_as_they_are(shape, dirty, tmp_path):
    columns = truth()
    given_columns = {k: v.copy() for k, v in given_by(shape, columns).items()}
    (sheet,) = SHAPES[shape](columns)
    frame = sheet.typed.copy()
    if dirty:
        last = sheet.what[40][-1]
        frame.iloc[40, -1] *= -1
        frame = pd.concat([frame, frame.iloc[[3]]])
        given_columns[last[0]].loc[last[1], last[2]] = np.nan
        if shape in ("wide prices", "long"):
            frame = frame.reset_index(drop=True)
    frame.to_parquet(tmp_path / f"{sheet.name}.parquet")
    for source in (tmp_path / f"{sheet.name}.parquet", {sheet.name: frame}):
        found = import_prices(source)
        same(found.panel, expected(given_columns))
        assert (found.n_bad, found.n_duplicates) == ((1, 1) if dirty else (0, 0))


def test_several_files_and_a_zip_of_files_are_one_panel(tmp_path):
    columns = truth()
    paths = [write(tmp_path, s, texts(s, Style())[0], Style()) for s in by_name(columns)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as box:
        for path in paths:
            box.write(path, path.name)
    (tmp_path / "apart").mkdir()
    halves = []
    for number, days in enumerate((slice(None, 45), slice(40, None))):  # they overlap
        half = {k: v.iloc[days] for k, v in columns.items()}
        sheet = replace(long(half)[0], name=f"part{number}")
        halves.append(write(tmp_path / "apart", sheet, texts(sheet, Style())[0], Style()))
    for source in (paths, tmp_path / "all.zip", halves):
        found = import_prices(source)
        same(found.panel, expected(columns))
        assert found.n_duplicates == (
            0 if source is not halves else columns["close"].iloc[40:45].notna().sum().sum()
        )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    seed=st.integers(0, 10**6),
    n_days=st.integers(40, 70),
    mark=st.sampled_from(
        [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ".")]
    ),
    date=st.sampled_from(
        [
            "%Y-%m-%d",
            "%Y/%m/%d",
            "%Y%m%d",
            "%d.%m.%Y",
            "%d/%m/%Y",
            "%m/%d/%Y",
            "%d-%b-%Y",
            "%b %d %Y",
            "%Y-%m-%d 00:00:00",
            "%d/%m/%y",
        ]
    ),
    newest_first=st.booleans(),
    packing=st.sampled_from(["", "gz", "bz2", "xz", "zip"]),
    remarks=st.integers(0, 2),
)
def test_any_dialect_comes_back(
    tmp_path_factory, shape, seed, n_days, mark, date, newest_first, packing, remarks
):
    folder, columns = tmp_path_factory.mktemp("any"), truth(n_days, seed=seed)
    style = Style(*mark, date, newest_first, packing, "utf-8", remarks)
    for sheet in SHAPES[shape](columns):
        write(folder, sheet, texts(sheet, style)[0], style)
    found = import_prices(folder)
    assert found.n_bad == 0
    same(found.panel, expected(given_by(shape, columns)))
    shutil.rmtree(folder)


# --- what is asked


def path(n: int = 60, k: int = 3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = 40 * np.exp(rng.normal(0, 0.02, (n, k)).cumsum(axis=0))
    return pd.DataFrame(
        values, pd.bdate_range("2020-01-01", periods=n, name="Date"), list("ABC")[:k]
    )


def few(dates: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"A": np.linspace(50, 60, len(dates))}, index=pd.Index(dates, name="Date"))


def jump(prices: pd.DataFrame) -> pd.DataFrame:
    out = prices.copy()
    out.iloc[30:, 0] *= 100
    return out


def table(folder, name: str, text: str):
    (folder / name).write_text(text)
    return folder / name


OHLC = "Date,Open,High,Low,Close\n" + "".join(
    f"2020-01-{d:02},50,52,49,{50 + d / 8}\n" for d in range(1, 29)
)
QUESTIONS = {
    "day or month first": (
        lambda f: few(["01/02/2020", "02/02/2020", "03/02/2020"]),
        r"2020-02-01 \(day-first\) or 2020-01-02 \(month-first\).*--dates",
        {"dates": "day-first"},
        lambda p: p.index[0] == pd.Timestamp("2020-02-01"),
    ),
    "two digits of a year": (
        lambda f: few(["01-02-03", "02-02-03"]),
        "year-first.*--dates",
        {"dates": "year-first"},
        lambda p: p.index[0] == pd.Timestamp("2001-02-03"),
    ),
    "comma of thousands or of fractions": (
        lambda f: table(
            f, "x.csv", "Date;A\n" + "".join(f"2020-01-{d:02};1,2{d:02}\n" for d in range(1, 29))
        ),
        "a thousand or a fraction.*--decimal",
        {"decimal": "point", "values": "prices"},
        lambda p: p.prices.iloc[0, 0] == 1201.0,
    ),
    "prices or returns": (
        lambda f: few(["2020-01-01", "2020-01-02"]) / 100,
        "--values",
        {"values": "returns"},
        lambda p: list(p.fields) == ["returns"],
    ),
    "logs given as prices": (
        lambda f: np.log(path()),
        "logs of prices.*--values",
        {"values": "log-prices"},
        lambda p: np.allclose(p.prices, path(), rtol=1e-12),
    ),
    "logs that are negative": (
        lambda f: np.log(path() / 60),
        "negative.*slowly.*--values",
        {"values": "log-prices"},
        lambda p: np.allclose(p.prices * 60, path(), rtol=1e-12),
    ),
    "growth factors": (
        lambda f: 1 + path().pct_change().iloc[1:],
        "growth factors.*--values",
        {"values": "prices"},
        lambda p: "prices" in p.fields,
    ),
    "percent": (
        lambda f: 100 * path().pct_change().iloc[1:],
        "percent.*--unit",
        {"unit": "percent"},
        lambda p: np.allclose(p.returns, path().pct_change().iloc[1:]),
    ),
    "currency and cents": (
        lambda f: jump(path()),
        "hundredfold.*--unit",
        {"unit": "mixed"},
        lambda p: np.allclose(p.prices, path(), rtol=1e-12),
    ),
    "currency and cents, kept": (
        lambda f: jump(path()),
        "--unit",
        {"unit": "currency"},
        lambda p: np.allclose(p.prices, jump(path()), rtol=1e-12),
    ),
    "two columns may be the close": (
        lambda f: table(
            f,
            "KO.csv",
            OHLC.replace("Open", "Last Price").replace("Close", "Last").replace("High", "Hi gh"),
        ),
        "'Last Price' and 'Last'.*--column close=",
        {"columns": {"close": "Last"}},
        lambda p: p.prices.iloc[0, 0] == 50.125,
    ),
    "no column is spelt as a date": (
        lambda f: pd.DataFrame(
            {"n": range(28), "A": range(28), "when": [f"2020-01-{d:02}" for d in range(1, 29)]}
        ),
        "--column date=HEADER.*'when'",
        {"columns": {"date": "when"}, "values": "prices"},
        lambda p: p.index[0] == pd.Timestamp("2020-01-02"),  # zero is no price
    ),
    "a name in the file and another of it": (
        lambda f: [
            table(f, f"{n}.csv", "Ticker," + OHLC.replace("\n2020", f"\n{t},2020"))
            for n, t in (("ko_us", "KO"), ("pep_us", "PEP"))
        ],
        "--names",
        {"names": "column"},
        lambda p: list(p.columns) == ["KO", "PEP"],
    ),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_what_can_be_read_in_two_ways_is_asked_for(case, tmp_path):
    source, words, answer, right = QUESTIONS[case]
    with pytest.raises(DataError, match=words) as caught:
        import_prices(source(tmp_path))
    assert "\n" not in str(caught.value)
    assert right(import_prices(source(tmp_path), **answer).panel)


VENDORS = {
    "stooq": (
        "ko.us.txt",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n",
        "KO.US,D,202001{d:02},000000,50,52,49,{p},1000,0\n",
        ["returns", "prices", "open", "high", "low", "close", "volume", "dollar_volume"],
    ),
    "investing.com": (
        "KO.csv",
        '"Date","Price","Open","High","Low","Vol.","Change %"\n',
        '"01/{d:02}/2020","{p}","50.00","52.00","49.00","1.00K","0.25%"\n',
        ["returns", "prices", "open", "high", "low", "close", "volume", "dollar_volume"],
    ),
    "yfinance history": (
        "KO.US.csv",
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n",
        "2020-01-{d:02} 00:00:00-05:00,50,52,49,{p},1000,0.0,0.0\n",
        ["returns", "prices", "open", "high", "low", "close", "volume", "dollar_volume"],
    ),
    "crsp": (
        "crsp.csv",
        "PERMNO,date,PRC,VOL,RET,SHROUT\n",
        "11308,2020/01/{d:02},{p},1000,0.01,4000\n",
        ["returns", "prices", "close", "volume", "dollar_volume"],
    ),
    "a German bank": (
        "WKN850663.csv",
        "Datum;Erster;Hoch;Tief;Schlusskurs;Stück;Volumen\n",
        "{d:02}.01.2020;50,00;52,00;49,00;{c};1.000;50.000\n",
        None,
    ),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_files_of_known_vendors_are_understood(vendor, tmp_path):
    name, header, row, fields = VENDORS[vendor]
    price = [round(50 + (d % 7) / 8, 3) for d in range(1, 29)]
    lines = [row.format(d=d + 1, p=p, c=str(p).replace(".", ",")) for d, p in enumerate(price)]
    path = table(tmp_path, name, header + "".join(lines))
    if fields is None:  # shares, or their value? `Volumen` is either
        with pytest.raises(DataError, match="--column volume="):
            import_prices(path)
        found = import_prices(path, columns={"volume": "Stück", "dollar_volume": "Volumen"})
        assert found.panel.dollar_volume.iloc[0, 0] == 50_000.0
    else:
        found = import_prices(path)
        assert [f for f in found.panel.fields if f != "intraday_abs_return"] == fields
        np.testing.assert_allclose(found.panel.dollar_volume.iloc[:, 0], np.array(price) * 1000)
    assert found.n_bad == 0 and found.panel.index[0] == pd.Timestamp("2020-01-01")
    assert found.panel.prices.iloc[:, 0].tolist() == price


def test_adjusted_prices_make_the_returns_unless_the_close_is_asked_for(tmp_path):
    columns = truth()
    for sheet in by_name(columns):
        write(tmp_path, sheet, texts(sheet, Style())[0], Style())
    panel = import_prices(tmp_path, price="close").panel
    pd.testing.assert_frame_equal(
        panel.prices[NAMES], columns["close"], check_freq=False, check_names=False
    )
    said = import_prices(tmp_path).taken
    assert "adjusted close" in said.loc[said["taken for"] == "prices", "evidence"].item()
    with pytest.raises(SpecificationError, match="no column is a price"):
        import_prices(path().pct_change().iloc[1:], price="close")


BAD = {
    "no file": (lambda f: f / "absent.csv", MissingDataError, "there is no file"),
    "an empty folder": (lambda f: f, MissingDataError, "holds no table"),
    "an empty file": (lambda f: table(f, "a.csv", ""), DataError, "is empty"),
    "a header alone": (lambda f: table(f, "a.csv", "Date,A,B\n"), DataError, "no rows"),
    "no header": (
        lambda f: table(f, "a.csv", "2020-01-01,1,2\n2020-01-02,1,2\n"),
        DataError,
        "no header",
    ),
    "dates across": (
        lambda f: table(f, "a.csv", "A,2020-01-01,2020-01-02\nKO,1,2\n"),
        DataError,
        "transpose",
    ),
    "one column": (lambda f: table(f, "a.csv", "Date\n2020-01-01\n"), DataError, "one column"),
    "a name twice": (
        lambda f: table(f, "a.csv", "Date,A,A\n2020-01-01,1,2\n2020-01-02,1,2\n"),
        DataError,
        "more than once",
    ),
    "a column without a name": (
        lambda f: table(f, "a.csv", "Date,A,\n2020-01-01,1,2\n2020-01-02,1,2\n"),
        DataError,
        "no name for column 3",
    ),
    "no price among the fields": (
        lambda f: table(f, "volume.csv", "Date,A\n2020-01-01,1\n2020-01-02,2\n"),
        DataError,
        "no price and no return",
    ),
    "a row a field": (
        lambda f: table(f, "a.csv", "Date,Ticker,Field,Value\n2020-01-01,A,close,1\n"),
        DataError,
        "pivot",
    ),
    "intraday": (
        lambda f: table(
            f, "A.csv", "Date,Close\n" + "".join(f"2020-01-02 10:{m},{m}\n" for m in range(10, 40))
        ),
        DataError,
        "intraday",
    ),
    "an Excel file": (lambda f: excel(f), DataError, "save its sheet as CSV"),
    "a torn gzip": (lambda f: torn(f), DataError, "is it complete"),
    "bytes": (lambda f: binary(f), DataError, "no text"),
    "words throughout": (
        lambda f: table(
            f, "A.csv", "Date,Close\n" + "".join(f"2020-01-{d:02},word\n" for d in range(1, 29))
        ),
        DataError,
        "'word' and the like, no numbers, in most rows of 'Close', which was taken for close",
    ),
    "a number": (lambda f: 3.0, DataError, "must be paths"),
    "nothing": (lambda f: [], DataError, "is empty"),
}


def excel(folder):
    with zipfile.ZipFile(folder / "a.xlsx.zip", "w") as box:
        box.writestr("xl/workbook.xml", "<x/>")
    return folder / "a.xlsx.zip"


def torn(folder):
    whole = gzip.compress(OHLC.encode() * 50)
    (folder / "KO.csv.gz").write_bytes(whole[: len(whole) // 2])
    return folder / "KO.csv.gz"


def binary(folder):
    (folder / "a.csv").write_bytes(b"\x00\x01\x02" * 100)
    return folder / "a.csv"


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_ends_in_one_sentence(case, tmp_path):
    source, error, words = BAD[case]
    with pytest.raises(error, match=words) as caught:
        import_prices(source(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"dates": "any"}, "`dates` must be one of"),
        ({"values": "logs"}, "`values` must be one of"),
        ({"columns": {"colour": "A"}}, "`columns` must be one of"),
        ({"columns": ["A"]}, "must map"),
        ({"columns": {"date": "Dato"}}, "no column 'Dato'"),
        ({"cash": "AA"}, "nearest: A"),
        ({"benchmark": "Z"}, "which the files do not have"),
        ({"unit": "pounds"}, "`unit` must be one of"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options, words):
    with pytest.raises(SpecificationError, match=words):
        import_prices(path(), **options)


def test_cash_benchmark_sectors_and_membership_go_where_they_belong(tmp_path):
    columns = truth()
    sectors = table(
        tmp_path, "sec.csv", "Symbol,Name,GICS Sector\nKO,Coca-Cola,Staples\nLOW,Lowe's,Retail\n"
    )
    spells = table(
        tmp_path, "mem.csv", "ticker;start;end\nKO;31.12.2000;\nPEP;13.01.2001;31.12.2019\n"
    )
    found = import_prices(
        {"adj_close": columns["adjusted"]},
        cash="NA",
        benchmark="PEP",
        sectors=sectors,
        membership=spells,
    )
    panel = found.panel
    assert "PEP" not in panel.columns and "NA" in panel.returns
    assert panel.prices["NA"].isna().all() and found.n_assets == 3 and found.cash == "NA"
    pd.testing.assert_series_equal(
        found.benchmark,
        returns_of_prices(columns["adjusted"])["PEP"],
        check_freq=False,
        check_names=False,
    )
    assert panel.sectors["KO"] == "Staples" and panel.sectors.isna().sum() == 2
    assert panel.membership["added"].tolist() == [
        pd.Timestamp("2000-12-31"),
        pd.Timestamp("2001-01-13"),
    ]
    back = load_panel(found.save(tmp_path / "panel"))
    assert set(back.fields) == set(panel.fields) and back.sectors["LOW"] == "Retail"


# --- the same, in bounded memory


@pytest.mark.parametrize("shape", SHAPES)
def test_mapped_to_files_and_in_small_batches_it_is_the_same(shape, tmp_path, monkeypatch):
    columns, style = truth(), STYLES["american, newest first"]
    (tmp_path / "in").mkdir()
    for number, sheet in enumerate(SHAPES[shape](columns)):
        rows, what = texts(sheet, style)
        rows = spoil(rows, what, style, named=shape == "long")[0] if number == 0 else rows
        write(tmp_path / "in", sheet, rows, style)
    whole = import_prices(tmp_path / "in")
    sizes = []
    monkeypatch.setattr("quantlab.data.text_tables._BLOCK", 3000)
    calls = lambda word, done, total: sizes.append((word, done, total))
    small = import_prices(tmp_path / "in", limit=0, scratch=tmp_path, progress=calls)
    assert small.is_mapped and not whole.is_mapped
    pd.testing.assert_frame_equal(small.bad_rows, whole.bad_rows)
    pd.testing.assert_frame_equal(small.taken.iloc[:, :3], whole.taken.iloc[:, :3])
    assert small.to_dict() | {"is_mapped": False} == whole.to_dict()
    back = load_panel(small.save(tmp_path / "panel"))
    assert set(back.fields) == set(whole.panel.fields)
    for name, frame in whole.panel.fields.items():
        pd.testing.assert_frame_equal(back.fields[name], frame, check_freq=False)
    done = [n for word, n, total in sizes if word == "values"]
    assert len(done) > len(list((tmp_path / "in").iterdir())) and sum(done) == whole.n_rows
    assert {total for word, _, total in sizes if word == "values"} == {whole.n_rows}
    scratch = [p for p in tmp_path.iterdir() if p.name.startswith(".import-")]
    assert len(scratch) == 1
    del small, back
    import gc

    gc.collect()
    assert not scratch[0].exists()


# --- the command


PARAMS = """\
base:
  holdout_start: "2000-01-01"  # the last fifth
  evaluate_from: "1999-01-01"
  periods_per_year: 252
ingest_prices:
  raw: data/other
  cash: null
  contract: {}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A project without a try, and a folder of prices in it"
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "vendor").mkdir()
    for sheet in by_name(truth(700)):
        write(tmp_path / "vendor", sheet, texts(sheet, Style())[0], Style())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_import_writes_the_panel_and_the_lines_of_the_parameters(project, capsys):
    import yaml

    assert main(["data", "import", "vendor", "--calendar", "24/7", "--cash", "NA"]) == 0
    out = capsys.readouterr().out
    assert "Adj Close: adjusted" in out and "params.yaml: " in out
    panel = load_panel(project / "data/panel")
    assert "NA" in panel.returns and len(panel.columns) == 5
    said = json.loads((project / "data/import/import.json").read_text())
    assert (
        set(said["sources"]) == {f"vendor/{n}.csv" for n in NAMES}
        and said["options"]["cash"] == "NA"
    )
    for name in ("taken", "bad_rows", "splits", "endings", "calendar"):
        assert (project / f"data/import/{name}.csv").is_file()
    text = (project / "params.yaml").read_text()
    params = yaml.safe_load(text)
    assert (
        params["ingest_prices"]["raw"] == "data/panel" and params["ingest_prices"]["cash"] == "NA"
    )
    assert params["ingest_prices"]["contract"] == {"calendar": None} and "# the last fifth" in text
    holdout = dt.date.fromisoformat(params["base"]["holdout_start"])
    assert panel.index[0].date() < holdout < panel.index[-1].date()
    first = {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()}
    assert main(["data", "import", "vendor", "--calendar", "24/7", "--cash", "NA"]) == 0
    assert "0 values set" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()} == first


def test_with_tries_in_the_ledger_the_lines_are_printed_and_not_written(project, capsys):
    from quantlab.ledger import open_trials

    returns = pd.Series(
        np.random.default_rng(0).normal(0, 0.01, 300), pd.bdate_range("2012-01-02", periods=300)
    )
    with open_trials(
        "m", hypothesis="h", path="trials/ledger.jsonl", universe="u", data_md5="9e107d9d"
    ) as trials:
        trials.record(strategy="s", parameters={"a": 1}, returns=returns)
    assert main(["data", "import", "vendor"]) == 0
    out = capsys.readouterr().out
    assert "by hand" in out and "1 tries" in out and 'base.holdout_start: "20' in out
    assert (project / "params.yaml").read_text() == PARAMS


def test_an_import_that_fails_leaves_the_last_one_as_it_was(project, capsys, monkeypatch):
    assert main(["data", "import", "vendor"]) == 0
    before = {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()}
    text = (project / "vendor/KO.csv").read_text()
    (project / "vendor/KO.csv").write_text(text.replace("\n2019-11-20,", "\nsoon,"))
    assert main(["data", "import", "vendor", "--strict"]) == 1
    assert "'soon' in row 4" in capsys.readouterr().err
    (project / "vendor/KO.csv").write_text("Date,Close\n01/02/2020,1\n02/02/2020,2\n")
    assert main(["data", "import", "vendor"]) == 1
    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse_after(2))
    (project / "vendor/KO.csv").write_text(text)
    assert main(["data", "import", "vendor"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()} == before
    assert [p.name for p in sorted((project / "data").iterdir())] == ["import", "panel"]


def refuse_after(n: int):
    "`to_parquet` of a disk that fills up"
    real, left = pd.DataFrame.to_parquet, [n]

    def to_parquet(frame, path, **options):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(frame, path, **options)

    return to_parquet


def test_bad_rows_are_counted_on_the_screen_and_listed_in_a_table(project, capsys):
    lines = (project / "vendor/KO.csv").read_text().splitlines()
    lines[3] = lines[3].replace(lines[3].split(",")[1], "high", 1)
    (project / "vendor/KO.csv").write_text("\n".join([*lines, lines[9], "the end"]) + "\n")
    assert main(["data", "check", "vendor"]) == 1
    assert "2 bad cells or rows" in capsys.readouterr().out
    assert not (project / "data").exists()
    assert main(["data", "import", "vendor"]) == 0
    out = capsys.readouterr().out
    assert "1 repeated rows dropped" in out and "KO.csv row 4, Open: 'high' no number" in out
    bad = pd.read_csv(project / "data/import/bad_rows.csv")
    assert bad["row"].tolist() == [4, len(lines) + 2] and bad["reason"].tolist() == [
        "no number",
        "not 7 cells",
    ]


def test_tables_beyond_the_memory_are_imported_field_by_field(project, capsys, monkeypatch):
    assert main(["data", "import", "vendor", "--to", "data/whole", "--adjust", "keep"]) == 0
    monkeypatch.setattr("quantlab.data_commands._IN_MEMORY", 0)
    assert main(["data", "import", "vendor"]) == 0
    assert "larger than what is held in memory" in capsys.readouterr().out
    whole, streamed = load_panel("data/whole"), load_panel("data/panel")
    for name, frame in whole.fields.items():
        pd.testing.assert_frame_equal(streamed.fields[name], frame)
    assert sorted(p.name for p in (project / "data").iterdir()) == ["import", "panel", "whole"]


def test_splits_nobody_adjusted_for_are_listed_and_applied_when_it_is_said(project, capsys):
    columns = truth(700)
    before = columns["close"].index < "2021-03-01"
    spoilt = {k: v.copy() for k, v in columns.items() if k != "adjusted"}
    for k in ("open", "high", "low", "close"):
        spoilt[k].loc[before, "KO"] *= 2
    spoilt["volume"].loc[before, "KO"] /= 2
    shutil.rmtree(project / "vendor")
    (project / "vendor").mkdir()
    for sheet in by_name(spoilt):
        write(project / "vendor", sheet, texts(sheet, Style())[0], Style())
    assert main(["data", "import", "vendor"]) == 0
    assert "nothing was adjusted; --adjust" in capsys.readouterr().out
    wrong = load_panel("data/panel")
    assert wrong.prices.loc[before, "KO"].equals(spoilt["close"].loc[before, "KO"])
    assert main(["data", "import", "vendor", "--adjust", "apply"]) == 0
    capsys.readouterr()
    right = load_panel("data/panel")
    np.testing.assert_allclose(right.prices["KO"], columns["close"]["KO"], rtol=1e-12)
    np.testing.assert_allclose(
        right.returns["KO"].iloc[1:], returns_of_prices(columns["close"])["KO"].iloc[1:], atol=1e-12
    )
    listed = pd.read_csv("data/import/splits.csv")
    assert listed.loc[listed["asset"] == "KO", "split"].tolist() == ["2:1"]


def test_a_split_that_the_adjusted_close_has_is_taken_out_of_the_prices_as_traded(project, capsys):
    columns = truth(700)
    before = columns["close"].index < "2021-03-01"
    traded = {k: v.copy() for k, v in columns.items()}
    for k in ("open", "high", "low", "close"):
        traded[k].loc[before, "KO"] *= 2
    traded["volume"].loc[before, "KO"] /= 2
    shutil.rmtree(project / "vendor")
    (project / "vendor").mkdir()
    for sheet in by_name(traded):
        write(project / "vendor", sheet, texts(sheet, Style())[0], Style())
    assert main(["data", "import", "vendor"]) == 0
    assert "1 splits that the adjusted prices have already" in capsys.readouterr().out
    kept = load_panel("data/panel")
    np.testing.assert_allclose(kept.close["KO"], traded["close"]["KO"], rtol=1e-12)
    assert main(["data", "import", "vendor", "--adjust", "apply"]) == 0
    assert "1 in the prices as traded alone" in capsys.readouterr().out
    right = load_panel("data/panel")
    np.testing.assert_allclose(right.close["KO"], columns["close"]["KO"], rtol=1e-12)
    np.testing.assert_allclose(right.prices["KO"], kept.prices["KO"], rtol=0)
    np.testing.assert_allclose(right.returns["KO"], kept.returns["KO"], rtol=0)


def test_outside_of_a_project_and_in_the_sample_it_says_where_it_goes(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path(300).to_csv("p.csv")
    assert main(["data", "import", "p.csv"]) == 0
    assert "no project here; the panel goes to data/panel" in capsys.readouterr().out
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "data.dvc").write_text("outs: []\n")
    assert main(["data", "import", "p.csv"]) == 0
    assert "goes to artifacts/imported" in capsys.readouterr().out
    assert (tmp_path / "params.yaml").read_text() == PARAMS
    assert main(["data", "check", "artifacts/imported"]) in (0, 1)
    assert main(["data", "import", "p.csv", "--column", "close"]) == 2
    assert main(["data", "import", "p.csv", "--to", "import"]) == 2


def test_a_panel_of_the_sample_is_imported_as_it_is():
    folder = ROOT / "data/equity"
    if not folder.is_dir():
        pytest.skip("the raw data is not pulled")
    found, given_panel = import_prices(folder), load_panel(folder)
    for name in given_panel.fields:
        pd.testing.assert_frame_equal(
            found.panel.fields[name][given_panel.columns],
            given_panel.fields[name],
            check_freq=False,
            check_names=False,
        )
