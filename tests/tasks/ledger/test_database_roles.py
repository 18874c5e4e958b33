"""Roles of a ledger on a real PostgreSQL: the application appends, others read, the owner alone can do more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from refit.errors import StateError
from refit_tasks.ledger.database import ROLES
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, record, verify_ledger
from refit_tasks.maintenance.prune import archive_ledger
from refit_tasks.promotion.promote import promote
from tests.support.postgres import ABSENT, Postgres, binaries
from tests.support.watched_project import COMMAND

AT = datetime(2026, 3, 1, tzinfo=UTC)
pytestmark = pytest.mark.skipif(binaries() is None, reason=ABSENT)

As = Callable[[str], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def ledger_of(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[As]:
    """An empty ledger with its three roles; gives what makes the application use one of them."""

    def use(role: str) -> None:
        monkeypatch.setenv("REFIT_DATABASE_URL", server.url.replace("refit@", f"{role}@").replace("/ledger", "/shop"))

    with connected(server, "refit", "ledger") as admin:
        admin.execute("CREATE ROLE keeper LOGIN CREATEROLE; CREATE ROLE app LOGIN; CREATE ROLE viewer LOGIN")
        admin.execute("CREATE DATABASE shop OWNER keeper")
    use("keeper")
    verify_ledger()  # makes the tables
    with connected(server, "keeper") as keeper:
        for _ in range(2):
            keeper.execute(ROLES)
        keeper.execute("GRANT shop_writer TO app; GRANT shop_reader TO viewer")
    yield use
    with connected(server, "refit", "ledger") as admin:
        admin.execute("DROP DATABASE shop")
        admin.execute("DROP ROLE keeper, app, viewer, shop_writer, shop_reader")


@contextmanager
def connected(server: Postgres, role: str, database: str = "shop") -> Iterator[psycopg.Connection]:
    place = f"host=127.0.0.1 port={server.port} user={role} dbname={database}"
    with psycopg.connect(place, autocommit=True) as connection:
        yield connection


def test_the_application_works_with_a_role_that_can_append_alone(ledger_of: As, server: Postgres, judge) -> None:
    ledger_of("app")
    champion = promote.fn(judge("one"), None, AT)
    promote.fn(judge("two", over=champion), champion, AT)
    assert current_champion("rentals").generation == 2
    assert verify_ledger() == 4

    forbidden = [
        "UPDATE ledger SET payload = '{}'",
        "UPDATE champions SET version = 1",
        "DELETE FROM ledger",
        "DELETE FROM champions",
        "TRUNCATE ledger, champions",
        "ALTER TABLE ledger DISABLE TRIGGER append_only",
        "DROP TRIGGER append_only ON ledger",
        "DROP TABLE champions",
        "ALTER TABLE ledger ADD COLUMN more text",
        "CREATE TABLE more (id int)",
        "CREATE OR REPLACE FUNCTION refit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "SET session_replication_role = replica",
        "SET ROLE keeper",
        "SELECT FROM ledger FOR UPDATE",
        "INSERT INTO ledger SELECT * FROM ledger ON CONFLICT (id) DO UPDATE SET payload = '{}'",
    ]
    with connected(server, "app") as app:
        for statement in forbidden:
            with pytest.raises(InsufficientPrivilege):
                app.execute(statement)
    assert verify_ledger() == 4


def test_serving_and_metrics_need_the_reader_alone(ledger_of: As, judge) -> None:
    from refit_serving.metrics.server_metrics import Metrics
    from refit_serving.traffic.challengers import ChallengerFollower
    from refit_serving.traffic.follower import Follower

    ledger_of("app")
    promote.fn(judge("one"), None, AT)
    ledger_of("viewer")
    follower = Follower(["rentals"], Metrics())
    follower.refresh()
    ChallengerFollower(follower.slots.values(), Metrics()).refresh()
    assert follower.problem == ""
    # The ledger's champion is found; its files are made up, so that it cannot be loaded.
    assert "version 1 failed its warm-up" in follower.slots["rentals"].problem


def test_a_reader_reads_and_is_told_in_a_sentence_that_it_cannot_write(ledger_of: As, server: Postgres) -> None:
    ledger_of("app")
    record("rentals", "decision", {"secret": "of an entry"}, AT)
    ledger_of("viewer")
    assert len(entries()) == verify_ledger() == 1
    with pytest.raises(StateError, match="refit ledger roles") as refused:
        record("rentals", "decision", {}, AT)
    assert "of an entry" not in str(refused.value) + str(refused.value.__cause__)
    with connected(server, "viewer") as viewer, pytest.raises(InsufficientPrivilege):
        viewer.execute("INSERT INTO ledger SELECT * FROM ledger")


def test_others_see_nothing(ledger_of: As, server: Postgres) -> None:
    with connected(server, "refit") as admin:
        admin.execute("CREATE ROLE stranger LOGIN")
    try:
        ledger_of("stranger")
        with pytest.raises(StateError, match="permission denied"):
            entries()
    finally:
        with connected(server, "refit") as admin:
            admin.execute("DROP ROLE stranger")


@pytest.mark.slow
def test_the_owner_alone_archives(ledger_of: As, judge) -> None:
    ledger_of("app")
    for number in range(5):
        over = current_champion("rentals")
        promote.fn(judge(f"{number}", over=over), over, AT + timedelta(days=number))
    later = AT + timedelta(days=400)
    with pytest.raises(StateError, match="or the owner to create tables or archive"):
        list(archive_ledger(100, 1, later, dry_run=False))
    assert verify_ledger() == 10
    ledger_of("keeper")
    assert [one.name for one in archive_ledger(100, 1, later, dry_run=False)] == ["entries 1 to 8"]
    ledger_of("app")
    record("rentals", "decision", {}, AT)
    assert verify_ledger() == 4


def test_writers_append_one_after_the_other(ledger_of: As, race) -> None:
    ledger_of("app")
    code = """
os.environ['REFIT_DATABASE_URL'] = url
from datetime import datetime, UTC
from refit_tasks.ledger.record import record
for turn in range(20):
    record(f"project{number}", "decision", {"turn": turn}, datetime.now(UTC))
results.put(number)
"""
    assert sorted(race(code, 4, url=os.environ["REFIT_DATABASE_URL"])) == [0, 1, 2, 3]
    assert verify_ledger() == 80


def test_a_writer_of_the_first_release_is_waited_for(ledger_of: As, server: Postgres) -> None:
    ledger_of("app")
    with connected(server, "keeper") as former, connected(server, "refit") as admin:
        former.execute("BEGIN")
        former.execute("LOCK TABLE ledger IN EXCLUSIVE MODE")
        writer = Thread(target=record, args=("rentals", "decision", {}, AT))
        writer.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'app'"
        while admin.execute(waiting).fetchone() != (1,):
            assert writer.is_alive(), "it did not wait"
            time.sleep(0.05)
        former.execute("ROLLBACK")
        writer.join(30)
    assert verify_ledger() == 1


def test_the_command_gives_the_sql() -> None:
    run = subprocess.run([sys.executable, "-c", COMMAND, "ledger", "roles"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ROLES.strip()
