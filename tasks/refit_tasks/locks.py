"""Locks in files: taken, tried, and asked whether a living process holds them.

The operating system frees the lock of a process that dies, so that a lock that is held names a living process.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_SECONDS = 0.02
"""How often a lock that somebody else holds is tried again."""


@contextmanager
def try_lock(file: Path, seconds: float = 0.0) -> Iterator[bool]:
    """Takes a lock for as long as the block lasts, if it is free.

    Args:
        file: The lock's file, which is made if it is not there; its directory has to be.
        seconds: How long to wait for the lock.

    Yields:
        Whether the lock was free.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=seconds, poll_interval=POLL_SECONDS)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(file: Path) -> bool:
    """Tells whether a living process holds a lock.

    Args:
        file: The lock's file; nobody holds one that is not there.

    Returns:
        Whether somebody holds it.
    """
    if not file.exists():
        return False
    with try_lock(file) as free:
        return not free


def lock_open_file(descriptor: int, *, shared: bool = False, seconds: float = 0.0) -> bool:
    """Takes the lock of a file that is open; it is held until the file is closed.

    Args:
        descriptor: The file's descriptor.
        shared: Whether others may hold the lock at the same time, if they share it too.
        seconds: How long to wait for the lock.

    Returns:
        Whether the lock is taken.
    """
    how, deadline = fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True
