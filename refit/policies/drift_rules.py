"""Fixed drift thresholds as text, such as `psi > 0.2 on any of [temperature, wind]`: parsing and applying them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from refit.errors import ProjectError
from refit.records.drift_findings import ColumnDrift, DomainDrift, Drift

COLUMN_MEASURES: dict[str, Callable[[ColumnDrift], float | None]] = {
    "psi": lambda found: found.psi,
    "excess": lambda found: found.excess,
    "p_value": lambda found: found.p_value,
    "distance": lambda found: found.distance,
    "jensen_shannon": lambda found: found.jensen_shannon,
    "ks": lambda found: found.kolmogorov_smirnov,
    "missing_change": lambda found: found.missing_change,
    "unseen": lambda found: found.unseen,
}
"""The measures of a column; a column without the measure (`ks` of a category) meets no rule about it."""
WHOLE_MEASURES = ("share", "domain_auc")
"""The measures of the whole window."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_FORM = re.compile(
    r"\s*(?P<measure>\w+)\s*(?P<operator>>=|<=|>|<)\s*(?P<limit>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"(?:\s+on\s+(?P<scope>any|all)(?:\s+of\s+\[(?P<columns>[^\[\]]*)\])?)?\s*"
)


@dataclass(frozen=True, slots=True)
class DriftRule:
    """One fixed threshold."""

    measure: str
    relation: str
    """`>`, `>=`, `<` or `<=`."""
    limit: float
    scope: Literal["any", "all"] = "any"
    """Whether one of the columns is enough, or all must meet the rule."""
    columns: tuple[str, ...] = ()
    """The columns of the rule; empty for all of them, predictions included."""

    def is_met_by(self, value: float | None) -> bool:
        """Returns whether a value exceeds the threshold.

        Args:
            value: The measured value; `None` never meets a rule.

        Returns:
            Whether the rule is met.
        """
        return value is not None and _OPERATORS[self.relation](value, self.limit)


def parse_rule(text: str) -> DriftRule:
    """Parses a drift rule.

    Args:
        text: A measure, a relation and a number; for a measure of columns, also which columns.

    Returns:
        The rule.

    Raises:
        ProjectError: If the text is not a rule, or its measure is unknown.

    Example:
        >>> parse_rule("psi > 0.2 on any of [temperature, wind]").columns
        ('temperature', 'wind')
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise ProjectError(
            f"{text!r} is not a drift rule: write a measure, a relation and a number, such as "
            f"'psi > 0.2 on any of [a, b]', 'psi > 0.2 on all' or 'share > 0.5'"
        )
    measure, scope = match["measure"], match["scope"]
    if measure not in (*COLUMN_MEASURES, *WHOLE_MEASURES):
        known = ", ".join((*COLUMN_MEASURES, *WHOLE_MEASURES))
        raise ProjectError(f"{text!r} uses the unknown measure {measure!r}: use one of {known}")
    if measure in WHOLE_MEASURES and scope:
        raise ProjectError(f"{text!r}: {measure} is a measure of the whole window: remove 'on {scope} ...'")
    columns = tuple(name.strip() for name in (match["columns"] or "").split(",") if name.strip())
    if match["columns"] is not None and not columns:
        raise ProjectError(f"{text!r} names no column: list some between the brackets, or remove 'of []'")
    return DriftRule(measure, match["operator"], float(match["limit"]), "all" if scope == "all" else "any", columns)


def apply_rules(rules: Sequence[str], drift: Drift) -> Drift:
    """Applies fixed thresholds in place of the calibrated alarm.

    A rule on columns marks the columns that meet it. `share` is the share of columns that the other rules mark, or the
    calibrated alarm if there are none; if it is met, those columns are marked. `domain_auc` marks the domain
    classifier. Nothing is reported at once: persistence alone decides.

    Args:
        rules: The project's rules, any of which is enough.
        drift: The result of the calibrated alarm.

    Returns:
        The same numbers with other marks.

    Raises:
        ProjectError: If a rule cannot be parsed, or names a column that was not compared.
    """
    parsed = [parse_rule(text) for text in rules]
    found = (*drift.columns, *drift.scores)
    on_columns = [rule for rule in parsed if rule.measure in COLUMN_MEASURES]
    marked = {name for rule in on_columns for name in _find_columns(rule, found)}
    shares = [rule for rule in parsed if rule.measure == "share"]
    if shares:
        marked = _apply_share_rules(shares, drift, marked if on_columns else None)
    return replace(
        drift,
        columns=tuple(_mark(each, marked) for each in drift.columns),
        scores=tuple(_mark(each, marked) for each in drift.scores),
        domain=_mark_domain(parsed, drift.domain),
    )


def _find_columns(rule: DriftRule, found: Sequence[ColumnDrift]) -> set[str]:
    missing = [name for name in rule.columns if name not in {each.column for each in found}]
    if missing:
        known = ", ".join(each.column for each in found)
        raise ProjectError(f"a drift rule names the column {missing[0]!r}, which is not compared: use one of {known}")
    named = [each for each in found if not rule.columns or each.column in rule.columns]
    passed = {each.column for each in named if rule.is_met_by(COLUMN_MEASURES[rule.measure](each))}
    return passed if rule.scope == "any" or len(passed) == len(named) else set()


def _apply_share_rules(shares: Sequence[DriftRule], drift: Drift, marked: set[str] | None) -> set[str]:
    """Marks columns only if a share rule is met; columns marked by column rules stay marked."""
    counted = {each.column for each in drift.columns if each.drifted} if marked is None else marked
    names = {each.column for each in drift.columns}
    share = len(counted & names) / len(names) if names else 0.0
    fired = any(rule.is_met_by(share) for rule in shares)
    return (marked or set()) | (counted if fired else set())


def _mark(found: ColumnDrift, marked: set[str]) -> ColumnDrift:
    return replace(found, drifted=found.column in marked, huge=False)


def _mark_domain(rules: Sequence[DriftRule], domain: DomainDrift | None) -> DomainDrift | None:
    if domain is None:
        return None
    own = [rule for rule in rules if rule.measure == "domain_auc"]
    limit = own[0].limit if own else domain.limit
    return replace(domain, limit=limit, drifted=any(rule.is_met_by(domain.auc) for rule in own))
