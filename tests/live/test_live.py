"""The floor: the live engine is the daily one, and survives kills, bad feeds and bad venues."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import floor
import numpy as np
import pandas as pd
import pytest
from floor import (
    CAPITAL,
    COSTS,
    FREE,
    START,
    WIDE,
    Exchange,
    a_bundle,
    a_feed,
    a_world,
    live,
    paper,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, HandoffError, QuantlabError, SpecificationError
from quantlab.handoff import Bar, KillSwitch, ReferenceBroker
from quantlab.live import (
    TRANSITIONS,
    Close,
    ManualClock,
    OrderRecord,
    OrderState,
    Quote,
    ReferenceVenue,
    ReplayFeed,
    Report,
    Trade,
    close_of,
    event_line,
    follow,
    read_event,
    watched,
)
from quantlab.live.engine import LiveEngine
from quantlab.live.store import LiveStore


@pytest.fixture(scope="module")
def world():
    return a_world()


@pytest.fixture(scope="module")
def feed(world):
    return a_feed(world[0])


@pytest.fixture(scope="module")
def bundle(world, tmp_path_factory):
    return a_bundle(tmp_path_factory.mktemp("bundle"), *world, costs=COSTS)


@pytest.fixture(scope="module")
def free(world, tmp_path_factory):
    "The same without costs, for the exchange, which charges none"
    return a_bundle(tmp_path_factory.mktemp("free"), *world, costs=FREE)


def trip_at(feed, number, switch, **how):
    for n, event in enumerate(feed):
        if n == number:
            switch.trip("a rumour", by="desk", **how)
        yield event


# Equality with the daily engine


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"limits": WIDE | {"max_position_weight": 0.15, "max_orders_per_day": 3}},
        {"rules": {"restricted": ["S001"], "hours": ("09:00", "16:00")}},
        {"rules": {"forbid_self_cross": True}},
    ],
    ids=["wide", "limits", "hours", "rules"],
)
def test_the_journal_is_the_daily_engines(bundle, feed, tmp_path, change):
    expected, got = paper(bundle, feed, **change), live(bundle, feed, tmp_path, **change)
    assert got.journal == expected.journal
    np.testing.assert_allclose(got.equity, expected.equity, rtol=1e-9)
    pd.testing.assert_frame_equal(got.fills, expected.fills)
    pd.testing.assert_frame_equal(got.orders, expected.orders)


@pytest.mark.parametrize("policy", [None, "cancel", "flatten"])
@pytest.mark.parametrize("state", ["HALTED", "REDUCING"])
def test_a_halt_by_the_desk_is_the_daily_engines(bundle, feed, tmp_path, policy, state):
    results = []
    for run in (paper, lambda *a, **k: live(*a, tmp_path, **k)):
        switch = KillSwitch(policy=policy)
        switch.start()
        halting = trip_at(feed, 31, switch, state=state)
        results.append(run(bundle, halting, kill_switch=switch).journal)
    assert results[0] == results[1]


@pytest.mark.parametrize("policy", [None, "flatten"])
def test_a_kill_rule_and_a_reset_are_the_daily_engines(bundle, world, feed, tmp_path, policy):
    market, weights = world
    sign = np.sign(weights.ffill().iloc[49])
    crash = {a: -0.9 * s for a, s in sign.items()}
    shocked = [*feed[:50], Bar(feed[50].date, crash, feed[50].dollar_volume), *feed[51:]]
    results = []
    for run in (paper, lambda *a, **k: live(*a, tmp_path / "live", **k)):
        switch = KillSwitch(policy=policy)
        switch.start()

        def resetting(switch=switch):
            for n, bar in enumerate(shocked):
                if n == 60:
                    switch.reset("understood", by="risk")
                yield bar

        results.append(run(bundle, resetting(), kill_switch=switch))
    assert results[0].journal == results[1].journal
    assert "reset" in set(results[1].events["type"])


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), holes=st.floats(0, 0.2))
def test_any_world_gives_the_daily_engines_journal(tmp_path_factory, seed, holes):
    market, weights = a_world(seed, n_days=40, n_assets=4, every=3)
    rng = np.random.default_rng(seed)
    feed = [
        Bar(b.date, {a: np.nan if rng.random() < holes else x for a, x in b.returns.items()})
        if rng.random() < 0.3
        else b
        for b in a_feed(market)
        if rng.random() > holes / 4
    ]
    bundle = a_bundle(tmp_path_factory.mktemp("bundle"), market, weights, costs=COSTS)
    got = live(bundle, feed, tmp_path_factory.mktemp("live"))
    assert got.journal == paper(bundle, feed).journal


# Kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_random_loses_and_doubles_nothing():
    program = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(program), "20", "7"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert run.returncode == 0, run.stderr
    assert "0 lost, 0 doubled" in run.stdout and int(run.stdout.split()[0]) >= 20, run.stdout


def dying(venue, verb, when, after):
    "Make an exchange end the process in a question, before or after it has heard it"
    asked, count = getattr(venue, verb), 0

    async def asking(*given):
        nonlocal count
        count += 1
        if count == when and not after:
            raise KeyboardInterrupt
        said = await asked(*given)
        if count == when:
            raise KeyboardInterrupt
        return said

    setattr(venue, verb, asking)
    return venue


@pytest.mark.parametrize("verb", ["submit", "reports", "cancel", "positions"])
def test_a_death_within_a_question_to_the_exchange(free, feed, tmp_path, verb):
    "The next start asks again, and it counts once"
    fill = verb != "cancel"
    feed = feed[:40] if fill else feed
    whole = live(free, feed, tmp_path / "a", venue=Exchange(tmp_path / "a.jsonl", fill=fill))
    path = tmp_path / "b.jsonl"
    for when in (1, 3, 4):
        for after in (False, True):
            venue = dying(Exchange(path, fill=fill), verb, when, after)
            with pytest.raises(KeyboardInterrupt):
                live(free, feed, tmp_path / "b", venue=venue)
    assert (
        live(free, feed, tmp_path / "b", venue=Exchange(path, fill=fill)).journal == whole.journal
    )


# The exchange outside


def test_an_exchange_outside_gives_what_the_reference_venue_gives(free, feed, tmp_path):
    got = live(free, feed, tmp_path / "live", venue=Exchange(tmp_path / "exchange.jsonl"))
    expected = paper(free, feed)
    np.testing.assert_allclose(got.equity, expected.equity, rtol=1e-9)
    assert len(got.fills) == 2 * len(expected.fills)  # each in two parts
    ours = got.fills.groupby("order")["notional"].sum()
    theirs = expected.fills.groupby("order")["notional"].sum()
    np.testing.assert_allclose(ours[theirs.index], theirs, rtol=1e-9)
    assert got.state == "ACTIVE"


def test_what_is_not_filled_by_the_close_is_withdrawn(free, feed, tmp_path):
    venue = Exchange(tmp_path / "exchange.jsonl", fill=False)
    got = live(free, feed, tmp_path / "live", venue=venue)
    assert len(got.fills) == 0 and got.equity.nunique() == 1
    said = got.events[got.events["type"] == "unfilled"]
    assert said["reason"].str.contains("were not filled whole by the close").all() and len(said) > 5
    last = got.orders["date"].max()
    there = asyncio.run(venue.orders())
    assert set(there) <= set(got.orders.loc[got.orders["date"] == last, "id"])


def test_a_rejection_is_told_with_its_reason(free, feed, tmp_path):
    venue = Exchange(tmp_path / "exchange.jsonl", reject=["S002"])
    got = live(free, feed, tmp_path / "live", venue=venue)
    assert set(got.fills.loc[got.fills["notional"] == 0, "asset"]) == {"S002"}
    said = got.events.loc[got.events["type"] == "unfilled", "reason"]
    assert said.str.contains("that of S002 first: no such name").all()


class Meddled(ReferenceVenue):
    "A venue that goes wrong when told to"

    wrong = None

    async def positions(self):
        held = await super().positions()
        return held | {"S000": held.get("S000", 0) + 5e3} if self.wrong == "position" else held

    async def reports(self, after):
        told = await super().reports(after)
        number = after + len(told) + 1
        if self.wrong == "foreign":
            return [*told, Report(number, "of somebody else", OrderState.FILLED, 1e3)]
        if self.wrong == "overfilled" and told:
            return [*told, Report(number, told[-1].order, OrderState.FILLED, 1e9)]
        return told


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("position", "of S000 and the book"),
        ("foreign", "told of an order of somebody else that is not ours"),
        ("overfilled", "was filled beyond what was wished"),
    ],
)
def test_what_the_book_does_not_know_halts(bundle, feed, tmp_path, wrong, words):
    broker = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
    venue = Meddled(broker)

    def going_wrong():
        for n, bar in enumerate(feed):
            venue.wrong = wrong if n >= 32 else None
            yield bar

    got = live(bundle, going_wrong(), tmp_path, venue=venue)
    assert got.state == "HALTED"
    first = got.events[got.events["type"] == "difference"].iloc[0]
    assert words in first["reason"]
    assert not got.orders.loc[got.orders["date"] > first["date"], "sent"].any()


def test_a_difference_at_the_start_halts_before_anything_is_sent(bundle, feed, tmp_path):
    live(bundle, feed[:40], tmp_path)
    broker = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
    venue = Meddled(broker)
    venue.wrong = "position"
    got = live(bundle, feed[:60], tmp_path, venue=venue)
    assert got.state == "HALTED"
    assert not got.orders.loc[got.orders["date"] > feed[39].date, "sent"].any()


# Feeds


def ticks_of(feed):
    "Quotes and trades in between, some of them twice, some late"
    for bar in feed:
        noon = bar.date.tz_localize("UTC") - pd.Timedelta(hours=12)
        trade = Trade(noon, "S000", 10.0, 5)
        yield from (trade, trade, Quote(noon, "S001", 9.0, 10.0, 1, 1))
        yield Trade(noon - pd.Timedelta(hours=30), "S000", 1.0, 5)
        yield bar
        yield bar


def test_late_and_duplicate_events_are_counted_and_not_traded_on(bundle, feed, tmp_path):
    ticks, expected = list(ticks_of(feed)), paper(bundle, feed)
    got = live(bundle, ticks, tmp_path / "a")
    pd.testing.assert_frame_equal(got.fills, expected.fills)
    pd.testing.assert_series_equal(got.equity, expected.equity)
    said = [json.loads(line) for line in got.journal.splitlines() if b'"type":"feed"' in line]
    assert len(said) == len(feed)
    assert {(line["late"], line["duplicate"]) for line in said[1:]} == {(1, 2)}
    assert live(bundle, ticks, tmp_path / "b").journal == got.journal
    for end in (83, 84, 85, 86, 87, 88):  # interrupted anywhere, and told again from the start
        folder = tmp_path / str(end)
        live(bundle, ticks[:end], folder)
        assert live(bundle, ticks, folder).journal == got.journal


def test_an_older_session_is_late_also_after_a_start(bundle, feed, tmp_path):
    live(bundle, feed[5:20], tmp_path)
    got = live(bundle, [feed[20], feed[3], feed[21]], tmp_path)
    assert got.n_days == 17
    assert "1 late" in got.events.loc[got.events["type"] == "feed", "reason"].iloc[-1]


def test_a_silence_is_an_event_and_a_halt_in_it_is_obeyed(bundle, feed, tmp_path):
    clock, switch = ManualClock(START), KillSwitch(policy="cancel")
    switch.start()
    decided = next(n for n, b in enumerate(feed) if b.date == bundle.target_weights.index[10])

    class Quiet:
        async def events(self):
            for bar in feed[: decided + 1]:
                yield close_of(bar)
            quiet.set()
            await clock.sleep(600)
            yield close_of(feed[decided + 1])

    quiet = asyncio.Event()

    async def main():
        venue = floor.reference(bundle)
        engine = LiveEngine(
            bundle, Quiet(), venue, clock=clock, folder=tmp_path, kill_switch=switch
        )
        task = asyncio.create_task(engine.run())
        await quiet.wait()
        await clock.advance(130)
        working = await venue.orders()
        switch.trip("a rumour", by="desk")
        await clock.advance(70)
        assert working and not await venue.orders()
        await clock.advance(600)
        return await task

    got = asyncio.run(main())
    assert (got.events["type"] == "silence").sum() == 1  # one line, however long it lasts
    assert "cancelled" in set(got.events["type"])
    last = got.orders["date"] == feed[decided].date
    assert last.any() and not got.orders.loc[last, "sent"].any()


def test_a_clock_that_is_set_back_changes_nothing(bundle, feed, tmp_path):
    clock = ManualClock(START)

    def back():
        for n, bar in enumerate(feed):
            clock.set(START + pd.Timedelta(seconds=50 * (n if n % 7 else -n)))
            yield bar

    assert live(bundle, back(), tmp_path, clock=clock).journal == paper(bundle, feed).journal


def test_a_broken_feed_ends_the_run_and_nothing_is_left_running(bundle, feed, tmp_path):
    class Broken:
        async def events(self):
            for bar in feed[:9]:
                yield close_of(bar)
            raise DataError("the line was cut")

    async def main():
        engine = LiveEngine(
            bundle, Broken(), floor.reference(bundle), clock=ManualClock(START), folder=tmp_path
        )
        with pytest.raises(DataError, match="the line was cut"):
            await engine.run()
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal


def test_a_run_can_be_cancelled(bundle, feed, tmp_path):
    async def main():
        clock = ManualClock(START)
        slow = ReplayFeed(feed, speed=86_400, clock=clock)
        engine = LiveEngine(bundle, slow, floor.reference(bundle), clock=clock, folder=tmp_path)
        task = asyncio.create_task(engine.run())
        await clock.advance(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal


# One folder


def test_a_folder_serves_one_engine_and_one_bundle(bundle, free, feed, tmp_path):
    with LiveStore(tmp_path), pytest.raises(HandoffError, match="Another engine is running in"):
        live(bundle, feed, tmp_path)
    live(bundle, feed[:9], tmp_path)
    with pytest.raises(HandoffError, match="belongs to another bundle or to other limits"):
        live(free, feed, tmp_path)
    (tmp_path / "live.sqlite").unlink()
    with pytest.raises(HandoffError, match="is not the one that live.sqlite was saved with"):
        live(bundle, feed, tmp_path)


def test_a_full_disk_stops_the_engine_and_loses_nothing(bundle, feed, tmp_path, monkeypatch):
    run, count = LiveStore._run, 0

    def filling(self, statement, *values):
        nonlocal count
        count += 1
        if count == 150:
            self.database.run(f"PRAGMA max_page_count = {1}")
            self.database.run("CREATE TABLE IF NOT EXISTS filler (x)")
        return run(self, statement, *values)

    monkeypatch.setattr(LiveStore, "_run", filling)
    with pytest.raises((HandoffError, sqlite3.OperationalError), match="full"):
        live(bundle, feed, tmp_path)
    monkeypatch.undo()
    assert live(bundle, feed, tmp_path).journal == paper(bundle, feed).journal


# The life of an order


FINAL = [state for state in OrderState if state.is_final]
REPORTS = st.lists(
    st.builds(
        lambda state, notional: (state, notional),
        st.sampled_from(list(OrderState)[1:]),
        st.sampled_from([0.0, 10.0, 25.0]),
    ),
    max_size=8,
)


@given(REPORTS, st.randoms(use_true_random=False))
def test_reports_twice_and_in_any_order_double_nothing(made, random):
    reports = [Report(n, "a", *parts) for n, parts in enumerate(made, 1)]
    told = reports + random.choices(reports, k=5) if reports else []
    random.shuffle(told)
    record = OrderRecord("a", 100.0)
    for report in told:
        after = follow(record, report)
        if record.state.is_final:
            assert after.state is record.state
        assert after.state is record.state or after.state in TRANSITIONS[record.state]
        record = after
    assert record.filled == pytest.approx(sum(report.notional for report in reports))
    assert record.seen == {report.number for report in reports}


# Events


NAMES = st.text(min_size=1, max_size=5).filter(str.strip)
PRICES = st.floats(1e-6, 1e9)
TIMES = st.integers(0, 2**62).map(lambda ns: pd.Timestamp(ns, tz="UTC"))
NUMBERS = st.floats(-1, 1e6) | st.just(float("nan"))


@given(
    st.builds(Trade, TIMES, NAMES, PRICES, PRICES)
    | st.builds(lambda t, a, p: Quote(t, a, p, p * 1.5, 1.0, 0.0), TIMES, NAMES, PRICES)
    | st.builds(
        lambda t, r: Close(t, Bar(t.tz_localize(None).normalize(), r, r, {})),
        TIMES,
        st.dictionaries(NAMES, NUMBERS, max_size=3),
    )
)
def test_an_event_comes_back_from_its_line(event):
    line = event_line(event)
    assert b"\n" not in line and line.isascii()
    assert event_line(read_event(line)) == line
    assert isinstance(event, Close) or read_event(line) == event


BAR = Bar(pd.Timestamp("2026-01-05"), {"A": 0.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Quote("now", "A", 1, 2, 3, 4), "`time` must be a Timestamp in UTC"),
        (lambda: Quote(START, 5, 1, 2, 3, 4), "`asset` must be a non-empty text"),
        (lambda: Quote(START, "A", np.inf, 2, 3, 4), "`bid` must be a finite positive number"),
        (lambda: Quote(START, "A", True, 2, 3, 4), "`bid` must be a finite positive number"),
        (lambda: Trade(START, "A", "1", 2), "`price` must be a finite positive number"),
        (lambda: Close(START, None), "`bar` must be a Bar"),
        (lambda: Close(START, Bar(START, {})), "dated with a Timestamp without a zone"),
        (lambda: close_of([]), "`bar` must be a Bar"),
        (lambda: event_line(None), "An event is a Quote, a Trade or a Close"),
        (lambda: event_line(close_of(Bar(BAR.date, {"A": "x"}))), "holds what is no number"),
        (lambda: event_line(close_of(Bar(BAR.date, [1]))), "holds what is no number"),
        (lambda: read_event(None), "is no event"),
        (lambda: read_event(b"\xff"), "is no event"),
        (lambda: read_event("[" * 100_000), "is no event"),
        (lambda: read_event('{"type":["trade"]}'), "`type` must be one of"),
        (lambda: ReplayFeed(BAR), "A replay needs bars or events, not Bar"),
        (lambda: ReplayFeed([], speed=-1), "`speed` must be"),
        (lambda: ManualClock(None), "`start` must be a Timestamp in UTC"),
        (lambda: ReferenceVenue(None), "`broker` must be a SimulatedVenue"),
        (lambda: follow(OrderRecord("b", 1.0), Report(1, "a", OrderState.FILLED)), "not b"),
        (lambda: Report(1, "a", OrderState.FILLED, "much"), "`notional` must be a finite number"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(QuantlabError, match=message) as raised:
        call()
    assert str(raised.value).endswith((".", "b", ")")) or "is no event" in message


def test_a_watch_needs_seconds(feed):
    async def main():
        async for _ in watched(ReplayFeed(feed), ManualClock(START), seconds=-1):
            pass

    with pytest.raises(SpecificationError, match="`seconds` must be"):
        asyncio.run(main())


def test_the_wing_is_lazy_and_complete():
    from quantlab import live as wing

    assert "LiveEngine" in dir(wing) and wing.LiveEngine is LiveEngine
    assert CAPITAL == 1e7
