"""What went before a decision, in the few numbers that the next one needs: made entry by entry, and small for ever.

Each decision is recorded with the history it rested on. So the next history is the newest decision's, moved on by what
came after it, and nobody reads years of entries; and one entry alone is enough to decide again.

What of the past is kept for the next decision: as much as its rules can ask for, however often the monitor runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from refit.monitoring.decisions import AccruedGain, Attempt, Decision, Ending, FormerDecision, ProbeCost
from refit.monitoring.evidence import Evidence
from refit.policies.monitoring import MonitoringPolicy
from refit.records.drift_findings import Drift


@dataclass(frozen=True, slots=True)
class History:
    """What a decision must know of those before it."""

    attempts: tuple[Attempt, ...] = ()
    """The newest ones, and all of the budget's period; oldest first."""
    windows: tuple[Drift, ...] = ()
    """Former findings about this generation's champion, with the columns that drifted alone; oldest first."""
    spent: tuple[ProbeCost, ...] = ()
    """Probing within the budget's period."""
    gained: AccruedGain = field(default_factory=AccruedGain)
    generation: int = 0
    """The generation that `windows` and `gained` are about."""
    former: FormerDecision | None = None
    now: datetime | None = None
    """The clock, UTC, for what is under way; in a backtest there is none, and `as_of` stands for it."""
    serving: int | None = None
    """The generation that serves as a decision is recorded; `None` where none can come in between, as in a backtest."""

    def clock(self, evidence: Evidence) -> datetime:
        """Tells what time it is when the evidence is judged.

        Args:
            evidence: The evidence.

        Returns:
            The clock's time, or `as_of` where there is no clock.
        """
        return self.now or evidence.as_of

    def apart(self, evidence: Evidence) -> tuple[Drift, ...]:
        """Picks former windows that overlap neither the current one nor each other.

        Args:
            evidence: For the current window and the champion's generation.

        Returns:
            The newest such windows of the same generation, oldest first.
        """
        if evidence.generation != self.generation:
            return ()
        picked, edge = list[Drift](), evidence.window.start
        for found in reversed(self.windows):
            if found.window.end <= edge:
                picked.append(found)
                edge = found.window.start
        return tuple(reversed(picked))

    def gaining(self, evidence: Evidence) -> AccruedGain:
        """Adds the probe's gain, unless its judged rows overlap those that are in the sum already.

        Args:
            evidence: For the probe, and the rows of a window.

        Returns:
            The sums with it.
        """
        before = self.gained if evidence.generation == self.generation else AccruedGain()
        probe = evidence.probe
        if probe is None or (before.until is not None and probe.window.start < before.until):
            return before
        return AccruedGain(
            max(0.0, before.loss + probe.gain),
            max(0.0, before.errors + probe.gain * evidence.rows),
            probe.window.end,
        )

    def after(
        self, evidence: Evidence, decision: Decision, policy: MonitoringPolicy, number: int = 0, turn: str | None = None
    ) -> History:
        """Moves on past a decision.

        Args:
            evidence: What was known.
            decision: What followed.
            policy: The rules at that time, for what need not be remembered any more.
            number: The decision's ledger entry.
            turn: The turn it was decided in, if one was taken.

        Returns:
            The history for the next decision.
        """
        started = (self._attempt(evidence, decision, number, turn),) if decision.action == "retrain" else ()
        return History(
            attempts=keep_attempts((*self.attempts, *started), evidence, policy),
            windows=keep_windows(self.windows if evidence.generation == self.generation else (), evidence, policy),
            spent=keep_probes(self.spent, evidence, policy),
            gained=self.gaining(evidence),
            generation=evidence.generation,
            former=FormerDecision(number, evidence.as_of, evidence.length, decision.action, decision.trigger),
            now=self.now,
        )

    def finished(self, ending: Ending, minutes: float, decision: int | None = None) -> History:
        """Moves on past the end of a retrain.

        Args:
            ending: How it ended.
            minutes: How long it took.
            decision: The ledger entry of its decision; the newest attempt by default.

        Returns:
            The history with it; the same one where it holds no such attempt any more.
        """
        places = [at for at, one in enumerate(self.attempts) if decision is None or one.decision == decision]
        if not places:
            return self
        ended = replace(self.attempts[places[-1]], ending=ending, minutes=minutes)
        return replace(self, attempts=(*self.attempts[: places[-1]], ended, *self.attempts[places[-1] + 1 :]))

    def _attempt(self, evidence: Evidence, decision: Decision, number: int, turn: str | None) -> Attempt:
        return Attempt(
            decision=number,
            decided_at=evidence.as_of,
            started=self.clock(evidence),
            trigger=decision.trigger or "manual",
            generation=evidence.generation,
            window_end=evidence.window.end,
            mature_until=evidence.mature_until,
            turn=turn,
        )


PERIOD_WINDOWS = 28
"""How many monitoring windows a budget lasts unless the policy says otherwise."""
REMEMBERED = 16
"""How many attempts are kept however old they are."""
PER_WINDOW = 8
"""How many drift findings are kept per window's length, where the monitor runs more often than that."""


def budget_period(policy: MonitoringPolicy, length: timedelta) -> timedelta:
    """Tells how long a budget lasts.

    Args:
        policy: The project's rules.
        length: How long a monitoring window is.

    Returns:
        The policy's period, or 28 windows.
    """
    return policy.budget.period or PERIOD_WINDOWS * length


def keep_attempts(attempts: tuple[Attempt, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Attempt, ...]:
    """Keeps the attempts of the budget's period, and the newest ones.

    Args:
        attempts: Oldest first.
        evidence: For the instant looked from.
        policy: For the period.

    Returns:
        Those kept, oldest first.
    """
    begin = evidence.as_of - budget_period(policy, evidence.length)
    older = len(attempts) - REMEMBERED
    return tuple(one for place, one in enumerate(attempts) if place >= older or one.decided_at > begin)


def keep_windows(windows: tuple[Drift, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Drift, ...]:
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


def keep_probes(spent: tuple[ProbeCost, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[ProbeCost, ...]:
    """Adds the minutes of the current probe, and keeps those of the budget's period.

    Args:
        spent: Former ones, oldest first.
        evidence: For the current probe.
        policy: For the period.

    Returns:
        One sum per window's length, oldest first.
    """
    begin = evidence.as_of - budget_period(policy, evidence.length)
    kept = tuple(one for one in spent if one.until > begin)
    if evidence.probe is None:
        return kept
    minutes = evidence.probe.seconds / 60
    if kept and abs(evidence.as_of - kept[-1].since) < evidence.length:
        last = kept[-1]
        return (*kept[:-1], ProbeCost(last.since, max(last.until, evidence.as_of), last.minutes + minutes))
    return (*kept, ProbeCost(evidence.as_of, evidence.as_of, minutes))


def _reduced(found: Drift) -> Drift:
    return replace(
        found,
        columns=tuple(column for column in found.columns if column.drifted),
        scores=tuple(column for column in found.scores if column.drifted),
    )
