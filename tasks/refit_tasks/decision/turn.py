"""One retrain of a project at a time on this machine, and every retrain by a decision on record.

The turn is a file lock: the operating system frees it when its holder dies, so what a dead holder left is known to be
dead and never waited for.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from refit.errors import DataError, RefitError, RetrainRefused
from refit.monitoring.attempts import Ending
from refit.monitoring.evidence import Request
from refit.monitoring.replay import Retrained
from refit.project import Project
from refit.results.flows import RetrainOutcome
from refit_tasks.decision.admission import allowed, still_open
from refit_tasks.decision.decide import record_outcome
from refit_tasks.decision.left_behind import bury
from refit_tasks.decision.lock import holding, turn_file

A_LOOK_SECONDS = 1.0
"""A lock that is only looked at is free again sooner."""
A_REFUSAL_SECONDS = 60.0
"""So long a decided retrain waits for the turn: others may hold it until the arbiter has refused them."""


@dataclass(slots=True)
class Turn:
    """A retrain that may run now; its outcome is recorded when the turn ends."""

    project: str
    decision: int
    """The ledger entry that allowed it."""
    begun: float = field(default_factory=time.monotonic)
    outcome: RetrainOutcome | None = None
    """What the flow did; the flow sets it when it is done."""


@contextmanager
def ask_for_turn(definition: Project, request: Request, as_of: datetime, decision: int | None = None) -> Iterator[Turn]:
    """Lets a retrain run if the arbiter allows it, and records how it ended, also when it fails.

    Args:
        definition: The project.
        request: Who asks, and why; for a retrain that no decision has started.
        as_of: The instant the retrain looks from, UTC.
        decision: The ledger entry of the decision that started it, if one did.

    Yields:
        The turn.

    Raises:
        RetrainRefused: If another retrain is under way, the budget is used up, or the decision is not open.
        StateError: If the ledger or the lock cannot be used.
    """
    with taking_turn(definition.name, A_LOOK_SECONDS if decision is None else A_REFUSAL_SECONDS) as token:
        if token is None:
            raise RetrainRefused(
                f"a retrain of {definition.name} is under way on this machine: wait until it has ended"
            )
        number = still_open(definition.name, decision) if decision else allowed(definition, request, as_of, token)
        turn_file(definition.name).write_text(f"{token} {number}")
        turn = Turn(definition.name, number)
        try:
            yield turn
        except BaseException as error:
            _end(turn, _failed(turn, error))
            raise
        _end(turn, _ended(turn))


@contextmanager
def taking_turn(project: str, seconds: float) -> Iterator[str | None]:
    """Takes the project's turn on this machine, and records the death of a holder that left without a word.

    What a holder that fails has begun is recorded by itself; a fault before that leaves its file for the next one.

    Args:
        project: The project's name.
        seconds: How long to wait for another process that holds it.

    Yields:
        A name for the turn, or `None` where another process holds it.

    Raises:
        StateError: If the lock cannot be used.
    """
    with holding(project, seconds) as free:
        if not free:
            yield None
            return
        file, token = turn_file(project), uuid.uuid4().hex
        bury(project)
        file.write_text(token)
        try:
            yield token
        except RetrainRefused:
            file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def _end(turn: Turn, ended: Retrained) -> None:
    """Records how a retrain ended. Where the ledger cannot be written, the turn's file stays, as after a kill.

    Whoever comes next finds it and records the end; without it the decision would count as under way for hours.
    """
    record_outcome(turn.project, ended, datetime.now(UTC))
    turn_file(turn.project).unlink(missing_ok=True)


def _ended(turn: Turn) -> Retrained:
    done = turn.outcome
    if done is None:
        return _failed(turn, RuntimeError("it ended without an outcome"))
    challenger = done.challenger
    ending: Ending = "promoted" if done.promotion else "pending" if done.pending else "rejected"
    return Retrained(turn.decision, ending, _minutes(turn), challenger.version, challenger.verdict_id)


def _failed(turn: Turn, error: BaseException) -> Retrained:
    spoken = str(error) if isinstance(error, RefitError) else f"{type(error).__name__}: {error}"
    ending: Ending = "refused" if isinstance(error, DataError) else "failed"
    return Retrained(turn.decision, ending, _minutes(turn), error=" ".join(spoken.split())[:500])


def _minutes(turn: Turn) -> float:
    return (time.monotonic() - turn.begun) / 60
