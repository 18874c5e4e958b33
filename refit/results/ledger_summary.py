"""What a project's ledger entries add up to: how many of which kind, who serves, what the newest decision rested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from refit.monitoring.decide import DecisionRecord
from refit.records.ledger import Entry, from_payload
from refit.records.references import Champion

_OUTCOMES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "decision": lambda payload: payload["decision"]["action"],
    "verdict": lambda payload: "promote" if _is_fit(payload) else "reject",
    "retrain": lambda payload: payload["ending"],
    "approval": lambda payload: "approve" if payload["approved"] else "refuse",
}
"""By kind of entry: what came of it, in a word. The other kinds have only one outcome."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """One project's entries, added up in the order they were recorded in; small however many there were."""

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many entries, by kind and outcome."""
    champion_entry: Entry | None = None
    """The promotion or rollback since which the champion serves."""
    decision_entries: tuple[Entry, ...] = ()
    """The newest decision, and the retrains that have ended since."""
    monitored_at: datetime | None = None
    """When a monitor decided last, UTC; what a person asked for by hand is no monitor's."""
    pending_verdicts: frozenset[int] = frozenset()
    """The verdicts that a person has yet to answer: approvals of challengers of the champion that serves."""

    def add(self, entry: Entry) -> LedgerSummary:
        """Adds an entry.

        Args:
            entry: The project's next one.

        Returns:
            The tally with it.
        """
        outcome = _OUTCOMES[entry.kind](entry.payload) if entry.kind in _OUTCOMES else ""
        of_its_kind = (entry.kind, outcome)
        counted = replace(self, counts={**self.counts, of_its_kind: self.counts.get(of_its_kind, 0) + 1})
        if entry.kind in ("promotion", "rollback"):
            return replace(counted, champion_entry=entry, pending_verdicts=frozenset())
        if entry.kind == "decision":
            at = entry.at if _is_monitors(entry.payload) else self.monitored_at
            return replace(counted, decision_entries=(entry,), monitored_at=at)
        if entry.kind == "retrain":
            return replace(counted, decision_entries=(*self.decision_entries, entry))
        return replace(counted, pending_verdicts=self._pending_after(entry))

    def champion(self) -> Champion | None:
        """Reads who serves.

        Returns:
            The champion, `None` while there is none.

        Raises:
            StateError: If the entry is of another version of Refit.
        """
        return from_payload(Champion, self.champion_entry.payload["champion"]) if self.champion_entry else None

    def newest(self) -> DecisionRecord | None:
        """Reads the newest decision, with all that it rested on.

        Returns:
            The decision, `None` before the first.

        Raises:
            StateError: If the entry is of another version of Refit.
        """
        made = [entry for entry in self.decision_entries if entry.kind == "decision"]
        return from_payload(DecisionRecord, made[0].payload) if made else None

    def _pending_after(self, entry: Entry) -> frozenset[int]:
        if entry.kind == "approval":
            return self.pending_verdicts - {entry.payload["verdict_id"]}
        return (
            self.pending_verdicts | {entry.id}
            if entry.kind == "verdict" and self._asks(entry.payload)
            else self.pending_verdicts
        )

    def _asks(self, judgement: dict[str, Any]) -> bool:
        serving = self.champion_entry.payload["champion"]["generation"] if self.champion_entry else 0
        over = judgement["over"]["generation"] if judgement["over"] else 0
        return judgement["policy"]["promotion"] == "approve" and _is_fit(judgement) and over == serving


def _is_fit(judgement: dict[str, Any]) -> bool:
    return all(reason["passed"] for reason in judgement["verdict"]["reasons"])


def _is_monitors(decided: dict[str, Any]) -> bool:
    request = decided["evidence"].get("request")
    return request is None or request["by"] != "manual"
