"""From what the file system and SQLite report to one sentence that names the fix.

Files that a person asked for: checked before the work, and written in one step.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def translate_store_errors(place: str, setting: str) -> Iterator[None]:
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
        fault = describe_store_fault(error, setting)
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
    with translate_store_errors(str(settings.home), "REFIT_HOME"):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)


def describe_store_fault(error: BaseException, setting: str) -> str | None:
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


def require_writable(file: Path, option: str) -> Path:
    """Finds out, before minutes of work, whether a file can be written.

    Args:
        file: Where somebody wants it.
        option: The option that names it.

    Returns:
        Its absolute path.

    Raises:
        StateError: If there is no such directory, or nothing may be written there.
    """
    file = file.expanduser().absolute()
    if file.is_dir():
        raise StateError(_describe_unwritable(file, "it is a directory", option))
    if not file.parent.is_dir():
        raise StateError(_describe_unwritable(file, f"there is no directory {file.parent}", option))
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise StateError(_describe_unwritable(file, "permission denied", option))
    return file


def save_file(content: bytes, file: Path, option: str) -> int:
    """Writes a file in one step, so that no reader ever finds half of it.

    Args:
        content: What it is to hold.
        file: Where to write it; a file that is there is replaced.
        option: The option that names another place.

    Returns:
        Its size in bytes.

    Raises:
        StateError: If it cannot be written there.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
            draft.write(content)
        _replace_file(Path(draft.name), file)
    except OSError as error:
        raise StateError(_describe_unwritable(file, error.strerror or str(error), option)) from error
    return len(content)


def _replace_file(draft: Path, file: Path) -> None:
    try:
        draft.chmod(0o644)
        draft.replace(file)
    except OSError:
        draft.unlink()
        raise


def _describe_unwritable(file: Path, reason: str, option: str) -> str:
    return f"{file} cannot be written ({reason}): give another place with `{option}`"
