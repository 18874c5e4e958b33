"""The decision: one pure function of evidence, policy and history. Every trigger goes through it."""

from __future__ import annotations

from refit.monitoring.decisions import Decision, Finding
from refit.monitoring.evidence import Evidence
from refit.monitoring.guards import guards
from refit.monitoring.history import History
from refit.monitoring.triggers import Asked, triggers
from refit.policies.monitoring import MonitoringPolicy


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
    asked = triggers(evidence, policy, history)
    fired = [one for one in asked if one.finding.fired]
    wanted = [] if _takes_back(fired, policy) else [one for one in fired if one.then == "retrain"]
    chosen, held = _freest(wanted, evidence, policy, history)
    findings = (*(one.finding for one in asked), *held)
    if chosen and not any(guard.fired for guard in held):
        return Decision("retrain", chosen.trigger, findings)
    alarmed = next((one for one in fired if one.then == "alert"), None)
    leading = alarmed or chosen
    return Decision("alert" if alarmed else "wait", leading.trigger if leading else None, findings)


def _takes_back(fired: list[Asked], policy: MonitoringPolicy) -> bool:
    """A champion that is about to be rolled back is not retrained: the one that serves afterwards may be good."""
    return policy.watch is not None and policy.watch.rollback and any(one.trigger == "watch" for one in fired)


def _freest(
    wanted: list[Asked], evidence: Evidence, policy: MonitoringPolicy, history: History
) -> tuple[Asked | None, list[Finding]]:
    """Picks the first trigger that no guard holds back, else the first, with what the guards say of it."""
    tried = [(one, guards(one.trigger, evidence, policy, history)) for one in wanted]
    free = (pair for pair in tried if not any(guard.fired for guard in pair[1]))
    nothing = (None, guards(None, evidence, policy, history))
    return next(free, tried[0] if tried else nothing)
