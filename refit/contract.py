"""The data contract as plain values: rules, the faults that break them, and their derivation from reference data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation as plain data, in the terms of Great Expectations."""

    type: str
    """The expectation's name in snake case: `expect_column_values_to_be_between`."""
    kwargs: dict[str, Any]
    """Its arguments; JSON values only."""
    severity: Severity = "critical"


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
