"""What of the past is kept for the next decision: as much as its rules can ask for, however often the monitor runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from refit.monitoring.attempts import Attempt, Spent
from refit.monitoring.evidence import Evidence
from refit.policies.monitoring import MonitoringPolicy
from refit.records.drift_findings import Drift

PERIOD_WINDOWS = 28
"""How many monitoring windows a budget lasts unless the policy says otherwise."""
REMEMBERED = 16
"""How many attempts are kept however old they are."""
PER_WINDOW = 8
"""How many drift findings are kept per window's length, where the monitor runs more often than that."""


def period_of(policy: MonitoringPolicy, length: timedelta) -> timedelta:
    """Tells how long a budget lasts.

    Args:
        policy: The project's rules.
        length: How long a monitoring window is.

    Returns:
        The policy's period, or 28 windows.
    """
    return policy.budget.period or PERIOD_WINDOWS * length


def recent_attempts(attempts: tuple[Attempt, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Attempt, ...]:
    """Keeps the attempts of the budget's period, and the newest ones.

    Args:
        attempts: Oldest first.
        evidence: For the instant looked from.
        policy: For the period.

    Returns:
        Those kept, oldest first.
    """
    begin = evidence.as_of - period_of(policy, evidence.length)
    older = len(attempts) - REMEMBERED
    return tuple(one for place, one in enumerate(attempts) if place >= older or one.decided_at > begin)


def recent_windows(windows: tuple[Drift, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Drift, ...]:
    """Adds the current finding, and keeps those that persistence can ask for.

    Args:
        windows: Former findings about the same champion, oldest first.
        evidence: For the current finding.
        policy: For the number of windows that persistence looks at.

    Returns:
        Findings reduced to the columns that drifted, oldest first; a few per window's length.
    """
    found = evidence.drift
    if found is None or policy.drift is None:
        return windows
    begin = found.window.end - (policy.drift.persistence[1] + 1) * evidence.length
    kept = tuple(one for one in windows if begin < one.window.end < found.window.end)
    step = evidence.length / PER_WINDOW
    if len(kept) > 1 and kept[-1].window.end - kept[-2].window.end < step:
        kept = kept[:-1]  # the newest of those that lie close together stands for them
    return (*kept, _reduced(found))


def recent_probes(spent: tuple[Spent, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Spent, ...]:
    """Adds the minutes of the current probe, and keeps those of the budget's period.

    Args:
        spent: Former ones, oldest first.
        evidence: For the current probe.
        policy: For the period.

    Returns:
        One sum per window's length, oldest first.
    """
    begin = evidence.as_of - period_of(policy, evidence.length)
    kept = tuple(one for one in spent if one.until > begin)
    if evidence.probe is None:
        return kept
    minutes = evidence.probe.seconds / 60
    if kept and abs(evidence.as_of - kept[-1].since) < evidence.length:
        last = kept[-1]
        return (*kept[:-1], Spent(last.since, max(last.until, evidence.as_of), last.minutes + minutes))
    return (*kept, Spent(evidence.as_of, evidence.as_of, minutes))


def _reduced(found: Drift) -> Drift:
    return replace(
        found,
        columns=tuple(column for column in found.columns if column.drifted),
        scores=tuple(column for column in found.scores if column.drifted),
    )
