"""The data wing: reading, defects, membership, returns. Real data from data/equity."""

import dataclasses
import errno
import hashlib
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import run_backtest
from quantlab.cli import main
from quantlab.data import (
    DataContract,
    Panel,
    apply_quarantine,
    before,
    check_panel,
    forward_returns,
    forward_returns_from_returns,
    load_panel,
    log_returns,
    membership_mask,
    save_panel,
    simple_returns,
    survivorship_gap,
    trading_sessions,
)
from quantlab.errors import (
    DataError,
    DataWarning,
    MissingDataError,
    QuantlabError,
    ScaleWarning,
    SpecificationError,
    StorageError,
)
from quantlab.simulate import factor_world

GOOD = "date,A,B\n2020-01-02,10,50\n2020-01-03,11,\n2020-01-06,12.1,40\n"


@pytest.fixture(scope="module")
def equity():
    panel = load_panel(ROOT / "data" / "equity")
    return panel.select(panel.columns.drop("USDOLLAR"))


@pytest.fixture(scope="module")
def report(equity):
    return check_panel(equity)


def market(n=300, n_assets=20, seed=0):
    "A simulated market without defects, on New York sessions"
    sessions = trading_sessions("XNYS", "2007-01-03", "2012-12-31")
    world = factor_world(n, n_assets, rng=np.random.default_rng(seed))
    names = ("returns", "dollar_volume", "intraday_abs_return")
    return {k: getattr(world, k).set_axis(sessions[:n]) for k in names}, world.sectors


# --- files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("11,", "eleven,"), "text 'eleven' in column 'A' on 2020-01-03"),
        (GOOD.replace("50", "50%"), "text '50%' in column 'B' on 2020-01-02"),
        (GOOD.replace("50", '"1,050"'), "text '1,050' in column 'B'"),
        (GOOD.replace("50", "true"), "text 'true' in column 'B'"),
        (GOOD.replace("2020-01-06", "2020-01-03"), "2020-01-03 00:00:00 more than once"),
        (GOOD.replace("2020-01-06", "2019-01-06"), "not in time order"),
        (GOOD.replace("2020-01-03", "2020-02-31"), "'2020-02-31' in row 2, which is not a date"),
        (GOOD.replace("2020-01-03", ""), "row 2, which is not a date"),
        (GOOD.replace("2020-01-03", "1/3/2020"), "one form throughout"),
        (
            GOOD.replace("11,", "-11,").replace("50", "-50"),
            "must be above 0, and is -50 for 'B' on 2020-01-02",
        ),
        (GOOD.replace("11,", "0,").replace("50", "0"), "must be above 0, and is 0 for 'B'"),
        (GOOD.replace("11,", "inf,"), "infinite"),
        (GOOD.replace("A,B", "A,A"), "column 'A' more than once"),
        (GOOD.replace("A,B", "A,"), "no name for column 3"),
        (GOOD.replace("11,", "11,1,"), "does not have 3 cells in every row"),
        (GOOD.replace("11,", "11"), "does not have 3 cells in every row"),
        ("", "is empty"),
        ("date,A\n", "has a header and no rows"),
        ("date,A\n2020-01-02,\n2020-01-03,\n", "no value at all"),
    ],
)
def test_bad_file_ends_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_panel(path)
    assert message in str(caught.value)
    assert "prices.csv" in str(caught.value)


def test_dates_that_read_two_ways_are_refused(tmp_path):
    "Firsts of the month as dd/mm were loaded as 1 to 12 January"
    path = tmp_path / "prices.csv"
    rows = [f"01/{month:02d}/2020,{100 + month}" for month in range(1, 13)]
    path.write_text("\n".join(["date,A", *rows]))
    with pytest.raises(
        DataError, match="'01/02/2020' in row 2, and no day above 12 .* 2020-01-02 or 2020-02-01"
    ):
        load_panel(path)
    path.write_text("date,A\n1/2/2020,10\n1/13/2020,11\n")
    assert load_panel(path).index[0] == pd.Timestamp("2020-01-02")
    path.write_text("date,A\n01/01/2020,10\n02/02/2020,11\n")  # the same either way
    assert load_panel(path).index[1] == pd.Timestamp("2020-02-02")


def test_two_levels_of_columns_are_explained():
    "As yfinance gives them"
    days = pd.bdate_range("2020-01-01", periods=3)
    table = pd.DataFrame(
        np.arange(1.0, 13).reshape(3, 4),
        days,
        pd.MultiIndex.from_product([["Close", "Volume"], ["A", "B"]]),
    )
    for call in (load_panel, lambda t: Panel({"prices": t}), lambda t: load_panel({"prices": t})):
        with pytest.raises(DataError, match=r"2 levels of columns .*\{'prices': frame\['Close'\]"):
            call(table)
    assert list(load_panel({"prices": table["Close"], "volume": table["Volume"]}).columns) == [
        "A",
        "B",
    ]


def test_monthly_rows_are_not_compared_with_a_daily_calendar():
    days = pd.date_range("2010-01-31", periods=60, freq="ME")
    prices = pd.DataFrame(100 + np.arange(60.0), days, ["A"])
    with pytest.warns(ScaleWarning, match="31 days apart .* not daily"):
        report = check_panel(Panel({"prices": prices}))
    assert not report.issues["kind"].isin(["missing_session", "non_session"]).any()


def test_an_import_keeps_what_a_stage_sets_aside(tmp_path, capsys):
    days = trading_sessions("XNYS", "2020-01-02", "2020-06-30").append(
        pd.DatetimeIndex(["2020-07-04"])
    )
    prices = 100 * np.exp(
        np.cumsum(np.random.default_rng(0).normal(0, 0.01, (len(days), 3)), axis=0)
    )
    pd.DataFrame(prices, days, list("ABC")).to_csv(tmp_path / "prices.csv", index_label="date")
    assert main(["data", "check", str(tmp_path / "prices.csv")]) == 1
    assert (
        "nothing was changed; stage ingest_prices leaves the cells of the 1 quarantined"
        in capsys.readouterr().out
    )
    assert (
        main(["data", "import", str(tmp_path / "prices.csv"), "--to", str(tmp_path / "panel")]) == 0
    )
    assert f"imported {len(days)} dates of 3 assets" in capsys.readouterr().out
    panel = load_panel(tmp_path / "panel")
    assert panel.prices.notna().all(axis=None)  # what is set aside is set aside by the stage


def test_a_panel_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    prices = pd.DataFrame({"A": [1.0, 2.0]}, pd.bdate_range("2020-01-01", periods=2))
    save_panel(Panel({"prices": prices}), tmp_path / "panel")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(StorageError, match="panel cannot be written: No space left on device"):
            save_panel(Panel({"prices": prices * 2}), tmp_path / "panel")
    assert [p.name for p in tmp_path.iterdir()] == ["panel"]
    assert load_panel(tmp_path / "panel").prices["A"].tolist() == [1.0, 2.0]
    (tmp_path / "panel").rename(tmp_path / ".panel.old")  # killed between the two renames
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(StorageError):
            save_panel(Panel({"prices": prices * 2}), tmp_path / "panel")
    assert load_panel(tmp_path / "panel").prices["A"].tolist() == [1.0, 2.0]


def test_missing_and_unknown_files(tmp_path):
    with pytest.raises(MissingDataError, match="there is no file"):
        load_panel(tmp_path / "no.csv")
    with pytest.raises(MissingDataError, match="no CSV or parquet file"):
        load_panel(tmp_path)
    (tmp_path / "a.csv.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DataError, match="a.csv.gz cannot be read"):
        load_panel(tmp_path / "a.csv.gz")
    (tmp_path / "latin.csv").write_bytes(b"date,A\n2020-01-02,\xe9\n")
    with pytest.raises(DataError, match="latin.csv"):
        load_panel(tmp_path / "latin.csv")


def test_signs_for_missing_and_a_file_of_one_asset(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("date,A,B\n2020-01-02,.,NA\n2020-01-03,1,2\n2020-01-06,,null\n")
    assert load_panel(path).prices.isna().to_numpy().tolist() == [
        [True] * 2,
        [False] * 2,
        [True] * 2,
    ]
    path.write_text("Date,Open,High,Low,Close,Volume\n2020-01-02,1,2,1,2,100\n")
    with pytest.raises(DataError, match="of one asset"):
        load_panel(path)


def test_date_forms_agree(tmp_path):
    panels = []
    for form in ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%Y-%m-%d 00:00:00"):
        days = pd.DatetimeIndex(["2020-01-02", "2020-01-30", "2020-02-03"]).strftime(form)
        path = tmp_path / "prices.csv"
        path.write_text("d,A\n" + "".join(f"{d},{i + 1}\n" for i, d in enumerate(days)))
        panels.append(load_panel(path).prices)
    assert all(p.equals(panels[0]) for p in panels)
    assert list(panels[0].index) == list(pd.to_datetime(["2020-01-02", "2020-01-30", "2020-02-03"]))


def test_sources_agree(tmp_path):
    days = pd.date_range("2020-01-01", periods=3)
    prices = pd.DataFrame({"A": [1.0, 2, 3], "B": [4.0, np.nan, 6]}, index=days)
    prices.to_csv(tmp_path / "prices.csv.gz")
    prices.to_parquet(tmp_path / "wide.parquet")
    prices.reset_index().to_parquet(tmp_path / "column.parquet")
    sources = [prices, {"prices": prices}, Panel({"prices": prices}), tmp_path / "prices.csv.gz"]
    for source in [*sources, str(tmp_path / "wide.parquet"), tmp_path / "column.parquet"]:
        pd.testing.assert_frame_equal(
            load_panel(source).prices,
            prices,
            check_names=False,
            check_freq=False,
            check_index_type=False,
        )
    assert load_panel(prices, fields=["close"]).close.shape == (3, 2)
    assert len(load_panel(prices, start="2020-01-02", end="2020-01-02").index) == 1


def test_save_is_deterministic_and_replaces(tmp_path, equity):
    def md5s(path):
        return {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in path.iterdir()}

    first = md5s(save_panel(equity, tmp_path / "one" / "panel"))
    assert md5s(save_panel(load_panel(tmp_path / "one" / "panel"), tmp_path / "two")) == first
    small = equity.select(["MMM"]).between("2010-01-01")
    save_panel(small, tmp_path / "two")
    again = load_panel(tmp_path / "two")
    assert again.columns.tolist() == ["MMM"] and again.returns.equals(small.returns)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


# --- panel


def test_panel_spans_its_returns_and_keeps_every_asset():
    days = pd.date_range("2020-01-01", periods=6)
    returns = pd.DataFrame({"A": [0.1, 0.1, 0.1]}, index=days[[1, 2, 4]])
    volume = pd.DataFrame({"B": 1.0, "A": 2.0}, index=days)
    panel = Panel({"dollar_volume": volume, "returns": returns})
    assert list(panel.index) == list(days[1:5])
    assert list(panel.columns) == ["B", "A"]
    assert np.isnan(panel.returns.loc[days[3], "A"]) and panel.dollar_volume.loc[days[3], "A"] == 2
    np.testing.assert_allclose(panel.log_prices["A"], np.log([1.1, 1.21, np.nan, 1.331]))


def test_panel_is_frozen_and_pickles(equity):
    panel = equity.select(["MMM", "AAPL"])
    returns = panel.returns
    returns.iloc[0, 0] = 5.0
    assert panel.returns.iloc[0, 0] != 5.0
    with pytest.raises(AttributeError):
        panel.fields = {}
    copy = pickle.loads(pickle.dumps(panel))
    assert copy.returns.equals(panel.returns) and copy.sectors.equals(panel.sectors)
    assert "0x" not in repr(panel)
    with pytest.raises(AttributeError, match="has no field `prices`"):
        _ = panel.prices


@pytest.mark.parametrize(
    "field",
    [
        np.ones((3, 2)),
        pd.DataFrame({"A": [1.0, 2]}),
        pd.DataFrame({"A": ["x", "y"]}, index=pd.date_range("2020", periods=2)),
        pd.DataFrame({"A": [1.0, np.inf]}, index=pd.date_range("2020", periods=2)),
        pd.DataFrame({"A": [np.nan, np.nan]}, index=pd.date_range("2020", periods=2)),
        pd.DataFrame({"A": [1.0, 2]}, index=pd.date_range("2020", periods=2)[::-1]),
        pd.DataFrame({"A": [1.0, 2]}, index=pd.date_range("2020", periods=2, tz="UTC")),
        pd.DataFrame({"A": [1.0, 2]}, index=pd.DatetimeIndex(["2020", "2020"])),
        pd.DataFrame([[1.0, 2]], columns=["A", "A"], index=pd.date_range("2020", periods=1)),
        pd.DataFrame({"A": [1.0, -2]}, index=pd.date_range("2020", periods=2)),
    ],
)
def test_panel_refuses(field):
    with pytest.raises(DataError):
        Panel({"prices": field})


def test_holdout_is_cut(equity):
    assert before(equity, "2015-07-01").index[-1] < pd.Timestamp("2015-07-01")
    assert before(equity.returns, "2015-07-01").equals(before(equity, "2015-07-01").returns)
    cut = load_panel(ROOT / "data" / "equity", fields=["returns"], end="2015-06-30")
    assert cut.index[-1] == pd.Timestamp("2015-06-30") and list(cut.fields) == ["returns"]
    with pytest.raises(SpecificationError, match="must be a date"):
        before(equity, "never")


# --- defects


def test_known_misadjusted_spin_offs_are_quarantined(report):
    gone = report.issues.query("kind in ['unadjusted_split', 'unconfirmed_jump']")
    assert set(gone["action"]) == {"quarantined"}
    cells = set(zip(gone["asset"], gone["date"].dt.strftime("%Y-%m-%d")))
    # spin-off dates: company announcements; FIS/LPS, MRO/MPC, WMB/WPX, COP/PSX, FOX/News,
    # IR/Allegion, DOV/Knowles, NOV/NOW, TWX/Time, EXPE/TripAdvisor, HCP/QCP, CAG/Lamb Weston
    assert cells - {("ETN", "2014-07-28")} == {
        ("FIS", "2008-07-03"),
        ("MRO", "2011-07-01"),
        ("EXPE", "2011-12-21"),
        ("WMB", "2012-01-03"),
        ("COP", "2012-05-01"),
        ("FOX", "2013-07-01"),
        ("FOXA", "2013-07-01"),
        ("IR", "2013-12-02"),
        ("DOV", "2014-03-03"),
        ("NOV", "2014-06-02"),
        ("TWX", "2014-06-09"),
        ("HCP", "2016-11-01"),
        ("CAG", "2016-11-10"),
    }


def test_genuine_crashes_and_rallies_are_kept(equity, report):
    healed = apply_quarantine(equity, report).returns
    for asset, day in [
        ("MS", "2008-10-13"),
        ("C", "2008-11-24"),
        ("PNC", "2009-01-20"),
        ("FITB", "2008-09-29"),
        ("VRTX", "2013-04-19"),
        ("NVDA", "2008-07-03"),
        ("EQIX", "2010-10-06"),
        ("PNC", "2009-01-21"),
        ("LVLT", "2008-10-23"),
        ("YHOO", "2008-02-01"),
        ("MSI", "2008-01-23"),
        ("UNH", "2008-09-29"),
    ]:
        assert healed.loc[day, asset] == equity.returns.loc[day, asset]


def test_repeated_rows_of_2014(report):
    counts = report.issues.query("kind == 'repeated_row'")["date"].value_counts()
    assert counts[pd.Timestamp("2014-07-18")] == 86 and counts[pd.Timestamp("2014-08-04")] == 194
    early = report.issues.query("kind == 'early_price'")["date"].value_counts()
    assert early[pd.Timestamp("2014-07-17")] == 86 and early[pd.Timestamp("2014-08-01")] == 194


def test_quarantine_touches_nothing_else(equity, report):
    healed = apply_quarantine(equity, report)
    listed = report.issues.query("action == 'quarantined'")
    for name, frame in equity.fields.items():
        cells = listed[listed["field"].str.split(", ").map(lambda names, n=name: n in names)]
        changed = healed.fields[name].isna() & frame.notna()
        where = {(frame.index[i], frame.columns[j]) for i, j in np.argwhere(changed.to_numpy())}
        assert where == set(zip(cells["date"], cells["asset"]))
        assert healed.fields[name].where(~changed, 0).equals(frame.where(~changed, 0))
    assert list(report.issues.columns[:5]) == ["asset", "date", "kind", "value", "action"]


def test_clean_markets_raise_no_alarm():
    for seed in range(3):
        frames, sectors = market(seed=seed)
        found = check_panel(Panel(frames, sectors=sectors)).issues
        assert found["action"].eq("kept").all() and len(found) <= 1


@pytest.mark.parametrize("ratio", [2, 3, 4, 7, 10, 1.5, 0.5, 0.25, 0.1, 0.05])
def test_unadjusted_split_of_any_ratio(ratio):
    frames, sectors = market(seed=1)
    frames["returns"].iloc[150, 3] = (1 + frames["returns"].iloc[150, 3]) / ratio - 1
    contract = DataContract(max_return=50)
    issues = check_panel(Panel(frames, sectors=sectors), contract=contract).issues
    assert issues[["asset", "kind", "action"]].to_numpy().tolist() == [
        ["S003", "unadjusted_split", "quarantined"]
    ]


def test_the_same_move_with_the_trading_of_news_is_kept():
    frames, sectors = market(seed=1)
    frames["returns"].iloc[150, 3] = -0.5
    frames["dollar_volume"].iloc[150, 3] *= 15
    issues = check_panel(Panel(frames, sectors=sectors)).issues
    assert issues[["kind", "action"]].to_numpy().tolist() == [["extreme_return", "kept"]]


def test_the_contract_decides_what_goes():
    frames, sectors = market(seed=2)
    frames["dollar_volume"].iloc[100, 0] = 0
    panel = Panel(frames, sectors=sectors)
    assert check_panel(panel).n_quarantined == 1
    kept = check_panel(panel, contract=DataContract(quarantine=()))
    assert kept.n_quarantined == 0 and kept.n_issues == 1
    assert apply_quarantine(panel, kept) is panel


def test_a_total_loss_and_a_dead_price_are_listed():
    frames, sectors = market()
    frames["returns"].iloc[100, 0] = -1.0
    panel = Panel(frames, sectors=sectors)
    assert check_panel(panel).issues["evidence"].tolist() == ["a total loss"]
    still = Panel({"prices": frames["returns"] * 0 + 5.0})
    found = check_panel(still)
    assert set(found.issues["kind"]) == {"stale_price", "still_day"}
    healed = apply_quarantine(still, found)
    assert healed.returns.isna().all(axis=None) and healed.prices.equals(still.prices)


def test_sessions():
    frames, sectors = market()
    shifted = frames["returns"].index[100] + pd.Timedelta(days=1)
    while shifted.weekday() < 5:
        shifted += pd.Timedelta(days=1)
    extra = {
        k: pd.concat([f, f.iloc[[100]].set_axis([shifted])]).sort_index() for k, f in frames.items()
    }
    panel = Panel(extra, sectors=sectors)
    found = check_panel(panel)
    assert found.issues.query("kind == 'non_session'")["date"].tolist() == [shifted]
    assert apply_quarantine(panel, found).returns.loc[shifted].isna().all()
    assert check_panel(panel, contract=DataContract(calendar=None)).n_issues == 0
    gap = Panel({k: f.drop(f.index[50]) for k, f in frames.items()})
    assert (check_panel(gap).issues["kind"] == "missing_session").sum() == 1


def test_bad_contract_and_panel(equity):
    for wrong in [{"window": 0}, {"jump_score": "6"}, {"quarantine": ("typo",)}, {"calendar": 3}]:
        with pytest.raises(SpecificationError):
            DataContract(**wrong)
    with pytest.raises(DataError, match="must be a Panel"):
        check_panel(equity.returns)
    with pytest.raises(DataError, match="no field `returns`"):
        check_panel(Panel({"dollar_volume": equity.dollar_volume}))


def test_report_speaks_json_and_tables(report):
    import json

    assert json.loads(json.dumps(report.to_dict()))["repeated_row"] == 292
    assert report.summary()["findings"].sum() == report.n_issues
    assert report.plot().get_title(loc="left")


# --- universe


def naive_mask(index, columns, membership):
    "One cell at a time"
    mask = pd.DataFrame(False, index=index, columns=columns)
    for row in membership.itertuples():
        for day in index:
            inside = row.added <= day and (pd.isna(row.removed) or day < row.removed)
            if row.symbol in mask.columns and inside:
                mask.loc[day, row.symbol] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-3, 12), st.integers(0, 9)), min_size=1)
)
def test_mask_equals_the_definition(spells):
    origin = pd.Timestamp("2020-01-01")
    day = lambda k: origin + pd.Timedelta(days=k)
    removed = [day(a + n) if n < 9 else pd.NaT for _, a, n in spells]
    membership = pd.DataFrame(
        {"symbol": [s for s, _, _ in spells], "added": [day(a) for _, a, _ in spells]}
    ).assign(removed=pd.to_datetime(pd.Series(removed)))
    index = pd.date_range(origin, periods=10)
    mask = membership_mask(index, list("ABC"), membership)
    assert mask.equals(naive_mask(index, list("ABC"), membership))


def test_mask_knows_the_past_only():
    index = pd.date_range("2020-01-01", periods=10)
    spells = pd.DataFrame({"symbol": ["A"], "added": ["2020-01-03"], "removed": [""]})
    later = pd.concat([spells, spells.assign(symbol="B", added="2020-01-08")])
    assert (
        membership_mask(index, ["A", "B"], later)
        .iloc[:7]
        .equals(membership_mask(index, ["A", "B"], spells).iloc[:7])
    )


def test_membership_of_the_sample(equity):
    mask = membership_mask(equity.index, equity.columns, equity.membership)
    # README of the sample data: only about 300 of the 431 were members in January 2007
    assert 290 <= mask.iloc[0].sum() <= 310
    assert not mask["UTX"].any()
    renamed = membership_mask(equity.index, ["UTX"], equity.membership, aliases={"UTX": "RTX"})
    assert renamed["UTX"].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"added": "x"}, "not a date"),
        ({"added": None}, "not a date"),
        ({"removed": "1990-01-01"}, "before it was added"),
    ],
)
def test_bad_spells(change, message):
    spells = pd.DataFrame({"symbol": ["A"], "added": ["2019-01-01"], "removed": [None]}).assign(
        **change
    )
    with pytest.raises(DataError, match=message):
        membership_mask(pd.date_range("2020", periods=3), ["A"], spells)


def test_survivorship_gap_uses_yesterdays_members():
    days = pd.date_range("2020-01-01", periods=4)
    returns = pd.DataFrame({"A": [0.0, 0.0, 0.0, 0.01], "B": [0.0, 0.5, 0.0, 0.03]}, index=days)
    spells = pd.DataFrame(
        {"symbol": ["A", "B"], "added": ["2019-01-01", "2020-01-02"], "removed": [None, None]}
    )
    gap = survivorship_gap(returns, spells, periods_per_year=252)
    # B joins on the day it rises by half: a mask of the same day would take the gain
    np.testing.assert_allclose(gap.returns["members"], [0.0, 0.0, 0.02])
    np.testing.assert_allclose(gap.returns["all"], [0.25, 0.0, 0.02])


def test_survivorship_gap_of_a_planted_bias():
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2010-01-01", periods=2000)
    returns = pd.DataFrame(rng.normal(0, 0.01, (2000, 50)), index=days)
    returns.columns = [f"S{i}" for i in range(50)]
    returns.iloc[:1000, 25:] += 0.001  # the winners before they joined
    added = ["2000-01-01"] * 25 + [f"{days[1000]:%Y-%m-%d}"] * 25
    spells = pd.DataFrame({"symbol": returns.columns, "added": added, "removed": None})
    gap = survivorship_gap(returns, spells, periods_per_year=252)
    # all holds 25 of 50 names with 0.001 a day for half of the time
    assert abs(gap.difference - 252 * 0.001 / 4) < 3 * gap.std_error
    assert gap.statistic > 4


# --- returns


@pytest.mark.filterwarnings("ignore::quantlab.errors.ScaleWarning")  # prices that double every day
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.5, 2.0), min_size=3, max_size=30),
    st.integers(1, 5),
    st.floats(0.1, 1000),
)
def test_forward_return_is_the_later_price(ratios, horizon, scale):
    days = pd.date_range("2020-01-01", periods=len(ratios))
    prices = pd.DataFrame({"A": scale * np.cumprod(ratios)}, index=days)
    forward = forward_returns(prices, periods=(horizon,))[horizon]["A"].to_numpy()
    values = prices["A"].to_numpy()
    for t in range(len(values)):
        if t + horizon < len(values):
            assert forward[t] == pytest.approx(values[t + horizon] / values[t] - 1)
        else:
            assert np.isnan(forward[t])
    if len(values) > horizon:
        compounded = forward_returns_from_returns(simple_returns(prices), periods=(horizon,))
        np.testing.assert_allclose(compounded[horizon]["A"], forward, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(90.0, 110.0)), min_size=2, max_size=40).filter(
        lambda x: sum(v is not None for v in x) > 1
    ),
    st.integers(1, 6),
)
def test_a_gap_loses_no_move(values, horizon):
    "Returns of known days compound to the last price over the first, whatever is missing"
    prices = pd.Series(
        values, pd.bdate_range("2020-01-01", periods=len(values)), dtype=float, name="A"
    )
    known = prices.dropna()
    simple, logs = simple_returns(prices), log_returns(prices)
    panel = Panel({"prices": prices.to_frame()})
    assert (simple.notna() == prices.notna() & (prices.index > known.index[0])).all()
    assert (1 + simple).prod() == pytest.approx(known.iloc[-1] / known.iloc[0])
    assert logs.sum() == pytest.approx(np.log(known.iloc[-1] / known.iloc[0]), abs=1e-9)
    np.testing.assert_array_equal(panel.returns["A"], simple)
    again = Panel({"returns": panel.returns}).log_prices["A"].dropna()
    np.testing.assert_allclose(np.diff(again), np.diff(np.log(known.loc[again.index])), atol=1e-9)
    held = run_backtest(pd.DataFrame({"A": 1.0}, prices.index), simple.to_frame())
    assert (1 + held.returns).prod() == pytest.approx(known.iloc[-1] / known.iloc[0])
    assert held.n_missing_returns == int(
        prices.iloc[1:].isna().sum() + (prices.index[1:] == known.index[0]).sum()
    )
    forward = forward_returns(prices.to_frame(), periods=(horizon,))[horizon]["A"].to_numpy()
    for t, price in enumerate(prices):
        inside = t + horizon < len(prices) and prices.index[t + horizon] <= known.index[-1]
        later = prices.iloc[t + 1 : t + horizon + 1].dropna()
        if inside and len(later) and not np.isnan(price):
            assert forward[t] == pytest.approx(later.iloc[-1] / price - 1)
        else:
            assert np.isnan(forward[t])


def test_a_negative_price_loses_only_its_own_returns(tmp_path):
    "Crude oil of 20 April 2020: simple returns to and from it do not exist, those of others do"
    days = pd.bdate_range("2020-04-16", periods=5)
    prices = pd.DataFrame(
        {"WTI": [20, 18, -37.6, 10, 13], "ES": [2800.0, 2790, 2750, 2770, 2800]}, days
    )
    whole = simple_returns(prices[["ES"]])["ES"]
    for call in (
        simple_returns,
        lambda p: np.expm1(log_returns(p)),
        lambda p: Panel({"prices": p}).returns,
    ):
        with pytest.warns(DataWarning, match="is -37.6 for 'WTI' on 2020-04-20") as said:
            returns = call(prices)
        assert said[0].filename == __file__
        np.testing.assert_allclose(returns["ES"], whole, atol=1e-15)
        np.testing.assert_allclose(returns["WTI"], [np.nan, -0.1, np.nan, np.nan, 0.3], atol=1e-12)
    with pytest.warns(DataWarning):
        ahead = forward_returns(prices, periods=(2,))[2]
    np.testing.assert_allclose(
        ahead["WTI"], [np.nan, 10 / 18 - 1, np.nan, np.nan, np.nan], atol=1e-12
    )
    prices.to_csv(tmp_path / "prices.csv", index_label="date")
    with pytest.warns(DataWarning):
        panel = load_panel(tmp_path / "prices.csv")
    assert (
        np.isnan(panel.log_prices.loc["2020-04-20", "WTI"])
        and panel.prices.loc["2020-04-20", "WTI"] == -37.6
    )
    report = check_panel(panel)
    assert ("out_of_range", "WTI") in set(zip(report.issues["kind"], report.issues["asset"]))
    pd.testing.assert_frame_equal(apply_quarantine(panel, report).returns, panel.returns)
    for every in (prices["WTI"], prices - 3000, -prices):
        with pytest.raises(DataError, match=r"in every asset; .*prices\.diff"):
            simple_returns(every)


def test_what_a_quarantine_removes_does_not_come_back():
    """A quarantined return stays missing; a quarantined price is an unknown price, which the next
    return spans"""
    days = pd.DatetimeIndex(
        ["2020-01-02", "2020-01-03", "2020-01-04", "2020-01-06", "2020-01-07", "2020-01-08"]
    )
    prices = pd.DataFrame({"A": [10.0, 11, 12, 22, 23, 24], "B": [5.0, 5, 5, 5, 6, 6]}, days)
    panel = Panel({"prices": prices})
    report = check_panel(panel)  # Saturday the 4th is no session
    healed = apply_quarantine(panel, report)
    assert healed.prices.loc["2020-01-04"].isna().all()
    assert healed.returns.loc["2020-01-06"].tolist() == pytest.approx([1.0, 0.0])
    row = {
        "asset": "A",
        "date": days[3],
        "kind": "unadjusted_split",
        "value": 0.0,
        "action": "quarantined",
        "field": "returns",
        "evidence": "",
    }
    report = dataclasses.replace(
        report, issues=pd.concat([report.issues, pd.DataFrame([row])], ignore_index=True)
    )
    healed = apply_quarantine(panel, report)
    assert healed.returns["A"].isna().tolist() == [True, False, True, True, False, False]
    assert healed.log_prices["A"].iloc[-1] == pytest.approx(np.log(11 / 10 * 24 / 22))


def test_prices_and_percent_are_no_returns():
    days = pd.bdate_range("2020-01-01", periods=60)
    returns = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (60, 3)), days, list("abc"))
    for wrong in (100 * (1 + returns).cumprod(), (1 + returns).cumprod(), 1 + returns):
        with pytest.raises(DataError, match="prices or growth factors"):
            Panel({"returns": wrong})
    with pytest.warns(ScaleWarning, match="divide by 100"):
        Panel({"returns": (100 * returns).clip(lower=-1)})
    Panel({"returns": 20 * returns})


def test_returns_agree_with_pandas(equity):
    prices = np.exp(equity.log_prices)
    pd.testing.assert_frame_equal(simple_returns(prices), prices.pct_change(fill_method=None))
    np.testing.assert_allclose(simple_returns(prices).iloc[1:], equity.returns.iloc[1:], atol=1e-12)
    np.testing.assert_allclose(log_returns(prices), np.log1p(simple_returns(prices)), atol=1e-12)


@pytest.mark.parametrize("function", [simple_returns, log_returns, forward_returns])
def test_returns_refuse_bad_prices(function):
    days = pd.date_range("2020-01-01", periods=3)
    good = pd.DataFrame({"A": [1.0, 2, 3]}, index=days)
    for bad in [
        good * 0,
        -good,
        good * np.nan,
        good.replace(2.0, np.inf),
        good.astype(str),
        good[::-1],
        good.iloc[[0, 0, 1]],
        good.iloc[:1],
        pd.concat([good, good], axis=1),
    ]:
        with pytest.raises(QuantlabError):
            function(bad)
