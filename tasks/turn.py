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
from pathlib import Path

from filelock import FileLock, Timeout

from infra.settings import Settings
from refit.errors import DataError, RefitError, RetrainRefused
from refit.monitoring.attempts import Ending
from refit.monitoring.evidence import Evidence, Request
from refit.monitoring.replay import Retrained
from refit.monitoring.spans import window_length
from refit.outcomes import RetrainOutcome
from refit.project import Project
from refit.windows import Window
from tasks.champion import current_champion
from tasks.decision import RecordedDecision, read_history, record_outcome, settle_decision
from tasks.state_errors import naming_the_fix, open_home

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
        _turn_file(definition.name).write_text(f"{token} {number}")
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
    file = _turn_file(project)
    with naming_the_fix(str(file), "REFIT_HOME"):
        open_home(Settings())
        file.parent.mkdir(exist_ok=True)
    lock = FileLock(file.with_suffix(".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield None
        return
    try:
        _bury(project, file)
        token = uuid.uuid4().hex
        file.write_text(token)
        yield token
    finally:
        file.unlink(missing_ok=True)
        lock.release()


def is_taken(project: str) -> bool:
    """Tells whether a retrain of the project is running on this machine.

    Args:
        project: The project's name.

    Returns:
        Whether some process holds its turn.
    """
    lock = FileLock(_turn_file(project).with_suffix(".lock"), timeout=0)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock:
            return False
    except Timeout:
        return True


def _allowed(definition: Project, request: Request, as_of: datetime, token: str) -> int:
    recorded: RecordedDecision = settle_decision.fn(
        definition, _bare_evidence(definition, request, as_of), datetime.now(UTC), token
    )
    if recorded.decision.action != "retrain":
        held = [one.sentence for one in recorded.decision.findings[-4:] if one.fired]
        raise RetrainRefused(
            f"a retrain of {definition.name} is held back, since {'; '.join(held)} (decision {recorded.id}): wait, or "
            f"add --force to pass over the budget"
        )
    return recorded.id


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


def _bury(project: str, file: Path) -> None:
    """Records the end of the retrain whose process died with the turn."""
    left = file.read_text().split() if file.exists() else []
    serving = current_champion(project)
    for one in read_history(project, datetime.now(UTC)).attempts if left else ():
        if one.ending is None and (one.turn == left[0] or str(one.decision) in left[1:]):
            promoted = serving is not None and serving.generation > one.generation
            ended = Retrained(one.decision, "promoted" if promoted else "failed", 0.0, error="its process was killed")
            record_outcome(project, ended, datetime.now(UTC))
            log.info("%s: the retrain of decision %d was killed", project, one.decision)


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


def _turn_file(project: str) -> Path:
    return Settings().home / "turns" / project
