"""The tear sheet: its sums come out, its figures are those of others, and it never looks ahead."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import (
    CostModel,
    long_short_weights,
    run_account,
    run_backtest,
    tear_sheet,
)
from quantlab.backtest.sheet_page import PICTURES
from quantlab.backtest.tables import labels_before, positions, regime_table, round_trips
from quantlab.errors import (
    DataError,
    MisalignedError,
    MissingDataError,
    QuantlabError,
    ScaleWarning,
    SpecificationError,
)
from quantlab.pages import external_references
from quantlab.simulate import factor_world

COSTS = CostModel(commission_bps=1, half_spread_bps=5)


def random_returns(seed: int, n: int = 700, start: str = "2015-01-01") -> pd.Series:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(5, n) * 0.008 + rng.normal(0, 0.0005)
    return pd.Series(values, index=pd.bdate_range(start, periods=n), name="returns")


@pytest.fixture(scope="module")
def world():
    return factor_world(800, 20, rng=np.random.default_rng(3))


@pytest.fixture(scope="module")
def result(world):
    book = long_short_weights(world.returns.rolling(120).mean(), quantile=0.25)
    return run_backtest(book, world.returns, costs=COSTS, periods_per_year=252)


@pytest.fixture(scope="module")
def sheet(world, result):
    market = world.returns.mean(axis=1)
    regimes = (market.rolling(60).std() < 0.01).map({True: "calm", False: "wild"})
    return tear_sheet(result, market, regimes=regimes, sectors=world.sectors, title="A & B")


@pytest.mark.parametrize("seed", range(8))
def test_figures_are_those_of_quantstats_and_empyrical(seed):
    import empyrical
    import quantstats.stats as quantstats

    r, b = random_returns(seed), random_returns(100 + seed)
    sheet = tear_sheet(r, b, periods_per_year=252)
    p, figures = sheet.performance, sheet.summary()["strategy"]
    r, b = r.rename(None), b.rename(None)
    theirs = {
        "total return": (quantstats.comp(r), empyrical.cum_returns_final(r)),
        "return a year": (quantstats.cagr(r), empyrical.annual_return(r)),
        "volatility a year": (quantstats.volatility(r), empyrical.annual_volatility(r)),
        "Sharpe ratio (annualized)": (quantstats.sharpe(r), empyrical.sharpe_ratio(r)),
        "Sortino ratio (annualized)": (quantstats.sortino(r), empyrical.sortino_ratio(r)),
        "Calmar ratio": (quantstats.calmar(r), empyrical.calmar_ratio(r)),
        "deepest drawdown": (-quantstats.max_drawdown(r), -empyrical.max_drawdown(r)),
        "expected shortfall (5 %, a period)": (
            -quantstats.cvar(r, method="historical"),
            -empyrical.conditional_value_at_risk(r),
        ),
        "value at risk (5 %, a period)": (-empyrical.value_at_risk(r),),
        "best period": (quantstats.best(r),),
        "worst period": (quantstats.worst(r),),
        "periods above zero": (quantstats.win_rate(r),),
        "beta": (quantstats.greeks(r, b)["beta"], empyrical.beta(r, b)),
        "alpha a year": (quantstats.greeks(r, b)["alpha"],),
        "information ratio (annualized)": (quantstats.information_ratio(r, b) * np.sqrt(252),),
    }
    for label, numbers in theirs.items():
        assert numbers == pytest.approx([figures[label]] * len(numbers), rel=1e-9), label
    assert p.omega_ratio == pytest.approx(empyrical.omega_ratio(r))
    n = len(r)
    g1 = p.skewness * np.sqrt(n * (n - 1)) / (n - 2)  # Joanes and Gill (1998)
    g2 = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (p.kurtosis - 3) + 6)
    assert (quantstats.skew(r), quantstats.kurtosis(r)) == pytest.approx((g1, g2))
    a = (1 + p.annualized_alpha / 252) ** 252 - 1
    assert empyrical.alpha(r, b) == pytest.approx(a)


@pytest.mark.parametrize("seed", range(4))
def test_months_and_rolling_figures_are_those_of_quantstats(seed):
    import quantstats.stats as quantstats

    r = random_returns(seed, start="2015-03-12")
    sheet = tear_sheet(r, window=100, periods_per_year=252)
    theirs = quantstats.monthly_returns(r.rename(None))
    np.testing.assert_allclose(sheet.months.fillna(0.0), theirs, atol=1e-12)
    rolling = quantstats.rolling_sharpe(r.rename(None), rolling_period=100).dropna()
    np.testing.assert_allclose(sheet.rolling["sharpe_ratio"], rolling, rtol=1e-8)


def test_all_contributions_add_up_to_the_same_returns(sheet, result):
    gross = result.gross_returns.loc[result.start :]
    assert sheet.positions.contributions.sum(axis=1).to_numpy() == pytest.approx(gross.to_numpy())
    for total in (
        sheet.trades["contribution"].sum(),
        sheet.legs["contribution"].iloc[:2].sum(),
        sheet.sectors["contribution"].iloc[:-3].sum(),
    ):
        assert total == pytest.approx(gross.sum())
    days = sheet.worst_days.groupby(level="date", sort=False)
    assert len(days) == 10 and days.size().max() == 6
    assert days["contribution"].sum().to_dict() == pytest.approx(gross[list(days.groups)].to_dict())
    worst = sheet.performance.returns.nsmallest(10).index
    assert list(sheet.worst_days.index.unique("date")) == list(worst)
    assert sheet.regimes["periods"].sum() == len(gross)
    assert sheet.regimes["sum"].sum() == pytest.approx(sheet.performance.returns.sum())


def test_days_before_the_first_position_count_in_nothing(sheet, result):
    live = result.returns.loc[result.start :]
    assert sheet.n_waiting == 120 and sheet.performance.nobs == len(live)
    assert sheet.summary().loc["Sharpe ratio (annualized)", "strategy"] == pytest.approx(
        live.mean() / live.std() * np.sqrt(252)
    )
    assert sheet.months.iloc[0].isna().sum() == result.start.month - 1
    tables = (sheet.equity, sheet.exposure, sheet.turnover, sheet.costs, sheet.positions.weights)
    assert {table.index[0] for table in tables} == {result.start}
    assert "not yet invested" in sheet.html()


def test_a_page_is_self_contained_escaped_and_the_same_twice(sheet, tmp_path):
    page = sheet.html()
    assert page == sheet.html()
    assert external_references(page) == [] and "<script" not in page
    assert "A &amp; B" in page and "A & B" not in page
    path = sheet.save(tmp_path / "new" / "sheet.html")
    assert path.read_text(encoding="utf-8") == page
    assert [p.name for p in path.parent.iterdir()] == ["sheet.html"]
    shown = sheet._repr_html_()  # JupyterLab drops <svg> from a notebook that it did not run
    assert "<svg" not in shown and shown.count('<img alt="') == 3 and sheet.sentence() in page


def test_every_picture_is_drawn_without_a_warning(sheet):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in PICTURES:
            sheet.plot(kind=kind).figure.canvas.draw()
            assert sheet.plot(kind=kind).get_title(loc="left")


@pytest.mark.parametrize("years", [0.2, 2.5, 4.4, 12])
def test_dates_of_any_length_are_drawn_without_a_warning(years):
    sheet = tear_sheet(random_returns(1, n=round(252 * years)), periods_per_year=252)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sheet.html()


def test_what_comes_later_changes_no_row_before(world, result):
    cut = world.returns.index[600]
    market = world.returns.mean(axis=1)
    early = run_backtest(
        result.book.weights.loc[:cut], world.returns.loc[:cut], costs=COSTS, periods_per_year=252
    )
    whole, part = (tear_sheet(x, market) for x in (result, early))
    for name in ("equity", "exposure", "rolling"):
        known = getattr(whole, name).loc[:cut]
        pd.testing.assert_frame_equal(known, getattr(part, name), rtol=1e-9)
    closed = part.trades[~part.trades["open"]]
    same = whole.trades.merge(closed, on=["asset", "side", "entry", "exit", "days"])
    assert len(same) == len(closed) > 0


def test_a_regime_is_the_last_label_before_the_day():
    r = random_returns(5)
    sign = (r > 0).map({True: "up", False: "down"})
    honest = regime_table(r, sign, periods_per_year=252)
    assert honest["sharpe_ratio"].abs().max() < 3
    leaky = regime_table(r.iloc[:-1], sign.shift(-1).iloc[:-1], periods_per_year=252)
    assert leaky.loc["up", "sharpe_ratio"] > 10
    monthly = pd.Series(["a", "b"], index=pd.to_datetime(["2015-01-30", "2015-03-02"]))
    labels = labels_before(monthly, r.index)
    assert pd.isna(labels["2015-01-30"]) and labels["2015-02-02"] == "a"
    assert labels["2015-03-02"] == "a" and labels["2015-03-03"] == "b"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(3, 25))
def test_round_trips_cover_every_held_day_once(seed, n_assets, n_days):
    rng = np.random.default_rng(seed)
    index = pd.bdate_range("2020-01-01", periods=n_days)
    names = [f"A{i}" for i in range(n_assets)]
    weights = pd.DataFrame(rng.integers(-1, 2, (n_days, n_assets)) * 0.2, index, names)
    weights.iloc[0, 0] = 0.2
    moves = pd.DataFrame(rng.normal(0, 0.02, (n_days, n_assets)), index, names)
    held = positions(run_backtest(weights, moves))
    trips = round_trips(held)
    assert trips["days"].sum() == (held.weights != 0).to_numpy().sum()
    assert trips["contribution"].sum() == pytest.approx(held.gross.sum(), abs=1e-12)
    assert (np.sign(trips["weight"]) == trips["side"].map({"long": 1, "short": -1})).all()
    for trip in trips.itertuples():
        run = held.weights.loc[trip.entry : trip.exit, trip.asset]
        assert len(run) == trip.days and np.sign(run).nunique() == 1
    assert trips["open"].sum() == (held.weights.iloc[-1] != 0).sum()


def test_a_strategy_without_an_edge_is_called_so_in_95_percent_of_worlds():
    rng, index = np.random.default_rng(0), random_returns(0).index
    fair = [tear_sheet(pd.Series(rng.normal(0, 0.01, len(index)), index)) for _ in range(100)]
    silent = np.mean(["cannot be told from" in sheet.sentence() for sheet in fair])
    assert 0.88 <= silent <= 0.99  # 95 % by construction
    rich = tear_sheet(random_returns(1) + 0.003)
    assert "only strategy tried" in rich.sentence()
    assert "more than chance explains" in tear_sheet(random_returns(1) - 0.003).sentence()


def test_a_plain_series_says_what_is_left_out():
    r = random_returns(2)
    sheet = tear_sheet(r)
    assert sheet.trades is sheet.exposure is sheet.worst_days is sheet.positions is None
    assert any("give the result of a backtest" in line for line in sheet.left_out)
    assert any("252 periods a year" in line for line in sheet.notes)
    waiting = tear_sheet(r.where(r.index > r.index[60], 0.0))
    assert waiting.n_waiting == 0
    assert any("first 61 returns are zero" in line for line in waiting.notes)
    months = tear_sheet(r.resample("ME").sum())
    assert months.performance.periods_per_year == 12 and months.window == 12
    numbered = tear_sheet(r.reset_index(drop=True), periods_per_year=252)
    assert numbered.months is None and "no dates" in " ".join(numbered.left_out)
    assert "Returns by month" not in numbered.html().replace("Returns by month: the", "")
    assert tear_sheet(r.iloc[:5]).sentence().endswith("too few for an interval.")


def test_missing_returns_while_held_are_told(world):
    returns = world.returns.iloc[:200].copy()
    returns.iloc[50, 0] = np.nan
    sheet = tear_sheet(
        run_backtest(pd.DataFrame(0.05, returns.index, returns.columns), returns),
        periods_per_year=252,
    )
    assert any("1 returns were missing" in line for line in sheet.notes)
    assert sheet.positions.contributions.notna().all(axis=None)


BAD = {
    "empty": (lambda r: (r.iloc[:0],), DataError, "at least 3"),
    "zero": (lambda r: (r.abs() * 0,), DataError, "constant at 0"),
    "missing": (lambda r: (r.mask(r > 0.02),), MissingDataError, "missing values"),
    "table": (lambda r: (pd.concat([r, r], axis=1),), DataError, "2 columns"),
    "prices": (lambda r: ((1 + r).cumprod(),), DataError, "prices"),
    "text": (lambda r: ("prices.csv",), QuantlabError, "returns"),
    "elsewhen": (
        lambda r: (r, r.set_axis(r.index - pd.Timedelta(days=9999))),
        MisalignedError,
        "share no day",
    ),
    "late": (lambda r: (r, r.iloc[5:]), MissingDataError, "no return on 5 of the 700 days"),
    "constant": (lambda r: (r, r * 0), DataError, "`benchmark` is constant"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence(name):
    make, error, words = BAD[name]
    with pytest.raises(error, match=words) as caught:
        tear_sheet(*make(random_returns(0)))
    assert "\n" not in str(caught.value)


def test_returns_in_percent_are_noticed():
    r = random_returns(0) * 100
    with pytest.raises(DataError, match="0.01 is one percent"):
        tear_sheet(r)
    with pytest.warns(ScaleWarning, match="divide by 100"):
        tear_sheet(r.abs() - 0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 2}, "`window`"),
        ({"title": ""}, "`title`"),
        ({"periods_per_year": 0}, "`periods_per_year`"),
        ({"risk_free": "1%"}, "`risk_free`"),
        ({"sectors": {}}, "needs positions"),
        ({"regimes": "calm"}, "`regimes`"),
    ],
)
def test_bad_options_get_one_sentence(options, words):
    with pytest.raises(SpecificationError, match=words):
        tear_sheet(random_returns(0), **options)


@pytest.mark.parametrize("fill", ["close", "next_open", "limit"])
def test_the_sheet_of_an_account_adds_up(fill):
    import test_account

    made = test_account.world(3, n_days=260)
    limit = 15 if fill == "limit" else None
    result = run_account(
        made["weights"],
        made["panel"],
        fill=fill,
        limit_bps=limit,
        stop_loss=0.05,
        cash_rate=0.03,
        **made["tables"],
    )
    held = positions(result)
    gap = held.contributions.sum(axis=1) - held.gross
    assert gap.abs().max() < 1e-12
    assert round_trips(held)["contribution"].sum() == pytest.approx(held.gross.sum(), abs=1e-10)
    sheet = tear_sheet(result, periods_per_year=252)
    page = sheet.html()
    assert "orders that lapsed" in page and "Interest of" in page


def test_months_may_be_periods():
    months = pd.period_range("2015-01", periods=40, freq="M")
    returns = pd.Series(np.random.default_rng(0).normal(0.01, 0.03, 40), months)
    dated = returns.set_axis(months.to_timestamp(how="end").normalize())
    assert tear_sheet(returns, returns / 2).html() == tear_sheet(dated, dated / 2).html()
