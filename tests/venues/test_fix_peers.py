"""Our FIX session with those of others: asyncfix."""

import asyncio
import logging

import pandas as pd
import pytest
from servers import Proxy

from quantlab.venues import FixAcceptor

pytest.importorskip("simplefix", reason="simplefix is not installed: pip install 'quantlab[fix]'")


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
