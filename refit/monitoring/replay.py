"""From the ledger's entries to a history, and to a decision made again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from refit.monitoring.attempts import Ending
from refit.monitoring.decide import decide
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence
from refit.monitoring.history import History
from refit.policies.monitoring import MonitoringPolicy
from refit.records.ledger import Entry, from_payload


@dataclass(frozen=True, slots=True)
class Decided:
    """What an entry of the kind `decision` records."""

    evidence: Evidence
    policy: MonitoringPolicy
    history: History
    """What the decision rested on beside the evidence."""
    decision: Decision
    turn: str | None = None
    """The turn it was decided in, where one was taken first."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """What an entry of the kind `retrain` records: how a retrain that was decided on has ended."""

    decision: int
    """The decision's ledger entry."""
    ending: Ending
    minutes: float
    version: int | None = None
    """The challenger's."""
    verdict: int | None = None
    """The ledger entry of its verdict."""
    error: str | None = None
    """Why it failed or found nothing to train on, in one sentence."""


def history_of(entries: Iterable[Entry], now: datetime | None = None) -> History:
    """Makes the history for the next decision.

    Args:
        entries: One project's decisions and retrains, oldest first. It is enough to begin with the newest decision.
        now: The clock, UTC.

    Returns:
        The history, from the newest decision's own and what came after it.
    """
    history = History()
    for entry in entries:
        history = _moved_on(history, entry)
    return replace(history, now=now)


def again(entry: Entry) -> Decision:
    """Decides again from what an entry holds.

    Args:
        entry: Of the kind `decision`.

    Returns:
        The decision, equal to the recorded one.
    """
    decided = from_payload(Decided, entry.payload)
    return decide(decided.evidence, decided.policy, decided.history)


def _moved_on(history: History, entry: Entry) -> History:
    if entry.kind == "decision":
        one = from_payload(Decided, entry.payload)
        return one.history.after(one.evidence, one.decision, one.policy, entry.id, one.turn)
    if entry.kind == "retrain":
        ended = from_payload(Retrained, entry.payload)
        return history.finished(ended.ending, ended.minutes, ended.decision)
    return history
