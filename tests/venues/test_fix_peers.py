"""Our FIX session with those of others: asyncfix, and QuickFIX where it is installed."""

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import fix_floor
import pandas as pd
import pytest
from servers import Proxy, free_port

from quantlab.trading.orders import Order
from quantlab.venues import FixAcceptor

pytest.importorskip("simplefix", reason="simplefix is not installed: pip install 'quantlab[fix]'")

DAY = pd.Timestamp("2026-01-05")


async def until(true, seconds=60):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def an_order(name, **more):
    "A new order for 100 shares, as tags"
    now = pd.Timestamp.now("UTC").strftime("%Y%m%d-%H:%M:%S.%f")[:-3]
    return {11: name, 21: 1, 55: "AAA", 54: 1, 38: 100, 40: 1, 60: now} | more


class Heard(logging.Handler):
    "What asyncfix complains of"

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def peer(made, port, folder, *, sender, target, **options):
    "A side of asyncfix with a journal of its own"
    from asyncfix.journaler import Journaler
    from asyncfix.protocol import FIXProtocol44

    log = logging.Logger("asyncfix", logging.WARNING)
    log.addHandler(Heard())
    journal = Journaler(str(folder))
    place = {"host": "127.0.0.1", "port": port, "heartbeat_period": 3, "logger": log}
    return made(FIXProtocol44(), sender, target, journal, **place, **options)


def end(side):
    "End the tasks of a side of asyncfix, and its journal"
    tasks = [side._aio_task_socket_read, side._aio_task_heartbeat]
    for task in filter(None, tasks):
        task.cancel()
    if side._socket_writer is not None:
        side._socket_writer.close()
    side._journaler.conn.close()


def test_a_desk_of_asyncfix_loses_and_doubles_nothing_with_our_acceptor(tmp_path):
    asyncfix = pytest.importorskip("asyncfix", reason="asyncfix is not installed (extra dev)")
    from asyncfix.connection import ConnectionState
    from asyncfix.connection_client import AsyncFIXClient

    class Desk(AsyncFIXClient):
        async def on_connect(self):
            logon = {98: "0", 108: str(self.heartbeat_period)}
            await self.send_msg(asyncfix.FIXMessage(asyncfix.FMsg.LOGON, logon))

        async def on_message(self, message):
            self.heard.append({int(t): v for t, v in message.tags.items() if str(t) != "8"})

    async def run():
        here = tmp_path / "there"
        made = FixAcceptor(here, {"AAA": 10.0}, fills=False, sync=False)
        async with made as acceptor, Proxy(acceptor.port) as line:
            desk = peer(Desk, line.port, tmp_path / "j.db", sender="DESK", target="BROKER")
            desk.heard = []
            await desk.connect()
            await until(lambda: desk.connection_state == ConnectionState.ACTIVE)
            await desk.send_msg(asyncfix.FIXMessage("D", an_order("o-1")))
            await until(lambda: len(desk.heard) == 1)
            line.closed = True
            line.cut()
            await until(lambda: acceptor.client("DESK").line.session.state == "down")
            acceptor.work("DESK", all=True)  # two trades that nobody hears of
            line.closed = False
            await until(lambda: desk.connection_state < ConnectionState.AWAITING_CONNECTION)
            await desk.connect()
            await until(lambda: len(desk.heard) >= 3)
            await desk.send_msg(asyncfix.FIXMessage("D", an_order("o-1") | {97: "Y"}))
            await until(lambda: len(desk.heard) >= 4)
            end(desk)
        return [(m[150], m[39]) for m in desk.heard], desk.log.handlers[0].lines

    heard, complaints = asyncio.run(run())
    assert heard == [("0", "0"), ("F", "1"), ("F", "2"), ("I", "2")]
    assert not complaints


class Quick:
    "QuickFIX in a process of its own, where it can do no harm"

    def __init__(self, process):
        self.process, self.said = process, []
        self.reader = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stdout:
            self.said.append(json.loads(line))

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")

    def send(self, kind, fields):
        self.tell("send", kind, *(f"{tag}={value}" for tag, value in fields.items()))

    def came(self, kind):
        return [event["fields"] for event in self.said if event.get("kind") == kind]

    def is_up(self):
        return [event["up"] for event in self.said if "up" in event][-1:] == [True]


@asynccontextmanager
async def quick(role, port, folder, more=""):
    "QuickFIX, until the end; skipped, and says how to have it, where it is not installed"
    program = [sys.executable, str(Path(__file__).with_name("fix_quick.py")), role, str(port)]
    pipes = dict.fromkeys(("stdin", "stdout"), asyncio.subprocess.PIPE)
    process = await asyncio.create_subprocess_exec(*program, str(folder), more, **pipes)
    side = Quick(process)
    try:
        await until(lambda: side.said)
        yield side
        assert process.returncode is None, "it ended by itself"
    finally:  # by a kill: its own stop ends at times in a fault of the memory, from Python
        if process.returncode is None:
            process.kill()
            await process.wait()
        await side.reader


NEEDS_QUICK = "QuickFIX is not installed: pip install quickfix (needs g++; it builds for 4 minutes)"


def test_a_desk_of_quickfix_loses_and_doubles_nothing_with_our_acceptor(tmp_path):
    pytest.importorskip("quickfix", reason=NEEDS_QUICK)

    async def run():
        made = FixAcceptor(tmp_path / "a", {"AAA": 10.0}, fills=False, sync=False)
        async with (
            made as acceptor,
            Proxy(acceptor.port) as line,
            quick("initiator", line.port, tmp_path / "q") as desk,
        ):
            await until(desk.is_up)
            desk.send("D", an_order("o-1"))
            await until(lambda: len(desk.came("8")) == 1)
            line.closed = True
            line.cut()
            await until(lambda: acceptor.client("DESK").line.session.state == "down")
            await until(lambda: not desk.is_up())
            acceptor.work("DESK", all=True)
            desk.send("D", an_order("o-2"))  # which is kept, and sent when it is asked for
            line.closed = False
            await until(lambda: len(desk.came("8")) >= 4)
            desk.send("F", an_order("c-1") | {41: "o-2"})
            await until(lambda: len(desk.came("8")) >= 5)
        return desk

    desk = asyncio.run(run())
    assert sorted((f["11"], f["150"], f["39"]) for f in desk.came("8")) == [
        ("c-1", "4", "4"),
        ("o-1", "0", "0"),
        ("o-1", "F", "1"),
        ("o-1", "F", "2"),
        ("o-2", "0", "0"),
    ]
    assert not [event for event in desk.said if "rejected" in event]


@pytest.mark.parametrize("resets", [False, True], ids=["goes on", "resets at each logon"])
def test_our_venue_trades_with_a_broker_of_quickfix(tmp_path, resets):
    pytest.importorskip("quickfix", reason=NEEDS_QUICK)

    async def run():
        port, more = free_port(), "ResetOnLogon=Y" if resets else ""
        async with quick("acceptor", port, tmp_path / "q", more) as broker, Proxy(port) as line:
            venue = fix_floor.venue(tmp_path / "d", ["AAA"], line.port, reset=resets)
            await venue.submit(Order("o-1", DAY, "AAA", 2_000.0))
            await until(lambda: venue._desk.book.orders["o-1"].filled == 50)
            line.closed = True
            line.cut()
            await until(lambda: venue._desk.session.state == "down")
            await until(lambda: not broker.is_up())
            broker.tell("trade", "o-1", 50)  # which is never told where the broker resets
            await asyncio.sleep(0.5)
            line.closed = False
            await venue.submit(Order("o-2", DAY, "AAA", 2_000.0))
            await until(lambda: venue._desk.book.orders["o-2"].filled == 50)
            shares, reports = dict(venue._desk.book.shares), await venue.reports(0)
            working = await venue.orders()
            await venue.cancel(["o-2"])
            assert await venue.orders() == {}
            await venue.close()
        return broker, shares, [(r.order, r.state.value) for r in reports], set(working)

    broker, shares, reports, working = asyncio.run(run())
    assert shares == {"AAA": 150.0} and working == {"o-2"}
    states = {name: [state for order, state in reports if order == name] for name in ("o-1", "o-2")}
    assert states == {
        "o-1": ["accepted", "partly filled", "filled"],
        "o-2": ["accepted", "partly filled"],
    }
    assert [f["11"] for f in broker.came("D")] == ["o-1", "o-2"]
    assert not [event for event in broker.said if "rejected" in event]


def test_our_venue_trades_with_a_broker_of_asyncfix(tmp_path):
    asyncfix = pytest.importorskip("asyncfix", reason="asyncfix is not installed (extra dev)")
    from asyncfix.connection_server import AsyncFIXDummyServer

    class Broker(AsyncFIXDummyServer):
        async def on_connect(self):
            "It waits for the logon"

        on_disconnect = on_connect

        async def on_logon(self, is_healthy):
            "It goes on either way"

        on_logout = on_logon

        async def on_message(self, message):
            fields = {int(tag): value for tag, value in message.tags.items()}
            name = fields[11]
            self.heard.append((str(fields[35]), name))
            if name not in self.filled:
                self.filled[name] = 0
                await self.tell(name, "0")
                self.filled[name] = 50
                await self.tell(name, "F", 50)
            else:
                await self.tell(name, "I")

        async def tell(self, name, kind, shares=0):
            self.number += 1
            done = self.filled[name]
            fields = {37: f"X{name}", 11: name, 17: f"e{self.number}", 150: kind, 39: int(done > 0)}
            fields |= {55: "AAA", 54: 1, 14: done, 151: 100 - done, 6: 10, 32: shares, 31: 10}
            await self.send_msg(asyncfix.FIXMessage("8", {k: str(v) for k, v in fields.items()}))

    async def run():
        port = free_port()
        broker = peer(Broker, port, tmp_path / "j.db", sender="BROKER", target="DESK")
        broker.heard, broker.filled, broker.number = [], {}, 0
        serving = asyncio.create_task(broker.connect())
        async with Proxy(port) as line:
            venue = fix_floor.venue(tmp_path / "d", ["AAA"], line.port, patience=30.0)
            await venue.submit(Order("o-1", DAY, "AAA", 2_000.0))
            await until(lambda: venue._desk.book.orders["o-1"].filled == 50)
            line.cut()
            await until(lambda: venue._desk.session.state == "down")
            await venue.submit(Order("o-2", DAY, "AAA", 2_000.0))
            await until(lambda: venue._desk.book.orders["o-2"].filled == 50)
            shares, working = dict(venue._desk.book.shares), set(await venue.orders())
            await venue.close()
        end(broker)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return shares, working, broker.heard

    shares, working, heard = asyncio.run(run())
    assert shares == {"AAA": 100.0} and working == {"o-1", "o-2"}
    assert [name for kind, name in heard if kind.endswith("D")] == ["o-1", "o-2"]
