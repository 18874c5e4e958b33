"""The lock behind a turn: a file that says whose turn it is. The operating system frees it when its holder dies.

What a retrain leaves behind whose process was killed: a decision that nobody has carried out.
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


@contextmanager
def project_lock(project: str, seconds: float) -> Iterator[bool]:
    """Takes the project's lock on this machine.

    Args:
        project: The project's name.
        seconds: How long to wait for it.

    Yields:
        Whether it was free.

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
    """Tells whether a retrain of the project is running on this machine.

    Args:
        project: The project's name.

    Returns:
        Whether some process holds its turn.
    """
    return is_held(_lock_file(project))


def read_lock_owner(project: str) -> list[str]:
    """Reads whose turn it is, or was: a holder that ends well leaves nothing.

    Args:
        project: The project's name.

    Returns:
        The turn's name and the number of the decision, as far as the holder got.
    """
    file = lock_owner_file(project)
    return file.read_text().split() if file.exists() else []


def lock_owner_file(project: str) -> Path:
    """Names the file in which the holder of the turn writes.

    Args:
        project: The project's name.

    Returns:
        The file; the lock lies beside it.
    """
    return Settings().home / "turns" / project


def projects_with_locks() -> set[str]:
    """Names the projects whose turn somebody holds, or has left.

    Returns:
        Their names.
    """
    directory = lock_owner_file("any").parent
    return {file.name for file in directory.glob("*") if file.suffix != ".lock"}


def _lock_file(project: str) -> Path:
    return lock_owner_file(project).with_suffix(".lock")


log = logging.getLogger(__name__)


def claim_killed_retrain(definition: Project, as_of: datetime) -> tuple[Evidence, RecordedDecision] | None:
    """Finds the decision whose retrain was killed on this machine, and gives it to one caller, to go on with it.

    So it does where the monitor was killed that had decided, before it could start a retrain. What was killed twice is
    given to nobody: what kills every retrain should not be repeated for ever.

    Args:
        definition: The project.
        as_of: The instant looked from, UTC.

    Returns:
        What the decision rests on, seen from now, and the decision; `None` if there is no such retrain, or its champion
        serves no longer.

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
    with_project(log, definition.name).info("going on with decision %d, which was left behind by a kill", found.id)
    return replace(decided.evidence, as_of=as_of), RecordedDecision(found.id, decided.decision)


def _claim_unstarted(project: str) -> list[Attempt]:
    """Claims the retrains that a monitor had decided on when it was killed; the retrain itself leaves a turn."""
    generation = generation_of(current_champion(project))
    attempts = read_history(project, datetime.now(UTC)).attempts
    waiting = [one for one in attempts if one.ending is None and one.generation == generation and one.turn]
    claimed = claim_dead_runs(project, {str(one.turn) for one in waiting})
    return [one for one in waiting if one.turn in claimed]


def find_open_retrains(project: str) -> list[Attempt]:
    """Finds the retrains without an end that nobody alive is at; only who holds the project's turn may ask.

    Args:
        project: The project's name.

    Returns:
        Those that died with the turn, and those that a monitor had decided on which was killed.

    Raises:
        StateError: If the ledger cannot be read.
    """
    died = _find_retrains_of_owner(project, read_lock_owner(project))
    monitors = {run.id for run in dead_runs(project)}
    attempts = read_history(project, datetime.now(UTC)).attempts if monitors else ()
    return [*died, *(one for one in attempts if one.ending is None and one.turn in monitors and one not in died)]


def close_killed_retrain(project: str) -> list[Attempt]:
    """Records the end of the retrain whose process died with the turn; only who holds the turn now may.

    Args:
        project: The project's name.

    Returns:
        The retrain, if it died before the promotion.

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
    """Picks the retrains without an end that the dead holder of a turn was at."""
    attempts = read_history(project, datetime.now(UTC)).attempts if left else ()
    return [one for one in attempts if one.ending is None and (one.turn == left[0] or str(one.decision) in left[1:])]
