"""A broker in Alpaca's shape, against a local stand-in: a process that outlives the engine."""

import asyncio
import copy
import json
import logging
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
import floor
from alpaca_floor import (
    HERE,
    Priced,
    compare,
    control,
    faults,
    prices_of,
    stand_in,
    trade,
    traded,
    venue_of,
)
from alpaca_stand_in import KEY
from servers import Proxy

from quantlab.errors import DataError, DataWarning, HandoffError, SpecificationError
from quantlab.handoff import KillSwitch, load_bundle
from quantlab.live import OrderState, RealClock
from quantlab.trading.orders import Order
from quantlab.venues import LIVE_URL, AlpacaVenue
from quantlab.venues import alpaca_messages as messages


@pytest.fixture(scope="module")
def world():
    return floor.a_world(n_days=40)


@pytest.fixture(scope="module")
def bundle(world, tmp_path_factory):
    return floor.a_bundle(tmp_path_factory.mktemp("bundle"), *world, costs=floor.FREE)


@pytest.fixture(scope="module")
def bars(world):
    return floor.a_feed(world[0])


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with stand_in(tmp_path_factory.mktemp("broker")) as server:
        yield server.port


@pytest.fixture
def port(broker):
    control(broker, {"do": "reset"})
    return broker


# A replay


@pytest.mark.parametrize(("fill", "tell"), [("now", "all"), ("parts", "shuffled"), ("now", "none")])
def test_a_replay_is_traded_whatever_the_stream_tells(bundle, bars, port, tmp_path, fill, tell):
    "Whole; in parts, told in the wrong order and twice; told by REST alone"
    control(port, fill=fill, tell=tell)
    got, seen = trade(bundle, bars, port, tmp_path)
    found = compare(tmp_path, control(port))
    assert faults(found) == {} and found["orders"] == got.orders["sent"].sum() > 20
    assert got.state == "ACTIVE" and got.n_days == len(bars)
    assert seen.connections == 1 and bool(seen.messages) is (tell != "none")
    account, last = control(port), last_prices(bundle, bars)
    held = {asset: float(shares) for asset, (shares, _) in account["positions"].items()}
    worth = float(account["cash"]) + sum(n * last[asset] for asset, n in held.items())
    assert abs(got.equity.iloc[-1] / worth - 1) < 1e-9


def last_prices(bundle, bars):
    prices = prices_of(bundle)
    for bar in bars:
        prices = {a: p * (1 + bar.returns.get(a, 0.0)) for a, p in prices.items()}
    return prices


def wish(name, notional=1000.0, asset="KO"):
    return Order(name, pd.Timestamp("2026-01-05"), asset, notional)


def asked(port, folder, work, **options):
    "What `work` makes of a venue with a price of 100 for KO and PEP"

    async def main():
        async with venue_of(port, {"KO": 100.0, "PEP": 100.0}, folder, **options) as venue:
            async with asyncio.timeout(60):
                return await work(venue)

    return asyncio.run(main())


def told(reports):
    return [(r.order, r.state.value, r.notional, r.reason) for r in reports]


def sums(reports):
    "Filled of each order, and where it is"
    filled = {}
    for r in reports:
        filled[r.order] = filled.get(r.order, (0.0,))[0] + r.notional, r.state.value
    return filled


# Somebody else's reading of the same pages


def test_alpacas_own_client_understands_the_stand_in(port):
    command = [sys.executable, "-W", "ignore", str(HERE / "alpaca_client.py"), str(port)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "placed": ["a", "accepted", "10.0"],
        "twice": [422, 40010001],
        "beyond": [403, 40310000],
        "found": "filled",
        "listed": ["a"],
        "cancelled": [422, 42210000],
        "unknown": [404, 40410000],
        "position": [["KO", "10.0", "long"]],
        "account": ["ACTIVE", 9_999_000.0, False],
        "open": True,
        "fills": [["KO", 10.0, 10.0]],
        "works": ["d"],
        "ended": "canceled",
        "told": [["new", "a"], ["fill", "a"], ["new", "d"], ["canceled", "d"]],
    }


# Silence, errors, and too many questions


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("kind", [{"kind": "hang"}, {"kind": "status", "status": 503}])
def test_an_order_whose_answer_never_comes_is_one_order(port, tmp_path, kind, done):
    "Whether it was taken before the silence or not"
    fault = {"method": "POST", "path": "/v2/orders", "times": 2, "done": done} | kind
    control(port, faults=[fault])

    async def work(venue):
        await venue.submit(wish("a"))
        await venue.submit(wish("a"))
        await venue.cancel(["a"])
        return await venue.reports(0), venue.statistics

    reports, seen = asked(port, tmp_path, work, timeout=0.5)
    kept = control(port)
    assert [o["client_order_id"] for o in kept["orders"]] == ["a"] and seen.failures >= 2
    assert kept["seen"]["a"] == (3 if done else 1)  # twice without an answer, once refused as taken
    assert sums(reports) == {"a": (1000.0, "filled")}


class Noting(RealClock):
    "Notes how long it was to wait, and waits a hundredth of it"

    def __init__(self):
        self.waits = []

    async def sleep(self, seconds):
        self.waits.append(seconds)
        await asyncio.sleep(seconds / 100)


def test_a_broker_that_wants_to_be_left_alone_is(port, tmp_path):
    often = {"method": "POST", "path": "/v2/orders", "kind": "status", "status": 429}
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 30)}
    faults_ = [
        often | {"times": 1, "headers": {"Retry-After": "17"}},
        often | {"times": 1, "headers": {"Retry-After": "3600"}},
        often | {"times": 1, "headers": reset},
    ]
    control(port, faults=faults_)
    clock = Noting()

    async def work(venue):
        await venue.submit(wish("a"))

    asked(port, tmp_path, work, clock=clock, longest_wait=60.0)
    asked_for = [wait for wait in clock.waits if wait >= 10]
    assert asked_for[:2] == [17.0, 60.0] and 20 <= asked_for[2] <= 31
    assert len(control(port)["orders"]) == 1


def test_a_broker_that_is_gone_is_one_sentence_and_the_order_is_sent_after_it_is_back(tmp_path):
    with stand_in(tmp_path / "broker") as server:

        async def work(venue):
            assert await venue.equity() == 1e7
            server.end()
            with pytest.raises(
                DataError, match="no answer in 3 attempts.*not done twice"
            ) as raised:
                await venue.submit(wish("a"))
            assert str(raised.value).count("\n") == 0
            await asyncio.to_thread(server.start)
            await venue.submit(wish("a"))
            await venue.cancel(["a"])
            return await venue.reports(0)

        reports = asked(server.port, tmp_path / "venue", work, attempts=3)
        assert sums(reports) == {"a": (1000.0, "filled")}
        assert len(control(server.port)["orders"]) == 1


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("fill", ["now", "no"])
def test_whichever_request_fails_a_second_start_comes_to_the_same(
    bundle, bars, port, tmp_path, fill, done
):
    "Every one of a session in turn, by hand; here some, of which the answer is a page of HTML"

    def run(folder, nth):
        control(port, {"do": "reset"}, fill=fill, nth=nth, done=done)
        stopped = True
        with suppress(DataError):
            trade(bundle, bars[:14], port, folder, attempts=1)
            stopped = False
        got, seen = trade(bundle, bars[:14], port, folder, attempts=1)
        kept = control(port)
        assert faults(compare(folder, kept)) == {} and got.n_days == 14, nth
        orders = {o["client_order_id"]: (o["side"], o["qty"]) for o in kept["orders"]}
        return stopped, (orders, kept["cash"], got.state)

    _, whole = run(tmp_path / "whole", 0)
    assert len(whole[0]) == 5
    stops = 0
    for nth in range(1 + 3 * done, 75, 9):
        stopped, got = run(tmp_path / str(nth), nth)
        assert got == whole, nth
        stops += stopped
    assert stops >= 4


# Refusals


def test_a_refusal_is_told_in_the_brokers_words_and_without_the_key(port, tmp_path):
    control(port, hard=["PEP"], reject=["KO"])

    async def work(venue):
        await venue.submit(wish("a", 1e12, "PEP"))
        await venue.submit(wish("b", -1000.0, "PEP"))
        await venue.submit(wish("c", 99.0))
        await venue.submit(wish("d"))
        await venue.cancel(["d"])
        control(port, blocked=True)
        await venue.submit(wish("e"))
        return await venue.reports(0)

    assert sorted(told(asked(port, tmp_path, work)))[:3] == [
        ("a", "rejected", 0.0, "insufficient buying power (40310000)"),
        ("b", "rejected", 0.0, 'asset "PEP" cannot be sold short (42210000)'),
        ("c", "rejected", 0.0, "it is less than the smallest part of a share"),
    ]
    text = (tmp_path / "reports.jsonl").read_text()
    assert "account *** is not allowed to trade (40310000)" in text
    assert not any(value in text for value in KEY.values())
    assert '"order":"d","reason":"","state":"rejected"' in text


def test_a_blocked_account_and_a_wrong_key_are_one_sentence(port, tmp_path, monkeypatch):
    control(port, blocked=True)
    with pytest.raises(HandoffError, match=r"may not trade \(trading_blocked, account_blocked\)"):
        asked(port, tmp_path, lambda venue: venue.equity())
    (
        monkeypatch.setenv("OTHER_ID", "PKWRONG000"),
        monkeypatch.setenv("OTHER_SECRET", "wrong/1234567"),
    )
    with pytest.raises(DataError, match="refused the key in OTHER_ID and OTHER_SECRET") as raised:
        asked(port, tmp_path, lambda venue: venue.equity(), key=("OTHER_ID", "OTHER_SECRET"))
    assert "wrong/1234567" not in str(raised.value)


def test_a_position_is_not_turned_in_one_order(port, tmp_path):
    async def work(venue):
        await venue.submit(wish("a"))
        await venue.cancel(["a"])
        assert await venue.positions() == {"KO": 1000.0}
        await venue.submit(wish("b", -2500.0))
        await venue.cancel(["b"])
        assert await venue.positions() == {}
        await venue.submit(wish("c", -1500.0))
        await venue.cancel(["c"])
        return await venue.positions(), await venue.reports(0)

    held, reports = asked(port, tmp_path, work)
    assert held == {"KO": -1500.0}
    assert [filled for filled, _ in sums(reports).values()] == [1000.0, -1000.0, -1500.0]


# What happens to orders without us


def test_parts_ends_and_what_was_withdrawn_by_hand_are_told_once(port, tmp_path):
    control(port, fill="no", tell="shuffled")

    async def work(venue):
        for name in "abc":
            await venue.submit(wish(name))
        actions = [{"do": "fill", "order": "a", "part": 3}, {"do": "fill", "order": "a", "part": 4}]
        actions += [{"do": "end", "order": "a", "status": "canceled"}]
        actions += [{"do": "end", "order": "b", "status": "expired"}]
        control(port, *actions)
        assert set(await venue.orders()) == {"c"}
        control(port, {"do": "fill", "order": "c"})
        await venue.cancel(["c"])
        return await venue.reports(0)

    expected = {"a": (700.0, "cancelled"), "b": (0.0, "expired"), "c": (1000.0, "filled")}
    assert sums(asked(port, tmp_path, work)) == expected
    again = asked(port, tmp_path, lambda venue: venue.reports(0))
    assert sums(again) == expected  # also read anew by a second start


def test_orders_wait_while_the_market_is_closed_and_are_filled_when_it_opens(port, tmp_path):
    control(port, open=False)

    async def work(venue):
        await venue.submit(wish("a"))
        assert await venue.orders() == {"a": OrderState.ACCEPTED}
        assert not venue.statistics.is_open
        control(port, {"do": "open"})
        await venue.cancel(["a"])
        return await venue.reports(0)

    assert sums(asked(port, tmp_path, work)) == {"a": (1000.0, "filled")}


def test_a_withdrawal_that_takes_its_time_is_waited_for(port, tmp_path):
    control(port, fill="no", slow_cancel=4)

    async def work(venue):
        await venue.submit(wish("a"))
        await venue.cancel(["a", "never sent"])
        return await venue.reports(0)

    assert sums(asked(port, tmp_path, work)) == {"a": (0.0, "cancelled")}


def test_what_a_list_does_not_show_yet_works_all_the_same(port, tmp_path):
    control(port, fill="no")

    async def first(venue):
        await venue.submit(wish("a"))
        control(port, lag=1)
        return await venue.orders()

    assert asked(port, tmp_path, first) == {"a": OrderState.ACCEPTED}

    async def second(venue):
        control(port, lag=2)
        return await venue.orders(), await venue.reports(0)

    working, reports = asked(port, tmp_path, second)  # a start that knows of it by its reports
    assert working == {"a": OrderState.ACCEPTED} and len(reports) == 1


def test_pages_are_read_to_the_end(port, tmp_path):
    "More orders and fills than a page holds, all placed while nobody listened"

    async def work(venue):
        await venue.equity()
        control(port, {"do": "many", "n": 510, "asset": "KO"})

    asked(port, tmp_path / "one", work)
    control(port, {"do": "mute", "on": True})

    async def again(venue):
        venue.restore({"marks": {"prices": {"KO": 100.0}, "decided": {}}} | BEGIN)
        return await venue.reports(0), venue.snapshot()

    reports, kept = asked(port, tmp_path / "two", again)
    assert sums(reports) == {f"n{n}": (100.0, "filled") for n in range(510)}
    assert kept["cursor"] == control(port)["fills"][-1]["id"]


def test_a_fill_makes_an_order_known_that_neither_list_nor_stream_shows(port, tmp_path):
    headers = {name.replace("_", "-"): value for name, value in KEY.items()}
    body = {"symbol": "KO", "qty": "7", "side": "buy", "type": "market", "time_in_force": "day"}

    async def work(venue):
        await venue.equity()
        control(port, tell="none", lag=1000)
        httpx.post(
            f"http://127.0.0.1:{port}/v2/orders",
            json=body | {"client_order_id": "by hand"},
            headers=headers,
        )
        await venue.positions()
        return await venue.reports(0)

    assert sums(asked(port, tmp_path, work)) == {"by hand": (700.0, "filled")}


BEGIN = {"since": "1970-01-01T00:00:00+00:00", "cursor": ""}


# The stream


@pytest.mark.parametrize("kind", ["cut", "say", "mute"])
def test_a_stream_that_is_cut_garbled_or_silent_loses_nothing(port, tmp_path, kind):
    control(port, fill="no")

    async def work(venue):
        await venue.submit(wish("a"))
        while not control(port)["lines"]:
            await asyncio.sleep(0.01)
        control(port, {"do": kind, "on": True, "text": "garbage"})
        control(port, {"do": "mute", "on": True}, {"do": "fill", "order": "a"})
        while sums(reports := await venue.reports(0))["a"][1] != "filled":
            await asyncio.sleep(0.01)
        return reports

    assert sums(asked(port, tmp_path, work, poll=0.1)) == {"a": (1000.0, "filled")}


def test_a_stream_that_is_dead_without_a_word_is_left_for_another(port, tmp_path):
    async def main():
        async with Proxy(port) as proxy:
            options = {"timeout": 0.3, "attempts": 100, "ping": 0.2}
            async with venue_of(proxy.port, {"KO": 100.0}, tmp_path, **options) as venue:
                await venue.equity()
                while venue.statistics.connections < 1:
                    await asyncio.sleep(0.01)
                proxy.dead = True
                while not venue.statistics.last_fault:
                    await asyncio.sleep(0.01)
                proxy.dead = False
                await venue.submit(wish("a"))
                while sums(await venue.reports(0)).get("a") != (1000.0, "filled"):
                    await asyncio.sleep(0.01)
                while venue.statistics.connections < 2:
                    await asyncio.sleep(0.01)

    async def bounded():
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


# Clocks, accounts and halts


def test_a_broker_whose_clock_is_minutes_off_is_said_and_changes_nothing(
    bundle, bars, port, tmp_path
):
    control(port, skew=-420)
    with pytest.warns(DataWarning, match="is -420 seconds from ours"):
        got, seen = trade(bundle, bars, port, tmp_path)
    assert abs(seen.skew + 420) < 60
    assert faults(compare(tmp_path, control(port))) == {} and got.n_days == len(bars)


def test_an_account_that_is_not_flat_is_refused(bundle, bars, port, tmp_path):
    control(port, {"do": "hold", "asset": "S000", "shares": "10"})
    with pytest.raises(HandoffError, match="must start flat"):
        trade(bundle, bars, port, tmp_path)
    control(port, {"do": "reset"})
    control(port, {"do": "hold", "asset": "TSLA", "shares": "-3"})
    with pytest.raises(HandoffError, match="must start flat"):
        trade(bundle, bars, port, tmp_path / "b")
    headers = {name.replace("_", "-"): value for name, value in KEY.items()}
    with pytest.raises(HandoffError, match=r"of 10,000,000.00; it holds 0 .* 9,999,900.00. Close"):
        control(port, {"do": "reset"}, prices={"KO": 200.0})
        body = {"symbol": "KO", "type": "market", "time_in_force": "day", "qty": "1"}
        for side in ("buy", "sell"):
            httpx.post(
                f"http://127.0.0.1:{port}/v2/orders", json=body | {"side": side}, headers=headers
            )
            control(port, prices={"KO": 100.0})
        trade(bundle, bars, port, tmp_path / "c")


def test_a_fill_between_cash_and_positions_is_in_both_or_in_none(port, tmp_path):
    control(port, fill="no")

    async def work(venue):
        await venue.submit(wish("a"))
        get, filled = venue._line.get, []

        async def between(path, **query):
            found = await get(path, **query)
            if path == "/v2/account" and not filled:
                filled.append(path)
                control(port, prices={"KO": 150.0})
                control(port, {"do": "fill", "order": "a"})
            return found

        venue._line.get = between
        return await venue.equity(), len(filled)

    assert asked(port, tmp_path, work) == (1e7 - 500.0, 1)  # ten shares of 100, bought at 150


class Meddled(Priced):
    "Somebody else does something at a close"

    def __init__(self, *given, at, do):
        super().__init__(*given)
        self.place, self.do = at, do

    async def events(self):
        n = 0
        async for event in super().events():
            if n == self.place:
                await asyncio.to_thread(self.do)
            n += 1
            yield event


def run_meddled(bundle, bars, port, folder, at, do, **options):
    prices = prices_of(bundle)
    feed = Meddled(port, bars, prices, at=at, do=do)
    return asyncio.run(traded(bundle, feed, port, prices, folder, **options))


def test_an_order_that_is_not_ours_halts(bundle, bars, port, tmp_path):
    headers = {name.replace("_", "-"): value for name, value in KEY.items()}
    body = {"symbol": "TSLA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}

    def place():
        httpx.post(f"http://127.0.0.1:{port}/v2/orders", json=body, headers=headers)

    got, _ = run_meddled(bundle, bars, port, tmp_path, 25, place)
    assert got.state == "HALTED" and "that is not ours" in got.reason
    assert got.n_days == len(bars)


@pytest.mark.parametrize("times", [0.1, 0.5, 2 / 3, 10.0])
def test_prices_that_are_not_the_markets_halt_at_the_first_fill(
    bundle, bars, port, tmp_path, times
):
    "A price in another unit, or a split that no return told of, would be a gain that looks right"
    prices = prices_of(bundle)
    feed = Priced(port, bars[:16], {asset: times * price for asset, price in prices.items()})
    got, _ = asyncio.run(traded(bundle, feed, port, prices, tmp_path))
    assert got.state == "HALTED" and "far from its mark: a wrong price, a split?" in got.reason
    first = got.events[got.events["type"] == "difference"].iloc[0]
    assert not got.orders.loc[got.orders["date"] > first["date"], "sent"].any()


def test_a_session_that_ends_expires_orders_and_the_next_close_withdraws(
    bundle, bars, port, tmp_path
):
    def expire():
        control(port, {"do": "end", "status": "expired"})

    control(port, fill="no")
    got, _ = run_meddled(bundle, bars, port, tmp_path, 16, expire)
    kept = control(port)
    ends = {order["status"] for order in kept["orders"]}
    assert {"expired", "canceled"} <= ends <= {"expired", "canceled", "new"}
    assert faults(compare(tmp_path, kept)) == {} and kept["positions"] == {}
    assert got.state == "ACTIVE" and "unfilled" in set(got.events["type"])


def test_a_broker_killed_amid_a_replay_loses_nothing(bundle, bars, tmp_path):
    with stand_in(tmp_path / "broker") as server:

        def fall():
            server.end()
            server.start()

        got, seen = run_meddled(bundle, bars, server.port, tmp_path, 22, fall)
        found = compare(tmp_path, control(server.port))
        assert faults(found) == {} and got.n_days == len(bars) and found["orders"] > 20


def test_a_halt_after_a_kill_withdraws_an_order_that_no_list_shows_yet(
    bundle, bars, port, tmp_path, monkeypatch
):
    "Killed before the answer came; somebody halts; the list lags: not withheld, but withdrawn"
    control(port, fill="no")
    switch = KillSwitch(tmp_path / "state/kill_switch.jsonl")
    switch.start()

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(AlpacaVenue, "_accepted", dies)
    with pytest.raises(KeyboardInterrupt):
        trade(bundle, bars, port, tmp_path, switch=switch)
    monkeypatch.undo()
    assert len(control(port)["orders"]) == 1
    switch.trip("a rumour", by="desk")
    control(port, lag=100)
    got, _ = trade(bundle, bars[:30], port, tmp_path, switch=switch)
    kept = control(port)
    assert [order["status"] for order in kept["orders"]] == ["canceled"]
    assert faults(compare(tmp_path, kept)) == {} and "withheld" in set(got.events["type"])


@pytest.mark.slow
def test_kill_9_at_random_moments():
    "A share of what the program does by hand: tests/venues/alpaca_killed.py 200 SEED"
    command = [sys.executable, str(HERE / "alpaca_killed.py"), "6", "3"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 lost, 0 doubled" in run.stdout and int(run.stdout.split()[0]) >= 6, run.stdout


# Whom it may talk to, and what it never shows


def test_real_money_needs_a_signed_bundle_and_a_flag(bundle, tmp_path):
    given = {"folder": tmp_path, "clock": RealClock(), "url": LIVE_URL, "allow_network": True}
    unsigned = load_bundle(bundle.path)
    for options in ({}, {"live": True}, {"bundle": bundle}, {"live": True, "bundle": unsigned}):
        with pytest.raises(SpecificationError, match="trades real money") as raised:
            AlpacaVenue({"KO": 100.0}, **given, **options)
        assert str(raised.value).count("\n") == 0
    venue = AlpacaVenue({"KO": 100.0}, **given, live=True, bundle=bundle)  # nothing is sent
    assert repr(venue) == "AlpacaVenue(api.alpaca.markets)"
    asyncio.run(venue.close())


def test_the_key_is_shown_nowhere(bundle, bars, port, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        trade(bundle, bars[:16], port, tmp_path)
        with suppress(DataError):
            asked(1, tmp_path / "b", lambda venue: venue.equity(), attempts=1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    shown = [caplog.text, *(path.read_bytes().decode(errors="replace") for path in files)]
    assert len(files) >= 4 and "HTTP Request" in caplog.text
    assert not [value for value in KEY.values() for text in shown if value in text]


# Recorded answers


RECORDS = {path.stem: json.loads(path.read_text()) for path in (HERE / "alpaca_records").glob("*")}
READERS = {
    "order": messages.read_order,
    "account": messages.read_account,
    "positions": messages.read_positions,
    "clock": messages.read_clock,
    "activity": messages.read_fill,
    "update": lambda record: messages.read_update(json.dumps(record)),
    "refusal": lambda record: messages.read_refusal(json.dumps(record)),
}


def test_recorded_answers_are_read():
    "Written by us from the documented fields; see the folder's own words"
    read = {name: READERS[name.split("_")[0]](record) for name, record in RECORDS.items()}
    assert len(read) >= 10
    assert read["order_new"].state is OrderState.ACCEPTED and read["order_new"].filled == 0
    part, whole = read["order_partial"], read["order_filled"]
    assert (part.sign, part.filled, part.price) == (-1, 60.0, 69.5)
    assert part.state is OrderState.PARTLY_FILLED and whole.state is OrderState.FILLED
    assert read["update_fill"] == ("trade_updates", whole)
    assert read["update_authorization"] == ("authorization", "authorized")
    assert read["account"] == (9_999_123.45, "")
    assert read["positions"] == {"KO": (-142.0, 69.5), "PEP": (2.5, 150.125)}
    assert read["activity"][1:] == (whole.id, 142.0)
    assert read["refusal_duplicate"] == (40010001, "client_order_id must be unique")
    assert read["clock"][0] == pd.Timestamp("2026-01-06 14:30:00.5", tz="UTC")


def test_recorded_answers_are_played_to_the_venue(port, tmp_path):
    played = {
        "/v2/clock": RECORDS["clock"],
        "/v2/account/activities": [RECORDS["activity"]],
        "/v2/account": RECORDS["account"],
        "/v2/positions": RECORDS["positions"],
        "/v2/orders/": RECORDS["order_filled"],
        "/v2/orders": [RECORDS["order_filled"]],
    }
    fault = {"method": "GET", "kind": "status", "status": 200, "times": 1000}
    bodies = [fault | {"path": path, "body": json.dumps(r)} for path, r in played.items()]
    control(port, faults=bodies)

    async def work(venue):
        return await venue.positions(), await venue.equity(), await venue.reports(0)

    with pytest.warns(DataWarning, match="seconds from ours"):  # its clock is of the record
        held, equity, reports = asked(port, tmp_path, work)
    assert held == {"KO": -14_200.0, "PEP": 250.0} and equity == 9_999_123.45 - 13_950
    (report,) = reports
    assert (report.order, report.state) == ("49669e0370ff974b8897", OrderState.FILLED)
    assert report.notional == -14_200.0 and abs(report.cost - 142 * (100 - 69.612)) < 1e-6


def places(record, path=()):
    "Where the leaves of a record are"
    if isinstance(record, (dict, list)):
        pairs = record.items() if isinstance(record, dict) else enumerate(record)
        for name, value in pairs:
            yield from places(value, (*path, name))
    else:
        yield path


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["NaN", "-1", "Infinity", "1e999", "0x10", "", "9" * 300, [], {}]),
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_an_altered_answer_is_read_or_refused_in_one_sentence(data):
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    record = copy.deepcopy(RECORDS[name])
    for path in data.draw(st.lists(st.sampled_from(sorted(places(record), key=repr)), max_size=3)):
        *way, last = path
        place = record
        for step in way:
            place = place[step]
        if data.draw(st.booleans()) or isinstance(place, list):
            place[last] = data.draw(odd)
        else:
            place.pop(last, None)
    try:
        read = READERS[name.split("_")[0]](record)
    except DataError as error:
        assert str(error).count("\n") == 0 and len(str(error)) < 200
    else:
        if isinstance(read, messages.BrokerOrder):
            assert read.filled >= 0 and read.price >= 0 and read.filled < float("inf")
