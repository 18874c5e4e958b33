"""The data contract as plain values: rules, the faults that break them, and what was found in a piece of rows.

What every batch must be, whatever its contract says about rows: large enough, clean enough, fresh enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from textwrap import shorten
from typing import Any, Literal

from pydantic import TypeAdapter

from refit.policies.training import ContractPolicy

MASK = "***"
"""What is shown in the place of a value that identifies a person."""

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation as plain data, in the terms of Great Expectations."""

    type: str
    """The expectation's name in snake case: `expect_column_values_to_be_between`."""
    kwargs: dict[str, Any]
    """Its arguments; JSON values only, in a contract that is recorded."""
    severity: Severity = "critical"
    """What follows when it is broken: `critical` rules quarantine rows or stop a batch, the others are told."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values it is about; none where it is about the table."""
        single = (self.kwargs.get(name) for name in ("column", "column_A", "column_B"))
        return (*(name for name in single if name), *self.kwargs.get("column_list", ()))

    def __str__(self) -> str:
        about = ", ".join(self.columns) or "the table"
        limits = ", ".join(
            f"{name}={_shorten(value)}"
            for name, value in self.kwargs.items()
            if value is not None and not name.startswith("column") and name not in ("strict_min", "strict_max")
        )
        return f"{self.type} on {about}" + (f" ({limits})" if limits else "")


@dataclass(frozen=True, slots=True)
class Fault:
    """One value that breaks a critical row rule."""

    row: int
    """The row's position in the piece that was judged, from 0."""
    rule: str
    """The rule's name."""
    column: str
    """The column it is about; several are joined by commas."""
    value: str
    """The offending value as text, cut to 200 characters."""


@dataclass(frozen=True, slots=True)
class RowFindings:
    """What the row rules found in one piece."""

    faults: list[Fault]
    """Broken critical rules; a row may have several."""
    warned: Counter[str] = field(default_factory=Counter)
    """For each broken rule that is not critical, in words, how many rows break it; counters of pieces add up."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a project's rows must be like, beyond their schema."""

    rules: tuple[Rule, ...]
    origin: Literal["project", "recorded", "derived"]
    """Whether the project file gave it, the ledger has it, or it was just derived from reference rows."""
    pii: tuple[str, ...] = ()
    """Columns whose values are shown to nobody."""

    def mask_observed(self, rule: Rule, said: str) -> str:
        """Gives what was measured of a rule as people may see it: the largest of all addresses is one, too.

        Args:
            rule: The rule.
            said: What was measured, or what was raised.

        Returns:
            The same, or a mask where it may hold a value; one of somebody's own that names no column may look at any.
        """
        free = not rule.columns and not rule.type.startswith("expect_table_")
        return MASK if self.pii and (free or set(rule.columns) & set(self.pii)) else said

    def to_json(self) -> dict[str, Any]:
        """Gives the payload for the ledger.

        Returns:
            JSON values only.
        """
        return {"rules": _RULES.dump_python(self.rules, mode="json")}

    def restrict_to(self, columns: Collection[str], without: Collection[str]) -> Contract:
        """Leaves out the rules that cannot be judged where some columns are not there.

        Args:
            columns: The columns that are there.
            without: Those that are not.

        Returns:
            The rules about those that are, and about the number of rows.
        """
        rules = [rule for rule in self.rules if set(rule.columns) <= set(columns) and _is_applicable(rule, without)]
        return replace(self, rules=tuple(rules))

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> Contract:
        """Reads what `to_json` gave.

        Args:
            payload: A ledger entry's payload.

        Returns:
            The contract, of the origin `recorded`.
        """
        return cls(rules=_RULES.validate_python(payload["rules"]), origin="recorded")


def _is_applicable(rule: Rule, without: Collection[str]) -> bool:
    if not rule.columns:  # one of somebody's own may ask for any column
        return rule.type.startswith("expect_table_row_count")
    condition = str(rule.kwargs.get("row_condition") or "")
    return not any(name in condition for name in without)


_RULES = TypeAdapter(tuple[Rule, ...])


def _shorten(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return shorten(text, 60, placeholder="...")


MIN_RETYPED_CELLS = 10
"""From so many misfits on, a column without one fitting value has another type, rather than a few bad cells."""

_MAX_CAUSES = 5


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The count of a batch after its rows were judged."""

    rows_in: int
    quarantined: int
    until: datetime
    """The end of the load, UTC."""
    newest: datetime | None
    """The newest accepted event time, UTC; `None` where no row was accepted."""
    faults: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    """How many faults there are of each rule and column."""
    warned: Mapping[str, int] = field(default_factory=Counter)
    """How many rows break each rule that is not critical, in words."""

    @property
    def accepted(self) -> int:
        """How many rows keep the contract."""
        return self.rows_in - self.quarantined


def find_batch_problems(batch: BatchCounts, policy: ContractPolicy, empty: Collection[str]) -> list[str]:
    """Says which rules of the policy a batch breaks.

    Args:
        batch: The count.
        policy: The limits.
        empty: The columns in which no accepted row has a value.

    Returns:
        One phrase for each broken rule, with the value and the limit.
    """
    if not batch.rows_in:  # nothing but what a batch before brought
        return []
    return [
        *_find_retyped(batch, empty),
        *_check_quarantine_share(batch, policy),
        *_check_row_count(batch, policy),
        *_check_freshness(batch, policy),
    ]


def _find_retyped(batch: BatchCounts, empty: Collection[str]) -> list[str]:
    return [
        f"column {column!r} seems retyped: not one of its values ({count:,} tried) fits its type any more"
        for (rule, column), count in sorted(batch.faults.items())
        if rule == "type" and column in empty and count >= min(MIN_RETYPED_CELLS, batch.rows_in)
    ]


def _check_quarantine_share(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    share = batch.quarantined / max(batch.rows_in, 1)
    if share <= policy.quarantine_limit:
        return []
    often = Counter(batch.faults).most_common(_MAX_CAUSES)
    causes = ", ".join(f"{rule} on {column!r} ({count:,} rows)" for (rule, column), count in often)
    return [
        f"{share:.1%} of the rows ({batch.quarantined:,} of {batch.rows_in:,}) would go to the quarantine, where "
        f"contract.quarantine_limit allows {policy.quarantine_limit:.1%}" + (f"; most often: {causes}" if often else "")
    ]


def _check_row_count(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    if batch.accepted >= policy.min_rows:
        return []
    return [f"{batch.accepted:,} rows are acceptable, where contract.min_rows asks for {policy.min_rows:,}"]


def _check_freshness(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    if policy.freshness is None or batch.newest is None or batch.until - batch.newest <= policy.freshness:
        return []
    return [
        f"the newest row is from {batch.newest.isoformat()}, {batch.until - batch.newest} before the end of the load, "
        f"where contract.freshness allows {policy.freshness}"
    ]
