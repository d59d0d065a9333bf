"""One call for a finished backtest: right about noise, fair to an edge, and it writes down once."""

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from scipy import stats

from quantlab.backtest import CostModel, run_backtest
from quantlab.errors import (
    DataError,
    MisalignedError,
    MissingDataError,
    QuantlabError,
    ScaleWarning,
    SmallSampleWarning,
    SpecificationError,
)
from quantlab.ledger import Ledger, open_trials
from quantlab.review import judge, what_is_missing
from quantlab.validation import AnnualizedSharpe, deflated_sharpe_test, estimate_sharpe, min_years

mpl.use("agg")
DATES = pd.bdate_range("2014-01-06", periods=504, name="date")
ASKED = {"periods_per_year": 252, "n_resamples": 500, "block_length": 5}


def noise(seed: int, k: int = 5, n: int = 504) -> pd.DataFrame:
    "Variants without an edge"
    values = np.random.default_rng(seed).normal(0, 0.01, (n, k))
    dates = pd.bdate_range("2014-01-06", periods=n, name="date")
    return pd.DataFrame(values, dates, [f"v{i}" for i in range(k)])


def best(frame: pd.DataFrame, k: int) -> pd.DataFrame:
    "The columns with the highest Sharpe ratios"
    return frame[(frame.mean() / frame.std()).nlargest(k).index]


def within(passed: int, n: int, rate: float = 0.05) -> bool:
    "May `passed` of `n` come from this rate? In 999 of 1000 cases where it is true"
    low, high = stats.binom.ppf([0.0005, 0.9995], n, rate)
    return low <= passed <= high


def edge(seed: int = 0, n: int = 1512) -> pd.DataFrame:
    "Four names that rise"
    values = np.random.default_rng(seed).normal(0.0009, 0.01, (n, 4))
    return pd.DataFrame(values, pd.bdate_range("2012-01-02", periods=n), list("abcd"))


def book(market: pd.DataFrame, costs: CostModel | None = None):
    "An equally weighted backtest"
    return run_backtest(market * 0 + 0.25, market, costs=costs or CostModel(2, 5, 0))


IN_ORDER = {
    "lookahead_audit_passed": True,
    "data_quality_share": 1.0,
    "ledger_in_order": True,
    "plan_before_results": True,
}


# --- luck ---------------------------------------------------------------------------------------


def test_noise_passes_as_often_as_it_should():
    found = [judge(noise(seed), **ASKED) for seed in range(200)]
    assert within(sum(j.pvalue <= 0.05 for j in found), 200)
    assert {j.verdict for j in found if j.pvalue > 0.05} == {"rejected"}
    assert {j.verdict for j in found if j.pvalue <= 0.05} <= {"unconfirmed"}


def test_hiding_the_losers_gains_nothing_where_they_are_counted():
    shown, hidden, forgotten = [], [], []
    for seed in range(200):
        tried = noise(1000 + seed, 30)
        three = best(tried, 3)
        shown.append(judge(tried, **ASKED).pvalue)
        hidden.append(judge(three, n_trials=30, **ASKED).pvalue)
        forgotten.append(judge(three, **ASKED).pvalue)
    assert sum(p <= 0.05 for p in hidden) <= stats.binom.ppf(0.9995, 200, 0.05)
    assert np.mean(hidden) > np.mean(shown) - 0.02
    assert np.mean(np.array(forgotten) <= 0.05) > 0.2


def test_a_trial_alone_is_tested_alone():
    one = noise(1, 1)["v0"]
    found = judge(one, n_trials=1, **ASKED)
    test = deflated_sharpe_test(one.to_frame(), n_resamples=500, block_length=5, seed=0)
    assert (found.pvalue, found.n_trials, found.n_hidden) == (test.pvalue, 1, 0)
    assert found.critical_annual_sharpe == pytest.approx(test.critical_sharpe * math.sqrt(252))
    span = estimate_sharpe(one, method="hac")
    assert found.sharpe_lower == pytest.approx(span.lower * math.sqrt(252))
    assert found.sharpe_upper == pytest.approx(span.upper * math.sqrt(252))
    assert isinstance(found.annualized_sharpe_ratio, AnnualizedSharpe)


def test_the_pvalues_of_the_variants_are_the_tests_own():
    tried = noise(2)
    found = judge(tried, selected="v3", **ASKED)
    test = deflated_sharpe_test(tried, selected="v3", n_resamples=500, block_length=5, seed=0)
    pd.testing.assert_series_equal(found.adjusted_pvalues, test.adjusted_pvalues)
    assert found.selected == "v3" and found.pvalue == test.pvalue


@pytest.mark.slow
def test_a_rejection_of_noise_does_not_ask_for_patience():
    "Of many trials without an edge the best is never far below the bar, and is luck all the same"
    reasons = [judge(noise(seed, 30), **ASKED).reason for seed in range(60)]
    assert reasons.count("no better than luck") >= 20
    one = [judge(noise(seed, 1)["v0"], n_trials=1, **ASKED).reason for seed in range(60)]
    assert one.count("no better than luck") >= 35


# --- the verdict --------------------------------------------------------------------------------


def test_an_edge_that_is_shown_whole_is_approved():
    market = edge()
    shown = book(market.iloc[:1260])
    later = book(market).returns.iloc[1260:]
    found = judge(shown, n_trials=8, holdout=later, evidence=IN_ORDER, **ASKED)
    assert (found.verdict, found.reason, found.needed) == ("approved", None, ())
    assert found.years_needed == 0 and found.n_hidden == 7
    assert found.breakeven_cost_bps == shown.breakeven_cost_bps
    multiple = shown.gross_returns.sum() / shown.costs.sum()
    assert found.breakeven_cost_multiple == pytest.approx(multiple)
    by_book = judge(shown, n_trials=8, holdout=book(market.iloc[1260:]), evidence=IN_ORDER, **ASKED)
    assert by_book.verdict == "approved"
    by_day = judge(
        shown.returns, n_trials=8, holdout=later, costs=shown.costs, evidence=IN_ORDER, **ASKED
    )
    assert by_day.verdict == "approved" and by_day.breakeven_cost_bps is None
    assert by_day.breakeven_cost_multiple == pytest.approx(multiple)


@pytest.mark.parametrize(
    ("without", "needed"),
    [
        ("holdout", "a holdout"),
        ("costs", "break-even cost (multiple of the assumed)"),
        ("n_trials", "the count of all that was tried"),
    ],
)
def test_what_is_not_shown_is_not_approved(without, needed):
    market = edge()
    shown = book(market.iloc[:1260])
    asked = {"n_trials": 1, "holdout": market.iloc[1260:].mean(axis=1), "costs": shown.costs}
    del asked[without]
    found = judge(shown.returns, evidence=IN_ORDER, **asked, **ASKED)
    assert (found.verdict, found.needed) == ("unconfirmed", (needed,))
    assert needed in found.sentence()
    assert any("not known" in text or "no returns" in text for text in found.unchecked)


def test_nothing_is_approved_that_the_gate_would_not():
    market = edge()
    shown, later = book(market.iloc[:1260]), market.iloc[1260:].mean(axis=1)
    ask = lambda **known: judge(shown, n_trials=1, holdout=later, evidence=known, **ASKED)
    assert ask(**IN_ORDER).verdict == "approved"
    for name in IN_ORDER:
        lacks = ask(**{k: v for k, v in IN_ORDER.items() if k != name})
        assert lacks.verdict == "unconfirmed" and len(lacks.needed) == 1
        low = 0.5 if name == "data_quality_share" else False
        against = ask(**IN_ORDER | {name: low})
        assert against.verdict == "rejected" and against.reason.startswith("not in order: ")
        assert " is rejected: " in against.sentence() and against.reason in against.sentence()
    assert ask(**IN_ORDER, fit_certificate_share=0.5).verdict == "rejected"


def test_a_holdout_or_costs_that_speak_against_it_reject():
    market = edge()
    shown = book(market.iloc[:1260])
    later = market.iloc[1260:].mean(axis=1)
    against = judge(shown, n_trials=1, holdout=-later, **ASKED)
    assert (against.verdict, against.reason) == ("rejected", "the holdout does not confirm it")
    assert against.years_needed == 0 and against.holdout_sharpe_ratio < 0
    thin = judge(shown, n_trials=1, holdout=later, costs=0.6 * shown.breakeven_cost_bps, **ASKED)
    assert (thin.verdict, thin.reason) == ("rejected", "its costs leave too little")
    assert thin.breakeven_cost_multiple == pytest.approx(1 / 0.6)


def test_a_holdout_that_is_opened_again_has_to_say_more():
    market = edge()
    shown = book(market.iloc[:1260])
    later = pd.Series(np.tile([0.01, -0.0098], 126), market.index[1260:])
    ask = {"n_trials": 1, "evidence": IN_ORDER} | ASKED
    first = judge(shown, holdout=later, **ask)
    third = judge(shown, holdout=later, n_openings=3, **ask)
    assert (first.verdict, third.verdict) == ("approved", "rejected")
    clear = later + 0.002
    tstat = clear.mean() / clear.std() * math.sqrt(len(clear))
    assert stats.norm.sf(tstat) <= 0.05 / 3
    assert judge(shown, holdout=clear, n_openings=3, **ask).verdict == "approved"


def test_costs_of_zero_are_no_margin():
    free = judge(book(edge(), CostModel(0, 0, 0)), n_trials=1, **ASKED)
    assert (
        free.breakeven_cost_multiple is None
        and "break-even cost (multiple of the assumed)" in free.needed
    )


def test_it_explains_itself():
    found = judge(noise(3), n_trials=20, **ASKED)
    assert found.summary()["trials"] == 20 and "verdict" in found._repr_html_()
    assert found.to_dict()["adjusted_pvalues.v0"] == found.adjusted_pvalues["v0"]
    assert found.sentence().startswith(f"{found.selected} is rejected. With 2.0 years and 20")
    assert found.plot().get_title(loc="left").startswith("Luck shows as much")
    plt.close("all")
    assert all(text.endswith(".") for text in found.unchecked)
    with pytest.raises(AttributeError):
        found.verdict = "approved"


# --- the ledger ---------------------------------------------------------------------------------


def test_what_is_judged_twice_is_recorded_once(tmp_path):
    path, tried = tmp_path / "ledger.jsonl", noise(4)
    first = judge(tried, ledger=path, **ASKED)
    lines = path.read_text()
    again = judge(tried, ledger=Ledger(path), strategy="another name", **ASKED)
    assert (first.n_recorded, again.n_recorded) == (5, 0) and path.read_text() == lines
    assert (first.n_trials, again.n_trials, again.pvalue) == (5, 5, first.pvalue)
    longer = pd.concat([pd.Series([0.0], DATES[:1] - pd.Timedelta(days=3)), tried["v1"]])
    assert judge(longer, ledger=path, **ASKED).n_recorded == 0
    rows = Ledger(path).table()
    assert set(rows["note"]) == {"judged"} and set(rows["universe"]) == {"unspecified"}
    assert rows["window"].iloc[0] == ["2014-01-06", DATES[-1].date().isoformat()]
    assert Ledger(path).verify().ok


def test_all_that_the_ledger_counts_stands_in_the_test(tmp_path):
    path, tried = tmp_path / "ledger.jsonl", noise(5, 12)
    judge(tried.iloc[:, :10], ledger=path, **ASKED)
    elsewhere = noise(6, 2).set_axis(DATES - pd.Timedelta(days=2002), axis=0)
    judge(elsewhere, ledger=path, **ASKED)
    found = judge(tried[["v10", "v11"]], ledger=path, **ASKED)
    assert (found.n_trials, found.n_hidden, len(found.adjusted_pvalues)) == (14, 2, 2)
    together = deflated_sharpe_test(
        tried, selected=found.selected, n_trials=14, n_resamples=500, block_length=5, seed=0
    )
    assert found.pvalue == pytest.approx(together.pvalue, abs=0.03)
    assert judge(tried["v10"], ledger=path, n_trials=40, **ASKED).n_hidden == 28


def test_a_backtest_that_left_its_record_is_not_counted_again(tmp_path):
    path, market = tmp_path / "ledger.jsonl", edge()
    with open_trials("mine", hypothesis="it rises", path=path) as trials:
        shown = book(market)
        trials.record(strategy="equal", parameters={}, returns=shown)
    assert Ledger(path).count() == 1
    assert judge(shown, ledger=path, **ASKED).n_recorded == 0 and Ledger(path).count() == 1


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"n_trials": 6}, SpecificationError),
        ({"x": (1 + noise(7, 3)).cumprod()}, DataError),
        ({"x": noise(7, 3).mask(noise(7, 3) > 0.01)}, MissingDataError),
        ({"selected": "v9"}, SpecificationError),
        ({"holdout": noise(7, 1)["v0"]}, DataError),
        ({"holdout": noise(7, 1)}, SpecificationError),
        ({"n_resamples": 10}, SpecificationError),
        ({"block_length": 0}, SpecificationError),
        ({"size": 0.9}, SpecificationError),
        ({"family": ""}, SpecificationError),
        ({"seed": -1}, SpecificationError),
        ({"x": noise(7, 3).reset_index(drop=True)}, DataError),
    ],
)
def test_what_is_refused_leaves_the_ledger_as_it_was(tmp_path, changed, error):
    path = tmp_path / "ledger.jsonl"
    judge(noise(8), ledger=path, **ASKED)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(error):
        judge(**({"x": noise(7, 3), "ledger": path} | ASKED | changed))
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


# --- shapes -------------------------------------------------------------------------------------


def log_of_trades() -> pd.DataFrame:
    "Thirty trades"
    rng = np.random.default_rng(9)
    start = DATES[np.sort(rng.integers(0, 480, 30))]
    end = [DATES[DATES.get_loc(day) + k] for day, k in zip(start, rng.integers(0, 20, 30))]
    returns = rng.normal(0.004, 0.01, 30)
    return pd.DataFrame({"entry_date": start, "exit_date": end, "return": returns})


def test_trades_are_the_series_that_hand_makes_of_them():
    log = log_of_trades()
    by_hand = pd.Series(0.0, pd.bdate_range(log["entry_date"].min(), log["exit_date"].max()))
    for trade in log.itertuples(index=False):
        by_hand[trade[1]] += trade[2]
    expected = judge(by_hand, n_trials=3, **ASKED)
    found = judge(log, n_trials=3, **ASKED)
    for name in ("pvalue", "n_obs", "annualized_sharpe_ratio", "sharpe_lower"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))
    assert any(text.startswith("Between entry and exit") for text in found.unchecked)
    assert not any(text.startswith("Between entry and exit") for text in expected.unchecked)
    money = log.assign(pnl=log["return"] * 1e5).drop(columns="return")
    assert judge(money, n_trials=3, capital=1e5, **ASKED).pvalue == found.pvalue
    later = log[["entry_date", "exit_date"]] + pd.Timedelta(days=2002)
    later = later.join(money["pnl"])
    asked = {"n_trials": 3, "capital": 1e5} | ASKED
    held = judge(money, holdout=later, **asked).holdout_sharpe_ratio
    assert held == pytest.approx(found.annualized_sharpe_ratio, rel=0.2)
    assert judge(money, holdout=by_hand.shift(2002, freq="D"), **asked).holdout_sharpe_ratio
    spelt = log.set_axis(["Entry Timestamp", "Exit Timestamp", "Return"], axis=1)
    assert judge(spelt, n_trials=3, **ASKED).pvalue == found.pvalue
    costly = judge(log, n_trials=3, costs=5.0, **ASKED)
    assert costly.breakeven_cost_bps == pytest.approx(5 + 1e4 * log["return"].sum() / 60)


def test_a_market_that_never_closes_has_every_day():
    log = log_of_trades()
    log["exit_date"] += pd.to_timedelta((4 - log["exit_date"].dt.day_of_week) % 7 + 1, "D")
    found = judge(log, **ASKED | {"periods_per_year": 365})
    assert found.n_obs == (log["exit_date"].max() - log["entry_date"].min()).days + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.drop(columns="entry_date"), "looks like a list of trades"),
        (lambda x: x.drop(columns="return"), "looks like a list of trades"),
        (lambda x: x.rename(columns={"return": "pnl"}), "Give `capital` to use the pnl"),
        (lambda x: x.assign(exit_date=pd.NaT), "without a date in 'exit_date'"),
        (lambda x: x.assign(exit_date=range(30)), "must have dates in its column 'exit_date'"),
        (lambda x: x.assign(entry_date="then"), "must have dates in its column 'entry_date'"),
        (lambda x: x.assign(exit_date=x["exit_date"].dt.tz_localize("UTC")), "times with a zone"),
        (lambda x: x.assign(exit_date=x["entry_date"].min()), "that end before they begin"),
        (lambda x: x.assign(**{"return": np.nan}), "holds no value at all"),
        (lambda x: x.assign(Column=range(30)), "lists the trades of 30 columns"),
        (lambda x: x[:0], "lists no trades"),
    ],
)
def test_a_list_of_trades_that_cannot_be_read_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        judge(change(log_of_trades()), **ASKED)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # vectorbt's own, of a table of trades
def test_a_portfolio_of_vectorbt():
    vbt = pytest.importorskip("vectorbt", reason="vectorbt is not installed")
    prices = 100 * (1 + noise(10, 1, 600)["v0"] + 0.0005).cumprod()
    mean = {k: prices.rolling(k).mean() for k in (5, 10, 20)}
    above = {pair: mean[pair[0]] > mean[pair[1]] for pair in [(5, 10), (5, 20), (10, 20)]}
    above = pd.concat(above, axis=1, names=["fast", "slow"])
    many = vbt.Portfolio.from_signals(prices, above, ~above, fees=0.001, freq="D")
    found = judge(many, n_trials=3, selected=(5, 20), **ASKED)
    assert found.selected == "5, 20" and len(found.adjusted_pvalues) == 3
    one = many.iloc[1]
    alone = judge(one, n_trials=1, **ASKED)
    ratio = one.returns().mean() / one.returns().std() * math.sqrt(252)
    assert alone.annualized_sharpe_ratio == pytest.approx(ratio)
    assert found.annualized_sharpe_ratio == pytest.approx(ratio)
    assert found.breakeven_cost_bps == alone.breakeven_cost_bps
    assert alone.breakeven_cost_multiple == pytest.approx(alone.breakeven_cost_bps / 10)
    trades = one.trades.records_readable
    by_trade = judge(trades, capital=100.0, n_trials=1, **ASKED)
    assert by_trade.test.n_obs <= 600 and by_trade.breakeven_cost_bps is None


def test_a_fee_at_the_breakeven_leaves_nothing():
    "The break-even of a portfolio, by vectorbt itself: charged that much, it earns nothing"
    vbt = pytest.importorskip("vectorbt", reason="vectorbt is not installed")
    prices = 100 * (1 + noise(10, 1)["v0"] + 0.002).cumprod()
    size = pd.Series(np.tile([1.0, 0.0, -1.0, 0.0], 126), DATES)
    run = lambda fee: vbt.Portfolio.from_orders(
        prices, size=size, fees=fee, init_cash=1000, freq="D"
    )
    bps = judge(run(0.0), n_trials=1, **ASKED).breakeven_cost_bps
    assert run(bps / 1e4).total_profit() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("x", [None, 3, "returns.csv", [0.01] * 50, {"a": noise(0)}, np.zeros(99)])
def test_what_has_no_known_shape_is_refused(x):
    with pytest.raises(SpecificationError, match=r"`x` must be a Series .* got \w+\.$"):
        judge(x, **ASKED)


def test_a_trial_that_ends_early_is_named():
    tried = noise(11)
    for part, words in [
        (slice(400, None), "'v2' ends on 2015-07-17, where the table ends on 2015-12-10"),
        (slice(0, 3), "'v2' begins on 2014-01-09, where the table begins on 2014-01-06"),
        (slice(7, 9), "'v2' has the gap of 2014-01-15"),
        (slice(None), "'v2' has no value at all"),
    ]:
        short = tried.copy()
        short.iloc[part, 2] = np.nan
        with pytest.raises(MissingDataError, match=words):
            judge(short, **ASKED)


def test_a_holdout_of_another_kind_or_name_is_refused():
    tried = noise(12)
    with pytest.raises(MisalignedError, match="both have dates, or both row numbers"):
        judge(tried, holdout=pd.Series([0.01, -0.01, 0.02], [1000, 1001, 1002]), **ASKED)
    later = tried.set_axis(DATES + pd.Timedelta(days=2002), axis=0)
    with pytest.raises(SpecificationError, match="none of them is"):
        judge(tried, holdout=later.add_prefix("z"), **ASKED)
    assert judge(tried, holdout=later, **ASKED).holdout_sharpe_ratio is not None


def test_what_is_doubtful_is_judged_with_a_warning():
    with pytest.warns(ScaleWarning, match="divide by 100"):
        judge(100 * noise(13), **ASKED)
    with pytest.warns(SmallSampleWarning, match="fewer than 20"):
        judge(noise(13, n=20), **ASKED | {"block_length": 21})
    with pytest.warns(ScaleWarning, match="252 for trading"):
        judge(noise(13), **ASKED | {"periods_per_year": 12})


# --- what is missing ----------------------------------------------------------------------------

RATIO = st.floats(-0.3, 0.3).filter(lambda s: abs(s) > 1e-4)
GIVEN = {"n_obs": st.integers(60, 5000), "n_trials": st.integers(1, 10_000)}


@given(sharpe=RATIO, critical=st.floats(0.001, 0.4), **GIVEN)
@settings(max_examples=200, deadline=None)
def test_what_passes_needs_nothing_and_what_fails_needs_something(
    sharpe, critical, n_obs, n_trials
):
    asked = {"n_obs": n_obs, "periods_per_year": 252, "n_trials": n_trials}
    found = what_is_missing(sharpe, critical_sharpe=critical, **asked)
    assert (found.reason is None) == (sharpe >= critical) == (found.years_needed == 0)
    assert math.isinf(found.years_needed) == (sharpe <= 0)
    assert found.critical_annual_sharpe == pytest.approx(critical * math.sqrt(252))
    if found.reason == "not enough data to tell":
        assert critical <= sharpe * math.sqrt(3) * (1 + 1e-12)
    if 0 < sharpe < critical:
        years = found.years + found.years_needed
        annual = found.annualized_sharpe_ratio
        assert years >= 0.999 * min_years(annual, n_trials=n_trials)
        higher = what_is_missing((sharpe + critical) / 2, critical_sharpe=critical, **asked)
        assert higher.years_needed <= found.years_needed
    assert found.sentence().endswith(".")


def test_more_of_the_same_data_passes_after_the_years_it_says():
    "A true ratio as seen is found four times in five after the years that are there and needed"
    found = what_is_missing(
        0.06, n_obs=504, periods_per_year=252, n_trials=1, critical_sharpe=1.645 / math.sqrt(504)
    )
    assert found.reason == "not enough data to tell"
    n = round(252 * (found.years + found.years_needed))
    draws = 0.06 + np.random.default_rng(0).normal(0, 1, (4000, 1)) / math.sqrt(n)
    assert np.mean(draws > 1.645 / math.sqrt(n)) == pytest.approx(0.8, abs=0.02)


def test_where_nothing_could_pass_it_says_so():
    found = what_is_missing(
        0.08, n_obs=1260, periods_per_year=252, n_trials=5000, critical_sharpe=math.inf
    )
    assert "no Sharpe ratio could have passed" in found.sentence()
    with pytest.warns(SmallSampleWarning, match="nothing can pass"):
        whole = judge(noise(14, 1), n_trials=5000, **ASKED)
    assert whole.verdict == "rejected" and math.isinf(whole.critical_annual_sharpe)


def test_units_are_told_apart():
    asked = {"n_obs": 504, "periods_per_year": 252, "n_trials": 1}
    with pytest.raises(QuantlabError, match="`sharpe` must be per period"):
        what_is_missing(AnnualizedSharpe(0.9), critical_sharpe=0.07, **asked)
    with pytest.raises(QuantlabError, match="`critical_sharpe` must be per period"):
        what_is_missing(0.05, critical_sharpe=AnnualizedSharpe(0.9), **asked)


def test_the_ledger_knows_how_often_the_holdout_was_opened_and_what_was_planned(tmp_path):
    "What is said does not count against what is on file"
    market = edge()
    shown, later = book(market.iloc[:1260]), market.iloc[1260:].mean(axis=1) - 0.0006
    ledger = Ledger(tmp_path / "ledger.jsonl")
    window = (str(later.index[0].date()), str(later.index[-1].date()))
    look = {"family": "f", "strategy": "s", "reason": "look", "data_md5": "d", "window": window}
    ask = {"holdout": later, "evidence": IN_ORDER} | ASKED
    first = judge(shown, n_trials=1, **ask)
    assert (first.verdict, first.n_openings) == ("approved", 1)
    for k in range(4):
        ledger.open_holdout(trial_id=f"t{k}", **look)
    fifth = judge(shown, ledger=ledger, **ask)
    assert (fifth.verdict, fifth.n_openings) == ("rejected", 5)
    assert ledger.count_openings(window) == 5  # its own is on file
    assert judge(shown, ledger=ledger, **ask).n_openings == 5  # and the same look once
    clear = ask | {"holdout": later + 0.01}
    planless = judge(shown, ledger=Ledger(tmp_path / "new" / "ledger.jsonl"), **clear)
    assert planless.verdict == "rejected" and "plan" in planless.reason
