"""The repair of what crashes leave behind (`refit doctor`), with that of flow runs, their locks and decisions.

It never touches what a running process or a registered version needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from refit.monitoring.decide import RetrainRecord
from refit.monitoring.decisions import Attempt
from refit.results.maintenance import Finding
from refit_tasks.decision.decide import record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.decision.lock import (
    close_killed_retrain,
    find_open_retrains,
    lock_owner_file,
    project_lock,
    projects_with_locks,
    read_lock_owner,
)
from refit_tasks.ledger.record import known_projects
from refit_tasks.maintenance.doctor_models import repair_models
from refit_tasks.maintenance.doctor_tables import repair_drafts, repair_staging, repair_tables
from refit_tasks.maintenance.erasure_records import find_unfinished
from refit_tasks.maintenance.lock import removal_lock
from refit_tasks.registry.mlflow_client import list_mlflow_projects
from refit_tasks.runs.liveness import DeadRun, dead_runs, remove_dead_run

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


log = logging.getLogger(__name__)


@removal_lock()
def repair_state(project: str | None = None, *, dry_run: bool = False) -> list[Finding]:
    """Repairs what crashes have left in Refit's state; a second repair finds nothing.

    Args:
        project: Only this project; all, if `None`.
        dry_run: Whether to find only, and change nothing.

    Returns:
        What was found, in the order in which it was put right.

    Raises:
        StateError: If some state cannot be read or written, or a backup is under way.
    """
    found = []
    for finding in _repair_all(project, dry_run):
        log.info("%s", finding.sentence)
        found.append(finding)
    return found


def _repair_all(project: str | None, dry_run: bool) -> Iterator[Finding]:
    yield from repair_drafts(dry_run)
    yield from repair_staging(dry_run)
    quiet: set[str] = set()
    for name in [project] if project else sorted(known_projects() | list_mlflow_projects() | projects_with_locks()):
        # The retrain lock is held meanwhile, so that no training starts; a running one is left alone.
        with project_lock(name, seconds=0) as free:
            if free:
                quiet.add(name)
                yield from repair_retrain_lock(name, dry_run)
                yield from repair_models(name, dry_run)
    yield from repair_tables(project, dry_run)
    yield from find_unfinished(project)
    # Last, since the lock files of dead runs tell the other repairs who is dead.
    yield from repair_runs(project, quiet, dry_run)


KILLED = "its process was killed on the machine where it ran"


def repair_retrain_lock(project: str, dry_run: bool) -> Iterator[Finding]:
    """Closes retrains and decisions whose process was killed. The caller must hold the project's retrain lock.

    Args:
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If the ledger cannot be read or written.
    """
    dead, file = find_open_retrains(project), lock_owner_file(project)
    for attempt in dead:
        sentence = f"decision {attempt.decision} of {project} was left open by a killed process: recorded as ended"
        yield Finding("decision", f"{project} {attempt.decision}", "recorded", sentence)
    if read_lock_owner(project):
        yield Finding(
            "turn", project, "removed", f"a killed retrain of {project} left its lock owner file {file}: removed"
        )
    if not dry_run:
        close_killed_retrain(project)
        for attempt in _find_still_open(project, dead):
            ended = RetrainRecord(attempt.decision, "failed", 0.0, error="the monitor that decided on it was killed")
            record_outcome(project, ended, datetime.now(UTC))


def _find_still_open(project: str, dead: list[Attempt]) -> list[Attempt]:
    still_open = {one.decision for one in read_history(project, datetime.now(UTC)).attempts if one.ending is None}
    return [one for one in dead if one.decision in still_open]


def repair_runs(project: str | None, quiet: set[str], dry_run: bool) -> Iterator[Finding]:
    """Says of killed runs in Prefect that they crashed, which frees their concurrency slots.

    Prefect is asked only where a lock file was left, since without a server one has to be started for it.

    Args:
        project: Only this project's; all, if `None`.
        quiet: The projects whose decisions have been put right; what died in others is left for another time.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If a lock file cannot be removed.
    """
    from prefect.client.orchestration import get_client

    with ExitStack() as stack:
        dead = [run for run in dead_runs(project) if run.project in {*quiet, ""}]
        client = stack.enter_context(get_client(sync_client=True)) if dead else None
        for run in dead:
            crashed = client is not None and _mark_crashed(client, run, dry_run)
            if not dry_run:
                remove_dead_run(run)
            what = f"the run {run.id} ({run.flow or 'a flow'} of {run.project or 'some project'})"
            told = "marked Crashed in Prefect, and its" if crashed else "its"
            yield Finding("run", run.id, "crashed" if crashed else "removed", f"{what} was killed: {told} lock removed")


def mark_killed_runs(marked: set[str] | None = None) -> list[DeadRun]:
    """Says in Prefect of runs that were killed on this machine that they crashed; all else is left to who comes next.

    Args:
        marked: The ids of runs that were looked at before; they are passed over, and the new ones are added. Whoever
            looks only once has none.

    Returns:
        The runs of which that was said.
    """
    from prefect.client.orchestration import get_client

    marked = set() if marked is None else marked
    dead = [run for run in dead_runs() if run.id not in marked]
    if not dead:
        return []
    with get_client(sync_client=True) as client:
        told = [run for run in dead if _mark_crashed(client, run, dry_run=False)]
    marked.update(run.id for run in dead)
    return told


def _mark_crashed(client: SyncPrefectClient, run: DeadRun, dry_run: bool) -> bool:
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    try:
        known = client.read_flow_run(UUID(run.id))
    except (ObjectNotFound, ValueError):
        return False
    if known.state is None or known.state.is_final() or known.state.is_scheduled():
        return False
    if not dry_run:
        _mark_tasks_crashed(client, known.id)
        client.set_flow_run_state(known.id, Crashed(message=KILLED), force=True)
    return True


def _mark_tasks_crashed(client: SyncPrefectClient, run_id: UUID) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
    for task in tasks:
        if task.state and not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=KILLED), force=True)
