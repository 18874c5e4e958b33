"""One expectation of Great Expectations that judges many columns: the simple rules about the values of one column.

Great Expectations spends some ten milliseconds on each expectation, whatever the number of rows, and copies the whole
frame for it, so a table of 2,000 columns took minutes. Here its own conditions are asked of each column, one after the
other, in one metric of one expectation.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.registry import get_expectation_impl, get_metric_provider

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations.expectation import ColumnMapExpectation, Expectation

VALUE_KEYS = {
    "expect_column_values_to_not_be_null": (),
    "expect_column_values_to_be_between": ("min_value", "max_value", "strict_min", "strict_max"),
    "expect_column_values_to_be_in_set": ("value_set",),
    "expect_column_values_to_not_be_in_set": ("value_set",),
}
"""The expectations that are judged jointly, each with the arguments of its condition."""
METRIC = "table.refit_broken_rules"


class BrokenRules(TableMetricProvider):
    """The rules that values break, by the conditions of Great Expectations itself."""

    metric_name = METRIC
    value_keys = ("rules",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - Great Expectations calls it with the class
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: object,
    ) -> dict[int, dict[str, Any] | None]:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        asked = json.loads(metric_value_kwargs["rules"])
        found = ((place, _judge_column(execution_engine, frame[column], *rule)) for place, column, *rule in asked)
        return {place: result for place, result in found if result != {}}


class ExpectColumnsToKeepRules(BatchExpectation):
    """Expects the values of many columns to keep one rule or more each."""

    rules: str
    """The rules from `write_rules`."""
    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    success_keys: ClassVar[tuple[str, ...]] = ("rules",)

    def _validate(self, metrics: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        broken = metrics[METRIC]
        return {"success": not broken, "result": {"observed_value": len(broken), "details": broken}}


def is_joint_rule(expectation: Expectation) -> bool:
    """Tells whether a rule can be judged together with others.

    Args:
        expectation: The expectation of one rule.

    Returns:
        True for a rule about the values of one column that names no condition on rows, no share of rows (`mostly`) and
        no values but numbers and text.
    """
    kwargs = expectation.configuration.kwargs
    keys = VALUE_KEYS.get(expectation.configuration.type)
    if keys is None or kwargs.get("mostly", 1) != 1 or not {"column", "mostly", *keys}.issuperset(kwargs):
        return False
    values = [kwargs.get(key) for key in keys]
    return all(isinstance(value, str | int | float | None) for value in _flatten(values))


def write_rules(expectations: Sequence[tuple[int, Expectation]]) -> str:
    """Writes rules as the argument of `ExpectColumnsToKeepRules`.

    Args:
        expectations: The position of each rule, and its expectation.

    Returns:
        JSON: position, column, type and the arguments of the condition of each.
    """
    found = ((place, one.configuration.type, one.configuration.kwargs) for place, one in expectations)
    return json.dumps(
        [
            (place, kwargs["column"], kind, {key: kwargs[key] for key in VALUE_KEYS[kind] if key in kwargs})
            for place, kind, kwargs in found
        ]
    )


def _flatten(values: Sequence[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list | tuple) else [value])]


def _judge_column(
    engine: PandasExecutionEngine, column: pd.Series, kind: str, values: dict[str, Any]
) -> dict[str, Any] | None:
    """Judges one column by one rule.

    Returns:
        Nothing if it is kept, the rows that break it, or `None` if the condition cannot be evaluated on this column.
    """
    provider, condition, only_present = _find_condition(kind, engine)
    present = column[column.notnull()] if only_present else column
    try:
        unexpected = ~condition(provider, present, **values, _metrics={})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # Great Expectations is asked again, by an expectation of its own, and says why
    if unexpected.dtype != np.bool_:
        return None
    rows = present.index[unexpected.to_numpy()].to_list()
    return {"unexpected_count": len(rows), "element_count": len(column), "unexpected_index_list": rows} if rows else {}


def _find_condition(kind: str, engine: PandasExecutionEngine) -> tuple[Any, Callable[..., pd.Series], bool]:
    """Finds the condition of an expectation: its provider, the plain function, and whether nulls are left out."""
    map_metric = cast("type[ColumnMapExpectation]", get_expectation_impl(kind)).map_metric
    provider: Any
    provider, condition = get_metric_provider(f"{map_metric}.condition", engine)
    return provider, inspect.unwrap(condition), provider.filter_column_isnull
