"""The engine and its gate: rules that are asked, a halt that withdraws, a halt that closes."""

import dataclasses
import json
import os

import numpy as np
import pandas as pd
import pytest
from conftest import sequential_test

from quantlab.errors import SpecificationError
from quantlab.handoff import (
    DeskRules,
    KillSwitch,
    Limits,
    PaperEngine,
    ReferenceBroker,
    State,
    bars,
    load_bundle,
    write_bundle,
)
from quantlab.trading.costs import CostModel

DAYS = pd.bdate_range("2015-07-01", periods=8, name="date")
TEST = sequential_test()
WIDE = Limits(
    max_order_notional=1e9,
    max_gross=5.0,
    max_position_weight=5.0,
    max_daily_turnover=50.0,
    price_collar=0.95,
    max_orders_per_day=100,
    max_stale_days=0,
    max_daily_loss=0.9,
    max_drawdown=0.9,
)
LONG = [0.3, 0.2, 0.4, 0.3, 0.2, 0.4, 0.3, 0.2]
ARGUMENTS = {
    "strategy": "book",
    "verdict": "approved",
    "parameters": {},
    "target_weights": pd.DataFrame({"A": LONG, "B": [-w / 2 for w in LONG]}, index=DAYS),
    "expected": pd.DataFrame({"returns": 0.0, "turnover": 0.1, "costs": 0.0}, index=DAYS),
    "inputs": {},
    "code": "tree",
    "universe": ["A", "B"],
    "costs": CostModel(half_spread_bps=1),
    "limits": WIDE,
    "kill_rules": {"daily_loss": 0.05, "sequential_test": False},
    "expected_distribution": {"mean": 4e-4, "volatility": 0.01, "sequential_test": TEST},
    "starts": "2015-07-01",
    "expires": "2030-12-31",
    "capital": 1e6,
}
RETURNS = pd.DataFrame({"A": 0.001, "B": 0.001}, index=DAYS)
VOLUME = pd.DataFrame({"A": 1e7, "B": 1e6}, index=DAYS)
FEED = list(bars(RETURNS, dollar_volume=VOLUME))
LOSS = 4  # the bar on which the kill rule fires in CRASH
CRASH = list(bars(RETURNS.assign(A=np.where(DAYS[LOSS] == DAYS, -0.4, 0.001))))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    "A killed process loses nothing that was written: only a power cut needs the flush"
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(write_bundle(tmp_path / "handoff", **ARGUMENTS))


def venue(bundle, kind=ReferenceBroker):
    return kind(bundle.costs, capital=bundle.capital)


def run(bundle, feed=FEED, limits=None, backend=None, **options):
    return PaperEngine(bundle, backend or venue(bundle), limits, **options).run(feed)


def lines(result, kind):
    return [r for r in map(json.loads, result.journal.splitlines()) if r["type"] == kind]


# -- rules in an engine


@pytest.mark.parametrize(
    ("rule", "limits", "rules"),
    [
        ("daily_notional", {"max_daily_notional": 4e5}, {}),
        ("net", {"max_net": 0.1}, {}),
        ("concentration", {"max_concentration": 0.08}, {}),
        ("participation", {"max_participation": 0.1}, {}),
        ("instrument", {}, {"instruments": ["A"]}),
        ("restricted", {}, {"restricted": ["B"]}),
        ("locate", {}, {"locates": {"B": 1e5}}),
        ("hours", {}, {"hours": ("14:30", "21:00")}),
    ],
)
def test_a_refusal_is_journaled_with_its_rule_its_value_and_its_limit(bundle, rule, limits, rules):
    tight = dataclasses.replace(WIDE, **limits)
    result = run(bundle, limits=tight, rules=rules)
    refused = [order for order in lines(result, "order") if not order["sent"]]
    assert refused and {order["rule"] for order in refused} == {rule}
    for order in refused:
        assert order["limit"] is not None and order["value"] is not None and order["reason"]
    assert all("value" not in order for order in lines(result, "order") if order["sent"])
    marks = {day.get("rules") for day in lines(result, "day")}
    assert marks == ({DeskRules(**rules).mark()} if rules else {None})
    assert result.journal == run(bundle, limits=tight, rules=DeskRules(**rules)).journal
    names = lines(result, "start")[0]["limits"]
    assert set(names) == set(WIDE.to_dict()) | set(limits)


def test_an_optional_limit_is_sealed_with_the_bundle_and_holds(tmp_path):
    plain = load_bundle(write_bundle(tmp_path, **ARGUMENTS))
    agreed = dataclasses.replace(WIDE, max_net=0.1)
    asked = load_bundle(write_bundle(tmp_path, **ARGUMENTS | {"limits": agreed}))
    assert asked.seal != plain.seal and asked.limits == agreed
    assert "max_net" not in plain.manifest["limits"] and plain.limits == WIDE
    assert run(asked).n_refused > 0
    looser = dataclasses.replace(WIDE, max_net=9.0)
    assert (
        run(asked, limits=looser).journal == run(asked).journal == run(asked, limits=WIDE).journal
    )
    given = agreed.to_dict()
    assert load_bundle(write_bundle(tmp_path, **ARGUMENTS | {"limits": given})).seal == asked.seal


def test_the_time_of_a_bar_is_held_to_the_trading_hours(bundle):
    late = [dataclasses.replace(b, date=b.date + pd.Timedelta(hours=21)) for b in FEED]
    assert run(bundle, late, rules={"hours": ("14:30", "21:00")}).n_refused == 0
    shut = run(bundle, late, rules={"hours": ("14:30", "20:59")})
    assert shut.n_orders == 0 and lines(shut, "order")[0]["value"] == "21:00"


def test_the_desks_lists_may_change_from_day_to_day(bundle, tmp_path):
    first = run(bundle, FEED[:3], folder=tmp_path / "s", rules={"restricted": ["B"]})
    again = run(bundle, FEED, folder=tmp_path / "s", rules={"restricted": ["C"]})
    assert first.n_refused and again.n_refused == first.n_refused
    assert again.journal.startswith(first.journal)
    assert len({day["rules"] for day in lines(again, "day")}) == 2
    for wrong, message in (
        ({"banned": ["B"]}, "`rules` must be one of 'instruments'"),
        ({"hours": 5}, "`hours` must be"),
        (5, "`rules` must be a DeskRules, or a mapping of its values; got int"),
        (["B"], "`rules` must be a DeskRules"),
    ):
        with pytest.raises(SpecificationError, match=message):
            PaperEngine(bundle, venue(bundle), rules=wrong)


def test_nothing_asked_leaves_the_journal_as_it_was(bundle):
    plain = run(bundle)
    assert run(bundle, rules=DeskRules()).journal == run(bundle, rules={}).journal == plain.journal
    assert b'"value"' not in plain.journal and b'"rules"' not in plain.journal
    switch = KillSwitch(policy="flatten")
    switch.start()
    assert run(bundle, kill_switch=switch).journal == plain.journal  # a policy without a halt


# -- a halt


def halted_between(bundle, policy, backend=None):
    "An engine that did three days, and a person who then halts it"
    switch = KillSwitch(policy=policy)
    switch.start()
    backend = backend or venue(bundle)

    def feed():
        for n, bar in enumerate(FEED):
            if n == 3:
                switch.trip("quotes of yesterday", by="desk")
            yield bar

    return run(bundle, feed(), backend=backend, kill_switch=switch), backend


def test_without_a_policy_what_was_sent_stands(bundle):
    result, backend = halted_between(bundle, None)
    assert not lines(result, "cancelled") and backend.positions()
    assert result.fills["date"].max() == DAYS[3]


def test_cancel_withdraws_what_waits_before_the_next_bar_fills_it(bundle):
    result, backend = halted_between(bundle, "cancel")
    (line,) = lines(result, "cancelled")
    assert line["date"] == "2015-07-06" and line["reason"] == "quotes of yesterday"
    assert result.fills["date"].max() == DAYS[2] and backend.positions()  # kept, not closed
    withdrawn = result.orders[result.orders["rule"] == "cancelled"]
    assert set(withdrawn["id"]) == set(line["orders"]) and set(withdrawn["date"]) == {DAYS[2]}
    assert not withdrawn["sent"].any()
    assert result.daily.loc[DAYS[2], ["sent", "refused"]].tolist() == [0, 2]
    assert result.n_orders == 4 and len(result.fills) == 4
    assert result.reconciliation(bundle.expected).first_refusal == DAYS[2]


def test_flatten_closes_every_position_on_the_first_bar_after(bundle):
    result, backend = halted_between(bundle, "flatten")
    closed = result.orders[result.orders["rule"] == "flatten"]
    assert set(closed["date"]) == {DAYS[3]} and closed["sent"].all() and len(closed) == 2
    assert backend.positions() == {} and result.daily.loc[DAYS[4] :, "gross"].eq(0).all()
    assert set(closed["id"]) <= set(result.fills["order"])
    later = result.orders[(result.orders["date"] >= DAYS[3]) & (result.orders["rule"] != "flatten")]
    assert not later["sent"].any() and set(later["rule"]) == {"halted"}


@pytest.mark.parametrize("policy", [None, "cancel", "flatten"])
def test_a_kill_rule_of_the_engine_halts_within_its_bar(bundle, policy):
    switch = KillSwitch(policy=policy)
    switch.start()
    backend = venue(bundle)
    result = run(bundle, CRASH, backend=backend, kill_switch=switch)
    assert result.state == "HALTED" and "kill rule daily_loss" in result.reason
    assert switch.by == f"engine {bundle.seal[:12]}"
    after = result.orders[result.orders["date"] >= DAYS[LOSS]]
    assert set(after.loc[after["sent"], "rule"]) == ({"flatten"} if policy == "flatten" else set())
    assert bool(backend.positions()) == (policy != "flatten")


def test_a_restricted_name_is_not_sold_because_of_a_halt(bundle, tmp_path):
    switch = KillSwitch(policy="flatten")
    switch.start()
    backend, shared = venue(bundle), {"folder": tmp_path / "state", "kill_switch": switch}
    run(bundle, CRASH[:3], **shared)
    listed = run(bundle, CRASH, backend=backend, rules={"restricted": ["B"]}, **shared)
    assert set(backend.positions()) == {"B"}
    last = lines(listed, "order")[-1]
    assert (last["asset"], last["rule"], last["sent"]) == ("B", "restricted", False)


def test_closing_goes_on_until_the_venue_has_filled_it(bundle):
    class Deaf(ReferenceBroker):
        "Fills nothing on two days"

        def _fill(self, date):
            if date in DAYS[LOSS + 1 : LOSS + 3]:
                self._pending = {}
            return super()._fill(date)

    switch = KillSwitch(policy="flatten")
    switch.start()
    backend = venue(bundle, Deaf)
    result = run(bundle, CRASH, backend=backend, kill_switch=switch)
    closed = result.orders[result.orders["rule"] == "flatten"]
    assert sorted(set(closed["date"])) == list(DAYS[LOSS : LOSS + 3])
    assert closed["id"].is_unique and backend.positions() == {}


@pytest.mark.parametrize("policy", [None, "cancel", "flatten"])
def test_a_halt_while_orders_are_sent_withdraws_the_first_of_them(bundle, policy):
    switch = KillSwitch(policy=policy)
    switch.start()

    class Venue(ReferenceBroker):
        sent = 0

        def submit(self, order):
            super().submit(order)
            self.sent += 1
            if self.sent == 3:  # the first order of the second day
                switch.trip("stop", by="risk")

    backend = venue(bundle, Venue)
    result = run(bundle, backend=backend, kill_switch=switch)
    withheld, withdrawn = lines(result, "withheld"), lines(result, "cancelled")
    assert len(withheld) == 1 and len(withheld[0]["orders"]) == 1
    assert len(withdrawn) == (policy is not None)
    assert result.daily["sent"].iloc[1] == (1 if policy is None else 0)
    filled = {None: 3, "cancel": 2, "flatten": 4}[policy]
    assert len(result.fills) == filled == result.n_orders
    assert bool(backend.positions()) == (policy != "flatten")


def test_a_halt_of_another_engine_withdraws_too(bundle):
    switch = KillSwitch(policy="cancel")
    switch.start()

    def feed():
        for n, bar in enumerate(FEED):
            if n == 2:
                switch.trip("kill rule drawdown", by="engine 0123456789ab")
            yield bar

    result = run(bundle, feed(), kill_switch=switch)
    assert len(lines(result, "cancelled")) == 1 and result.fills["date"].max() == DAYS[1]


class Killed(BaseException):
    "Ends the process where it is: nothing catches it"


@pytest.mark.parametrize("policy", ["cancel", "flatten"])
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_kill_around_the_halt_tells_the_same_story(bundle, tmp_path, monkeypatch, policy, how):
    "Before and after each write of the session; the switch trips with the eleventh"
    from quantlab import storage

    def session(folder):
        folder.mkdir(exist_ok=True)
        switch = KillSwitch(folder / "switch", policy)
        switch.start()
        return run(bundle, CRASH, folder=folder / "state", kill_switch=switch).journal

    whole, write = session(tmp_path / "whole"), storage.write_all
    for when in range(1, 19):
        count = [0]

        def killed(file, content, when=when, count=count):
            count[0] += 1
            if count[0] == when and how == "before":
                raise Killed
            write(file, content)
            if count[0] == when:
                raise Killed

        monkeypatch.setattr(storage, "write_all", killed)
        with pytest.raises(Killed):
            session(tmp_path / str(when))
        monkeypatch.setattr(storage, "write_all", write)
        assert session(tmp_path / str(when)) == whole, when


def test_a_policy_needs_a_venue_that_can_withdraw(bundle):
    class Stubborn(ReferenceBroker):
        cancel = None

    backend = venue(bundle, Stubborn)
    for policy in ("cancel", "flatten"):
        with pytest.raises(SpecificationError, match="needs a venue that can `cancel` what waits"):
            PaperEngine(bundle, backend, kill_switch=KillSwitch(policy=policy))
    assert PaperEngine(bundle, backend).run(FEED).n_orders == 16


def test_in_reducing_the_whole_run_only_makes_positions_smaller(bundle):
    switch = KillSwitch()
    switch.start()
    backend, seen = venue(bundle), []
    rng = np.random.default_rng(0)
    noisy = pd.DataFrame(rng.normal(0, 0.01, RETURNS.shape), DAYS, RETURNS.columns)

    def feed():
        for n, bar in enumerate(bars(noisy, dollar_volume=VOLUME)):
            if n == 2:
                switch.trip("less", by="desk", state=State.REDUCING)
            yield bar
            seen.append((backend.positions(), list(backend._pending.values())))

    run(bundle, feed(), backend=backend, kill_switch=switch)
    sent = [(held, order) for held, orders in seen[2:] for order in orders]
    assert sent
    for held, order in sent:
        position = held[order["asset"]]
        assert position * order["notional"] < 0 and abs(order["notional"]) <= abs(position)
