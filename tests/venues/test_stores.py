"""The stores: an engine in PostgreSQL is the one in SQLite, and survives its server."""

import asyncio
import functools
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "live"))

import floor  # noqa: E402
import ledger  # noqa: E402
import psycopg  # noqa: E402
import test_live as both  # noqa: E402
from floor import START, Exchange, live, paper  # noqa: E402
from postgres import Postgres  # noqa: E402
from servers import Proxy  # noqa: E402

from quantlab.errors import HandoffError, SpecificationError  # noqa: E402
from quantlab.live import DeskReader, Quote, read_desk  # noqa: E402
from quantlab.live.states import OrderState, Report  # noqa: E402
from quantlab.live.store import STEPS, LiveStore, Progress, migrate  # noqa: E402
from quantlab.trading.orders import make_order  # noqa: E402
from quantlab.venues import QUERIES, PostgresStore, store_of  # noqa: E402

world, feed, bundle, free = both.world, both.feed, both.bundle, both.free


@pytest.fixture(scope="module")
def server():
    with Postgres() as server:
        yield server


@pytest.fixture
def in_postgres(server, monkeypatch):
    "Every engine of the floor keeps its orders in the server"
    monkeypatch.setattr(floor, "STORE", functools.partial(PostgresStore, dsn=server.dsn()))


def a_store(server, folder, **options):
    return PostgresStore(folder, server.dsn(), **options)


def rows_of(store):
    "Every row of a store"
    tables = {"orders": 1, "reports": 1, "session": 1, "journal": 1}
    with store.database.reading() as run:
        return {name: run(f"SELECT * FROM {name} ORDER BY {n}") for name, n in tables.items()}


# What tests/live asks of an engine in SQLite, asked of one in PostgreSQL


@pytest.mark.usefixtures("in_postgres")
class TestAsInSqlite:
    pass


for name in (
    "the_journal_is_the_daily_engines",
    "a_halt_by_the_desk_is_the_daily_engines",
    "a_kill_rule_and_a_reset_are_the_daily_engines",
    "a_death_within_a_question_to_the_exchange",
    "an_exchange_outside_gives_what_the_reference_venue_gives",
    "what_is_not_filled_by_the_close_is_withdrawn",
    "a_rejection_is_told_with_its_reason",
    "what_the_book_does_not_know_halts",
    "a_difference_at_the_start_halts_before_anything_is_sent",
):
    setattr(TestAsInSqlite, f"test_{name}", staticmethod(getattr(both, f"test_{name}")))


def test_the_journal_and_the_rows_are_those_of_sqlite(bundle, feed, tmp_path, server):
    stores = LiveStore(tmp_path / "a"), a_store(server, tmp_path / "b")
    for store in stores:
        live(bundle, feed, store.folder, store=store)
    ours, theirs = (rows_of(store) for store in stores)
    assert ours == theirs and len(ours["orders"]) > 20
    journals = [(store.folder / "journal.jsonl").read_bytes() for store in stores]
    assert journals[0] == journals[1] == paper(bundle, feed).journal


def test_what_the_store_says_of_orders_is_the_same_in_both(tmp_path, server):
    day, said = pd.Timestamp("2026-01-05"), []
    for store in (LiveStore(tmp_path / "a"), a_store(server, tmp_path / "b")):
        orders = [make_order("seal", day, asset, 0.1 + k) for k, asset in enumerate("ABC")]
        with store:
            told = [store.load()]
            for order in (*orders, orders[0]):
                store.add(order)
            store.mark([orders[0].id, orders[1].id], Progress.SENT)
            store.mark([orders[1].id], Progress.WITHDRAWN)
            for report in (
                Report(2, orders[0].id, OrderState.PARTLY_FILLED, 0.05, 1e-17),
                Report(2, orders[0].id, OrderState.PARTLY_FILLED, 0.05, 1e-17),
                Report(3_000_000_000, orders[1].id, OrderState.REJECTED, reason="no 'name' %s ?"),
                Report(4, "of somebody else", OrderState.FILLED, 1.0),
            ):
                told.append(store.take(report))
            told += [store.unsent(), store.working(), store.leaving(), store.withdrawn()]
            told += [store.traded(), store.refused(), store.after]
            store.append([b'{"type":"start"}'])
            store.save({"date": "2026-01-05"})
        with store:
            told.append(store.load())
            store.book("2026-01-05")
            store.drop([orders[2].id])
            told += [store.traded(), store.unsent(), store.journal()]
        with store:  # which was not saved
            store.load()
            told += [store.traded(), store.unsent(), store.look()[0]]
        said.append(told)
    assert said[0] == said[1]


def test_a_session_that_somebody_else_turned_elsewhere_writes_in_its_own_schema(tmp_path, server):
    "As a pool of connections may do between two transactions"
    order = make_order("seal", pd.Timestamp("2026-01-05"), "A", 1.0)
    with a_store(server, tmp_path / "one") as one, a_store(server, tmp_path / "two") as two:
        for store in (one, two):
            store.load()
        elsewhere = two.database.schema
        one.database._db.execute(f'SET search_path TO "{elsewhere}"')
        one.add(order)
        one.save({"date": "2026-01-05"})
    with a_store(server, tmp_path / "one") as one, a_store(server, tmp_path / "two") as two:
        assert one.load() and [o.id for o in one.unsent()] == [order.id]
        assert two.load() is None and two.unsent() == []


def test_a_zero_byte_in_what_a_venue_says_stops_nothing(tmp_path, server):
    order = make_order("seal", pd.Timestamp("2026-01-05"), "A", 1.0)
    with a_store(server, tmp_path) as store:
        store.load()
        store.add(order)
        store.take(Report(1, order.id, OrderState.REJECTED, reason="no\0 such name"))
        store.save({"date": "2026-01-05"})
        assert store.refused() == [(order.id, "A", "no\ufffd such name")]


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_half_a_letter_in_what_a_venue_says_stops_nothing(tmp_path, server, where):
    "JSON may hold half of a pair, which no encoding has"
    order = make_order("seal", pd.Timestamp("2026-01-05"), "A", 1.0)
    with LiveStore(tmp_path) if where == "sqlite" else a_store(server, tmp_path) as store:
        store.load()
        store.add(order)
        store.take(Report(1, order.id, OrderState.REJECTED, reason="no \ud83d name"))
        store.save({"date": "2026-01-05"})
        assert store.refused() == [(order.id, "A", "no ? name")]


def test_a_number_comes_back_as_it_was_written_whatever_the_role_was_told(tmp_path, server):
    order = make_order("seal", pd.Timestamp("2026-01-05"), "A", 0.1 + 0.2)
    server.rows("ALTER ROLE desk SET extra_float_digits TO -5")
    try:
        with a_store(server, tmp_path) as store:
            store.load()
            store.add(order)
            store.save({"date": "2026-01-05"})
            assert store.unsent() == [order]
        with store.database.reading() as run:
            assert run("SELECT notional FROM orders") == [(order.notional,)]
    finally:
        server.rows("ALTER ROLE desk RESET extra_float_digits")


def test_a_tick_touches_no_database(bundle, feed, tmp_path, server):
    counts = []
    for n, ticks in enumerate((0, 500)):
        store = a_store(server, tmp_path / str(n))
        run, said = store.database.run, []
        store.database.run = lambda *words, run=run, said=said: said.append(words) or run(*words)
        between = [
            Quote(START + pd.Timedelta(milliseconds=k), "S000", 9.0, 10.0 + k, 1, 1)
            for k in range(ticks)
        ]
        live(bundle, [*feed[:20], *between, *feed[20:30]], store.folder, store=store)
        counts.append(len(said))
    assert counts[0] == counts[1] > 100


# One writer


def test_a_second_engine_in_a_schema_is_refused_and_leaves_nothing(tmp_path, server):
    with a_store(server, tmp_path / "a", schema="one"):
        with pytest.raises(HandoffError, match="Another engine is running in schema one of"):
            a_store(server, tmp_path / "b", schema="one", patience=3.0).__enter__()
        with a_store(server, tmp_path / "c", schema="another"):
            pass
    assert not (tmp_path / "b" / "store.json").exists()
    with a_store(server, tmp_path / "b", schema="one"):
        pass


def test_an_engine_that_was_paused_cannot_commit_once_another_has_begun(tmp_path, server):
    day, session = pd.Timestamp("2026-01-05"), {"date": None}
    with a_store(server, tmp_path / "a", schema="paused") as old:
        old.load()
        old.add(make_order("seal", day, "A", 1.0))  # within a transaction
        server.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        with a_store(server, tmp_path / "b", schema="paused") as new:
            assert new.load() is None
            new.add(make_order("seal", day, "B", 1.0))
            new.save(session)
            with pytest.raises(HandoffError, match="cannot be used"):
                old.save(session)
    assert server.rows("SELECT asset FROM orders", "paused") == [("B",)]


def test_a_line_that_is_shared_behind_our_back_is_found_out_by_its_epoch(tmp_path, server):
    "What a pooler does: the line lives, and the lock has gone to somebody else"
    with a_store(server, tmp_path / "a", schema="pooled") as old:
        old.load()
        old.database.run("SELECT pg_advisory_unlock_all()")
        with a_store(server, tmp_path / "b", schema="pooled") as new:
            new.load()
            with pytest.raises(HandoffError, match="Another engine has taken over schema pooled"):
                old.add(make_order("seal", pd.Timestamp("2026-01-05"), "A", 1.0))
            new.save({"date": None})
    assert server.rows("SELECT COUNT(*) FROM orders", "pooled") == [(0,)]


# What is refused


def test_a_journal_and_a_schema_that_do_not_belong_together_are_refused(
    bundle, feed, tmp_path, server
):
    with_store = functools.partial(a_store, server, schema="belongs")
    live(bundle, feed[:9], tmp_path / "a", store=with_store(tmp_path / "a"))
    with pytest.raises(HandoffError, match="is not the one that schema belongs of"):
        live(bundle, feed, tmp_path / "b", store=with_store(tmp_path / "b"))
    with pytest.raises(HandoffError, match="keeps its orders in PostgreSQL .schema belongs"):
        live(bundle, feed, tmp_path / "a")
    with pytest.raises(SpecificationError, match="give both one"):
        live(bundle, feed, tmp_path / "a", store=with_store(tmp_path / "b"))
    got = live(bundle, feed, tmp_path / "a", store=with_store(tmp_path / "a"))
    assert got.journal == paper(bundle, feed).journal


def test_a_wrong_dsn_does_not_make_a_folder_forget_where_its_orders_are(
    bundle, feed, tmp_path, server
):
    folder = tmp_path / "state"
    live(bundle, feed[:9], folder, store=a_store(server, folder, schema="right"))
    before = (folder / "store.json").read_bytes()
    with pytest.raises(HandoffError, match="is not the one that schema wrong of"):
        live(bundle, feed, folder, store=a_store(server, folder, schema="wrong"))
    assert (folder / "store.json").read_bytes() == before
    got = live(bundle, feed, folder, store=store_of(folder))
    assert got.journal == paper(bundle, feed).journal


def test_two_folders_of_one_schema_are_refused_once_they_differ(bundle, feed, tmp_path, server):
    folders = tmp_path / "a", tmp_path / "b"
    live(bundle, feed[:9], folders[0], store=a_store(server, folders[0], schema="copied"))
    shutil.copytree(*folders)
    live(bundle, feed[:12], folders[0], store=store_of(folders[0]))
    with pytest.raises(HandoffError, match="is not the one that schema copied of"):
        live(bundle, feed, folders[1], store=store_of(folders[1]))
    got = live(bundle, feed, folders[0], store=store_of(folders[0]))
    assert got.journal == paper(bundle, feed).journal


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_a_database_that_went_back_by_days_is_refused_and_the_journal_stays(
    bundle, feed, tmp_path, server, where
):
    "An old copy that was restored, or a standby that lagged behind"
    folder, journal = tmp_path / "state", tmp_path / "state" / "journal.jsonl"
    store = LiveStore(folder) if where == "sqlite" else a_store(server, folder, schema="older")
    live(bundle, feed[:20], folder, store=store)
    whole, end = journal.read_bytes(), "DELETE FROM journal WHERE date > '{}'"
    if where == "sqlite":
        with sqlite3.connect(folder / "live.sqlite") as database:
            database.execute(end.format(feed[16].date.date()))
        database.close()
    else:
        server.rows(end.format(feed[16].date.date()), "older")
    with pytest.raises(HandoffError, match="has 3 days of which .* knows nothing"):
        live(bundle, feed, folder, store=store)
    assert journal.read_bytes() == whole


def test_a_place_that_is_torn_is_one_sentence(tmp_path):
    for number, torn in enumerate([b'{"wh', b"[]", b"\xff", None]):
        folder = tmp_path / str(number)
        folder.mkdir()
        if torn is None:
            (folder / "store.json").mkdir()
        else:
            (folder / "store.json").write_bytes(torn)
        with pytest.raises(HandoffError, match="does not say where the orders are"):
            store_of(folder)
        for look in (LiveStore(folder).look, LiveStore(folder).__enter__):
            with pytest.raises(HandoffError, match="torn and does not say which"):
                look()


def test_a_database_without_every_letter_and_a_writer_that_is_gone_are_refused(tmp_path, server):
    server.rows(
        "CREATE DATABASE western ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    western = server.dsn().replace("dbname=postgres", "dbname=western")
    with pytest.raises(HandoffError, match="of the encoding LATIN1, which has not every letter"):
        PostgresStore(tmp_path, western).__enter__()
    with a_store(server, tmp_path, schema="emptied"):
        pass
    server.rows("DELETE FROM writer", "emptied")
    with pytest.raises(HandoffError, match="has a table writer with 0 rows"):
        a_store(server, tmp_path, schema="emptied").__enter__()


def test_a_version_is_brought_up_to_date_and_a_newer_one_refused(tmp_path, server):
    with a_store(server, tmp_path, schema="versions") as store:
        step = ("ALTER TABLE orders ADD COLUMN venue TEXT", "SELECT no_such_column FROM orders")
        with pytest.raises(psycopg.Error):
            migrate(store.database, (*STEPS, step))  # all or nothing
    with a_store(server, tmp_path, schema="versions") as store:
        assert store.database.version() == len(STEPS)
        migrate(store.database, (*STEPS, step[:1]))
    with pytest.raises(HandoffError, match="is of version 2, and this package knows 1"):
        a_store(server, tmp_path, schema="versions").__enter__()
    with a_store(server, tmp_path / "b", schema="others"):
        pass  # nothing was left open or held


def test_a_role_without_rights_and_a_password_that_is_wrong_are_one_sentence(
    tmp_path, server, monkeypatch
):
    server.rows("CREATE ROLE poor LOGIN")
    store = PostgresStore(tmp_path, server.dsn().replace("user=desk", "user=poor"))
    with pytest.raises(HandoffError, match="permission denied for database") as raised:
        store.__enter__()
    assert "\n" not in str(raised.value)
    hba = server.folder / "data" / "pg_hba.conf"
    usual = hba.read_text()
    server.rows("ALTER ROLE poor PASSWORD 'pa55word'")
    server.rows("CREATE SCHEMA rich AUTHORIZATION poor")
    hba.write_text(f"host all poor 127.0.0.1/32 scram-sha-256\n{usual}")
    server.rows("SELECT pg_reload_conf()")
    monkeypatch.setenv("PGPASSWORD", "wr0ng")
    dsn = store.database.place["dsn"]
    rich = functools.partial(PostgresStore, tmp_path, dsn, schema="rich")
    with pytest.raises(HandoffError, match="password authentication failed") as raised:
        rich().__enter__()
    assert "wr0ng" not in str(raised.value) and "\n" not in str(raised.value)
    monkeypatch.setenv("PGPASSWORD", "pa55word")
    with rich() as store:
        assert store.load() is None and "pa55word" not in repr(store)
    assert "pa55word" not in (tmp_path / "store.json").read_text()
    hba.write_text(usual)


def test_a_server_that_keeps_nothing_on_the_disk_is_refused(tmp_path):
    with (
        Postgres(settings={"fsync": "off"}) as careless,
        pytest.raises(HandoffError, match="runs with fsync off, and a power cut could undo"),
    ):
        a_store(careless, tmp_path).__enter__()


def test_a_server_that_answers_before_the_disk_has_it_is_told_to_wait(tmp_path, server):
    server.rows("ALTER ROLE desk SET synchronous_commit TO off")
    with a_store(server, tmp_path) as store:
        assert store.database.run("SHOW synchronous_commit") == [("on",)]
    server.rows("ALTER ROLE desk RESET synchronous_commit")


# The desk


def test_the_desk_reads_the_orders_where_they_are(bundle, feed, tmp_path, server):
    now, folder = pd.Timestamp("2026-01-05", tz="UTC"), tmp_path / "b"
    live(bundle, feed[:40], tmp_path / "a")
    expected = read_desk(tmp_path / "a", bundle, now=now)
    live(bundle, feed[:40], folder, store=a_store(server, folder, schema="page"))
    seen = DeskReader(folder, bundle, store=store_of(folder)).read(now)
    assert seen.orders.to_dict() == expected.orders.to_dict() and seen.notes == expected.notes
    pd.testing.assert_frame_equal(seen.working, expected.working)
    pd.testing.assert_series_equal(seen.positions, expected.positions)
    assert (seen.kind, seen.last_bar) == ("live", expected.last_bar)
    blind = read_desk(folder, bundle, now=now)
    assert blind.orders is None and blind.final_equity == expected.final_equity
    assert "keeps its orders in PostgreSQL (schema page of 127.0.0.1:" in blind.notes[0]
    with store_of(folder):  # while an engine is there
        assert DeskReader(folder, bundle, store=store_of(folder)).read(now).notes == seen.notes


def near(ours, theirs):
    "Are rows the same, their numbers but for the order in which they were added up?"
    ours, theirs = sum(ours, ()), sum(theirs, ())
    return len(ours) == len(theirs) and all(
        math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9) if isinstance(x, float) else x == y
        for x, y in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("outside", [True, False])
def test_each_question_of_the_page_is_answered_as_in_sqlite(
    bundle, free, feed, tmp_path, server, outside
):
    "Outside the process something is refused and something left; the reference venue has costs"
    answers, schema = [], f"asked_{outside}".lower()
    for store in (LiveStore(tmp_path / "a"), a_store(server, tmp_path / "b", schema=schema)):
        path = tmp_path / f"exchange {len(answers)}.jsonl"
        if outside:
            venue = Exchange(path, reject=["S001"])
            live(free, feed[:37], store.folder, venue=venue, store=store)
            live(free, feed[:46], store.folder, venue=Exchange(path, fill=False), store=store)
        else:
            live(bundle, feed, store.folder, store=store)
        with store.database.reading() as run:
            answers.append({question: run(query.strip()) for question, query in QUERIES.items()})
    for question, query in QUERIES.items():
        ours, theirs = (answer[question] for answer in answers)
        assert near(ours, theirs) and (ours or not outside)
        assert server.rows(query, schema) == theirs  # as it stands on the page
    assert outside or all(row[-1] > 1 for row in answers[1]["cost by day, in basis points"])


# Kills, cuts and a full disk


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_of_the_engine_at_random_loses_and_doubles_nothing(server):
    command = [sys.executable, str(HERE.parent / "live/killed.py"), "12", "7", server.dsn()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 lost, 0 doubled" in run.stdout and int(run.stdout.split()[0]) >= 8, run.stdout


def until_done(bundle, feed, folder, exchange, store):
    "Start the engine until it ends by itself; the sentences in which it ended before"
    said = []
    while len(said) < 200:
        try:
            venue = Exchange(exchange)
            return live(bundle, feed, folder, venue=venue, store=store(folder)), said
        except HandoffError as error:
            said.append(str(error))
            assert "\n" not in said[-1]
    raise AssertionError(said[-1])


def check_nothing_lost(result, expected, folder, exchange):
    assert result.journal == expected.journal
    found = ledger.compare(folder, exchange)
    assert ledger.faults(found) == {} and found["orders"] > 20, found


@pytest.fixture(scope="module")
def undisturbed(free, feed, tmp_path_factory):
    place = tmp_path_factory.mktemp("undisturbed")
    return live(free, feed, place / "state", venue=Exchange(place / "exchange.jsonl"))


class Killing(Exchange):
    "An exchange during whose answers the server of the database dies, now and then"

    server, every, count = None, 40, 0

    async def submit(self, order):
        Killing.count += 1
        if Killing.count % self.every == 0:
            self.server.end()
            self.server.start()
        await super().submit(order)


@pytest.mark.slow
def test_a_server_killed_and_back_loses_and_doubles_nothing(
    free, feed, undisturbed, tmp_path, monkeypatch
):
    with Postgres() as dying:
        monkeypatch.setattr(Killing, "server", dying)
        monkeypatch.setattr(sys.modules[__name__], "Exchange", Killing)
        store = functools.partial(PostgresStore, dsn=dying.dsn())
        path = tmp_path / "exchange.jsonl"
        result, said = until_done(free, feed, tmp_path / "state", path, store)
        assert said and all("cannot be used" in s or "lost in a commit" in s for s in said)
        check_nothing_lost(result, undisturbed, tmp_path / "state", path)


class Cutting(Proxy):
    "A line that is cut at some answers to a commit: before the server has heard of it, or after"

    def __init__(self, port, at):
        super().__init__(port)
        self.at, self.commits = set(at), 0

    async def _pass(self, reader, writer):
        while data := await reader.read(65_536):
            if b"COMMIT\0" in data:  # the question where it is no prepared statement; the answer
                self.commits += 1
                if self.commits in self.at:
                    return
            while self.dead:
                await asyncio.sleep(0.01)
            writer.write(data)
            await writer.drain()


@contextmanager
def cutting(port, at):
    "Such a line, in a thread of its own"
    loop, proxy = asyncio.new_event_loop(), Cutting(port, at)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(30)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def test_an_answer_to_a_commit_that_is_lost_is_found_out_at_the_next_start(
    free, feed, undisturbed, tmp_path, server
):
    with cutting(server.port, range(5, 500, 6)) as proxy:
        dsn = server.dsn(proxy.port)
        store = functools.partial(PostgresStore, dsn=dsn, schema="cut")
        path = tmp_path / "exchange.jsonl"
        result, said = until_done(free, feed, tmp_path / "state", path, store)
        check_nothing_lost(result, undisturbed, tmp_path / "state", path)
    assert sum("was lost in a commit" in sentence for sentence in said) > 10, said


def test_a_line_that_is_dead_without_a_word_is_given_up(free, feed, undisturbed, tmp_path, server):
    path, folder = tmp_path / "exchange.jsonl", tmp_path / "state"
    with cutting(server.port, ()) as proxy:
        store = PostgresStore(folder, server.dsn(proxy.port), schema="dead", patience=4.0)

        def dying():
            for n, bar in enumerate(feed):
                proxy.dead = n >= 30
                yield bar

        with pytest.raises(HandoffError, match="cannot be used|was lost in a commit"):
            live(free, dying(), folder, venue=Exchange(path), store=store)
        proxy.dead = False
        result = live(free, feed, folder, venue=Exchange(path), store=store)
        check_nothing_lost(result, undisturbed, folder, path)


def test_a_server_that_was_stopped_is_given_up_and_goes_on(tmp_path):
    with Postgres() as stopped, a_store(stopped, tmp_path) as store:
        store.load()
        store.database._patience = store.database._db._patience = 1.0
        backend = store.database.run("SELECT pg_backend_pid()")[0][0]
        os.kill(backend, signal.SIGSTOP)
        with pytest.raises(HandoffError, match="cannot be used"):
            store.add(make_order("seal", pd.Timestamp("2026-01-05"), "A", 1.0))
        os.kill(backend, signal.SIGCONT)


@pytest.fixture
def disk(tmp_path):
    "A small disk of its own; needs the right to mount"
    with tempfile.TemporaryDirectory(prefix="pg-disk-") as place:
        command = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0777", "tmpfs", place]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("NOT TESTED: a disk cannot be mounted here; run it as root")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def fill_up(server, disk, leave):
    "Fill a disk; with some room left, until the server cannot write its log, and breaks off"
    with open(disk / "filler", "wb", buffering=0) as filler:
        with suppress(OSError):
            while filler.write(b"x" * 4096):
                pass
        filler.truncate(filler.tell() - leave)
    with suppress(psycopg.Error):
        for _ in range(leave and 100):
            server.rows("INSERT INTO junk SELECT repeat('x', 100) FROM generate_series(1, 10000)")
            server.rows("TRUNCATE junk")
        assert not leave, "the log of the server still has room"


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 2_000_000])
def test_a_database_that_fills_its_disk_loses_nothing(
    free, feed, undisturbed, tmp_path, disk, leave
):
    path, folder = tmp_path / "exchange.jsonl", tmp_path / "state"
    sizes = {"max_wal_size": "32MB", "min_wal_size": "32MB", "autovacuum": "off"}
    with Postgres(data=disk / "data", settings=sizes | {"wal_recycle": "off"}) as small:
        store = a_store(small, folder, schema="full")
        live(free, feed[:30], folder, venue=Exchange(path), store=store)
        small.rows("CREATE TABLE junk (x TEXT)")
        before = rows_of(store)
        fill_up(small, disk, leave)
        with pytest.raises(HandoffError, match="No space left|cannot be used") as raised:
            live(free, feed, folder, venue=Exchange(path), store=store)
        assert "\n" not in str(raised.value)
        (disk / "filler").unlink()
        small.end()  # it may have ended by itself, or be about to
        small.start()
        after = rows_of(store)
        assert after["journal"][: len(before["journal"])] == before["journal"]
        result = live(free, feed, folder, venue=Exchange(path), store=store)
        check_nothing_lost(result, undisturbed, folder, path)
