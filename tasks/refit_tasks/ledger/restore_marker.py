"""The marker of an unfinished restore, which keeps other commands away from a partial state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors

_is_restoring: ContextVar[bool] = ContextVar("restoring", default=False)
"""Whether this process is restoring."""


@contextmanager
def mark_restore(directory: Path) -> Iterator[None]:
    """Marks `REFIT_HOME` as partly restored until the block succeeds.

    Args:
        directory: The directory of the backup.

    Yields:
        Nothing; the marker stays if the block fails or the process is killed.
    """
    file = _marker_file()
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        file.write_text(str(directory), encoding="utf-8")
    token = _is_restoring.set(True)
    try:
        yield
    finally:
        _is_restoring.reset(token)
    with translate_store_errors(str(file), "REFIT_HOME"):
        file.unlink()


def unfinished_restore() -> Path | None:
    """Reads the marker of an unfinished restore.

    Returns:
        The directory of the backup; `None` if no restore is unfinished.
    """
    return Path(_marker_file().read_text(encoding="utf-8")) if _marker_file().exists() else None


def require_complete_restore() -> None:
    """Fails if a restore is unfinished, unless this process is the one that restores.

    Raises:
        StateError: If a restore is unfinished.
    """
    if not _is_restoring.get() and (directory := unfinished_restore()):
        raise StateError(
            f"{Settings().home} is only partly restored: run `refit restore {directory}` again to finish, or delete it"
        )


def _marker_file() -> Path:
    return Settings().home / "restoring"
