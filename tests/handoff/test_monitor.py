"""What is expected, where a gap comes from, and what an alarm is called."""

import dataclasses

import conftest
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest.engine import run_backtest
from quantlab.errors import DataError, HandoffError, SpecificationError
from quantlab.handoff import (
    Limits,
    PaperEngine,
    ReferenceBroker,
    attribute_gap,
    bars,
    betting_chart,
    corrected_for_selection,
    expected_distribution,
    load_bundle,
    monitor,
    write_bundle,
)
from quantlab.handoff.actions import DEFAULT_ACTIONS
from quantlab.handoff.gap import CAUSES
from quantlab.simulate import factor_world, garch
from quantlab.trading.costs import CostModel

COSTS = CostModel(
    commission_bps=1, half_spread_bps=4, impact_coefficient=0.5, borrow_bps_per_year=50
)
WIDE = Limits(**conftest.WIDE)


def a_world(seed, n_days=120, n_assets=5, every=7):
    market = factor_world(n_days, n_assets, edge=0.0005, rng=np.random.default_rng(seed))
    signal = market.returns.rolling(10).mean().iloc[10::every]
    weights = signal.sub(signal.mean(axis=1), axis=0)
    weights = weights.div(weights.abs().sum(axis=1), axis=0)
    return market, weights.reindex(market.returns.index)


@pytest.fixture(scope="module")
def stated():
    record = garch(1000, mu=6e-4, rng=np.random.default_rng(4))["returns"]
    live = expected_distribution(record, horizon=60, seed=5, n_resamples=200)
    return live.to_dict() | {"sequential_test": conftest.sequential_test().to_dict()}


def a_bundle(folder, stated, market, weights, **changes):
    book = run_backtest(
        weights,
        market.returns,
        costs=COSTS,
        dollar_volume=market.dollar_volume,
        capital=1e7,
        periods_per_year=252,
    )
    fields = {
        "strategy": "momentum",
        "verdict": "approved",
        "parameters": {},
        "target_weights": weights,
        "expected": pd.DataFrame(
            {n: getattr(book, n) for n in ("returns", "gross_returns", "turnover", "costs")}
        ),
        "inputs": {},
        "code": "tree",
        "universe": list(weights.columns),
        "costs": COSTS,
        "limits": WIDE,
        "kill_rules": {"daily_loss": 0.8, "drawdown": 0.8, "sequential_test": False},
        "expected_distribution": stated,
        "starts": "2007-01-01",
        "expires": "2040-12-31",
        "capital": 1e7,
        "periods_per_year": 252,
    }
    return load_bundle(write_bundle(folder, **(fields | changes)))


def traded(bundle, feed, limits=None):
    venue = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
    return PaperEngine(bundle, venue, limits=limits).run(feed)


# -- the bet


def the_slow_way(returns, mean, volatility):
    "The same bet with one gambler after the other, in plain Python"
    total = np.zeros(len(returns))
    edge = max(mean, 0.04 * volatility)
    for share in (0.5, 1.0, 2.0):
        money, variance = 0.0, volatility**2
        for t, value in enumerate(returns):
            if np.isfinite(value):
                forecast = max(variance**0.5, volatility / 2)
                stake = min(share * edge / forecast**2, 0.1 / forecast)
                money += 1 + stake * (mean - value) * (max(money, 0.0) + 1)
                variance = 0.94 * variance + 0.06 * (mean - value) ** 2
            total[t] += money / 3
    return np.maximum(total, 0.0)


@given(st.integers(0, 2**32 - 1), st.floats(-0.002, 0.002), st.floats(0.002, 0.05))
@settings(max_examples=30, deadline=None)
def test_the_bet_is_what_it_says(seed, mean, volatility):
    rng = np.random.default_rng(seed)
    days = mean + volatility * rng.standard_t(3, 60)
    days[rng.random(60) < 0.1] = np.nan
    fast = betting_chart(days, mean=mean, volatility=volatility)
    np.testing.assert_allclose(fast, the_slow_way(days, mean, volatility), rtol=1e-9)
    scaled = betting_chart(8 * days, mean=8 * mean, volatility=8 * volatility)
    np.testing.assert_allclose(scaled, fast, rtol=1e-9)  # money has no unit of return


def test_the_fortune_grows_by_one_a_day_where_the_bet_is_fair():
    "M - t has no drift: the mean fortune after t days is t, whatever the volatility does"
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(4000):
        wild = np.where(np.arange(50) % 10 < 5, 0.02, 0.004)
        days = 5e-4 + wild * rng.standard_normal(50)
        ends.append(betting_chart(days, mean=5e-4, volatility=0.01)[-1])
    assert abs(np.mean(ends) - 50) < 4 * np.std(ends) / np.sqrt(len(ends))


# -- what the bet promises where gains are rare and large


def test_the_bet_keeps_its_promise_where_a_few_days_gain_all():
    "Most days lose a little and one in a hundred gains it back: a debt must not be forgiven"
    rng, promised, waits = np.random.default_rng(5), 100, []
    for _ in range(800):
        gains = 30 * (rng.random(4000) < 0.01) - 0.3
        days = 5e-4 + 0.01 * (0.3 * rng.standard_normal(4000) + gains)
        rang = betting_chart(days, mean=5e-4, volatility=0.01) >= promised
        waits.append(rang.argmax() + 1 if rang.any() else len(rang))
    assert np.mean(waits) > promised - 3 * np.std(waits) / np.sqrt(len(waits))


def test_a_better_column_does_not_talk_the_correction_down():
    rng = np.random.default_rng(3)
    trials = pd.DataFrame(rng.normal(0, 0.01, (800, 30))).rename(columns=str)
    best = (trials.mean() / trials.std()).idxmax()
    alone = corrected_for_selection(trials, best)
    assert alone.corrected_sharpe < alone.observed_sharpe / 2
    for more in (1e-4 + 1e-6 * rng.standard_normal(800), rng.normal(3e-3, 0.01, 800)):
        joined = corrected_for_selection(trials.assign(more=more), best)
        assert joined.to_dict() == alone.to_dict()


# -- what is expected


@given(st.integers(1, 60), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_an_envelope_rises_with_the_days(horizon, seed):
    record = garch(300, mu=6e-4, rng=np.random.default_rng(seed))["returns"]
    live = expected_distribution(record, horizon=horizon, seed=1, n_resamples=200, block_length=5)
    envelope = live.drawdown_envelope
    assert envelope.index[0] == 1 and envelope.index[-1] == horizon
    assert (envelope.diff().dropna() >= 0).all() and envelope.iloc[0] >= 0
    assert envelope.iloc[-1] >= live.drawdown_quantiles[0.95]
    assert live.to_dict()["drawdown_envelope"][str(horizon)] == envelope.iloc[-1]


def test_the_correction_knows_the_trials_and_not_their_order():
    rng = np.random.default_rng(2)
    trials = pd.DataFrame(rng.normal(2e-4, 0.01, (800, 12))).rename(columns=str)
    best = (trials.mean() / trials.std()).idxmax()
    record = corrected_for_selection(trials, best)
    mixed = corrected_for_selection(trials[rng.permutation(trials.columns)], best)
    assert record.corrected_sharpe == pytest.approx(mixed.corrected_sharpe, rel=1e-12)
    assert record.corrected_sharpe < record.observed_sharpe
    many = corrected_for_selection(
        trials.join(pd.DataFrame(rng.normal(2e-4, 0.01, (800, 200))).add_prefix("more")), best
    )
    assert many.corrected_sharpe < record.corrected_sharpe  # more was tried: less is left
    assert (trials[best] - record.returns).std() < 1e-12
    with pytest.raises(DataError, match="missing"):
        corrected_for_selection(trials.mask(trials == trials.iloc[3, 4]), best)


# -- the gap


@given(
    seed=st.integers(0, 10_000),
    narrow=st.floats(0.15, 0.6),
    gone=st.sets(st.integers(20, 110), max_size=6),
)
@settings(max_examples=25, deadline=None)
def test_the_causes_add_up(tmp_path_factory, stated, seed, narrow, gone):
    market, weights = a_world(seed)
    bundle = a_bundle(tmp_path_factory.mktemp("gap"), stated, market, weights)
    feed = [
        bar
        for i, bar in enumerate(bars(market.returns, dollar_volume=market.dollar_volume))
        if i not in gone
    ]
    paper = traded(bundle, feed, dataclasses.replace(WIDE, max_position_weight=narrow))
    gap = attribute_gap(bundle, paper, feed)
    daily = gap.daily
    np.testing.assert_allclose(daily[list(CAUSES)].sum(axis=1), daily["total"], atol=1e-12)
    was = bundle.expected["returns"].set_axis(daily.index)
    seen = paper.daily["returns"].reindex(daily.index).fillna(0.0)
    np.testing.assert_allclose(daily["total"], seen - was, atol=1e-12)
    assert gap.table[["fill", "price", "cost"]].abs().max() < 1e-9  # the venue did as it was told
    if not gone:
        assert gap.table[["data", "timing"]].abs().max() < 1e-9
    if not paper.n_refused:
        assert abs(gap.table["refusal"]) < 1e-9


def test_a_halt_that_closes_is_a_refusal(tmp_path, stated):
    from quantlab.handoff import KillSwitch

    market, weights = a_world(1)
    bundle = a_bundle(tmp_path, stated, market, weights)
    feed = list(bars(market.returns, dollar_volume=market.dollar_volume))
    switch = KillSwitch(policy="flatten")
    switch.start()
    venue = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)

    def halting():
        for i, bar in enumerate(feed):
            if i == 60:
                switch.trip("enough", by="Ada")
            yield bar

    paper = PaperEngine(bundle, venue, kill_switch=switch).run(halting())
    gap = attribute_gap(bundle, paper, feed)
    assert gap.largest == "refusal"
    assert gap.table.drop("refusal").abs().max() < 1e-9
    assert paper.daily["gross"].iloc[-1] == 0


def test_another_feed_or_journal_is_refused(tmp_path, stated):
    market, weights = a_world(2)
    bundle = a_bundle(tmp_path, stated, market, weights)
    feed = list(bars(market.returns, dollar_volume=market.dollar_volume))
    paper = traded(bundle, feed[:60])
    assert attribute_gap(bundle, paper, feed).n_days == 60  # what came later is not looked at
    with pytest.raises(HandoffError, match="journal alone"):
        attribute_gap(bundle, paper, feed[:30] + feed[31:])
    with pytest.raises(HandoffError, match="feed alone"):
        attribute_gap(bundle, traded(bundle, feed[:20] + feed[21:60]), feed)


# -- what it is called, and what follows


def test_the_action_is_the_agreed_one(tmp_path, stated):
    market, weights = a_world(3)
    agreed = dict(DEFAULT_ACTIONS, implementation="retrain")
    bundle = a_bundle(tmp_path, stated, market, weights, monitoring=agreed)
    feed = list(bars(market.returns, dollar_volume=market.dollar_volume))
    calm = monitor(bundle, traded(bundle, feed), feed=feed)
    assert (calm.verdict, calm.action) == ("noise", "continue") and calm.gap.total < 1e-9
    refused = traded(bundle, feed, dataclasses.replace(WIDE, max_position_weight=0.2))
    told = monitor(bundle, refused, feed=feed)
    assert (told.verdict, told.action) == ("implementation", "retrain")
    assert "most of it by refusal" in told.reason
    assert told.triage["alarm"].sum() >= 2 and set(told.charts) == {"mean", "volatility", "bet"}
    with pytest.raises(HandoffError, match="give the feed that was traded on"):
        monitor(bundle, refused, feed=feed[1:])


def test_what_is_idle_is_not_stuck(tmp_path, stated):
    market, weights = a_world(4)
    bundle = a_bundle(tmp_path, stated, market, weights)
    record = bundle.expected.assign(gross=1.0)
    days = slice(40, 85)
    flat, stuck = record.copy(), record.copy()
    flat.iloc[days] = 0.0
    stuck.iloc[days, stuck.columns.get_loc("returns")] = 0.0
    checks = [
        monitor(bundle, table).triage.set_index("check")["alarm"]["same return repeated (days)"]
        for table in (flat, stuck)
    ]
    assert checks == [False, True]
    assert monitor(bundle, flat).verdict == "implementation"


def test_one_enormous_day_is_a_bad_price_and_a_wild_month_is_not(tmp_path, stated):
    market, weights = a_world(5)
    bundle = a_bundle(tmp_path, stated, market, weights)
    mean, deviation = (bundle.sequential_test.to_dict()[n] for n in ("mean", "volatility"))
    days = pd.bdate_range("2015-01-05", periods=80)
    rng = np.random.default_rng(1)
    once = pd.Series(rng.normal(mean, deviation, 80), days)
    once.iloc[40] = 60 * deviation
    wild = pd.Series(mean + 14 * deviation * rng.choice([-1, 1], 80), days)
    spike = "largest day (standard deviations)"
    alarms = [monitor(bundle, x).triage.set_index("check")["alarm"][spike] for x in (once, wild)]
    assert alarms == [True, False]


# -- records that nobody thought of


def live(bundle, n, seed, loss=0.0):
    "A record after the backtest with the agreed mean and volatility"
    test, rng = bundle.sequential_test, np.random.default_rng(seed)
    days = pd.bdate_range("2020-01-06", periods=n)
    return pd.Series(rng.normal(test.mean - loss, test.volatility, n), days)


def test_a_verdict_of_the_returns_has_the_day_of_its_first_alarm(tmp_path, stated):
    market, weights = a_world(6)
    envelope = {"1": 0.01, "60": 0.02}
    bundle = a_bundle(
        tmp_path,
        stated,
        market,
        weights,
        expected_distribution=stated | {"drawdown_envelope": envelope},
    )
    kinds = ("structural break", "model decay")
    dated = 0
    for seed in range(40):
        told = monitor(bundle, live(bundle, 60, seed, loss=2e-3))
        if told.verdict in kinds:
            dated += 1
            assert told.alarm_date is not None
            assert f"alarm on {told.alarm_date.date()}" in told.reason
    assert dated > 10


def test_one_small_day_is_no_wrong_unit(tmp_path, stated):
    market, weights = a_world(7)
    bundle = a_bundle(tmp_path, stated, market, weights)
    day = pd.Series([1e-6], pd.DatetimeIndex(["2020-01-06"]))
    assert monitor(bundle, day).verdict == "noise"
    percent = monitor(bundle, live(bundle, 10, 1) / 100)
    assert percent.verdict == "data defect" and "unit" in percent.reason


def test_to_build_a_book_up_is_no_drift(tmp_path, stated):
    market, weights = a_world(8)
    bundle = a_bundle(tmp_path, stated, market, weights)
    trading = pd.DataFrame({"turnover": 0.02, "costs": 1e-5}, bundle.expected.index)
    steady = dataclasses.replace(bundle, expected=bundle.expected.assign(**trading))
    record = live(bundle, 30, 2).to_frame("returns").assign(turnover=0.02, costs=1e-5, gross=1.0)
    record.iloc[0, 1:] = 0.0
    record.iloc[1, 1:3] = 1.0, 5e-4
    assert not monitor(steady, record).triage.set_index("kind")["alarm"]["input drift"].any()
    drifted = monitor(steady, record.assign(turnover=record["turnover"] * 2))
    assert drifted.verdict == "input drift"


def test_ruin_an_empty_envelope_and_enormous_returns_are_judged(tmp_path, stated):
    market, weights = a_world(9)
    bundle = a_bundle(tmp_path, stated, market, weights)
    record = live(bundle, 80, 3)
    ruined = record.where(np.arange(80) < 40, -1.0)
    for odd in (ruined, 1e4 * record, 1e50 * record):
        assert monitor(bundle, odd).verdict == "data defect"
    never = stated | {"drawdown_envelope": {"1": 0.0, "60": 0.0}}
    bundle = a_bundle(tmp_path, stated, market, weights, expected_distribution=never)
    row = monitor(bundle, record).triage.set_index("check").loc["drawdown (share of the envelope)"]
    assert row["value"] == np.inf and "the envelope then at 0.00%" in row["evidence"]


def test_days_may_carry_the_hour_of_their_close(tmp_path, stated):
    market, weights = a_world(10)
    bundle = a_bundle(tmp_path, stated, market, weights)
    replay = bundle.expected[["returns"]]
    hours = replay.set_axis(replay.index + pd.Timedelta(hours=16))
    assert monitor(bundle, hours).triage.equals(monitor(bundle, replay).triage)


@pytest.mark.parametrize(
    "envelope", [{}, {"0": 0.5}, {"1": -0.1}, {"one": 0.1}, {"1": "x"}, [0.1], None]
)
def test_an_envelope_that_is_none_is_refused_when_it_is_agreed(tmp_path, stated, envelope):
    market, weights = a_world(11)
    with pytest.raises(HandoffError, match="must map days, from 1 on, to falls"):
        a_bundle(
            tmp_path,
            stated,
            market,
            weights,
            expected_distribution=stated | {"drawdown_envelope": envelope},
        )
    assert not list(tmp_path.glob("*/manifest.json"))


@pytest.mark.parametrize("length", [0, -5])
def test_a_run_length_that_is_none_is_refused_when_it_is_agreed(tmp_path, stated, length):
    market, weights = a_world(12)
    test = stated["sequential_test"] | {"average_run_length": length}
    with pytest.raises(SpecificationError, match="`average_run_length` must be"):
        a_bundle(
            tmp_path,
            stated,
            market,
            weights,
            expected_distribution=stated | {"sequential_test": test},
        )


def test_the_envelope_is_read_in_the_order_of_its_days(tmp_path, stated):
    "A manifest sorts its keys as text, so day 100 stands before day 20"
    market, weights = a_world(13)
    envelope = {str(day): 0.01 * day for day in (1, 5, 20, 60, 100, 150)}
    bundle = a_bundle(
        tmp_path,
        stated,
        market,
        weights,
        expected_distribution=stated | {"drawdown_envelope": envelope},
    )
    fallen = pd.Series(0.0, pd.bdate_range("2020-01-06", periods=150))
    fallen.iloc[9], fallen.iloc[99] = -0.05, -0.95  # 95.25 % within a hundred days, agreed 100 %
    told = monitor(bundle, fallen).triage.set_index("check")
    row = told.loc["drawdown (share of the envelope)"]
    assert row["value"] == pytest.approx(0.9525)
    assert "95.25% lost by 2020-05-22, the envelope then at 100.00%" in row["evidence"]
