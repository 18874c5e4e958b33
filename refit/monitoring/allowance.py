"""What the budget and the cooldown still allow, told for the newest decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from refit.monitoring.forgetting import period_of
from refit.monitoring.guards import cooldown_until, minutes_within, retrains_within
from refit.monitoring.history import History
from refit.policies.monitoring import MonitoringPolicy


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left."""

    retrains: int
    """How many retrains the budget's period leaves."""
    minutes: float | None
    """How many minutes of retraining and probing; `None` without a limit."""
    cooldown_until: datetime | None
    """UTC; `None` before the first retrain."""


def allowance(history: History, policy: MonitoringPolicy) -> Allowance | None:
    """Tells what is left at the instant that the newest decision looked from.

    Args:
        history: What went before.
        policy: The project's rules.

    Returns:
        What is left; `None` before the first decision.
    """
    former = history.former
    if former is None:
        return None
    begin, budget = former.as_of - period_of(policy, former.length), policy.budget
    minutes = None if budget.minutes is None else max(0.0, budget.minutes - minutes_within(history, begin))
    retrains = max(0, budget.retrains - retrains_within(history, begin))
    return Allowance(retrains, minutes, cooldown_until(policy, history, former.length))
