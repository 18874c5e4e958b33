"""Great Expectations: rules evaluated on a frame, one validation at a time, and a project's expectations as rules."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pyarrow as pa

from refit.data.contract import Rule
from refit.errors import BrokenProject
from refit.project import Project
from refit_infra.settings import QUIET
from refit_tasks.project_code.errors import describe_project_error

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration


_ONE_AT_A_TIME = threading.Lock()
"""Great Expectations has one context per process, so concurrent validations would see each other's data."""

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
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    level: dict[str, Any] = {"result_format": "COMPLETE" if listing else "BASIC", "exclude_unexpected_values": True}
    with _ONE_AT_A_TIME:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        try:
            result: ExpectationSuiteValidationResult = batch.validate(_suite(rules), result_format=level)
        except GreatExpectationsError as error:
            raise BrokenProject(f"the contract cannot be evaluated ({error}): correct the expectations") from error
    return [_outcome(rules, single) for single in result.results]


def _prepare() -> None:
    """Turns off the analytics of Great Expectations, which it reads at import, and its log of every step."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", QUIET["GX_ANALYTICS_ENABLED"])
    logging.getLogger("great_expectations").setLevel(logging.WARNING)


def _suite(rules: Sequence[Rule]) -> ExpectationSuite:
    """Builds the expectations, each with its rule's position, since the order of the results is arbitrary."""
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    expectations = [
        get_expectation_impl(rule.type)(**rule.kwargs, severity=FailureSeverity(rule.severity), meta={"rule": position})
        for position, rule in enumerate(rules)
    ]
    return ExpectationSuite(name="contract", expectations=expectations)


def _outcome(rules: Sequence[Rule], result: ExpectationValidationResult) -> RuleOutcome:
    rule = rules[cast("ExpectationConfiguration", result.expectation_config).meta["rule"]]
    measured = result.result
    if {"unexpected_count", "element_count"} <= measured.keys():  # one about all distinct values has no second one
        observed = f"{measured['unexpected_count']} of {measured['element_count']} rows"
    else:
        observed = str(measured.get("observed_value"))
    error = _error(result.exception_info or {})
    rows = tuple(measured.get("unexpected_index_list") or ())
    return RuleOutcome(rule, bool(result.success), error or observed, bool(error), rows)


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
