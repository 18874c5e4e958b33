"""The decision as a pure function of evidence, policy and history, and its records in the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from refit.monitoring.decisions import Decision, Ending, Finding
from refit.monitoring.evidence import Evidence
from refit.monitoring.guards import check_guards
from refit.monitoring.history import History
from refit.policies.monitoring import MonitoringPolicy
from refit.records.ledger import Entry, from_payload

if TYPE_CHECKING:
    from refit.monitoring.triggers import TriggerResult


def decide(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Decision:
    """Decides whether to retrain, to wait or to alert.

    All triggers that fire together lead to one decision, named after the strongest one that no guard holds back.

    Args:
        evidence: The evidence at one moment.
        policy: The project's rules.
        history: The decisions and retrains before.

    Returns:
        The decision, with a finding for each trigger and each guard.
    """
    from refit.monitoring.triggers import check_triggers

    results = check_triggers(evidence, policy, history)
    fired = [one for one in results if one.finding.fired]
    retrains = [] if _will_roll_back(fired, policy) else [one for one in fired if one.then == "retrain"]
    chosen, guards = _first_allowed(retrains, evidence, policy, history)
    findings = (*(one.finding for one in results), *guards)
    if chosen and not any(guard.fired for guard in guards):
        return Decision("retrain", chosen.trigger, findings)
    alert = next((one for one in fired if one.then == "alert"), None)
    leading = alert or chosen
    return Decision("alert" if alert else "wait", leading.trigger if leading else None, findings)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The content of a ledger entry of the kind `decision`."""

    evidence: Evidence
    policy: MonitoringPolicy
    history: History
    """The history that the decision rested on."""
    decision: Decision
    turn: str | None = None
    """The identifier of the retrain slot it was decided in; `None` if it was decided outside of one."""


@dataclass(frozen=True, slots=True)
class RetrainRecord:
    """The content of a ledger entry of the kind `retrain`: how a retrain ended."""

    decision: int
    """The ledger entry of its decision."""
    ending: Ending
    minutes: float
    """How long it took."""
    version: int | None = None
    """The challenger's version; `None` if none was registered."""
    verdict: int | None = None
    """The ledger entry of its verdict; `None` without a verdict."""
    error: str | None = None
    """Why it failed or was refused, in one sentence; `None` otherwise."""


def build_history(entries: Iterable[Entry], now: datetime | None = None) -> History:
    """Builds the history for the next decision.

    Args:
        entries: One project's decisions and retrains, oldest first, from the newest decision on at least.
        now: The clock, UTC.

    Returns:
        The history recorded with the newest decision, advanced by that decision and the retrains after it.
    """
    history = History()
    for entry in entries:
        history = _advance(history, entry)
    return replace(history, now=now)


def replay_decision(entry: Entry) -> Decision:
    """Decides again from a recorded decision's evidence, policy and history.

    Args:
        entry: A ledger entry of the kind `decision`.

    Returns:
        The decision. It equals the recorded one; sentences are not compared, since a release may word them differently.
    """
    decided = from_payload(DecisionRecord, entry.payload)
    return decide(decided.evidence, decided.policy, decided.history)


def _will_roll_back(fired: list[TriggerResult], policy: MonitoringPolicy) -> bool:
    """Tells whether the champion will be rolled back: then it is not retrained, since its predecessor may be good."""
    return policy.watch is not None and policy.watch.rollback and any(one.trigger == "watch" for one in fired)


def _first_allowed(
    retrains: list[TriggerResult], evidence: Evidence, policy: MonitoringPolicy, history: History
) -> tuple[TriggerResult | None, list[Finding]]:
    """Returns the first trigger that no guard holds back, else the first, with the guards' findings."""
    tried = [(one, check_guards(one.trigger, evidence, policy, history)) for one in retrains]
    free = (pair for pair in tried if not any(guard.fired for guard in pair[1]))
    nothing = (None, check_guards(None, evidence, policy, history))
    return next(free, tried[0] if tried else nothing)


def _advance(history: History, entry: Entry) -> History:
    if entry.kind == "decision":
        one = from_payload(DecisionRecord, entry.payload)
        return one.history.after(one.evidence, one.decision, one.policy, entry.id, one.turn)
    if entry.kind == "retrain":
        ended = from_payload(RetrainRecord, entry.payload)
        return history.finished(ended.ending, ended.minutes, ended.decision)
    return history
