"""The lock behind a turn: a file that says whose turn it is. The operating system frees it when its holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from refit_infra.settings import Settings
from refit_tasks.errors import naming_the_fix, open_home


@contextmanager
def holding(project: str, seconds: float) -> Iterator[bool]:
    """Takes the project's lock on this machine.

    Args:
        project: The project's name.
        seconds: How long to wait for it.

    Yields:
        Whether it was free.

    Raises:
        StateError: If the lock cannot be used.
    """
    file = turn_file(project)
    with naming_the_fix(str(file), "REFIT_HOME"):
        open_home(Settings())
        file.parent.mkdir(exist_ok=True)
    lock = _lock(project)
    try:
        lock.acquire(timeout=seconds, poll_interval=0.02)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_taken(project: str) -> bool:
    """Tells whether a retrain of the project is running on this machine.

    Args:
        project: The project's name.

    Returns:
        Whether some process holds its turn.
    """
    lock = _lock(project)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def written_by_holder(project: str) -> list[str]:
    """Reads whose turn it is, or was: a holder that ends well leaves nothing.

    Args:
        project: The project's name.

    Returns:
        The turn's name and the number of the decision, as far as the holder got.
    """
    file = turn_file(project)
    return file.read_text().split() if file.exists() else []


def turn_file(project: str) -> Path:
    """Names the file in which the holder of the turn writes.

    Args:
        project: The project's name.

    Returns:
        The file; the lock lies beside it.
    """
    return Settings().home / "turns" / project


def projects_with_turns() -> set[str]:
    """Names the projects whose turn somebody holds, or has left.

    Returns:
        Their names.
    """
    directory = turn_file("any").parent
    return {file.name for file in directory.glob("*") if file.suffix != ".lock"}


def _lock(project: str) -> FileLock:
    return FileLock(turn_file(project).with_suffix(".lock"))
