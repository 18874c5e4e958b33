"""The lock between removals and backups on this machine; writers need not wait for either.

The operating system releases the lock of a process that dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.locks import lock_open_file

WAIT_SECONDS = 600.0


@contextmanager
def removal_lock() -> Iterator[None]:
    """Keeps a backup from beginning while something is removed; several may remove at once.

    Yields:
        Nothing.

    Raises:
        StateError: If a backup is under way.
    """
    with _hold(shared=True, seconds=0) as free:
        if not free:
            raise StateError("a backup is under way, and nothing may be removed meanwhile: run again when it has ended")
        yield


@contextmanager
def backup_lock(seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Keeps `refit prune`, `doctor` and `forget` from beginning.

    Args:
        seconds: How long to wait for the one that is under way.

    Yields:
        Nothing.

    Raises:
        StateError: If one is still under way then.
    """
    with _hold(shared=False, seconds=seconds) as free:
        if not free:
            raise StateError(
                f"a prune, a doctor, a forget or another backup has been under way for {seconds:.0f} s: run again when "
                f"it has ended"
            )
        yield


@contextmanager
def _hold(*, shared: bool, seconds: float) -> Iterator[bool]:
    file = Settings().home / "upkeep.lock"
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        stream = file.open("ab")
    with stream:
        yield lock_open_file(stream.fileno(), shared=shared, seconds=seconds)
