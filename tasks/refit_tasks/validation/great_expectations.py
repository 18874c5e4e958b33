"""Great Expectations: rules evaluated on a frame, one validation at a time, and a project's expectations as rules."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pyarrow as pa

from refit.data.contract import Rule
from refit.errors import BrokenProject
from refit.project import Project
from refit_infra.settings import QUIET
from refit_tasks.project_code.errors import describe_project_error

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration


_ONE_AT_A_TIME = threading.Lock()
"""Great Expectations has one context per process, so concurrent validations would see each other's data."""

SUITE_RULES = 100
"""The most expectations of one suite: Great Expectations copies all of a suite's columns for each of them."""
_NEED_ALL_ROWS = {
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
    "expect_column_values_to_not_be_outliers",
    "expect_column_value_z_scores_to_be_less_than",
}
"""Expectations that list rows but compare them with all other rows, so that a piece would give another result."""

_MISTAKES = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    SystemExit,
    TypeError,
    ValueError,
)
"""Errors that mean a mistake in a project's `expectations()`, unlike a full disk or a lost connection."""


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """The result of one rule."""

    rule: Rule
    success: bool
    """Whether the rule is kept, taking `mostly` into account."""
    observed: str
    """The measured value, or the error."""
    error: bool = False
    """Whether the rule could not be evaluated."""
    rows: tuple[int, ...] = ()
    """The positions of the rows that break the rule, if they were requested; a rule with `mostly` may still be kept."""


def is_row_rule(rule: Rule) -> bool:
    """Tells whether a rule evaluates each row by itself.

    Args:
        rule: The rule, of a type that Great Expectations knows.

    Returns:
        True if the rows that break the rule can be quarantined, False for a rule about the whole batch.
    """
    _prepare()
    from great_expectations.expectations import expectation
    from great_expectations.expectations.registry import get_expectation_impl

    kinds = (
        expectation.ColumnMapExpectation,
        expectation.ColumnPairMapExpectation,
        expectation.MulticolumnMapExpectation,
    )
    return rule.type not in _NEED_ALL_ROWS and issubclass(get_expectation_impl(rule.type), kinds)


def validate(rules: Sequence[Rule], frame: pd.DataFrame, *, listing: bool) -> list[RuleOutcome]:
    """Evaluates rules on a frame, in a context of their own.

    Args:
        rules: At least one rule.
        frame: The rows, with a range index.
        listing: Whether the positions of the rows that break a rule are listed.

    Returns:
        One outcome per rule.

    Raises:
        BrokenProject: If Great Expectations cannot evaluate the rules, such as for a parameter without a value.
    """
    _prepare()
    expectations = _build_expectations(rules)
    with _ONE_AT_A_TIME:
        outcomes = _judge_jointly(rules, expectations, frame) if listing else {}
        left = [place for place in range(len(rules)) if place not in outcomes]
        for places in (left[start : start + SUITE_RULES] for start in range(0, len(left), SUITE_RULES)):
            names = needed_columns([rules[place] for place in places], frame.columns) if listing else frame.columns
            results = _run_suite([expectations[place] for place in places], frame[list(names)], listing=listing)
            outcomes |= dict(_read_outcome(rules, result) for result in results)
    return [outcomes[place] for place in range(len(rules))]


def needed_columns(rules: Sequence[Rule], columns: Iterable[str]) -> list[str]:
    """Lists the columns that rules read.

    Args:
        rules: The rules.
        columns: All columns.

    Returns:
        The columns that the rules name; all columns if one has a row condition or is a custom rule, which may read any.
    """
    if any(rule.kwargs.get("row_condition") or not (rule.columns or _about_table(rule)) for rule in rules):
        return list(columns)
    named = {column for rule in rules for column in rule.columns}
    return [column for column in columns if column in named]


def _about_table(rule: Rule) -> bool:
    return rule.type.startswith("expect_table_")


def _judge_jointly(
    rules: Sequence[Rule], expectations: Sequence[Expectation], frame: pd.DataFrame
) -> dict[int, RuleOutcome]:
    """Judges the simple rules about single columns by one expectation; rules that it cannot evaluate are left out."""
    from refit_tasks.validation.column_rules import ExpectColumnsToKeepRules, is_joint_rule, write_rules

    joint = [(place, one) for place, one in enumerate(expectations) if is_joint_rule(one)]
    if not joint:
        return {}
    (result,) = _run_suite([ExpectColumnsToKeepRules(rules=write_rules(joint))], frame, listing=True)
    if _error(result.exception_info or {}):
        return {}
    broken = result.result["details"]
    kept = RuleOutcome(rules[0], success=True, observed=f"0 of {len(frame)} rows")
    outcomes = {place: replace(kept, rule=rules[place]) for place, _ in joint if place not in broken}
    return outcomes | {
        place: RuleOutcome(rules[place], success=False, observed=_observe(measured), rows=_list_rows(measured))
        for place, measured in broken.items()
        if measured is not None
    }


def _run_suite(
    expectations: Sequence[Expectation], frame: pd.DataFrame, *, listing: bool
) -> list[ExpectationValidationResult]:
    """Lets Great Expectations evaluate a suite in a context of its own."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    level: dict[str, Any] = {"result_format": "COMPLETE" if listing else "BASIC", "exclude_unexpected_values": True}
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="contract", expectations=list(expectations))
    try:
        result: ExpectationSuiteValidationResult = batch.validate(suite, result_format=level)
    except GreatExpectationsError as error:
        raise BrokenProject(f"the contract cannot be evaluated ({error}): correct the expectations") from error
    return list(result.results)


def _prepare() -> None:
    """Turns off the analytics of Great Expectations, which it reads at import, and its log of every step."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", QUIET["GX_ANALYTICS_ENABLED"])
    library = logging.getLogger("great_expectations")
    if library.level != logging.WARNING:  # setting it again costs as much as a rule
        library.setLevel(logging.WARNING)


def _build_expectations(rules: Sequence[Rule]) -> list[Expectation]:
    """Builds the expectations, each with its rule's position, since the order of the results is arbitrary."""
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    return [
        get_expectation_impl(rule.type)(**rule.kwargs, severity=FailureSeverity(rule.severity), meta={"rule": position})
        for position, rule in enumerate(rules)
    ]


def _read_outcome(rules: Sequence[Rule], result: ExpectationValidationResult) -> tuple[int, RuleOutcome]:
    place = cast("ExpectationConfiguration", result.expectation_config).meta["rule"]
    error = _error(result.exception_info or {})
    observed = error or _observe(result.result)
    return place, RuleOutcome(rules[place], bool(result.success), observed, bool(error), _list_rows(result.result))


def _observe(measured: dict[str, Any]) -> str:
    if {"unexpected_count", "element_count"} <= measured.keys():  # one about all distinct values has no second one
        return f"{measured['unexpected_count']} of {measured['element_count']} rows"
    return str(measured.get("observed_value"))


def _list_rows(measured: dict[str, Any]) -> tuple[int, ...]:
    return tuple(measured.get("unexpected_index_list") or ())


def _error(info: dict[str, Any]) -> str:
    """Finds the message of an error; if several were raised, Great Expectations nests them by metric."""
    if "raised_exception" in info:
        return str(info.get("exception_message") or "") if info["raised_exception"] else ""
    return next((str(single["exception_message"]) for single in info.values() if single["raised_exception"]), "")


def read_rules(definition: Project, expectations: Callable[[], list[Any]], schema: pa.Schema) -> tuple[Rule, ...]:
    """Reads a project's expectations as rules.

    Args:
        definition: The project, for the message.
        expectations: The project's function `expectations()`.
        schema: The table's schema.

    Returns:
        One rule per expectation, with its severity.

    Raises:
        BrokenProject: If the function fails, returns something else, or names a column that the table does not have.
    """
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    try:
        rules = tuple(_rule(expectation) for expectation in expectations())
    except (*_MISTAKES, GreatExpectationsError) as error:
        raise BrokenProject(
            f"expectations() fails in {describe_project_error(error, definition.file)}: correct it"
        ) from error
    unknown = [f"{column!r} in {rule.type}" for rule in rules for column in rule.columns if column not in schema.names]
    if unknown:
        known = ", ".join(schema.names)
        where = definition.file or definition.name
        raise BrokenProject(f"expectations() in {where} names {'; '.join(unknown)}: the table has the columns {known}")
    return rules


def _rule(expectation: Expectation) -> Rule:
    from great_expectations.expectations.expectation import Expectation

    if not isinstance(expectation, Expectation):
        raise TypeError(f"{expectation!r} is not a Great Expectations object")
    configuration = expectation.configuration
    return Rule(configuration.type, dict(configuration.kwargs), expectation.severity.value)
