"""Errors of local state as sentences that name the fix, and safe writing of files that a user asked for."""

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
    """Turns errors of files and SQLite into a `StateError`; errors of a database server pass unchanged.

    Args:
        place: The name of the store for the message: a path, or a database URL without its password.
        setting: The environment variable that sets the location of the store.

    Yields:
        Nothing.

    Raises:
        StateError: If a file or an SQLite database cannot be created, read or written.
    """
    try:
        yield
    except (OSError, sqlite3.Error, DBAPIError) as error:
        fault = describe_store_fault(error, setting)
        if fault is None:
            raise
        raise StateError(f"{place} {fault}") from error


def open_home(settings: Settings) -> None:
    """Creates `REFIT_HOME`, accessible to its owner alone, unless it exists.

    Args:
        settings: The settings, with the path.

    Raises:
        StateError: If the directory cannot be created.
    """
    with translate_store_errors(str(settings.home), "REFIT_HOME"):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)


def describe_store_fault(error: BaseException, setting: str) -> str | None:
    """Describes an error of a file or SQLite as the rest of a sentence that begins with the store's name.

    Args:
        error: The error of the file system or SQLite.
        setting: The environment variable that sets the location of the store.

    Returns:
        The fault and its fix; `None` if the error has another source.
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
    """Checks that a file can be written, before minutes of work.

    Args:
        file: The path that the user gave.
        option: The command-line option of the path.

    Returns:
        The absolute path.

    Raises:
        StateError: If the directory does not exist or is not writable, or the path is a directory.
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
    """Writes a file atomically, so that no reader ever finds half of it.

    Args:
        content: The contents of the file.
        file: The path; an existing file is replaced.
        option: The command-line option of the path.

    Returns:
        The size in bytes.

    Raises:
        StateError: If the file cannot be written.
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
