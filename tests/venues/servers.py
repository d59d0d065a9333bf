"""Servers that a test starts for itself, on a free loopback port, in a folder of its own."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

PACKAGES = {  # program: Debian's package
    "redis-server": "redis-server",
    "rabbitmq-server": "rabbitmq-server",
    "epmd": "rabbitmq-server",
    "initdb": "postgresql",
}
FOLDERS = (*os.get_exec_path(), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")))


def program(name):
    "Where a server's program is; the test is skipped, and says how to have it, where it is not"
    found = shutil.which(name, path=os.pathsep.join(FOLDERS))
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return found


def free_port():
    "A port of 127.0.0.1 that nobody listened on a moment ago"
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def listens(port):
    "Does somebody take connections there?"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(true, *, seconds=60.0, of=None):
    "Until something is so; an error where it is not in time, or where the process `of` has ended"
    end = time.monotonic() + seconds
    while not true():
        if of is not None and of.poll() is not None:
            raise RuntimeError(f"{of.args[0]} ended with {of.returncode}")
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {seconds} seconds")
        time.sleep(0.02)


class Server:
    "A process with a port, that can be killed and started again with what it has on the disk"

    def __init__(self, command, port, *, folder, env=None, user=None):
        self.command, self.port, self.folder = command, port, Path(folder)
        self.env, self.user, self.process = {**os.environ, **(env or {})}, user, None

    def start(self):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=self.user,
                start_new_session=True,
            )
        wait_until(lambda: listens(self.port), of=self.process)
        return self

    def end(self, how=signal.SIGKILL):
        "End it and what it started; by default as a power cut would"
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            self.process.wait(30)
            self.process = None

    __enter__ = start

    def __exit__(self, *_):
        self.end()


class Proxy:
    """A line between a client and a server, that can be cut, or go dead without a word.

    `cut` ends the connections there are; while `dead` nothing is passed on and nothing closed;
    while `closed` new connections are refused at once.
    """

    def __init__(self, port):
        self.to, self.port, self.dead, self.closed = port, None, False, False
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _pass(self, reader, writer):
        while data := await reader.read(65_536):
            while self.dead:
                await asyncio.sleep(0.01)
            writer.write(data)
            await writer.drain()

    async def _serve(self, reader, writer):
        if self.closed:
            writer.transport.abort()
            return
        writers = {writer}
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            writers.add(back)
            self._writers |= writers
            ways = [self._pass(reader, back), self._pass(there, writer)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            self._writers -= writers
            for one in writers:
                one.transport.abort()
