"""What people accept beyond a derived data contract: further classes or categories, and wider ranges of numbers.

The contract in force is the derived one, widened by all that was accepted. A derived contract is renewed with each
champion; what was accepted stays accepted.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from refit.data.contract import Contract, Fault, Rule

Value = bool | int | float | str

IN_SET, BETWEEN = "expect_column_values_to_be_in_set", "expect_column_values_to_be_between"
"""The rules that can be widened."""

MAX_VALUES = 10
"""The most values that an error names in a command."""
MAX_COUNTED = 1_000
"""The most distinct rejected values of a column that are counted."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is accepted of one column, in addition to its derived rule."""

    values: tuple[Value, ...] = ()
    """Further classes or categories."""
    low: float | None = None
    """The smallest accepted number, if it is smaller than the rule's."""
    high: float | None = None
    """The largest accepted number, if it is larger than the rule's."""

    def merge(self, other: Acceptance) -> Acceptance:
        """Merges two acceptances of a column.

        Args:
            other: The other one.

        Returns:
            All values of both, and the wider range.
        """
        lows = [bound for bound in (self.low, other.low) if bound is not None]
        highs = [bound for bound in (self.high, other.high) if bound is not None]
        values = tuple(dict.fromkeys((*self.values, *other.values)))
        return Acceptance(values, min(lows, default=None), max(highs, default=None))


def widen_contract(contract: Contract, accepted: Mapping[str, Acceptance]) -> Contract:
    """Widens the rules of a contract by what was accepted.

    Args:
        contract: A derived contract.
        accepted: The acceptance of each column; columns without a rule are ignored.

    Returns:
        The contract in force.
    """
    rules = (_widen_rule(rule, accepted.get(str(rule.kwargs.get("column")))) for rule in contract.rules)
    return replace(contract, rules=tuple(rules))


def _widen_rule(rule: Rule, accepted: Acceptance | None) -> Rule:
    if accepted is None or rule.type not in (IN_SET, BETWEEN):
        return rule
    changed = _widen_set(rule.kwargs, accepted) if rule.type == IN_SET else _widen_range(rule.kwargs, accepted)
    return replace(rule, kwargs={**rule.kwargs, **changed})


def _widen_set(kwargs: Mapping[str, Any], accepted: Acceptance) -> dict[str, Any]:
    values = dict.fromkeys([*kwargs["value_set"], *accepted.values])
    return {"value_set": sorted(values, key=lambda value: (isinstance(value, str), value))}


def _widen_range(kwargs: Mapping[str, Any], accepted: Acceptance) -> dict[str, Any]:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    widened = {
        "min_value": min(low, accepted.low) if low is not None and accepted.low is not None else low,
        "max_value": max(high, accepted.high) if high is not None and accepted.high is not None else high,
    }
    return {name: bound for name, bound in widened.items() if bound is not None}


@dataclass(slots=True)
class RejectedValues:
    """The values for which the two rules that can be widened rejected rows; bounded in memory."""

    texts: dict[str, Counter[str]] = field(default_factory=dict)
    """The values outside a column's set, with their numbers of rows."""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The smallest and the largest number outside a column's range."""

    def add(self, fault: Fault) -> None:
        """Adds the value of a fault; faults of other rules are ignored.

        Args:
            fault: The fault.
        """
        if fault.rule == IN_SET:
            counted = self.texts.setdefault(fault.column, Counter())
            if fault.value in counted or len(counted) < MAX_COUNTED:
                counted[fault.value] += 1
        elif fault.rule == BETWEEN:
            number = float(fault.value)
            low, high = self.ranges.get(fault.column, (number, number))
            self.ranges[fault.column] = (min(low, number), max(high, number))


def write_commands(project: str, contract: Contract, rejected: RejectedValues) -> Iterator[str]:
    """Writes the commands that accept rejected values.

    Args:
        project: The project's name.
        contract: The contract in force.
        rejected: The values.

    Yields:
        One command for each column whose rule can be widened.
    """
    for rule in contract.rules:
        column = str(rule.kwargs.get("column"))
        if rule.type == IN_SET and column in rejected.texts:
            wanted = [value for value, _ in rejected.texts[column].most_common(MAX_VALUES)]
            yield _write_command(project, column, wanted)
        elif rule.type == BETWEEN and column in rejected.ranges:
            yield _write_command(project, column, [], *_find_bounds(rule, *rejected.ranges[column]))


def _find_bounds(rule: Rule, low: float, high: float) -> Iterator[str]:
    least, most = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    if least is not None and low < least:
        yield from ("--min", repr(low))
    if most is not None and high > most:
        yield from ("--max", repr(high))


def _write_command(project: str, column: str, values: list[str], *options: str) -> str:
    dashed = ["--"] if any(word.startswith("-") for word in (column, *values)) else []
    return shlex.join(["refit", "contract", project, "accept", *options, *dashed, column, *values])
