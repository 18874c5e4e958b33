"""What holds a retrain back: one that is under way, the cooldown, former rejections, the budget.

How a budget is spread over its period: a quick start must not leave the rest of it without any retrain.

What the budget and the cooldown still allow, told for the newest decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refit.monitoring.decisions import Attempt, Finding, Trigger
from refit.monitoring.evidence import Evidence
from refit.monitoring.history import History, budget_period
from refit.policies.monitoring import BudgetPolicy, MonitoringPolicy
from refit.windows import format_duration

MOST_DOUBLINGS = 4
"""After so many rejections in a row the wait grows no further."""


def check_guards(
    trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History
) -> list[Finding]:
    """Asks every guard whether a retrain may begin.

    Nothing passes a retrain that is under way. A person passes the cooldown and former rejections, and with force the
    budget too.

    Args:
        trigger: What asks for the retrain; `None` if nothing does.
        evidence: What is known.
        policy: The project's rules.
        history: What went before.

    Returns:
        One finding for each; one that fired holds the retrain back.
    """
    person = trigger == "manual"
    forced = person and evidence.request is not None and evidence.request.force
    held = [
        _under_way(evidence, policy, history),
        _cooldown(evidence, policy, history, passed=person),
        _rejected_before(trigger, evidence, policy, history, passed=person),
        _budget(evidence, policy, history, passed=forced),
    ]
    return held if trigger else [replace(guard, fired=False) for guard in held]


def cooldown_length(policy: MonitoringPolicy, length: timedelta) -> timedelta:
    """Tells the least time from one retrain to the next.

    Args:
        policy: The project's rules.
        length: How long a monitoring window is.

    Returns:
        The policy's cooldown, or one window.
    """
    return length if policy.cooldown is None else policy.cooldown


def cooldown_end(policy: MonitoringPolicy, history: History, length: timedelta) -> datetime | None:
    """Tells when the cooldown ends.

    Args:
        policy: The project's rules.
        history: For the newest retrain.
        length: How long a monitoring window is.

    Returns:
        That instant, UTC, or `None` before the first retrain.
    """
    newest = max((one.decided_at for one in history.attempts), default=None)
    return None if newest is None else newest + cooldown_length(policy, length)


def count_retrains(history: History, begin: datetime) -> int:
    """Counts what the budget counts.

    Args:
        history: What went before.
        begin: Where the period begins; what was decided later than `as_of`, as after a look back, counts as well.

    Returns:
        How many retrains, leaving out those that made the first champion or found nothing to train on.
    """
    return sum(one.decided_at > begin and one.counted for one in history.attempts)


def sum_minutes(history: History, begin: datetime) -> float:
    """Sums the minutes that the budget counts.

    Args:
        history: What went before.
        begin: Where the period begins.

    Returns:
        Minutes of retraining and of probing.
    """
    trained = sum(one.minutes for one in history.attempts if one.decided_at > begin)
    return trained + sum(one.minutes for one in history.spent if one.until > begin)


def is_under_way(attempt: Attempt, generation: int, now: datetime, patience: timedelta) -> bool:
    """Tells whether a retrain that was decided on may still be running.

    Args:
        attempt: The retrain.
        generation: The champion's now: a later one than the attempt's means that it, or another, has promoted.
        now: The clock, UTC.
        patience: How long one that does not end counts as running.

    Returns:
        Whether it has not ended, and is young.
    """
    return attempt.ending is None and attempt.generation == generation and now - attempt.started < patience


def _under_way(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Finding:
    now = history.clock(evidence)
    running = [one for one in history.attempts if is_under_way(one, evidence.generation, now, policy.patience)]
    overtaken = history.serving is not None and history.serving > evidence.generation
    if overtaken:
        sentence = f"the champion changed while this was measured, generation {history.serving} serves now"
    elif running:
        sentence = f"a retrain is under way since {running[-1].started:%Y-%m-%d %H:%M} UTC, by {running[-1].trigger}"
    else:
        sentence = f"a retrain is {'' if evidence.under_way else 'not '}under way"
    fired = overtaken or evidence.under_way or bool(running)
    return Finding("under_way", fired, float(max(len(running), evidence.under_way)), 0.0, sentence)


def _cooldown(evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool) -> Finding:
    until = cooldown_end(policy, history, evidence.length)
    if until is None:
        return Finding("cooldown", fired=False, value=None, limit=None, sentence="there was no retrain yet")
    length, hours = cooldown_length(policy, evidence.length), (until - evidence.as_of) / timedelta(hours=1)
    waits = evidence.as_of < until
    lasts = "lasts until" if waits else "ended at"
    spoken = f"the cooldown of {format_duration(length)} {lasts} {until:%Y-%m-%d %H:%M} UTC"
    note = ", which a person may pass" if waits and passed else ""
    return Finding("cooldown", waits and not passed, hours, 0.0, spoken + note)


def _rejected_before(
    trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool
) -> Finding:
    """Doubles the wait with every further retrain of this champion that the same trigger started in vain.

    The first one may have come too early to see enough of a change, so the next window may try again.

    It is tried again when that wait is over and labels are known that were not known then. Another trigger does not
    wait: it saw something else.
    """
    vain = [one for one in history.attempts if _in_vain(one, trigger, evidence, policy, history)]
    if not vain:
        return Finding("rejected_before", fired=False, value=0.0, limit=None, sentence="no such retrain was in vain")
    until = vain[-1].decided_at + cooldown_length(policy, evidence.length) * 2 ** min(len(vain) - 1, MOST_DOUBLINGS)
    known, now_known = vain[-1].mature_until, evidence.mature_until
    stale = known is not None and now_known is not None and now_known <= known
    fired = (evidence.as_of < until or stale) and not passed
    sentence = (
        f"{len(vain)} retrain{'s' if len(vain) > 1 else ''} of this champion by {trigger} came to nothing: again from "
        f"{until:%Y-%m-%d %H:%M} UTC on, with labels that were not known then"
    )
    return Finding("rejected_before", fired, float(len(vain)), None, sentence)


def _in_vain(
    one: Attempt, trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History
) -> bool:
    if one.trigger != trigger or one.generation != evidence.generation or one.ending == "promoted":
        return False
    return not is_under_way(one, evidence.generation, history.clock(evidence), policy.patience)


def _budget(evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool) -> Finding:
    """Counts retrains and minutes of the period; what a retrain will take is taken from the newest one."""
    period = budget_period(policy, evidence.length)
    begin, allowed = evidence.as_of - period, policy.budget
    retrains = count_retrains(history, begin)
    spoken = f"{retrains} of {allowed.retrains} retrains in {format_duration(period)} are used"
    full = retrains >= allowed.retrains
    if not full and accrued_budget(history, evidence.as_of, period, allowed) < 1:
        full, spoken = True, f"{spoken}, and {allowed.burst} of them followed each other closely: the next comes later"
    if allowed.minutes is not None:
        spent = sum_minutes(history, begin) + (evidence.probe.seconds / 60 if evidence.probe else 0.0)
        expected = next((one.minutes for one in reversed(history.attempts) if one.minutes), 0.0)
        full = full or spent >= allowed.minutes or spent + expected > allowed.minutes
        spoken += f", and {spent:.1f} of {allowed.minutes:g} minutes, where a retrain takes {expected:.1f}"
    return Finding("budget", full and not passed, float(retrains), float(allowed.retrains), spoken)


ROUNDING = 1e-6
"""So much of a retrain may be missing for reasons of arithmetic."""


def accrued_budget(history: History, as_of: datetime, period: timedelta, budget: BudgetPolicy) -> float:
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


@dataclass(frozen=True, slots=True)
class RemainingBudget:
    """What is left."""

    retrains: int
    """How many retrains the budget's period leaves."""
    minutes: float | None
    """How many minutes of retraining and probing; `None` without a limit."""
    cooldown_until: datetime | None
    """UTC; `None` before the first retrain."""


def remaining_budget(history: History, policy: MonitoringPolicy) -> RemainingBudget | None:
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
    begin, budget = former.as_of - budget_period(policy, former.length), policy.budget
    minutes = None if budget.minutes is None else max(0.0, budget.minutes - sum_minutes(history, begin))
    retrains = max(0, budget.retrains - count_retrains(history, begin))
    return RemainingBudget(retrains, minutes, cooldown_end(policy, history, former.length))
