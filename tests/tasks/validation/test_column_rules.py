"""Rules that are judged together: the same answers as by one expectation each, and rows that tell a wrong one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from refit.data.contract import Contract, Rule
from refit_tasks.validation import great_expectations
from refit_tasks.validation.column_rules import is_joint_rule
from refit_tasks.validation.contract import judge_rows
from refit_tasks.validation.great_expectations import RuleOutcome, validate

ROWS = 60
BETWEEN, NOT_NULL = "expect_column_values_to_be_between", "expect_column_values_to_not_be_null"
IN_SET, NOT_IN_SET = "expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"
ARGUMENTS = [
    (NOT_NULL, {}),
    (BETWEEN, {"min_value": 0, "max_value": 2}),
    (BETWEEN, {"min_value": 0, "max_value": 2, "strict_min": True, "strict_max": True}),
    (BETWEEN, {"min_value": 1}),
    (BETWEEN, {"min_value": datetime(2026, 1, 10, tzinfo=UTC)}),
    (BETWEEN, {"min_value": 0, "max_value": 2, "mostly": 0.6}),
    (IN_SET, {"value_set": [0, 1, "a"]}),
    (IN_SET, {"value_set": []}),
    (NOT_IN_SET, {"value_set": ["a", "b", 2.5]}),
]


def every_kind(seed: int) -> pd.DataFrame:
    """Columns of the kinds that a table may hold, as Arrow hands them to pandas."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(1, 1, ROWS).round(1)
    absent = draw.random(ROWS) < 0.2
    columns = {
        "number": pa.array(numbers),
        "number_with_gaps": pa.array(np.where(absent, np.nan, numbers), from_pandas=True),
        "single": pa.array(numbers, pa.float32()),
        "whole": pa.array(draw.integers(-1, 4, ROWS)),
        "whole_with_gaps": pa.array([None if gap else 2 for gap in absent], pa.int64()),
        "small": pa.array(draw.integers(0, 3, ROWS), pa.int16()),
        "truth": pa.array(draw.random(ROWS) < 0.5),
        "truth_with_gaps": pa.array([None if gap else True for gap in absent], pa.bool_()),
        "text": pa.array(draw.choice(list("abxyz"), ROWS)),
        "text_with_gaps": pa.array([None if gap else "a" for gap in absent], pa.string()),
        "time": pa.array(pd.date_range("2026-01-01", periods=ROWS, freq="12h"), pa.timestamp("us", "UTC")),
        "nothing": pa.array([None] * ROWS, pa.float64()),
        "infinite": pa.array([np.inf, -np.inf] * (ROWS // 2)),
    }
    return pa.table(columns).to_pandas()


def every_rule(frame: pd.DataFrame) -> list[Rule]:
    return [Rule(kind, {"column": name, **arguments}) for name in frame.columns for kind, arguments in ARGUMENTS]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_rules_judged_together_are_judged_as_each_by_itself(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = every_kind(seed)
    rules = every_rule(frame)
    together = validate(rules, frame, listing=True)
    monkeypatch.setattr(great_expectations, "_judge_jointly", lambda *_: {})
    alone = validate(rules, frame, listing=True)
    assert [comparable(one) for one in together] == [comparable(one) for one in alone]
    assert {True, False} == {one.success for one in alone}
    assert any(one.error for one in alone)


def comparable(one: RuleOutcome) -> tuple[object, ...]:
    """An outcome without the counts of a rule that is kept, which nobody reads."""
    return one.rule, one.success, one.rows, one.error, None if one.success else one.observed


def test_most_rules_of_a_contract_are_judged_together() -> None:
    rules = every_rule(every_kind(0))
    built = great_expectations._build_expectations(rules)  # noqa: SLF001 - the expectations as the library makes them
    joint = {rule.type for rule, one in zip(rules, built, strict=True) if is_joint_rule(one)}
    assert joint == {NOT_NULL, BETWEEN, IN_SET, NOT_IN_SET}
    alone = [rule for rule, one in zip(rules, built, strict=True) if not is_joint_rule(one)]
    assert {str(sorted(rule.kwargs)) for rule in alone} == {
        "['column', 'max_value', 'min_value', 'mostly']",
        "['column', 'min_value']",
    }


def test_each_of_many_columns_names_its_own_rows() -> None:
    columns = [f"x{number:03}" for number in range(300)]
    table = pa.table({name: np.zeros(400) for name in columns})
    for row, name in enumerate(columns):
        cells = np.zeros(400)
        cells[row] = 9.0
        table = table.set_column(row, name, pa.array(cells))
    rules = tuple(Rule(BETWEEN, {"column": name, "min_value": -1, "max_value": 1}) for name in columns)
    findings = judge_rows(Contract(rules, "project"), table)
    assert [(fault.row, fault.column, fault.value) for fault in findings.faults] == [
        (row, name, "9.0") for row, name in enumerate(columns)
    ]
