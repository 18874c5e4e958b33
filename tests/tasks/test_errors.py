import errno
import os
import sqlite3

import pytest

from refit.errors import StateError
from refit_tasks.errors import translate_store_errors


def fail_with(error: Exception) -> str:
    with pytest.raises(StateError) as raised, translate_store_errors("/data/ledger.db", "REFIT_HOME"):
        raise error
    assert raised.value.__cause__ is error
    return str(raised.value)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOSPC, "has no space left"),
        (errno.ENOTDIR, "set REFIT_HOME to a place that exists"),
        (errno.EIO, "check its disk"),
    ],
)
def test_each_fault_of_the_file_system_names_its_fix(number: int, said: str) -> None:
    message = fail_with(OSError(number, os.strerror(number)))
    assert message.startswith("/data/ledger.db ")
    assert said in message


def test_a_full_database_says_so(tmp_path) -> None:
    connection = sqlite3.connect(tmp_path / "small.db")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (x)")
    with (
        pytest.raises(StateError, match="has no space left: free some"),
        translate_store_errors("small.db", "REFIT_HOME"),
    ):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(111, "refused"), sqlite3.ProgrammingError("closed"), KeyError("x")]
)
def test_what_is_no_fault_of_local_state_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), translate_store_errors("/data/ledger.db", "REFIT_HOME"):
        raise error


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_home_says_so(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_tasks.ledger.record import entries

    tmp_path.chmod(0o500)
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "home"))
    with pytest.raises(StateError, match="cannot be written: give yourself write permission"):
        entries()
    tmp_path.chmod(0o700)
