"""Which flow runs live on this machine: each holds a lock file while it runs, and takes it away when it ends.

The operating system frees the lock of a process that dies. So a file that is there and not held names a run whose
process was killed, exactly, and at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from prefect.runtime import flow_run

from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.locks import is_held


@dataclass(frozen=True, slots=True)
class DeadRun:
    """A flow run whose process was killed on this machine."""

    id: str
    """Prefect's id of the flow run."""
    flow: str = ""
    """The flow's name; empty where the process was killed before it could write it."""
    project: str = ""
    started: str = ""
    """When it began, ISO 8601, UTC."""
    claimed: bool = False
    """Whether somebody has gone on with what it had decided."""


@contextmanager
def run_lock(flow: str, project: str) -> Iterator[str | None]:
    """Says on disk that the flow run is alive, for as long as the block lasts.

    Args:
        flow: The flow's name.
        project: The project's name.

    Yields:
        The flow run's id; `None` outside of a run, where nothing is written.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    run_id = flow_run.id
    if run_id is None:
        yield None
        return
    run, lock = DeadRun(str(run_id), flow, project, datetime.now(UTC).isoformat()), FileLock(_file(str(run_id)))
    with _exclusive_access():
        lock.acquire(timeout=0)
        _file(run.id).write_text(json.dumps(asdict(run)))
    try:
        yield run.id
    finally:
        with _exclusive_access():
            _file(run.id).unlink(missing_ok=True)
            lock.release()


def dead_runs(project: str | None = None) -> list[DeadRun]:
    """Lists the runs whose process died here.

    Args:
        project: Only this project's; all, if `None`.

    Returns:
        The runs, the oldest first.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    if not _directory().is_dir():
        return []
    with _exclusive_access():
        found = [_read(file) for file in _directory().glob("*.lock") if not is_held(file)]
    mine = [run for run in found if project is None or run.project in (project, "")]
    return sorted(mine, key=lambda run: (run.started, run.id))


def claim_dead_runs(project: str, ids: set[str]) -> set[str]:
    """Gives what dead runs had decided to one caller, once.

    Args:
        project: The project's name.
        ids: The runs in question.

    Returns:
        Those of them that are dead, and that nobody has claimed before.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    claimed = set()
    for run in dead_runs(project):
        if run.id not in ids or run.claimed:
            continue
        with _exclusive_access():
            file = _file(run.id)
            if file.exists() and not is_held(file) and not _read(file).claimed:
                file.write_text(json.dumps(asdict(replace(run, claimed=True))))
                claimed.add(run.id)
    return claimed


def remove_dead_run(run: DeadRun) -> None:
    """Takes away the file of a dead run, once all that it left is put right.

    Args:
        run: From `dead_runs`.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    with _exclusive_access():
        file = _file(run.id)
        if file.exists() and not is_held(file):
            file.unlink()


def _read(file: Path) -> DeadRun:
    with suppress(ValueError, TypeError):
        return DeadRun(**json.loads(file.read_text()))
    return DeadRun(file.stem)


@contextmanager
def _exclusive_access() -> Iterator[None]:
    """Lets one process at a time make, look at or remove these files: one that is being made is no dead run's."""
    directory = _directory()
    with translate_store_errors(str(directory), "REFIT_HOME"):
        open_home(Settings())
        directory.mkdir(exist_ok=True)
        with FileLock(directory / "alone"):
            yield


def _file(run_id: str) -> Path:
    return _directory() / f"{run_id}.lock"


def _directory() -> Path:
    return Settings().home / "runs"
