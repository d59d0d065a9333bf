"Inputs that a stranger gives the families: each gets a sentence or the right number"

import subprocess

import numpy as np
import pandas as pd
import pytest
from test_bertram import pairs_and_prices

from quantlab.backtest import Market, tear_sheet
from quantlab.backtest.bertram_family import BERTRAM, bertram_pairs, break_days, spread_fits
from quantlab.backtest.learned_family import LEARNED
from quantlab.backtest.neutral_family import NEUTRAL, banded_weights, neutral_targets
from quantlab.backtest.optimised_family import OPTIMISED
from quantlab.backtest.regimes_family import regime_report, regime_weights
from quantlab.backtest.strategies import pair_trades, pairs_weights
from quantlab.cointegration.break_detection import running_detector
from quantlab.data import Panel
from quantlab.errors import DataError, MissingDataError, SpecificationError
from quantlab.ledger import Ledger

DAYS = pd.bdate_range("2015-01-01", periods=900, name="date")


def _market(n=450, start=330, empty=0, scale=None, artifacts=None):
    "A market of twelve names that has no member on its first `empty` rows"
    rng = np.random.default_rng(0)
    size = np.ones(n) if scale is None else scale
    common = rng.normal(0, 0.008, (n, 1))
    values = (common + rng.normal(0, 0.004, (n, 12))) * size[:, None]
    returns = pd.DataFrame(values, DAYS[:n], list("ABCDEFGHIJKL"))
    member = pd.DataFrame(1.0, returns.index, returns.columns)
    member.iloc[:empty] = 0.0
    fields = {"returns": returns, "log_prices": np.log1p(returns).cumsum(), "member": member}
    volatility = returns.rolling(50, min_periods=30).std().shift(1)
    return Market.from_panel(
        Panel(fields), volatility=volatility, start=DAYS[start], artifacts=artifacts
    )


def test_forecasts_that_run_backwards_are_refused_and_not_filled_from_the_future():
    rng = np.random.default_rng(0)
    forecast = pd.DataFrame(rng.normal(size=(4, 12)), DAYS[300:440:40], list("ABCDEFGHIJKL"))
    book = LEARNED.weights(_market(artifacts={"learned_forecast": forecast}))
    assert book.abs().sum(axis=1).max() == pytest.approx(1.0)
    for other, said in ((forecast.iloc[::-1], "order"), (forecast.iloc[[0, 0, 1]], "more than")):
        with pytest.raises(DataError, match=said):
            LEARNED.weights(_market(artifacts={"learned_forecast": other}))


def test_a_name_that_is_no_member_is_not_bought_on_a_rebalancing_day():
    days, names = DAYS[:4], list("AB")
    targets = pd.DataFrame(0.5, days, names)
    member = pd.DataFrame({"A": [True, True, False, True], "B": False}, days)
    book = banded_weights(targets, 0 * targets, member, rebalance_every=2)
    assert book["A"].tolist()[0] == 0.5 and book["A"].iloc[2] == 0
    assert not (book.fillna(0.0) != 0).where(~member, False).any(axis=None)
    with pytest.raises(DataError, match="No day has a target"):
        banded_weights(targets, 0 * targets, member & False)


def test_an_asset_with_two_sectors_is_refused():
    table = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (3, 4)), DAYS[:3], list("ABCD"))
    twice = pd.Series(list("xyxyx"), list("ABCDA"))
    with pytest.raises(DataError, match="'A' more than once"):
        neutral_targets(table, table, table, sectors=twice)


def test_what_is_no_market_and_no_construction_is_refused():
    with pytest.raises(SpecificationError, match="`market` must be a Market"):
        NEUTRAL.weights("x", factor="momentum_12_1")
    with pytest.raises(SpecificationError, match="`construction` must be one of"):
        OPTIMISED.weights(_market(), factor="momentum_12_1", construction="rank")
    with pytest.raises(SpecificationError, match="needs the artifact 'pairs'"):
        BERTRAM.weights(_market())


def test_days_without_a_member_are_no_regime():
    scale = np.ones(900)
    scale[400:520] = scale[640:780] = 5.0
    late = _market(900, 620, 100, scale)
    panel = late.panel
    fields = {name: table.iloc[100:] for name, table in panel.fields.items()}
    cut = Market.from_panel(
        Panel(fields), volatility=late.volatility.reindex(panel.index[100:]), start=DAYS[620]
    )
    book = regime_weights(late)
    pd.testing.assert_frame_equal(book, regime_weights(cut))
    assert set(book.sum(axis=1, min_count=1).dropna().round(12)) == {0.0, 1.0}
    never_fitted = regime_weights(_market(900, 700, 600, scale))
    assert (never_fitted.ffill().sum(axis=1) - 1).abs().max() < 1e-12


def test_a_report_of_regimes_takes_no_probabilities():
    returns = pd.Series(np.random.default_rng(0).normal(size=50), DAYS[:50])
    probability = returns.rank(pct=True)
    assert regime_report(returns, probability > 0.5)["days"].sum() == 49
    for other in (probability, probability.where(probability > 0.5), probability.astype(str)):
        with pytest.raises(DataError, match="must hold true and false"):
            regime_report(returns, other)


def test_a_leg_without_prices_is_not_that_of_another_name():
    logs, pairs = pairs_and_prices(1)
    for function in (spread_fits, break_days):
        for leg in "yx":
            with pytest.raises(MissingDataError, match="'ZZ', which `log_prices` does not have"):
                function(logs, pairs.assign(**{leg: "ZZ"}))
        with pytest.raises(MissingDataError, match="begins on"):
            function(logs.iloc[100:], pairs)
        with pytest.raises(MissingDataError, match="lacks the columns formation_start"):
            function(logs, pairs.drop(columns="formation_start"))
    with pytest.raises(DataError, match="two rows of one label"):
        break_days(logs, pairs.set_axis([0, 0, 0]))
    fits = spread_fits(logs, pairs)
    for some in (fits[:2], [*fits, None]):
        with pytest.raises(DataError, match="must hold one a pair"):
            bertram_pairs(pairs, some)
    with pytest.raises(MissingDataError, match="lacks the columns half_life"):
        bertram_pairs(pairs.drop(columns="half_life"), fits)


def test_a_holding_beyond_all_rows_never_ends_a_trade():
    logs, pairs = pairs_and_prices(1)
    fits = spread_fits(logs, pairs)
    far, further = (pair_trades(logs, bertram_pairs(pairs, fits, holding=h)) for h in (1e3, 1e30))
    pd.testing.assert_frame_equal(far, further)
    assert pairs_weights(logs, pairs.assign(max_holding=1e19)).equals(pairs_weights(logs, pairs))
    with pytest.raises(DataError, match="whole `max_holding`"):
        pairs_weights(logs, pairs.assign(max_holding=np.inf))


@pytest.mark.parametrize("when", [5, True, "2016-13-45", pd.Timestamp("2016-03-01", tz="UTC")])
def test_a_break_on_no_date_is_refused(when):
    logs, pairs = pairs_and_prices(1)
    with pytest.raises(DataError, match="`broken_on` that is no date"):
        pairs_weights(logs, pairs.assign(broken_on=when))
    assert pairs_weights(logs, pairs.assign(broken_on=None)).equals(pairs_weights(logs, pairs))


def test_one_spread_is_not_compared_with_itself_on_all_days():
    values, width = np.arange(5.0), np.ones(1)
    assert running_detector(values[:, None], width, 20).shape == (5, 1)
    framed = running_detector(pd.DataFrame(values), pd.Series([1.0]).to_numpy(), 20)
    np.testing.assert_array_equal(framed, running_detector(values[:, None], width, 20))
    with pytest.raises(DataError, match="rows x pairs"):
        running_detector(values, width, 20)


def test_regimes_on_periods_go_with_returns_on_periods():
    months = pd.period_range("2020-01", periods=40, freq="M")
    returns = pd.Series(np.random.default_rng(0).normal(0.01, 0.03, 40), months)
    regimes = pd.Series(["calm", "wild"] * 20, months)
    ends = lambda x: x.set_axis(x.index.to_timestamp(how="end").normalize())
    got = tear_sheet(returns, regimes=regimes).regimes
    pd.testing.assert_frame_equal(got, tear_sheet(ends(returns), regimes=ends(regimes)).regimes)


def test_modules_in_another_order_are_the_plan(tmp_path):
    run = lambda *words: subprocess.run(["git", *words], cwd=tmp_path, check=True)
    run("init", "-q")
    ledger = Ledger(tmp_path / "ledger.jsonl")
    fixed = {"grid": {"trend": {"window": [20]}}, "window": ("2020-01-01", "2021-01-01")}
    plan = ledger.plan({**fixed, "families": ["a", "b"]})
    run("add", "-A")
    run("-c", "user.email=a@b", "-c", "user.name=a", "commit", "-qm", "Plan")
    assert ledger.plan({**fixed, "families": ["b", "a"]}) == plan
    assert ledger.require_plan(**fixed, families=["b", "a"]).id == plan
    for other in (["a"], ["a", "b", "c"]):
        with pytest.raises(Exception, match="says otherwise: families"):
            ledger.require_plan(**fixed, families=other)
