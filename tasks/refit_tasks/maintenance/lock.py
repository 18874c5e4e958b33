"""Who removes state and who copies it keep out of each other's way on this machine; writers need not wait for either.

The operating system frees the lock of a process that dies.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors

PATIENCE_SECONDS = 600.0
A_MOMENT = 0.2


@contextmanager
def removing() -> Iterator[None]:
    """Keeps a backup from beginning while something is removed; several may remove at once.

    Yields:
        Nothing.

    Raises:
        StateError: If a backup is under way.
    """
    with _held(fcntl.LOCK_SH, seconds=0) as free:
        if not free:
            raise StateError("a backup is under way, and nothing may be removed meanwhile: run again when it has ended")
        yield


@contextmanager
def nothing_removed(seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Keeps `refit prune`, `doctor` and `forget` from beginning.

    Args:
        seconds: How long to wait for the one that is under way.

    Yields:
        Nothing.

    Raises:
        StateError: If one is still under way then.
    """
    with _held(fcntl.LOCK_EX, seconds) as free:
        if not free:
            raise StateError(
                f"a prune, a doctor, a forget or another backup has been under way for {seconds:.0f} s: run again when "
                f"it has ended"
            )
        yield


@contextmanager
def _held(how: int, seconds: float) -> Iterator[bool]:
    file = Settings().home / "upkeep.lock"
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        stream = file.open("ab")
    with stream:
        yield _acquired(stream.fileno(), how, time.monotonic() + seconds)


def _acquired(descriptor: int, how: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(A_MOMENT)
        else:
            return True
