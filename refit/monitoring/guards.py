"""Guards that hold a retrain back: a running one, the cooldown, former rejections and the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refit.monitoring.decisions import Attempt, Finding, Trigger
from refit.monitoring.evidence import Evidence
from refit.monitoring.history import History, budget_period
from refit.policies.monitoring import BudgetPolicy, MonitoringPolicy
from refit.windows import format_duration, format_time

MOST_DOUBLINGS = 4
"""The number of rejections in a row after which the wait no longer doubles."""
ROUNDING = 1e-6
"""The part of a retrain that may be missing because of rounding."""


def check_guards(
    trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History
) -> list[Finding]:
    """Checks whether a retrain may begin.

    A retrain under way holds back every other one. A manual request overrides the cooldown and former rejections, and
    with force also the budget.

    Args:
        trigger: The trigger that asks for a retrain; `None` if none does.
        evidence: The evidence at one moment.
        policy: The project's rules.
        history: The decisions and retrains before.

    Returns:
        One finding for each guard; one that fired holds the retrain back.
    """
    manual = trigger == "manual"
    forced = manual and evidence.request is not None and evidence.request.force
    findings = [
        _under_way(evidence, policy, history),
        _cooldown(evidence, policy, history, passed=manual),
        _rejected_before(trigger, evidence, policy, history, passed=manual),
        _budget(trigger, evidence, policy, history, passed=forced),
    ]
    return findings if trigger else [replace(guard, fired=False) for guard in findings]


def cooldown_length(policy: MonitoringPolicy, length: timedelta) -> timedelta:
    """Returns the least time between two retrains.

    Args:
        policy: The project's rules.
        length: The length of a monitoring window.

    Returns:
        The policy's cooldown, or one window.
    """
    return length if policy.cooldown is None else policy.cooldown


def cooldown_end(policy: MonitoringPolicy, history: History, length: timedelta) -> datetime | None:
    """Returns the end of the cooldown.

    Args:
        policy: The project's rules.
        history: For the newest retrain.
        length: The length of a monitoring window.

    Returns:
        The time in UTC; `None` before the first retrain.
    """
    newest = max((one.decided_at for one in history.attempts), default=None)
    return None if newest is None else newest + cooldown_length(policy, length)


def count_retrains(history: History, begin: datetime) -> int:
    """Counts the retrains that use budget.

    Args:
        history: The decisions and retrains before.
        begin: The start of the period; retrains later than `as_of` count as well.

    Returns:
        The number of retrains, without the one for the first champion and refused ones.
    """
    return sum(one.decided_at > begin and one.counted for one in history.attempts)


def sum_minutes(history: History, begin: datetime) -> float:
    """Sums the minutes that use budget.

    Args:
        history: The decisions and retrains before.
        begin: The start of the period.

    Returns:
        Minutes of retrains and benefit probes.
    """
    trained = sum(one.minutes for one in history.attempts if one.decided_at > begin)
    return trained + sum(one.minutes for one in history.spent if one.until > begin)


def is_under_way(attempt: Attempt, generation: int, now: datetime, patience: timedelta) -> bool:
    """Tells whether a retrain that was decided on may still be running.

    Args:
        attempt: The retrain.
        generation: The champion's generation now; a later one than the attempt's means that there was a promotion.
        now: The clock, UTC.
        patience: How long a retrain without an outcome counts as running.

    Returns:
        Whether it has no outcome, is younger than `patience`, and the champion has not changed since.
    """
    return attempt.ending is None and attempt.generation == generation and now - attempt.started < patience


def accrued_budget(history: History, as_of: datetime, period: timedelta, budget: BudgetPolicy) -> float:
    """Returns how many retrains may begin now, by a token bucket that is refilled evenly (Turner 1986).

    It spreads the budget over its period, so that a quick start does not leave the rest of the period without a
    retrain.

    Args:
        history: For the retrains before.
        as_of: The moment, UTC.
        period: The budget's period.
        budget: The number of retrains in a period, and in a burst.

    Returns:
        A number up to the budget's burst; one retrain uses 1.
    """
    tokens, since = float(budget.burst), as_of - period
    for one in sorted(history.attempts, key=lambda attempt: attempt.decided_at):
        if one.decided_at <= since or not one.counted:
            continue
        tokens = min(budget.burst, tokens + budget.retrains * ((one.decided_at - since) / period)) - 1
        since = one.decided_at
    refilled = tokens + budget.retrains * ((as_of - since) / period) if as_of > since else tokens
    return min(float(budget.burst), refilled) + ROUNDING


@dataclass(frozen=True, slots=True)
class RemainingBudget:
    """What budget and cooldown still allow."""

    retrains: int
    """The number of retrains left in the budget's period."""
    minutes: float | None
    """The minutes of retrains and benefit probes left; `None` without a limit."""
    cooldown_until: datetime | None
    """The end of the cooldown, UTC; `None` before the first retrain."""


def remaining_budget(history: History, policy: MonitoringPolicy) -> RemainingBudget | None:
    """Computes what budget and cooldown allow as of the newest decision.

    Args:
        history: The decisions and retrains before.
        policy: The project's rules.

    Returns:
        The remaining budget; `None` before the first decision.
    """
    former = history.former
    if former is None:
        return None
    begin, budget = former.as_of - budget_period(policy, former.length), policy.budget
    minutes = None if budget.minutes is None else max(0.0, budget.minutes - sum_minutes(history, begin))
    retrains = max(0, budget.retrains - count_retrains(history, begin))
    return RemainingBudget(retrains, minutes, cooldown_end(policy, history, former.length))


def _under_way(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Finding:
    now = history.clock(evidence)
    running = [one for one in history.attempts if is_under_way(one, evidence.generation, now, policy.patience)]
    replaced = history.serving is not None and history.serving > evidence.generation
    if replaced:
        sentence = f"the champion changed during the measurement: generation {history.serving} serves now"
    elif running:
        sentence = f"a retrain by {running[-1].trigger} has been under way since {format_time(running[-1].started)} UTC"
    else:
        sentence = f"{'a' if evidence.under_way else 'no'} retrain is under way"
    fired = replaced or evidence.under_way or bool(running)
    return Finding("under_way", fired, float(max(len(running), evidence.under_way)), 0.0, sentence)


def _cooldown(evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool) -> Finding:
    until = cooldown_end(policy, history, evidence.length)
    if until is None:
        return Finding("cooldown", fired=False, value=None, limit=None, sentence="there has been no retrain yet")
    length, hours = cooldown_length(policy, evidence.length), (until - evidence.as_of) / timedelta(hours=1)
    active = evidence.as_of < until
    lasts = "lasts until" if active else "ended at"
    sentence = f"the cooldown of {format_duration(length)} {lasts} {format_time(until)} UTC"
    note = ", which a manual request overrides" if active and passed else ""
    return Finding("cooldown", active and not passed, hours, 0.0, sentence + note)


def _rejected_before(
    trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool
) -> Finding:
    """Doubles the wait with every retrain of this champion by the same trigger that was not promoted.

    The first one may have come too early to see enough of a change, so the next window may try again: once the wait is
    over, and with labels that were not known then. Another trigger does not wait, since it has seen something else.
    """
    failed = [one for one in history.attempts if _has_failed(one, trigger, evidence, policy, history)]
    if not failed:
        return Finding(
            "rejected_before",
            fired=False,
            value=0.0,
            limit=None,
            sentence="no retrain of this champion by this trigger failed",
        )
    until = failed[-1].decided_at + cooldown_length(policy, evidence.length) * 2 ** min(len(failed) - 1, MOST_DOUBLINGS)
    known, now_known = failed[-1].mature_until, evidence.mature_until
    stale = known is not None and now_known is not None and now_known <= known
    fired = (evidence.as_of < until or stale) and not passed
    sentence = (
        f"{len(failed)} retrain{'s' if len(failed) > 1 else ''} of this champion by {trigger} did not lead to a "
        f"promotion: the next may start on {format_time(until)} UTC, once newer labels are known"
    )
    return Finding("rejected_before", fired, float(len(failed)), None, sentence)


def _credit(trigger: Trigger | None, policy: MonitoringPolicy) -> int:
    """Returns how many retrains may be borrowed: one by a trigger whose price rises with it."""
    priced = policy.probe is not None and policy.probe.certainty is None
    return int(trigger == "probe" and priced)


def _has_failed(
    one: Attempt, trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History
) -> bool:
    if one.trigger != trigger or one.generation != evidence.generation or one.ending == "promoted":
        return False
    return not is_under_way(one, evidence.generation, history.clock(evidence), policy.patience)


def _budget(
    trigger: Trigger | None, evidence: Evidence, policy: MonitoringPolicy, history: History, *, passed: bool
) -> Finding:
    """Compares the period with the budget, assuming that the next retrain takes as long as the last one."""
    period = budget_period(policy, evidence.length)
    begin, allowed = evidence.as_of - period, policy.budget
    retrains = count_retrains(history, begin)
    sentence = f"{retrains} of {allowed.retrains} retrains in {format_duration(period)} have been used"
    full = retrains >= allowed.retrains
    if not full and accrued_budget(history, evidence.as_of, period, allowed) < 1 - _credit(trigger, policy):
        full, sentence = True, f"{sentence}, the last ones in a burst of {allowed.burst}: the next is allowed later"
    if allowed.minutes is not None:
        spent = sum_minutes(history, begin) + (evidence.probe.seconds / 60 if evidence.probe else 0.0)
        expected = next((one.minutes for one in reversed(history.attempts) if one.minutes), 0.0)
        full = full or spent >= allowed.minutes or spent + expected > allowed.minutes
        sentence += f", and {spent:.1f} of {allowed.minutes:g} minutes; a retrain takes {expected:.1f} minutes"
    return Finding("budget", full and not passed, float(retrains), float(allowed.retrains), sentence)
