"""The data contract as plain values: rules for rows, the faults found by them, and the checks of a whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from textwrap import shorten
from typing import Any, Literal

from pydantic import TypeAdapter

from refit.policies.training import ContractPolicy
from refit.windows import format_duration, format_time

MASK = "***"
"""Shown in place of a value that identifies a person."""
Severity = Literal["critical", "warning", "info"]
MIN_RETYPED_CELLS = 10
"""From this many unfit cells on, a column without one fitting value is reported as retyped."""
_MAX_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation of Great Expectations as plain data."""

    type: str
    """The expectation's name in snake case, such as `expect_column_values_to_be_between`."""
    kwargs: dict[str, Any]
    """Its arguments; JSON values only in a recorded contract."""
    severity: Severity = "critical"
    """The consequence of a fault: `critical` rules quarantine rows or reject a batch, other rules give a warning."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values the rule is about; empty for a rule about the whole table."""
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
    """The row's position in its piece, from 0."""
    rule: str
    """The rule's name."""
    column: str
    """The column that the rule is about; several are joined by commas."""
    value: str
    """The offending value as text, cut to 200 characters."""


@dataclass(frozen=True, slots=True)
class RowFindings:
    """The faults and warnings of one piece of rows."""

    faults: list[Fault]
    """Faults of critical rules; a row may have several."""
    warned: Counter[str] = field(default_factory=Counter)
    """The number of rows that break each rule that is not critical; the counters of pieces can be added."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The rules for a project's rows, in addition to their schema."""

    rules: tuple[Rule, ...]
    origin: Literal["project", "recorded", "derived"]
    """Where the rules come from: the project file, the ledger, or reference rows."""
    pii: tuple[str, ...] = ()
    """Columns whose values are masked wherever people could read them."""

    def mask_observed(self, rule: Rule, text: str) -> str:
        """Masks an observed value or an error message if it may contain a value of a `pii` column.

        Args:
            rule: The rule.
            text: The observed value, such as the largest of a column, or the error message.

        Returns:
            The text, or a mask. A custom rule that names no column may read any, so its text is masked as well.
        """
        free = not rule.columns and not rule.type.startswith("expect_table_")
        return MASK if self.pii and (free or set(rule.columns) & set(self.pii)) else text

    def to_json(self) -> dict[str, Any]:
        """Returns the payload for the ledger.

        Returns:
            JSON values only.
        """
        return {"rules": _RULES.dump_python(self.rules, mode="json")}

    def restrict_to(self, columns: Collection[str], without: Collection[str]) -> Contract:
        """Drops the rules that cannot be checked because columns are missing.

        Args:
            columns: The columns that are present.
            without: The columns that are missing.

        Returns:
            The contract with the rules about present columns and about the number of rows.
        """
        rules = [rule for rule in self.rules if set(rule.columns) <= set(columns) and _is_applicable(rule, without)]
        return replace(self, rules=tuple(rules))

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> Contract:
        """Restores a contract from the payload of `to_json`.

        Args:
            payload: A ledger entry's payload.

        Returns:
            The contract, with the origin `recorded`.
        """
        return cls(rules=_RULES.validate_python(payload["rules"]), origin="recorded")


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The counts of a batch after its rows were validated."""

    rows_in: int
    quarantined: int
    until: datetime
    """The end of the load, UTC."""
    newest: datetime | None
    """The newest accepted event time, UTC; `None` if no row was accepted."""
    faults: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    """The number of faults of each rule and column."""
    warned: Mapping[str, int] = field(default_factory=Counter)
    """The number of rows that break each rule that is not critical."""
    conflicting: int = 0
    """The number of rows, not in `rows_in`, that a later row of the batch with the same key and another content
    supersedes."""
    key: tuple[str, ...] = ()
    """The columns of the key."""

    @property
    def accepted(self) -> int:
        """The number of rows without a critical fault."""
        return self.rows_in - self.quarantined


def find_batch_problems(batch: BatchCounts, policy: ContractPolicy, empty: Collection[str]) -> list[str]:
    """Checks a batch against the limits of the policy.

    Args:
        batch: The counts.
        policy: The limits.
        empty: The columns in which no accepted row has a value.

    Returns:
        One phrase for each broken limit, with the value and the limit.
    """
    if not batch.rows_in:  # only rows that an earlier batch had
        return []
    return [
        *_find_retyped(batch, empty),
        *_check_quarantine_share(batch, policy),
        *_check_conflicting_share(batch, policy),
        *_check_row_count(batch, policy),
        *_check_freshness(batch, policy),
    ]


def _is_applicable(rule: Rule, without: Collection[str]) -> bool:
    if not rule.columns:  # a custom rule may read any column
        return rule.type.startswith("expect_table_row_count")
    condition = str(rule.kwargs.get("row_condition") or "")
    return not any(name in condition for name in without)


def _shorten(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return shorten(text, 60, placeholder="...")


def _find_retyped(batch: BatchCounts, empty: Collection[str]) -> list[str]:
    return [
        f"column {column!r} seems to have another type now: none of its {count:,} values fits the table's type"
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
        f"{share:.1%} of the rows ({batch.quarantined:,} of {batch.rows_in:,}) would be quarantined, but "
        f"contract.quarantine_limit is {policy.quarantine_limit:.1%}"
        + (f"; most often: {causes}" if often else "")
        + "".join(f"; {fix}" for rule, fix in _WAYS_OUT.items() if any(rule == broken for broken, _ in batch.faults))
    ]


_WAYS_OUT = {
    "too_large": "whole numbers beyond 64 bits keep their digits as text: read them as text",
    "inexact_key": "ids beyond 2**53 in a float column have lost digits: read them as text or as integers",
}
"""What to do about a rule whose name does not say it."""


def _check_conflicting_share(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    rows = batch.rows_in + batch.conflicting
    if batch.conflicting <= policy.quarantine_limit * rows:
        return []
    return [
        f"{batch.conflicting / rows:.1%} of the rows ({batch.conflicting:,} of {rows:,}) have the key of a later row "
        f"of the same load and another content, but contract.quarantine_limit is {policy.quarantine_limit:.1%}: the "
        f"key {', '.join(batch.key)} does not tell rows apart; name more columns in key, or load one row for each key"
    ]


def _check_row_count(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    if batch.accepted >= policy.min_rows:
        return []
    return [f"only {batch.accepted:,} rows are accepted, but contract.min_rows is {policy.min_rows:,}"]


def _check_freshness(batch: BatchCounts, policy: ContractPolicy) -> list[str]:
    if policy.freshness is None or batch.newest is None or batch.until - batch.newest <= policy.freshness:
        return []
    return [
        f"the newest row is from {format_time(batch.newest)}, {format_duration(batch.until - batch.newest)} before the "
        f"end of the load, but contract.freshness is {format_duration(policy.freshness)}"
    ]


_RULES = TypeAdapter(tuple[Rule, ...])
