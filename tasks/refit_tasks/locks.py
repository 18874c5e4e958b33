"""File locks: acquiring them, and testing whether a living process holds one.

The operating system releases the locks of a process that dies, so a held lock means a living process.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_SECONDS = 0.02
"""The seconds between two attempts to acquire a lock."""


@contextmanager
def try_lock(file: Path, seconds: float = 0.0) -> Iterator[bool]:
    """Acquires a lock for the duration of the block, if it is free.

    Args:
        file: The lock file, which is created if needed; its directory must exist.
        seconds: The time to wait for the lock.

    Yields:
        Whether the lock was acquired.
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
        file: The lock file; a missing file is not held.

    Returns:
        Whether the lock is held.
    """
    if not file.exists():
        return False
    with try_lock(file) as free:
        return not free


def lock_open_file(descriptor: int, *, shared: bool = False, seconds: float = 0.0) -> bool:
    """Acquires the lock of an open file, until the file is closed.

    Args:
        descriptor: The descriptor of the file.
        shared: Whether the lock is shared with other shared holders.
        seconds: The time to wait for the lock.

    Returns:
        Whether the lock was acquired.
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
