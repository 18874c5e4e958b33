"""The default data contract, derived from reference rows in one pass and bounded memory.

- Timestamp and key are never null (critical). Nulls in a feature that had none in the reference give a warning: sensors
  fail, most pipelines impute, and the other cells of the row are still useful.
- Numbers stay within the reference range, widened on both sides by `range_slack` times its width or its largest
  magnitude (critical). This catches another unit or a sentinel such as -999999, and accepts the first summer after a
  reference of winter months. A number that never falls over time, such as a counter or a year, has no upper limit; one
  that never rises has no lower limit.
- Texts with few categories stay among them, with a warning: a new category is drift more often than an error.
- The classes of a classification are those of the reference (critical): a person decides about a new one.
- Columns that are neither a role nor a feature, times, truth values and the values of a key have no rule. Ingestion
  ensures that keys are unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import family_of
from refit.data.contract import Contract, Rule, Severity
from refit.project import Project

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """The statistics of a column that the contract needs; the summaries of pieces can be merged."""

    nulls: int
    """The number of nulls."""
    low: float
    """The smallest number, infinity if there is none."""
    high: float
    """The largest number, minus infinity if there is none."""
    span: tuple[int, int]
    """The first and the last event time, in microseconds since 1970."""
    rising: bool
    """Whether the numbers never fall from one event time to the next."""
    falling: bool
    """Whether the numbers never rise from one event time to the next."""
    values: frozenset[Value] | None
    """The distinct values of a text or a class; `None` for other columns, or if there are too many for a rule."""

    def merge(self, other: ColumnSummary, category_limit: int) -> ColumnSummary:
        """Merges the summaries of two pieces.

        Args:
            other: The same column in another piece. Pieces whose event times overlap are considered to have no trend.
            category_limit: The most distinct values for a rule.

        Returns:
            The summary of both pieces.
        """
        first, last = sorted((self, other), key=lambda summary: summary.span)
        apart = first.span[1] <= last.span[0]
        return ColumnSummary(
            nulls=self.nulls + other.nulls,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            span=(first.span[0], max(self.span[1], other.span[1])),
            rising=first.rising and last.rising and apart and first.high <= last.low,
            falling=first.falling and last.falling and apart and last.high <= first.low,
            values=_union(self.values, other.values, category_limit),
        )


def derive_contract(definition: Project, pieces: Iterable[pa.Table]) -> Contract:
    """Derives a contract from reference rows.

    Args:
        definition: The project, for its roles and its contract policy.
        pieces: The reference rows, all with the table's schema; each piece is read once.

    Returns:
        The contract, with the origin `derived`; the reference rows satisfy it.
    """
    merged: dict[str, ColumnSummary] = {}
    limit = definition.contract.category_limit
    for piece in pieces:
        for name, summary in _summarize_columns(definition, piece) if piece.num_rows else ():
            merged[name] = merged[name].merge(summary, limit) if name in merged else summary
    rules = tuple(rule for name, summary in merged.items() for rule in _rules(name, summary, definition))
    return Contract(rules=rules, origin="derived")


def _summarize_columns(definition: Project, piece: pa.Table) -> Iterator[tuple[str, ColumnSummary]]:
    """Summarizes the columns that may get rules."""
    times = piece[definition.timestamp].cast(pa.int64()).fill_null(0).to_numpy()
    order = np.argsort(times, kind="stable")
    starts = np.flatnonzero(np.diff(times[order], prepend=times[order[0]] - 1))
    span = (int(times[order[0]]), int(times[order[-1]]))
    for name in dict.fromkeys([*_roles(definition), *definition.features_of(piece.column_names)]):
        column = piece[name]
        low, high = _extremes(column, order, starts)
        yield (
            name,
            ColumnSummary(
                nulls=column.null_count,
                low=float(low.min(initial=np.inf)),
                high=float(high.max(initial=-np.inf)),
                span=span,
                rising=bool((high[:-1] <= low[1:]).all()),
                falling=bool((high[1:] <= low[:-1]).all()),
                values=_values(column, name, definition),
            ),
        )


def _roles(definition: Project) -> tuple[str, ...]:
    return (definition.timestamp, *definition.key, definition.target)


def _extremes(column: pa.ChunkedArray, order: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest number of each event time, in order; empty for other columns."""
    if family_of(column.type) != "number":
        return np.empty(0), np.empty(0)
    numbers = column.cast(pa.float64(), safe=False).to_numpy()[order]
    low, high = np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts)
    return low[~np.isnan(low)], high[~np.isnan(high)]


def _values(column: pa.ChunkedArray, name: str, definition: Project) -> frozenset[Value] | None:
    if not (family_of(column.type) == "text" or (name == definition.target and definition.kind == "classification")):
        return None
    values = pc.drop_null(pc.unique(column))
    return frozenset(values.to_pylist()) if len(values) <= definition.contract.category_limit else None


def _union(one: frozenset[Value] | None, other: frozenset[Value] | None, limit: int) -> frozenset[Value] | None:
    if one is None or other is None:
        return None
    return union if len(union := one | other) <= limit else None


def _rules(name: str, summary: ColumnSummary, definition: Project) -> Iterator[Rule]:
    if name in (definition.timestamp, *definition.key):
        yield Rule("expect_column_values_to_not_be_null", {"column": name})
        return
    target = name == definition.target
    if not target and not summary.nulls:
        yield Rule("expect_column_values_to_not_be_null", {"column": name}, "warning")
    if summary.values:
        severity: Severity = "critical" if target and definition.kind == "classification" else "warning"
        yield Rule("expect_column_values_to_be_in_set", {"column": name, "value_set": sorted(summary.values)}, severity)
    elif limits := _limits(summary, definition.contract.range_slack):
        yield Rule("expect_column_values_to_be_between", {"column": name, **limits})


def _limits(summary: ColumnSummary, slack: float) -> dict[str, Any]:
    low, high = summary.low, summary.high
    width = max(high - low, abs(low), abs(high)) or 1.0
    trend = high > low
    limits = {
        "min_value": None if trend and summary.falling else low - slack * width,
        "max_value": None if trend and summary.rising else high + slack * width,
    }
    return {name: value for name, value in limits.items() if value is not None and isfinite(value)}
