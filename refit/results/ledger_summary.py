"""The summary of a project's ledger entries: counts, the champion, and the newest decision with its evidence."""

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
    "verdict": lambda payload: "promote" if _is_passed(payload) else "reject",
    "retrain": lambda payload: payload["ending"],
    "approval": lambda payload: "approve" if payload["approved"] else "refuse",
}
"""The outcome of an entry by kind, in one word; other kinds have only one outcome."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """One project's entries, summarized in the order of their recording; its size does not depend on their number."""

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The number of entries by kind and outcome."""
    champion_entry: Entry | None = None
    """The promotion or rollback that made the current champion."""
    decision_entries: tuple[Entry, ...] = ()
    """The newest decision, and the retrains that have ended since."""
    monitored_at: datetime | None = None
    """When a monitor last decided, UTC; decisions about requests by a person do not count."""
    pending_verdicts: frozenset[int] = frozenset()
    """The verdicts that wait for a person's approval, of challengers of the current champion."""

    def add(self, entry: Entry) -> LedgerSummary:
        """Adds an entry.

        Args:
            entry: The project's next entry.

        Returns:
            The summary including it.
        """
        outcome = _OUTCOMES[entry.kind](entry.payload) if entry.kind in _OUTCOMES else ""
        of_its_kind = (entry.kind, outcome)
        counted = replace(self, counts={**self.counts, of_its_kind: self.counts.get(of_its_kind, 0) + 1})
        if entry.kind in ("promotion", "rollback"):
            return replace(counted, champion_entry=entry, pending_verdicts=frozenset())
        if entry.kind == "decision":
            at = entry.at if _is_by_monitor(entry.payload) else self.monitored_at
            return replace(counted, decision_entries=(entry,), monitored_at=at)
        if entry.kind == "retrain":
            return replace(counted, decision_entries=(*self.decision_entries, entry))
        return replace(counted, pending_verdicts=self._pending_after(entry))

    def champion(self) -> Champion | None:
        """Returns the current champion.

        Returns:
            The champion, `None` if there is none.

        Raises:
            StateError: If another version of Refit has written the entry.
        """
        return from_payload(Champion, self.champion_entry.payload["champion"]) if self.champion_entry else None

    def newest(self) -> DecisionRecord | None:
        """Returns the newest decision with its evidence.

        Returns:
            The decision, `None` before the first one.

        Raises:
            StateError: If another version of Refit has written the entry.
        """
        decisions = [entry for entry in self.decision_entries if entry.kind == "decision"]
        return from_payload(DecisionRecord, decisions[0].payload) if decisions else None

    def _pending_after(self, entry: Entry) -> frozenset[int]:
        if entry.kind == "approval":
            return self.pending_verdicts - {entry.payload["verdict_id"]}
        return (
            self.pending_verdicts | {entry.id}
            if entry.kind == "verdict" and self._requires_approval(entry.payload)
            else self.pending_verdicts
        )

    def _requires_approval(self, judgement: dict[str, Any]) -> bool:
        serving = self.champion_entry.payload["champion"]["generation"] if self.champion_entry else 0
        over = judgement["over"]["generation"] if judgement["over"] else 0
        return judgement["policy"]["promotion"] == "approve" and _is_passed(judgement) and over == serving


def _is_passed(judgement: dict[str, Any]) -> bool:
    return all(reason["passed"] for reason in judgement["verdict"]["reasons"])


def _is_by_monitor(decided: dict[str, Any]) -> bool:
    request = decided["evidence"].get("request")
    return request is None or request["by"] != "manual"
