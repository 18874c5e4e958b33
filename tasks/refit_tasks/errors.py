"""From what the file system and SQLite report to one sentence that names the fix."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from refit.errors import StateError
from refit_infra.settings import Settings

_FULL = "has no space left: free some on its disk and run again"
_REFUSED = "cannot be written: give yourself write permission there, or set {setting} to a place of your own"
_UNOPENED = "cannot be opened or created: set {setting} to a place that exists and that you may write to"
_DAMAGED = "is damaged or is not a database: put a backup in its place, or move it away to start anew"
_LOCKED = "is locked by another process: run again when that one has ended"
_UNREADABLE = "cannot be read or written: check its disk and the free space there"

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PERM: _REFUSED,
    sqlite3.SQLITE_READONLY: _REFUSED,
    sqlite3.SQLITE_CANTOPEN: _UNOPENED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _UNREADABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_SYSTEM = {
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: _REFUSED,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ETIMEDOUT: _LOCKED,
    errno.EIO: _UNREADABLE,
}


@contextmanager
def naming_the_fix(place: str, setting: str) -> Iterator[None]:
    """Turns the faults of local state into a `StateError`; those of a database server pass as they are.

    Args:
        place: What is used within, for people: a path, or a database's URL without its password.
        setting: The environment variable that puts it somewhere else.

    Yields:
        Nothing.

    Raises:
        StateError: If a file or an SQLite database within cannot be created, read or written.
    """
    try:
        yield
    except (OSError, sqlite3.Error, DBAPIError) as error:
        fault = fault_of(error, setting)
        if fault is None:
            raise
        raise StateError(f"{place} {fault}") from error


def open_home(settings: Settings) -> None:
    """Creates `REFIT_HOME`, for its owner's eyes only, unless it is there.

    Args:
        settings: Where it lies.

    Raises:
        StateError: If it cannot be created.
    """
    with naming_the_fix(str(settings.home), "REFIT_HOME"):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)


def fault_of(error: BaseException, setting: str) -> str | None:
    """Says what is wrong with local state, after its name.

    Args:
        error: What the file system or SQLite raised.
        setting: The environment variable that puts the state somewhere else.

    Returns:
        The fault and its fix, or `None` if the error is not one of local state.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    fault = None
    if isinstance(cause, sqlite3.Error):
        fault = _SQLITE.get(getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF)
    elif isinstance(cause, TimeoutError):
        fault = _LOCKED
    elif isinstance(cause, OSError) and not isinstance(cause, ConnectionError):
        fault = _SYSTEM.get(cause.errno or 0, _UNOPENED)
    return fault.format(setting=setting) if fault else None
