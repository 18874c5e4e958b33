import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest

from refit.errors import LedgerBroken, StateError
from refit_tasks.ledger import database as ledger_database
from refit_tasks.ledger.record import entries, entry, entry_once, latest, record, verify_ledger
from refit_tasks.ledger.transactions import append

AT = datetime(2026, 3, 1, 12, 30, 15, 7, tzinfo=UTC)


def execute(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_what_is_recorded_is_read_back_as_it_was() -> None:
    payload = {"text": 'ä"\u2028\x00', "number": 0.1 + 0.2, "none": None, "list": [1, 2.0]}
    first = record("rentals", "verdict", payload, AT)
    second = record("rentals", "contract", {}, AT)
    other = record("deliveries", "verdict", {}, AT)

    assert first.payload == payload
    assert first.at == AT
    assert (first.id, second.id, other.id) == (1, 2, 3)
    assert (entry(1), entry(4)) == (first, None)
    assert latest("rentals", "verdict") == first
    assert latest("rentals", "promotion") is None
    assert entries() == [other, second, first]
    assert entries("rentals", newest=1) == [second]
    assert entries(kind="verdict") == [other, first]
    assert verify_ledger() == 3


def test_an_empty_ledger_holds() -> None:
    assert entries() == []
    assert verify_ledger() == 0


def test_what_must_not_be_recorded_twice_is_recorded_once() -> None:
    first = record("rentals", "verdict", {"try": 1}, AT, once="key")
    assert record("rentals", "verdict", {"try": 2}, AT, once="key") == first
    assert record("rentals", "promotion", {}, AT, once="key") != first
    assert record("deliveries", "verdict", {}, AT, once="key") != first
    assert entry_once("rentals", "verdict", "key") == first
    assert entry_once("rentals", "verdict", "other") is None
    assert len(entries()) == 3


def test_only_its_owner_may_look_into_the_home(home: Path) -> None:
    record("rentals", "verdict", {}, AT)
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET payload = '{}'",
        "DELETE FROM ledger",
        "UPDATE champions SET version = 2",
        "DELETE FROM champions",
    ],
)
def test_the_database_refuses_to_change_what_was_recorded(home: Path, statement: str) -> None:
    record("rentals", "promotion", {}, AT)
    execute(home, "INSERT INTO champions VALUES ('rentals', 1, 1, 1)")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(home, statement)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE ledger SET payload = '{\"n\":5}' WHERE id = 2", 2),
        ("UPDATE ledger SET payload = 'no JSON' WHERE id = 2", 2),
        ("UPDATE ledger SET payload = '{\"n\": 1}' WHERE id = 2", 2),
        ("UPDATE ledger SET payload = '{\"n\":NaN}' WHERE id = 2", 2),
        ("UPDATE ledger SET payload = CAST(X'7b226e223a31ff7d' AS TEXT) WHERE id = 2", 2),
        ("UPDATE ledger SET at = 'yesterday' WHERE id = 1", 1),
        ("UPDATE ledger SET at = replace(at, '+', '-') WHERE id = 2", 2),
        ("UPDATE ledger SET once = 'key z' WHERE id = 3", 3),
        ("UPDATE ledger SET once = NULL WHERE id = 3", 3),
        ("DELETE FROM ledger WHERE id = 2", 3),
        ("INSERT INTO champions VALUES ('rentals', 1, 7, 3)", 3),
        ("INSERT INTO champions VALUES ('rentals', 1, 7, 'x')", 0),
    ],
)
def test_tampering_past_the_triggers_is_found(home: Path, statement: str, broken: int) -> None:
    for number in range(3):
        record("rentals", "verdict", {"n": number}, AT, once=f"key {number}")
    assert verify_ledger() == 3
    execute(home, "DROP TRIGGER ledger_refuses_UPDATE", "DROP TRIGGER ledger_refuses_DELETE", statement)
    with pytest.raises(LedgerBroken, match=f"entry {broken} "):
        verify_ledger()


def test_eight_processes_create_and_write_it_at_once(race) -> None:
    code = """
from datetime import UTC, datetime
from refit_tasks.ledger.record import record
for count in range(10):
    results.put(record("rentals", "verdict", {"number": number}, datetime.now(UTC)).id)
"""
    assert sorted(race(code, 8)) == list(range(1, 81))
    assert verify_ledger() == 80


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_the_creation_waits_for_a_process_that_is_creating_it(home: Path, lock: str) -> None:
    home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute(lock)
        other.execute("CREATE TABLE other (n)")
        release = Timer(0.5, other.execute, ["COMMIT"])
        release.start()
        record("rentals", "verdict", {}, AT)
        release.join()
    assert verify_ledger() == 1


def test_a_kill_during_the_creation_leaves_nothing_half_done(race, home: Path) -> None:
    code = """
import signal
from refit_tasks.ledger import database as ledger_database
from refit_tasks.ledger.record import entries
ledger_database.APPEND_ONLY["sqlite"] = (os.kill(os.getpid(), signal.SIGKILL) for _ in "once")
entries()
"""
    race(code, 1, killed=True)
    assert entries() == []
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone() == (4,)


def test_a_failed_transaction_leaves_nothing() -> None:
    record("rentals", "verdict", {}, AT)
    with pytest.raises(AttributeError), ledger_database.writing() as connection:
        append(connection, "rentals", "promotion", {}, AT).no_such_thing()
    assert [entry.kind for entry in entries()] == ["verdict"]


def test_a_reader_sees_one_state_of_the_ledger() -> None:
    record("rentals", "verdict", {}, AT)
    with ledger_database.reading() as connection:
        count = "SELECT count(*) FROM ledger"
        assert connection.exec_driver_sql(count).scalar_one() == 1
        record("rentals", "verdict", {}, AT)
        assert connection.exec_driver_sql(count).scalar_one() == 1
    assert len(entries()) == 2


def test_a_home_below_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StateError, match=r"file/home cannot be opened or created: set REFIT_HOME"):
        record("rentals", "verdict", {}, AT)


def test_a_locked_ledger_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record("rentals", "verdict", {}, AT)
    monkeypatch.setenv("REFIT_DATABASE_URL", f"sqlite:///{home}/ledger.db?timeout=0.1")
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(entries()) == 1
        with pytest.raises(StateError, match="is locked by another process: run again"):
            record("rentals", "verdict", {}, AT)
    assert record("rentals", "verdict", {}, AT).id == 2


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite:////nowhere/at/all.db", "cannot be opened or created: set REFIT_DATABASE_URL"),
        ("sqlite:///file:{home}/ledger.db?mode=ro&uri=true", "cannot be written: give yourself write permission"),
        ("sqlite:///{home}/damaged.db", "is damaged or is not a database: put a backup in its place"),
        ("mysql://me:secret@host/db", "REFIT_DATABASE_URL"),
        ("nonsense secret", "REFIT_DATABASE_URL is not a database URL"),
        ("no-such://me:secret@host/db", "REFIT_DATABASE_URL is not a database URL"),
    ],
)
def test_a_database_that_cannot_be_used_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    record("rentals", "verdict", {}, AT)
    (home / "damaged.db").write_text("this is no database" * 100)
    monkeypatch.setenv("REFIT_DATABASE_URL", address.format(home=home))
    with pytest.raises(StateError, match=message) as raised:
        record("rentals", "verdict", {}, AT)
    assert "secret" not in str(raised.value)
