"""How a budget is spread over its period: a quick start must not leave the rest of it without any retrain."""

from __future__ import annotations

from datetime import datetime, timedelta

from refit.monitoring.history import History
from refit.policies.monitoring import BudgetPolicy

ROUNDING = 1e-6
"""So much of a retrain may be missing for reasons of arithmetic."""


def saved_up(history: History, as_of: datetime, period: timedelta, budget: BudgetPolicy) -> float:
    """Tells how many retrains may begin now, by a token bucket (Turner 1986): spent one by one, refilled evenly.

    Args:
        history: For former retrains.
        as_of: The instant looked from.
        period: How long the budget lasts.
        budget: How much it allows, and how many at once.

    Returns:
        A number up to the budget's burst; one retrain takes 1.
    """
    saved, since = float(budget.burst), as_of - period
    for one in sorted(history.attempts, key=lambda attempt: attempt.decided_at):
        if one.decided_at <= since or not one.counted:
            continue
        saved = min(budget.burst, saved + budget.retrains * ((one.decided_at - since) / period)) - 1
        since = one.decided_at
    refilled = saved + budget.retrains * ((as_of - since) / period) if as_of > since else saved
    return min(float(budget.burst), refilled) + ROUNDING
