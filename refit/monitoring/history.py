"""History of a project's decisions: as much of the past as the rules of the next decision need, of bounded size.

Each decision is recorded with the history it rested on. So the next history follows from the newest decision's and the
entries after it, without reading older ones, and one entry is enough to decide again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from refit.monitoring.decisions import AccruedGain, Attempt, Decision, Ending, FormerDecision, ProbeCost
from refit.monitoring.evidence import Evidence
from refit.monitoring.expected_gain import GainEstimate
from refit.policies.monitoring import MonitoringPolicy
from refit.records.drift_findings import Drift

PERIOD_WINDOWS = 28
"""The default period of a budget, in monitoring windows."""
REMEMBERED = 16
"""The number of attempts that are kept at any age."""
PER_WINDOW = 8
"""The most drift findings that are kept for each length of a window."""


@dataclass(frozen=True, slots=True)
class History:
    """The part of the past that a decision needs."""

    attempts: tuple[Attempt, ...] = ()
    """The newest attempts, and all within the budget's period; oldest first."""
    windows: tuple[Drift, ...] = ()
    """Former drift findings for this generation, reduced to the drifted columns; oldest first."""
    spent: tuple[ProbeCost, ...] = ()
    """Costs of benefit probes within the budget's period; oldest first."""
    gained: AccruedGain = field(default_factory=AccruedGain)
    """The gain missed since the last promotion."""
    gain: GainEstimate = field(default_factory=GainEstimate)
    """The estimated gain of a retrain, as of the newest decision."""
    generation: int = 0
    """The champion's generation that `windows`, `gained` and the shift of `gain` belong to."""
    former: FormerDecision | None = None
    """The decision before; `None` before the first."""
    now: datetime | None = None
    """The clock, UTC; `None` in a backtest, where `as_of` takes its place."""
    serving: int | None = None
    """The generation that serves when the decision is recorded; `None` in a backtest, where no other can come
    between."""

    def clock(self, evidence: Evidence) -> datetime:
        """Returns the time at which the evidence is judged.

        Args:
            evidence: The evidence.

        Returns:
            The clock's time, or `as_of` without a clock.
        """
        return self.now or evidence.as_of

    def disjoint_windows(self, evidence: Evidence) -> tuple[Drift, ...]:
        """Selects former windows that overlap neither the current one nor each other.

        Args:
            evidence: For the current window and the champion's generation.

        Returns:
            The newest such windows of the same generation, oldest first; without the predictions that another model
            made than in the current window.
        """
        if evidence.generation != self.generation:
            return ()
        picked, edge = list[Drift](), evidence.window.start
        for found in reversed(self.windows):
            if found.window.end <= edge:
                picked.append(_keep_comparable(found, evidence.drift))
                edge = found.window.start
        return tuple(reversed(picked))

    def accrue_gain(self, evidence: Evidence) -> AccruedGain:
        """Adds the probe's gain to the accrued gain, unless its judged rows overlap those of an earlier probe.

        Args:
            evidence: For the probe, and the number of rows in a window.

        Returns:
            The accrued gain.
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

    def estimate_gain(self, evidence: Evidence) -> GainEstimate:
        """Estimates the gain of a retrain.

        Args:
            evidence: The evidence, for the probe and the growth of the history.

        Returns:
            The estimate with this evidence in it.
        """
        before = self.gain if evidence.generation == self.generation else self.gain.for_new_champion()
        return before.after(evidence)

    def after(
        self, evidence: Evidence, decision: Decision, policy: MonitoringPolicy, number: int = 0, turn: str | None = None
    ) -> History:
        """Advances the history by a decision.

        Args:
            evidence: The evidence of the decision.
            decision: The decision.
            policy: The rules at that time, which decide what is kept.
            number: The decision's ledger entry.
            turn: The identifier of the retrain slot it was decided in; `None` outside of one.

        Returns:
            The history for the next decision.
        """
        started = (self._attempt(evidence, decision, number, turn),) if decision.action == "retrain" else ()
        return History(
            attempts=keep_attempts((*self.attempts, *started), evidence, policy),
            windows=keep_windows(self.windows if evidence.generation == self.generation else (), evidence, policy),
            spent=keep_probes(self.spent, evidence, policy),
            gained=self.accrue_gain(evidence),
            gain=self.estimate_gain(evidence),
            generation=evidence.generation,
            former=FormerDecision(number, evidence.as_of, evidence.length, decision.action, decision.trigger),
            now=self.now,
        )

    def finished(self, ending: Ending, minutes: float, decision: int | None = None) -> History:
        """Advances the history by the end of a retrain.

        Args:
            ending: How it ended.
            minutes: How long it took.
            decision: The ledger entry of its decision; by default the newest attempt's.

        Returns:
            The history with the ending; the same history if it no longer holds that attempt.
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


def budget_period(policy: MonitoringPolicy, length: timedelta) -> timedelta:
    """Returns the period of the budget.

    Args:
        policy: The project's rules.
        length: The length of a monitoring window.

    Returns:
        The policy's period, or 28 windows.
    """
    return policy.budget.period or PERIOD_WINDOWS * length


def keep_attempts(attempts: tuple[Attempt, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Attempt, ...]:
    """Keeps the attempts of the budget's period, and the newest ones.

    Args:
        attempts: Oldest first.
        evidence: For its `as_of`.
        policy: For the period.

    Returns:
        The attempts that are kept, oldest first.
    """
    begin = evidence.as_of - budget_period(policy, evidence.length)
    older = len(attempts) - REMEMBERED
    return tuple(one for place, one in enumerate(attempts) if place >= older or one.decided_at > begin)


def keep_windows(windows: tuple[Drift, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[Drift, ...]:
    """Adds the current drift finding, and keeps those that the persistence rule can need.

    Args:
        windows: Former findings for the same champion, oldest first.
        evidence: For the current finding.
        policy: For the number of windows that persistence looks at.

    Returns:
        Findings reduced to the drifted columns, oldest first, at most eight for each length of a window.
    """
    found = evidence.drift
    if found is None or policy.drift is None:
        return windows
    begin = found.window.end - (policy.drift.persistence[1] + 1) * evidence.length
    kept = tuple(one for one in windows if begin < one.window.end < found.window.end)
    step = evidence.length / PER_WINDOW
    if len(kept) > 1 and kept[-1].window.end - kept[-2].window.end < step:
        kept = kept[:-1]  # of findings that lie close together only the newest is kept
    return (*kept, _reduced(found))


def keep_probes(spent: tuple[ProbeCost, ...], evidence: Evidence, policy: MonitoringPolicy) -> tuple[ProbeCost, ...]:
    """Adds the minutes of the current benefit probe, and keeps those within the budget's period.

    Args:
        spent: The costs of former probes, oldest first.
        evidence: For the current probe.
        policy: For the period.

    Returns:
        One sum for each length of a window, oldest first.
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


def _keep_comparable(found: Drift, current: Drift | None) -> Drift:
    if current is None or found.scored_by == current.scored_by:
        return found
    return replace(found, scores=(), scored_by=None)


def _reduced(found: Drift) -> Drift:
    return replace(
        found,
        columns=tuple(column for column in found.columns if column.drifted),
        scores=tuple(column for column in found.scores if column.drifted),
    )
