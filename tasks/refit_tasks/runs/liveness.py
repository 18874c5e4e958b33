"""Liveness of flow runs on this machine: each run holds a lock file, and removes it when it ends.

The operating system releases the lock of a process that dies, so a lock file that is not held belongs to a killed run.
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
    """The flow's name; empty if the process was killed before it wrote the name."""
    project: str = ""
    started: str = ""
    """When the run started, UTC, in ISO 8601."""
    claimed: bool = False
    """Whether another run has resumed its decision."""


@contextmanager
def run_lock(flow: str, project: str) -> Iterator[str | None]:
    """Holds the lock file of the current flow run for the duration of the block.

    Args:
        flow: The flow's name.
        project: The project's name.

    Yields:
        The flow run's id; `None` outside a flow run, where nothing is written.

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
    """Lists the flow runs whose process was killed on this machine.

    Args:
        project: The project's name; `None` for all projects.

    Returns:
        The runs, oldest first.

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
    """Claims dead runs, so that one caller resumes what they had decided.

    Args:
        project: The project's name.
        ids: The ids of the runs to claim.

    Returns:
        The ids of those that are dead and were not claimed before.

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
    """Removes the lock file of a dead run, after all that it left behind is repaired.

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
    """Lets one process at a time create, read or remove lock files: a new file must not be taken for a dead run's."""
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
