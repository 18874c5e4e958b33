"""The retrain lock of a project on this machine, and the recovery of retrains whose process was killed.

The operating system releases the lock when its holder dies. A file beside it names the holder and its decision.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from refit.monitoring.decide import DecisionRecord, RetrainRecord
from refit.monitoring.decisions import Attempt
from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.ledger import from_payload
from refit_infra.settings import Settings
from refit_tasks.decision.decide import RecordedDecision, record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.generations import current_champion, generation_of
from refit_tasks.ledger.record import entry
from refit_tasks.locks import is_held, try_lock
from refit_tasks.project_log import with_project
from refit_tasks.runs.liveness import claim_dead_runs, dead_runs

log = logging.getLogger(__name__)


@contextmanager
def project_lock(project: str, seconds: float) -> Iterator[bool]:
    """Tries to hold the project's retrain lock on this machine.

    Args:
        project: The project's name.
        seconds: How long to wait for the lock.

    Yields:
        Whether the lock is held.

    Raises:
        StateError: If the lock cannot be used.
    """
    file = lock_owner_file(project)
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        file.parent.mkdir(exist_ok=True)
    with try_lock(_lock_file(project), seconds) as free:
        yield free


def is_retrain_running(project: str) -> bool:
    """Checks whether a retrain of the project is running on this machine.

    Args:
        project: The project's name.

    Returns:
        Whether a process holds the retrain lock.
    """
    return is_held(_lock_file(project))


def read_lock_owner(project: str) -> list[str]:
    """Reads the owner of the retrain lock; a holder that was killed is still named.

    Args:
        project: The project's name.

    Returns:
        The slot's token and the decision's ledger entry, as far as they were written; empty without an owner.
    """
    file = lock_owner_file(project)
    return file.read_text().split() if file.exists() else []


def lock_owner_file(project: str) -> Path:
    """Gives the path of the file that names the holder of the retrain lock.

    Args:
        project: The project's name.

    Returns:
        The path; the lock file is beside it.
    """
    return Settings().home / "turns" / project


def projects_with_locks() -> set[str]:
    """Lists the projects whose retrain lock has an owner, alive or killed.

    Returns:
        Their names.
    """
    directory = lock_owner_file("any").parent
    return {file.name for file in directory.glob("*") if file.suffix != ".lock"}


def _lock_file(project: str) -> Path:
    return lock_owner_file(project).with_suffix(".lock")


def claim_killed_retrain(definition: Project, as_of: datetime) -> tuple[Evidence, RecordedDecision] | None:
    """Claims the decision whose retrain was killed on this machine, so that one caller resumes it.

    The same holds for a decision whose monitor was killed before it could start the retrain. Each decision is resumed
    once, so that a retrain that kills its process is not repeated forever.

    Args:
        definition: The project.
        as_of: The time as of which the data is seen, UTC.

    Returns:
        The evidence as of now and the decision; `None` if no retrain was killed, or its champion was replaced.

    Raises:
        StateError: If the ledger cannot be read or written, or the lock cannot be used.
    """
    if not read_lock_owner(definition.name) and not dead_runs(definition.name):
        return None
    with project_lock(definition.name, seconds=0) as free:
        left = (close_killed_retrain(definition.name) or _claim_unstarted(definition.name)) if free else []
    found = entry(left[-1].decision) if left else None
    if found is None:
        return None
    decided = from_payload(DecisionRecord, found.payload)
    with_project(log, definition.name).info("resuming decision %d, whose process was killed", found.id)
    return replace(decided.evidence, as_of=as_of), RecordedDecision(found.id, decided.decision)


def _claim_unstarted(project: str) -> list[Attempt]:
    """Claims the decisions of a monitor that was killed before it started the retrain."""
    generation = generation_of(current_champion(project))
    attempts = read_history(project, datetime.now(UTC)).attempts
    waiting = [one for one in attempts if one.ending is None and one.generation == generation and one.turn]
    claimed = claim_dead_runs(project, {str(one.turn) for one in waiting})
    return [one for one in waiting if one.turn in claimed]


def find_open_retrains(project: str) -> list[Attempt]:
    """Finds the retrains that have no recorded end and whose process is dead. The caller must hold the retrain lock.

    Args:
        project: The project's name.

    Returns:
        The retrains of a killed lock owner, and those that a killed monitor had decided on.

    Raises:
        StateError: If the ledger cannot be read.
    """
    died = _find_retrains_of_owner(project, read_lock_owner(project))
    monitors = {run.id for run in dead_runs(project)}
    attempts = read_history(project, datetime.now(UTC)).attempts if monitors else ()
    return [*died, *(one for one in attempts if one.ending is None and one.turn in monitors and one not in died)]


def close_killed_retrain(project: str) -> list[Attempt]:
    """Records the end of the retrain of a killed lock owner. The caller must hold the retrain lock.

    Args:
        project: The project's name.

    Returns:
        The retrain, if it was killed before the promotion.

    Raises:
        StateError: If the ledger cannot be read or written.
    """
    dead = _find_retrains_of_owner(project, read_lock_owner(project))
    generation = generation_of(current_champion(project)) if dead else 0
    failed = [one for one in dead if one.generation == generation]
    for one in dead:
        ended = RetrainRecord(
            one.decision, "failed" if one in failed else "promoted", 0.0, error="its process was killed"
        )
        record_outcome(project, ended, datetime.now(UTC))
        with_project(log, project).info("the retrain of decision %d was killed", one.decision)
    lock_owner_file(project).unlink(missing_ok=True)
    return failed


def _find_retrains_of_owner(project: str, left: list[str]) -> list[Attempt]:
    """Finds the retrains without a recorded end that belong to a lock owner."""
    attempts = read_history(project, datetime.now(UTC)).attempts if left else ()
    return [one for one in attempts if one.ending is None and (one.turn == left[0] or str(one.decision) in left[1:])]
