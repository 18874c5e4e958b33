"""At most one `refit up` for a home: its lock, and the note by which others find it and clean up after its crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from refit_deployments.guarding import share_prefect_password
from refit_infra.settings import Settings, page_address


@dataclass(frozen=True, slots=True)
class Note:
    """What a running `refit up` tells others."""

    pid: int
    prefect: str
    """The address of Prefect's API; empty while it is starting."""
    mlflow: str | None
    """The address of MLflow's UI."""
    children: tuple[tuple[int, float], ...] = ()
    """The processes that it has started: id, and when each began, which together name it."""


@contextmanager
def alone() -> Iterator[Note | None]:
    """Takes the home's one place for a `refit up`.

    Yields:
        The note that a crashed one has left, or `None`.

    Raises:
        StateError: If one is running.
    """
    from refit.errors import StateError

    lock = FileLock(_lock())
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note = _read()
        where = (
            f" at {page_address(note.prefect.removesuffix('/api'))} (process {note.pid})"
            if note and note.prefect
            else ""
        )
        raise StateError(f"`refit up` is running already{where}: use that one, or stop it by Ctrl-C there") from None
    try:
        yield _read()
    finally:
        _file().unlink(missing_ok=True)
        lock.release()


def write(note: Note) -> None:
    """Leaves the note; only who is `alone` may.

    Args:
        note: What to tell.
    """
    draft = _file().with_suffix(".draft")
    draft.write_text(json.dumps(asdict(note)))
    draft.replace(_file())


def running() -> Note | None:
    """Finds the `refit up` that is running for this home.

    Returns:
        Its note; `None` if there is none, or it is not ready.
    """
    if not _file().exists():
        return None
    lock = FileLock(_lock())
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return note if (note := _read()) and note.prefect else None
    lock.release()
    return None


def join() -> None:
    """Has this process use the Prefect server of the running `refit up`, unless the user has named one."""
    share_prefect_password()
    if "PREFECT_API_URL" not in os.environ and (note := running()):
        os.environ["PREFECT_API_URL"] = note.prefect


def _read() -> Note | None:
    try:
        told = json.loads(_file().read_text())
        return Note(told["pid"], told["prefect"], told["mlflow"], tuple((pid, at) for pid, at in told["children"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # a note that cannot be read tells nothing


def _file() -> Path:
    return Settings().home / "up.json"


def _lock() -> Path:
    return Settings().home / "up.lock"
