"""FIX order entry over real sockets: an engine, an acceptor in another process, any accident."""

import asyncio
import os
import shutil
import subprocess
import sys

import fix_floor
import pandas as pd
import pytest
from conftest import ROOT
from fix_floor import floor
from servers import Proxy

from quantlab.errors import HandoffError
from quantlab.live import RealClock
from quantlab.trading.orders import Order
from quantlab.venues import FixAcceptor, FixMessage, FixReader, write_fix

pytest.importorskip("simplefix", reason="simplefix is not installed: pip install 'quantlab[fix]'")
DAY = pd.Timestamp("2026-01-05")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    "A bundle that trades five assets, its feed, and their names"
    market, weights = floor.a_world(n_days=40, n_assets=5)
    folder = tmp_path_factory.mktemp("bundle")
    bundle = floor.a_bundle(folder / "b", market, weights, costs=floor.FREE)
    return bundle, floor.a_feed(market), list(market.returns.columns)


def wish(name, notional=2_000.0):
    "An order for 100 shares of AAA at 20"
    return Order(name, DAY, "AAA", notional)


async def until(true, seconds=60):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def an_acceptor(folder, **options):
    return FixAcceptor(folder / "there", {"AAA": fix_floor.PRICE}, **{"sync": False} | options)


def test_an_engine_trades_a_bundle_over_fix_and_both_sides_agree(world, tmp_path):
    bundle, feed, assets = world
    with fix_floor.acceptor(tmp_path / "there", assets) as server:
        result = fix_floor.trade(bundle, feed, tmp_path / "desk", server.port)
    found = fix_floor.compare(tmp_path / "desk", tmp_path / "there/DESK")
    assert found["orders"] > 10 and not fix_floor.faults(found), found
    assert set(result.fills["order"]) <= set(result.orders["id"])


def test_engine_and_acceptor_killed_at_random_lose_and_double_nothing():
    program = ROOT / "tests/venues/fix_killed.py"
    done = subprocess.run(
        [sys.executable, program, "8", "0"],
        capture_output=True,
        text=True,
        cwd=program.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert "0 lost, 0 doubled" in done.stdout, done.stdout + done.stderr


def test_a_line_that_is_cut_and_goes_dead_loses_and_doubles_nothing(world, tmp_path):
    bundle, feed, assets = world

    async def disturb(line, book):
        for turn in range(12):  # at every fourth order, however fast the machine is
            await until(lambda n=4 * turn: len(book.orders) > n, seconds=300)
            if turn % 6 == 2:
                line.dead = True  # until heartbeats are missed, and a test request is not answered
                await asyncio.sleep(3.0)
                line.dead = False
            line.cut()

    async def run(port):
        async with Proxy(port) as line:
            there = fix_floor.venue(tmp_path / "desk", assets, line.port, heartbeat=1.0)
            engine = floor.engine(bundle, feed, there, tmp_path / "desk", clock=RealClock())
            trouble = asyncio.create_task(disturb(line, there._desk.book))
            await engine.run()
            trouble.cancel()
            await there.close()
            return there._desk.lines

    with fix_floor.acceptor(tmp_path / "there", assets) as server:
        assert asyncio.run(run(server.port)) > 5
    found = fix_floor.compare(tmp_path / "desk", tmp_path / "there/DESK")
    assert found["orders"] > 10 and not fix_floor.faults(found), found


def test_an_order_that_never_left_is_not_sent_after_a_restart_unless_it_is_asked_for(tmp_path):
    async def run():
        async with an_acceptor(tmp_path) as acceptor, Proxy(acceptor.port) as line:
            first = fix_floor.venue(tmp_path / "desk", ["AAA"], line.port, heartbeat=30.0)
            assert await first.orders() == {}
            line.dead = True
            task = asyncio.create_task(first.submit(wish("o-1")))
            await until(lambda: "o-1" in first._desk.book.orders)
            task.cancel()  # the process is gone; the order is in its file, and not with the broker
            line.cut()
            line.dead = False
            await first.close()
            await until(lambda: acceptor.client("DESK").line.session.state == "down")
            again = fix_floor.venue(tmp_path / "desk", ["AAA"], line.port)
            assert await again.orders() == {}
            before = set(acceptor.client("DESK").held)
            await again.submit(wish("o-1"))
            await until(lambda: again._desk.book.orders["o-1"].filled == 100)
            await again.close()
        return before

    assert asyncio.run(run()) == set()
    new = [f for kind, f in fix_floor.lines(tmp_path / "there/DESK", "in") if kind == "D"]
    assert [(f[11], f.get(97)) for f in new] == [("o-1", "Y")]


def test_a_cancellation_and_a_replacement_are_answered_or_refused(tmp_path):
    async def run():
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            await venue.submit(wish("o-2", -2_000.0))
            await venue.replace("o-1", 1_000.0)
            acceptor.client("DESK").trade(acceptor.client("DESK").held["o-1"], 20.0, 21.0)
            await venue.cancel(["o-1", "nobody's"])
            acceptor.work("DESK", all=True)
            await venue.cancel(["o-2"])  # too late, or not: it says which
            await until(lambda: not venue._desk.book.open())
            told = [(r.order, r.state.value, r.notional, r.cost) for r in await venue.reports(0)]
            sides = [
                f[54] for kind, f in fix_floor.lines(tmp_path / "desk/venue", "out") if kind == "D"
            ]
            shares, equity = await venue.positions(), await venue.equity()
            await venue.close()
        return told, sides, shares, equity

    told, sides, positions, equity = asyncio.run(run())
    assert told[:2] == [("o-1", "accepted", 0.0, 0.0), ("o-2", "accepted", 0.0, 0.0)]
    assert told[2:4] == [("o-1", "partly filled", 400.0, 20.0), ("o-1", "cancelled", 0.0, 0.0)]
    assert sum(r[2] for r in told if r[0] == "o-2") == -2_000.0
    assert sides == ["1", "5"]  # what is not held is sold short
    assert positions == {"AAA": -1_600.0} and equity == floor.CAPITAL - 20.0


def test_executions_told_again_late_corrected_and_taken_back_are_counted_once(tmp_path):
    async def run():
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            say = lambda kind, name, state, shares, price, total, **more: acceptor.client(
                "DESK"
            ).line.send(
                FixMessage.of(
                    "8",
                    {37: "Xo-1", 11: "o-1", 17: name, 150: kind, 39: state, 55: "AAA", 54: 1}
                    | {32: shares, 31: price, 14: total, 151: 100 - total, 6: 20, 38: 100}
                    | {int(tag[1:]): value for tag, value in more.items()},
                )
            )
            for _ in range(2):
                say("F", "e2", 2, 40, 20, 100)  # the second first, and all twice
                say("F", "e1", 1, 60, 20, 60)
                say("G", "e3", 2, 60, 22, 100, _19="e1", _97="Y")
                say("H", "e4", 1, 0, 0, 60, _19="e2")
            await until(lambda: venue._desk.session.file.next_in > 10)
            told, shares = await venue.reports(0), await venue.positions()
            equity = await venue.equity()
            await venue.close()
        return told, shares, equity

    told, positions, equity = asyncio.run(run())
    assert sum(r.notional for r in told) == 1_200.0 == positions["AAA"]
    assert sum(r.cost for r in told) == 120.0 and equity == floor.CAPITAL - 120.0


ODD = {
    "without a price": {31: None},
    "of nothing": {32: 0},
    "of less than nothing": {32: -100},
    "with a field that makes no sense": {44: "none"},
    "never": None,
}


@pytest.mark.parametrize("end", ["open", "cancelled"])
@pytest.mark.parametrize("odd", list(ODD))
def test_a_trade_that_cannot_be_or_is_never_told_is_asked_for(tmp_path, odd, end):
    "As the broker's own status has it: its last word in `end` counts all that was filled"

    async def run():
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            client = acceptor.client("DESK")
            send, change = client.line.send, ODD[odd]

            def altered(message):
                if message.get(150) == "F" and change is None:
                    return None
                more = change if message.get(150) == "F" else {}
                return send(FixMessage.of("8", dict(message.fields) | more))

            client.line.send = altered
            client.trade(client.held["o-1"], 60.0, 21.0)
            client.line.send = send
            if end == "cancelled":
                client.report(client.held["o-1"], "4", _39="4", _151=0)
            elif odd == "never":
                await venue.cancel(["o-1"])
            await until(lambda: venue._desk.book.shares.get("AAA") == 60.0)
            held, equity = await venue.positions(), await venue.equity()
            told = await venue.reports(0)
            await venue.close()
        again = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
        again._desk.fold()
        return held, equity, told, again._desk.book.shares, again._desk.session.file.close()

    held, equity, told, kept, _ = asyncio.run(run())
    assert held == {"AAA": 1_200.0} and equity == floor.CAPITAL - 60.0 and kept == {"AAA": 60.0}
    assert sum(r.notional for r in told) == 1_200.0 and sum(r.cost for r in told) == 60.0


@pytest.mark.parametrize("refuses", [True, False])
def test_a_broker_that_does_not_say_where_an_order_is(tmp_path, refuses):
    "It refuses the question, or says nothing; the order stands, and is not sent again"

    async def run():
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            await venue.close()
            client = acceptor.client("DESK")
            take, no = client.take, {372: "H", 380: 3, 58: "not spoken here"}

            def deaf(message):
                if message.kind != "H":
                    take(message)
                elif refuses:
                    client.line.send(FixMessage.of("j", {45: message.get(34)} | no))

            client.take = deaf
            said = await refused(tmp_path / "desk", acceptor.port, patience=1.0)
            client.take = take
            again = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await again.submit(wish("o-1"))
            working = await again.orders()
            await again.close()
        return said, list(working), set(client.held)

    said, working, held = asyncio.run(run())
    words = (
        "does not say where an order is: not spoken here" if refuses else "say where each order is"
    )
    assert words in said and said.count("\n") == 0
    assert working == ["o-1"] and held == {"o-1"}
    new = [f[11] for kind, f in fix_floor.lines(tmp_path / "there/DESK", "in") if kind == "D"]
    assert new == ["o-1"]


def test_an_asset_that_somebody_trades_by_hand_is_held_and_told_also_after_a_restart(tmp_path):
    "So that the engine halts on it, and is not kept from starting for want of a price"

    async def run():
        found = []
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            before, _ = venue.snapshot(), await venue.orders()
            fields = {37: "X9", 17: "e9", 150: "F", 39: "2", 55: "XYZ", 54: 2, 151: 0, 14: 10, 6: 5}
            fields |= {11: "by hand", 38: 10, 32: 10, 31: 5}
            acceptor.client("DESK").line.send(FixMessage.of("8", fields))
            await until(lambda: venue._desk.book.shares)
            for _ in range(2):
                told = [(r.order, r.notional) for r in await venue.reports(0)]
                found.append((await venue.positions(), await venue.equity(), told))
                await venue.close()
                venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
                venue.restore(before)  # what was saved before a kill
            await venue.close()
        return found

    first, second = asyncio.run(run())
    assert first == second == ({"XYZ": -50.0}, floor.CAPITAL, [("by hand", -50.0)])


def test_a_fill_at_no_price_is_a_sentence_and_is_not_booked(tmp_path):
    async def run():
        async with an_acceptor(tmp_path, fills=False) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            client = acceptor.client("DESK")
            client.report(client.held["o-1"], "I", _17="0", _39="2", _14=100, _151=0, _6=0)
            await until(lambda: venue._desk.fault)
            with pytest.raises(HandoffError, match="100 shares of order o-1 .* no price") as raised:
                await venue.equity()
            assert venue._desk.book.shares == {} and str(raised.value).count("\n") == 0
            await venue.close()

    asyncio.run(run())


async def refused(folder, port, **options):
    "What a venue says that cannot come up"
    options = {"attempts": 3} | options
    venue = fix_floor.venue(folder, ["AAA"], port, **options)
    try:
        with pytest.raises(HandoffError) as raised:
            await venue.orders()
    finally:
        await venue.close()
    return str(raised.value)


def test_two_desks_of_one_name_a_wrong_password_and_a_wrong_clock_are_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("FIX_RIGHT", "right one")
    monkeypatch.setenv("FIX_WRONG", "wrong one")

    class Late(RealClock):
        def now(self):
            return super().now() - pd.Timedelta(minutes=5)

    async def run():
        named = {"username": "ada", "password": "FIX_RIGHT"}
        async with an_acceptor(tmp_path, **named) as acceptor:
            first = fix_floor.venue(tmp_path / "one", ["AAA"], acceptor.port, **named)
            assert await first.orders() == {}
            said = [await refused(tmp_path / "two", acceptor.port, **named)]
            await first.submit(wish("o-1"))  # which the second has not disturbed
            await first.close()
            wrong = named | {"password": "FIX_WRONG"}
            said.append(await refused(tmp_path / "three", acceptor.port, **wrong, reset=True))
            said.append(
                await refused(tmp_path / "four", acceptor.port, **named, reset=True, clock=Late())
            )
        return said

    twice, wrong, late = asyncio.run(run())
    assert "the line was cut" in twice
    assert "user or password are wrong" in wrong
    assert "SendingTime accuracy problem" in late
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"o-1" in kept and b"right one" not in kept and b"wrong one" not in kept


def test_a_broker_that_has_forgotten_the_numbers_is_refused_until_both_begin_anew(tmp_path):
    async def run():
        async with an_acceptor(tmp_path) as acceptor:
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port)
            await venue.submit(wish("o-1"))
            await until(lambda: not venue._desk.book.open())
            await venue.close()
        shutil.rmtree(tmp_path / "there")
        async with an_acceptor(tmp_path) as acceptor:
            said = await refused(tmp_path / "desk", acceptor.port)
            venue = fix_floor.venue(tmp_path / "desk", ["AAA"], acceptor.port, reset=True)
            await venue.submit(wish("o-2"))
            await until(lambda: not venue._desk.book.open())
            positions = await venue.positions()
            await venue.close()
        return said, positions

    said, positions = asyncio.run(run())
    assert "MsgSeqNum too low" in said and positions == {"AAA": 4_000.0}


class Wire:
    "A desk that says whatever it is told, byte by byte"

    def __init__(self, port):
        self.port, self.number, self.reader = port, 0, FixReader()

    async def __aenter__(self):
        self.read, self.write = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.write.transport.abort()

    def bytes(self, kind, number=None, **fields):
        "A message with the next number, or with another"
        self.number = number or self.number + 1
        header = {49: "WIRE", 56: "BROKER", 34: self.number, 52: pd.Timestamp.now("UTC")}
        more = {int(tag[1:]): value for tag, value in fields.items()}
        return write_fix(FixMessage.of(kind, header | more))

    async def answers(self, count):
        "The next messages that come"
        found = []
        while len(found) < count:
            data = await asyncio.wait_for(self.read.read(4096), 60)
            if not data:
                return [*found, None]
            found += [(m.kind, m.get(58) or m.get(150)) for m in self.reader.read(data)]
        return found

    async def log_on(self):
        self.write.write(self.bytes("A", _98=0, _108=30))
        return await self.answers(1)


def an_order(name):
    return {"_11": name, "_55": "AAA", "_54": 1, "_38": 2, "_40": 1, "_60": pd.Timestamp.now("UTC")}


def test_bytes_that_are_cut_torn_damaged_or_out_of_turn(tmp_path):
    async def run():
        said = {}
        async with an_acceptor(tmp_path) as acceptor:
            async with Wire(acceptor.port) as wire:
                assert await wire.log_on() == [("A", "")]
                for byte in wire.bytes("D", **an_order("o-1")):
                    wire.write.write(bytes([byte]))
                    await wire.write.drain()
                said["single bytes"] = await wire.answers(3)
                good = wire.bytes("D", **an_order("o-2"))
                wire.write.write(b"\x01junk 8=FIX.4.4\x019=x" + good + b"8=FIX.4.4\x019=5\x0135=0")
                said["junk around"] = await wire.answers(3)
                hurt = wire.bytes("D", **an_order("o-3")).replace(b"AAA", b"AAB")
                wire.write.write(hurt + wire.bytes("0"))
                said["damaged"] = await wire.answers(1)  # it is asked for again
                again = wire.bytes(
                    "D", 4, **an_order("o-3"), _43=True, _122=pd.Timestamp.now("UTC")
                )
                wire.write.write(again + wire.bytes("0", 5, _43=True, _122=pd.Timestamp.now("UTC")))
                said["again"] = await wire.answers(3)
                wire.write.write(wire.bytes("D", 6, _11="o-4"))
                said["no sense"] = await wire.answers(1)
                wire.write.write(
                    wire.bytes("D", **an_order("o-5"))[:40]
                )  # half a message, and gone
            await until(lambda: acceptor.client("WIRE").line.session.state == "down")
            wire.number -= 1
            wire.reader = FixReader()
            async with wire:
                said["half is nothing"] = await wire.log_on()
                wire.write.write(wire.bytes("D", 2, **an_order("o-6")))
                said["too low"] = await wire.answers(2)
            async with Wire(acceptor.port) as stranger:
                stranger.write.write(stranger.bytes("D", **an_order("o-7")))
                said["no logon"] = await stranger.answers(1)
        return said, set(acceptor.client("WIRE").held)

    said, held = asyncio.run(run())
    filled = [("8", "0"), ("8", "F"), ("8", "F")]
    assert said["single bytes"] == said["junk around"] == said["again"] == filled
    assert said["damaged"] == [("2", "")]
    assert said["no sense"] == [("3", "a required tag is missing (tag 55)")]
    assert said["half is nothing"] == [("A", "")]
    assert said["too low"] == [("5", "MsgSeqNum too low, expecting 8 but received 2"), None]
    assert said["no logon"] == [None]
    assert held == {"o-1", "o-2", "o-3"}


def test_a_desk_that_does_not_read_is_let_go_and_told_later(tmp_path):
    async def run():
        async with an_acceptor(tmp_path) as acceptor:
            async with Wire(acceptor.port) as wire:
                await wire.log_on()
                client = acceptor.client("WIRE")
                client.line.session.patience = 0.5
                for n in range(200):
                    client.line.send(FixMessage.of("B", {148: str(n), 58: "x" * 60_000}))
                await until(lambda: client.line.session.state == "down")
                said = client.line.session.ended
            client.line.session.patience = 60.0
            async with wire:
                wire.reader = FixReader()
                wire.write.write(wire.bytes("A", _98=0, _108=30))
                wire.write.write(wire.bytes("2", _7=1, _16=0))
                texts = []
                while len(texts) < 201:
                    data = await asyncio.wait_for(wire.read.read(65_536), 60)
                    texts += [m.get(148) for m in wire.reader.read(data) if m.kind == "B"]
                    if len(texts) == 200:
                        break
        return said, texts

    said, texts = asyncio.run(run())
    assert said == "the other side takes nothing" and texts == [str(n) for n in range(200)]
