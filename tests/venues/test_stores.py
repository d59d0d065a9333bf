"""The stores: an engine in PostgreSQL is the one in SQLite, and survives its server."""

import functools
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "live"))

import floor  # noqa: E402
import test_live as both  # noqa: E402
from postgres import Postgres  # noqa: E402

from quantlab.venues import PostgresStore  # noqa: E402

world, feed, bundle, free = both.world, both.feed, both.bundle, both.free


@pytest.fixture(scope="module")
def server():
    with Postgres() as server:
        yield server


@pytest.fixture
def in_postgres(server, monkeypatch):
    "Every engine of the floor keeps its orders in the server"
    monkeypatch.setattr(floor, "STORE", functools.partial(PostgresStore, dsn=server.dsn()))


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
