"""The decision: one pure function of evidence, policy and history. Every trigger goes through it.

From the ledger's entries to a history, and to a decision made again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from refit.monitoring.decisions import Decision, Ending, Finding
from refit.monitoring.evidence import Evidence
from refit.monitoring.guards import check_guards
from refit.monitoring.history import History
from refit.monitoring.triggers import TriggerResult, check_triggers
from refit.policies.monitoring import MonitoringPolicy
from refit.records.ledger import Entry, from_payload


def decide(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Decision:
    """Concludes what is to be done: `retrain`, `wait` or `alert`.

    All triggers that fire at once lead to one decision, under the name of the strongest that no guard holds back.

    Args:
        evidence: What is known.
        policy: The project's rules.
        history: What went before.

    Returns:
        The decision with a finding for each trigger and each guard, whether it fired or not.
    """
    asked = check_triggers(evidence, policy, history)
    fired = [one for one in asked if one.finding.fired]
    wanted = [] if _takes_back(fired, policy) else [one for one in fired if one.then == "retrain"]
    chosen, held = _freest(wanted, evidence, policy, history)
    findings = (*(one.finding for one in asked), *held)
    if chosen and not any(guard.fired for guard in held):
        return Decision("retrain", chosen.trigger, findings)
    alarmed = next((one for one in fired if one.then == "alert"), None)
    leading = alarmed or chosen
    return Decision("alert" if alarmed else "wait", leading.trigger if leading else None, findings)


def _takes_back(fired: list[TriggerResult], policy: MonitoringPolicy) -> bool:
    """A champion that is about to be rolled back is not retrained: the one that serves afterwards may be good."""
    return policy.watch is not None and policy.watch.rollback and any(one.trigger == "watch" for one in fired)


def _freest(
    wanted: list[TriggerResult], evidence: Evidence, policy: MonitoringPolicy, history: History
) -> tuple[TriggerResult | None, list[Finding]]:
    """Picks the first trigger that no guard holds back, else the first, with what the guards say of it."""
    tried = [(one, check_guards(one.trigger, evidence, policy, history)) for one in wanted]
    free = (pair for pair in tried if not any(guard.fired for guard in pair[1]))
    nothing = (None, check_guards(None, evidence, policy, history))
    return next(free, tried[0] if tried else nothing)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What an entry of the kind `decision` records."""

    evidence: Evidence
    policy: MonitoringPolicy
    history: History
    """What the decision rested on beside the evidence."""
    decision: Decision
    turn: str | None = None
    """The turn it was decided in, where one was taken first."""


@dataclass(frozen=True, slots=True)
class RetrainRecord:
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


def build_history(entries: Iterable[Entry], now: datetime | None = None) -> History:
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


def replay_decision(entry: Entry) -> Decision:
    """Decides again from what an entry holds.

    Args:
        entry: Of the kind `decision`.

    Returns:
        The decision, equal to the recorded one.
    """
    decided = from_payload(DecisionRecord, entry.payload)
    return decide(decided.evidence, decided.policy, decided.history)


def _moved_on(history: History, entry: Entry) -> History:
    if entry.kind == "decision":
        one = from_payload(DecisionRecord, entry.payload)
        return one.history.after(one.evidence, one.decision, one.policy, entry.id, one.turn)
    if entry.kind == "retrain":
        ended = from_payload(RetrainRecord, entry.payload)
        return history.finished(ended.ending, ended.minutes, ended.decision)
    return history
