"""The expectations that a project file gives, read as rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from refit.data.contract import Rule
from refit.errors import BrokenProject
from refit.project import Project
from refit_tasks.project_code import blame

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

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
"""What a mistake in a project's own function raises; a full disk or a lost connection is no mistake."""


def rules_of(definition: Project, expectations: Callable[[], list[Any]], schema: pa.Schema) -> tuple[Rule, ...]:
    """Reads a project's own expectations.

    Args:
        definition: The project, for the message.
        expectations: Its function of that name.
        schema: The table's schema.

    Returns:
        One rule for each expectation, with its severity.

    Raises:
        BrokenProject: If the function fails, gives something else, or names a column that the table does not have.
    """
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    try:
        rules = tuple(_rule(expectation) for expectation in expectations())
    except (*_MISTAKES, GreatExpectationsError) as error:
        raise BrokenProject(f"expectations() fails in {blame(error, definition.file)}: correct it") from error
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
