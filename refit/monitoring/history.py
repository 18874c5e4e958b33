"""What went before a decision, in the few numbers that the next one needs: made entry by entry, and small for ever.

Each decision is recorded with the history it rested on. So the next history is the newest decision's, moved on by what
came after it, and nobody reads years of entries; and one entry alone is enough to decide again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from refit.monitoring.attempts import Attempt, Ending, Former, Gained, Spent
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence
from refit.monitoring.forgetting import recent_attempts, recent_probes, recent_windows
from refit.policies.monitoring import MonitoringPolicy
from refit.records.drift_findings import Drift


@dataclass(frozen=True, slots=True)
class History:
    """What a decision must know of those before it."""

    attempts: tuple[Attempt, ...] = ()
    """The newest ones, and all of the budget's period; oldest first."""
    windows: tuple[Drift, ...] = ()
    """Former findings about this generation's champion, with the columns that drifted alone; oldest first."""
    spent: tuple[Spent, ...] = ()
    """Probing within the budget's period."""
    gained: Gained = field(default_factory=Gained)
    generation: int = 0
    """The generation that `windows` and `gained` are about."""
    former: Former | None = None
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

    def gaining(self, evidence: Evidence) -> Gained:
        """Adds the probe's gain, unless its judged rows overlap those that are in the sum already.

        Args:
            evidence: For the probe, and the rows of a window.

        Returns:
            The sums with it.
        """
        before = self.gained if evidence.generation == self.generation else Gained()
        probe = evidence.probe
        if probe is None or (before.until is not None and probe.window.start < before.until):
            return before
        return Gained(
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
            attempts=recent_attempts((*self.attempts, *started), evidence, policy),
            windows=recent_windows(self.windows if evidence.generation == self.generation else (), evidence, policy),
            spent=recent_probes(self.spent, evidence, policy),
            gained=self.gaining(evidence),
            generation=evidence.generation,
            former=Former(number, evidence.as_of, evidence.length, decision.action, decision.trigger),
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
