"""A restore that has begun and not ended: until it is done again, nobody takes what is there for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors

_is_restoring: ContextVar[bool] = ContextVar("restoring", default=False)
"""Whether this is the process that restores."""


@contextmanager
def mark_restore(directory: Path) -> Iterator[None]:
    """Marks `REFIT_HOME` as half restored until the block has ended well.

    Args:
        directory: The backup.

    Yields:
        Nothing; whoever is killed, or fails, leaves the mark.
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
    """Names the backup that somebody has begun to restore here.

    Returns:
        Its directory; `None` where no restore was left unfinished.
    """
    return Path(_marker_file().read_text(encoding="utf-8")) if _marker_file().exists() else None


def require_complete_restore() -> None:
    """Keeps everybody but the restore itself away from half a state.

    Raises:
        StateError: If a restore was left unfinished.
    """
    if not _is_restoring.get() and (directory := unfinished_restore()):
        raise StateError(
            f"{Settings().home} is half restored: run `refit restore {directory}` again, which goes on, or delete it"
        )


def _marker_file() -> Path:
    return Settings().home / "restoring"
