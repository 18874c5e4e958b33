"""Admission of retrains: one at a time per project and machine, each by a recorded decision.

The retrain slot is a file lock, which the operating system releases when its holder dies. So the retrain of a killed
holder is closed at once, and no one waits for it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prefect.runtime import deployment

from refit.errors import DataError, RetrainRefused, describe_error
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.decisions import Decision, Ending
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.monitoring.label_maturity import window_length
from refit.project import Project
from refit.records.references import Champion
from refit.results.flows import RetrainOutcome
from refit.windows import Window
from refit_tasks.decision.decide import RecordedDecision, decide_and_record, record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.decision.lock import close_killed_retrain, lock_owner_file, project_lock
from refit_tasks.ledger.generations import current_champion, generation_of


def require_open_decision(project: str, decision: int, champion: Champion | None) -> int:
    """Requires that a ledger entry is a decision to retrain the current champion that was not carried out yet.

    A decision about a former champion is recorded as refused: nothing was fitted for it, so it uses no budget.

    Args:
        project: The project's name.
        decision: The ledger entry of the decision.
        champion: The current champion, if any.

    Returns:
        The same ledger entry.

    Raises:
        RetrainRefused: If the entry is not such a decision.
    """
    attempts = read_history(project, datetime.now(UTC)).attempts
    attempt = next((one for one in reversed(attempts) if one.decision == decision), None)
    if attempt is None:
        why = f"ledger entry {decision} is not an open decision to retrain {project}"
    elif attempt.ending in ("promoted", "pending", "rejected"):
        why = f"decision {decision} of {project} was already carried out: its challenger was {attempt.ending}"
    elif attempt.generation != generation_of(champion):
        why = (
            f"decision {decision} of {project} was about champion generation {attempt.generation}, not the one serving"
        )
        if attempt.ending is None:
            record_outcome(project, RetrainRecord(decision, "refused", 0.0, error=why), datetime.now(UTC))
    else:
        return decision
    raise RetrainRefused(f"{why}: omit the decision to request a retrain of your own")


def admit_request(
    definition: Project, request: RetrainRequest, as_of: datetime, token: str, champion: Champion | None
) -> int:
    """Decides on a retrain that a person or an event requested, and records the decision.

    Args:
        definition: The project.
        request: The requester and the reason.
        as_of: The time as of which the retrain sees the data, UTC.
        token: The token of the retrain slot.
        champion: The current champion, if any.

    Returns:
        The ledger entry of the decision to carry out.

    Raises:
        RetrainRefused: If the decision is to wait.
    """
    recorded: RecordedDecision = decide_and_record.fn(
        definition, _build_request_evidence(definition, request, as_of, champion), datetime.now(UTC), token
    )
    if recorded.decision.action != "retrain":
        if (left := _find_postponed_decision(definition, recorded, champion)) is not None:
            return left
        held = [one.sentence for one in recorded.decision.findings[-4:] if one.fired]
        raise RetrainRefused(
            f"a retrain of {definition.name} is held back, since {'; '.join(held)} (decision {recorded.id}): "
            f"{_suggest_fix(recorded.decision)}"
        )
    return recorded.id


def _find_postponed_decision(definition: Project, recorded: RecordedDecision, champion: Champion | None) -> int | None:
    """Finds an open decision whose retrain this run has kept from starting, to carry it out in this run.

    A deployment with `when_busy="refuse"` runs one retrain at a time, so the retrain that was decided on meanwhile was
    cancelled. If it runs nevertheless, it finds its decision carried out.
    """
    if (
        not deployment.id
        or definition.deployment.when_busy != "refuse"
        or not _has_fired(recorded.decision, "under_way")
    ):
        return None
    waiting = [one for one in read_history(definition.name, datetime.now(UTC)).attempts if one.ending is None]
    return require_open_decision(definition.name, waiting[-1].decision, champion) if waiting else None


def _has_fired(decision: Decision, check: str) -> bool:
    return any(one.check == check and one.fired for one in decision.findings)


def _suggest_fix(decision: Decision) -> str:
    """Names the fix: `--force` passes the budget, but not a retrain that is under way."""
    return (
        "wait until it has ended"
        if _has_fired(decision, "under_way")
        else "wait, or add --force to pass over the budget"
    )


def _build_request_evidence(
    definition: Project, request: RetrainRequest, as_of: datetime, champion: Champion | None
) -> Evidence:
    """Builds evidence that holds a request and no measurement."""
    length = window_length(definition.monitoring.window, champion.model.trained_on.window if champion else None)
    return Evidence(
        project=definition.name,
        as_of=as_of,
        generation=generation_of(champion),
        window=Window(as_of - length, as_of),
        length=length,
        rows=0,
        table_version=-1,
        trained_until=champion.model.trained_on.window.end if champion else None,
        new_rows=0,
        mature_until=None,
        request=request,
    )


REQUEST_WAIT_SECONDS = 1.0
"""How long a requested retrain waits for the slot; a check of the lock by another process takes less."""
DECISION_WAIT_SECONDS = 60.0
"""How long a decided retrain waits for the slot, which a request holds until it is refused."""


@dataclass(slots=True)
class RetrainSlot:
    """The right to run one retrain of a project; the outcome is recorded when the slot is released."""

    project: str
    decision: int
    """The ledger entry that allowed it."""
    champion: Champion | None
    """The ledger's champion when the slot was acquired."""
    begun: float = field(default_factory=time.monotonic)
    outcome: RetrainOutcome | None = None
    """The outcome of the retrain, set by the flow."""


@contextmanager
def retrain_slot(
    definition: Project, request: RetrainRequest, as_of: datetime, decision: int | None = None
) -> Iterator[RetrainSlot]:
    """Holds the retrain slot of a project if a decision allows the retrain, and records its outcome or failure.

    Args:
        definition: The project.
        request: The requester and the reason, for a retrain that no decision started.
        as_of: The time as of which the retrain sees the data, UTC.
        decision: The ledger entry of the decision that started the retrain, if any.

    Yields:
        The slot.

    Raises:
        RetrainRefused: If another retrain is under way, the budget is used up, or the decision is not open.
        StateError: If the ledger or the lock cannot be used.
    """
    with acquire_slot(definition.name, REQUEST_WAIT_SECONDS if decision is None else DECISION_WAIT_SECONDS) as token:
        if token is None:
            raise RetrainRefused(
                f"a retrain of {definition.name} is under way on this machine: wait until it has ended"
            )
        champion = current_champion(definition.name)
        number = (
            require_open_decision(definition.name, decision, champion)
            if decision
            else admit_request(definition, request, as_of, token, champion)
        )
        lock_owner_file(definition.name).write_text(f"{token} {number}")
        turn = RetrainSlot(definition.name, number, champion)
        try:
            yield turn
        except BaseException as error:
            _record_end(turn, _build_failure_record(turn, error))
            raise
        _record_end(turn, _build_outcome_record(turn))


@contextmanager
def acquire_slot(project: str, seconds: float) -> Iterator[str | None]:
    """Acquires the project's retrain lock on this machine.

    If the previous holder was killed, its retrain is first recorded as failed.

    Args:
        project: The project's name.
        seconds: How long to wait for another holder.

    Yields:
        The token of the slot; `None` if another process holds the lock.

    Raises:
        StateError: If the lock cannot be used.
    """
    with project_lock(project, seconds) as free:
        if not free:
            yield None
            return
        file, token = lock_owner_file(project), uuid.uuid4().hex
        close_killed_retrain(project)
        file.write_text(token)
        try:
            yield token
        except RetrainRefused:
            file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def _record_end(turn: RetrainSlot, ended: RetrainRecord) -> None:
    """Records how a retrain ended. If the ledger cannot be written, the owner file stays, as after a kill.

    The next holder finds the file and records the end; otherwise the decision would count as under way for hours.
    """
    record_outcome(turn.project, ended, datetime.now(UTC))
    lock_owner_file(turn.project).unlink(missing_ok=True)


def _build_outcome_record(turn: RetrainSlot) -> RetrainRecord:
    done = turn.outcome
    if done is None:
        return _build_failure_record(turn, RuntimeError("it ended without an outcome"))
    challenger = done.challenger
    return RetrainRecord(turn.decision, done.ending, _elapsed_minutes(turn), challenger.version, challenger.verdict_id)


def _build_failure_record(turn: RetrainSlot, error: BaseException) -> RetrainRecord:
    ending: Ending = "refused" if isinstance(error, DataError) else "failed"
    return RetrainRecord(turn.decision, ending, _elapsed_minutes(turn), error=describe_error(error))


def _elapsed_minutes(turn: RetrainSlot) -> float:
    return (time.monotonic() - turn.begun) / 60
