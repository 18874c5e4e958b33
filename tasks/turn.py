"""One retrain of a project at a time on this machine, and every retrain by a decision on record.

The turn is a file lock: the operating system frees it when its holder dies, so what a dead holder left is known to be
dead and never waited for.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from refit.errors import DataError, RefitError, RetrainRefused
from refit.ledger import Entry
from refit.monitoring.attempts import Attempt, Ending
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence, Request
from refit.monitoring.replay import Retrained
from refit.monitoring.spans import window_length
from refit.outcomes import RetrainOutcome
from refit.project import Project
from refit.windows import Window
from tasks.champion import current_champion
from tasks.decision import RecordedDecision, read_history, record_outcome, settle_decision
from tasks.ledger import entry
from tasks.turn_lock import holding, is_taken, turn_file, written_by_holder

log = logging.getLogger(__name__)


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
        RetrainRefused: If another retrain is under way, or the budget is used up.
        StateError: If the ledger or the lock cannot be used.
    """
    with taking_turn(definition.name) as token:
        if token is None:
            raise RetrainRefused(
                f"a retrain of {definition.name} is under way on this machine: wait until it has ended"
            )
        number = decision or _allowed(definition, request, as_of, token)
        turn_file(definition.name).write_text(f"{token} {number}")
        turn = Turn(definition.name, number)
        try:
            yield turn
        except BaseException as error:
            record_outcome(definition.name, _failed(turn, error), datetime.now(UTC))
            raise
        record_outcome(definition.name, _ended(turn), datetime.now(UTC))


@contextmanager
def taking_turn(project: str) -> Iterator[str | None]:
    """Takes the project's turn on this machine, and records the death of a holder that left without a word.

    Args:
        project: The project's name.

    Yields:
        A name for the turn, or `None` where another process holds it.

    Raises:
        StateError: If the lock cannot be used.
    """
    with holding(project) as free:
        if not free:
            yield None
            return
        file, token = turn_file(project), uuid.uuid4().hex
        try:
            _bury(project)
            file.write_text(token)
            yield token
        finally:
            file.unlink(missing_ok=True)


def find_left_behind(project: str) -> Entry | None:
    """Finds the decision whose retrain was killed on this machine, so that it can be gone on with.

    One whose retrain was killed twice is not found again: what kills every retrain should not be repeated for ever.

    Args:
        project: The project's name.

    Returns:
        The decision's ledger entry, or `None` if there is no such retrain, or its champion serves no longer.

    Raises:
        StateError: If the ledger cannot be read.
    """
    left = written_by_holder(project)
    if not left or is_taken(project):
        return None
    serving = current_champion(project)
    generation = serving.generation if serving else 0
    dead = [one for one in _died_with(project, left) if one.generation == generation]
    return entry(dead[-1].decision) if dead else None


def _allowed(definition: Project, request: Request, as_of: datetime, token: str) -> int:
    recorded: RecordedDecision = settle_decision.fn(
        definition, _bare_evidence(definition, request, as_of), datetime.now(UTC), token
    )
    if recorded.decision.action != "retrain":
        held = [one.sentence for one in recorded.decision.findings[-4:] if one.fired]
        raise RetrainRefused(
            f"a retrain of {definition.name} is held back, since {'; '.join(held)} (decision {recorded.id}): "
            f"{_way_out(recorded.decision)}"
        )
    return recorded.id


def _way_out(decision: Decision) -> str:
    """Names what helps a person: force passes the budget, and nothing passes a retrain that is under way."""
    fired = {one.check for one in decision.findings if one.fired}
    return "wait until it has ended" if "under_way" in fired else "wait, or add --force to pass over the budget"


def _bare_evidence(definition: Project, request: Request, as_of: datetime) -> Evidence:
    """What is known where nothing was measured: somebody asks."""
    champion = current_champion(definition.name)
    length = window_length(definition.monitoring.window, champion.model.trained_on.window if champion else None)
    return Evidence(
        project=definition.name,
        as_of=as_of,
        generation=champion.generation if champion else 0,
        window=Window(as_of - length, as_of),
        length=length,
        rows=0,
        table_version=-1,
        trained_until=champion.model.trained_on.window.end if champion else None,
        new_rows=0,
        mature_until=None,
        request=request,
    )


def _bury(project: str) -> None:
    """Records the end of the retrain whose process died with the turn."""
    serving = current_champion(project)
    for one in _died_with(project, written_by_holder(project)):
        promoted = serving is not None and serving.generation > one.generation
        ended = Retrained(one.decision, "promoted" if promoted else "failed", 0.0, error="its process was killed")
        record_outcome(project, ended, datetime.now(UTC))
        log.info("%s: the retrain of decision %d was killed", project, one.decision)


def _died_with(project: str, left: list[str]) -> list[Attempt]:
    """Picks the retrains without an end that the dead holder of a turn was at."""
    attempts = read_history(project, datetime.now(UTC)).attempts if left else ()
    return [one for one in attempts if one.ending is None and (one.turn == left[0] or str(one.decision) in left[1:])]


def _ended(turn: Turn) -> Retrained:
    done = turn.outcome
    if done is None:
        return _failed(turn, RuntimeError("it ended without an outcome"))
    challenger = done.challenger
    ending: Ending = "promoted" if done.promotion else "rejected"
    return Retrained(turn.decision, ending, _minutes(turn), challenger.version, challenger.verdict_id)


def _failed(turn: Turn, error: BaseException) -> Retrained:
    spoken = str(error) if isinstance(error, RefitError) else f"{type(error).__name__}: {error}"
    ending: Ending = "refused" if isinstance(error, DataError) else "failed"
    return Retrained(turn.decision, ending, _minutes(turn), error=" ".join(spoken.split())[:500])


def _minutes(turn: Turn) -> float:
    return (time.monotonic() - turn.begun) / 60
