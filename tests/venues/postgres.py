"""A PostgreSQL server that a test starts for itself, in a folder that is its own user's."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from servers import Server, free_port, program, wait_until


def its_user():
    "Whom the server runs as: PostgreSQL refuses root"
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LookupError("no user to run PostgreSQL as")


def children(process):
    "The processes that a process has started"
    with suppress(OSError):
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    return []


class Postgres(Server):
    "A cluster in a folder, and its server; every commit is on the disk, as the store asks"

    def __init__(self, *, data=None, settings=()):
        self.own = tempfile.TemporaryDirectory(prefix="pg-")
        folder, user = Path(self.own.name), its_user()
        port = free_port()
        data = folder / "data" if data is None else data
        if user:
            shutil.chown(folder, user)
        command = [program("initdb"), "-D", str(data), "-A", "trust", "-U", "desk", "-E", "UTF8"]
        subprocess.run(
            [*command, "--no-sync", "--locale=C"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder}
        options |= {"max_connections": 20, "fsync": "on"} | dict(settings)
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        program_path = str(Path(program("initdb")).with_name("postgres"))
        super().__init__([program_path, "-D", str(data), *words], port, folder=folder, user=user)

    def dsn(self, port=None):
        return f"host=127.0.0.1 port={port or self.port} dbname=postgres user=desk"

    def takes(self):
        try:
            psycopg.connect(self.dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self):
        "Start it; a server that was killed holds its memory until its last process has ended"
        while True:
            with suppress(RuntimeError):
                super().start()
                wait_until(self.takes, of=self.process)
                return self
            self.process = None
            time.sleep(0.1)

    __enter__ = start

    def end(self, how=signal.SIGKILL):
        "End it at once, with the processes that it has started"
        started = children(self.process.pid) if self.process else []
        super().end(how)
        for process in started:
            with suppress(ProcessLookupError):
                os.kill(process, how)

    def __exit__(self, *_):
        self.end()
        self.own.cleanup()

    def rows(self, statement, schema="public"):
        with psycopg.connect(self.dsn(), autocommit=True) as db:
            db.execute(f'SET search_path TO "{schema}"')
            cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []
