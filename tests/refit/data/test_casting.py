"""Cells are fitted without loss or become faults; rows are never lost."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from refit.data.casting import cast_table
from refit.data.contract import Fault

ZONED = pa.timestamp("us", "UTC")
NAIVE = pa.timestamp("us")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BROKEN_TEXT = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ab", b"\xff"], pa.binary()).buffers())


def fit(values, kind):
    """Conforms one column and gives its cells, and the faults as rule by row."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    table, faults = cast_table(pa.table({"x": column}), pa.schema([("x", kind)]))
    assert table.num_rows == len(column)
    assert table.schema.field("x").type == kind
    return table["x"].to_pylist(), {fault.row: fault.rule for fault in faults}


@pytest.mark.parametrize(
    ("values", "kind", "fitted"),
    [
        ([1, None, 3], pa.float64(), [1.0, None, 3.0]),
        ([1.0, math.nan, 3.0], pa.int64(), [1, None, 3]),
        ([Decimal("0.1"), None], pa.float64(), [0.1, None]),
        (["5.25", " 1e3 ", None], pa.float64(), [5.25, 1000.0, None]),
        (["5", "5.0", "123456789012345678"], pa.int64(), [5, 5, 123456789012345678]),
        (["True", "false", None], pa.bool_(), [True, False, None]),
        (pa.array([b"ab", None], pa.binary()), pa.string(), ["ab", None]),
        (pa.array(["ab", "c"], pa.large_string()), pa.string(), ["ab", "c"]),
        (pa.array(["ab", None, "ab"]).dictionary_encode(), pa.string(), ["ab", None, "ab"]),
        (pa.nulls(2), pa.float64(), [None, None]),
        (pa.array([1], pa.timestamp("s", "Europe/Berlin")), ZONED, [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]),
        (pa.array([1_999], pa.timestamp("ns")), NAIVE, [datetime(1970, 1, 1, 0, 0, 0, 1)]),  # noqa: DTZ001 naive is meant
        (pa.array([1], pa.date32()), NAIVE, [datetime(1970, 1, 2)]),  # noqa: DTZ001 naive is meant
        (["2026-03-01T12:00:00Z", "2026-03-01 14:00:00+02:00"], ZONED, [NOON, NOON]),
    ],
)
def test_the_same_value_in_another_dress_is_taken(values, kind, fitted):
    assert fit(values, kind) == (fitted, {})


@pytest.mark.parametrize(
    ("values", "kind", "rules"),
    [
        ([30.9, 1.0], pa.int64(), {0: "type"}),
        ([2.0**63, 1.0], pa.int64(), {0: "type"}),
        (pa.array([2**63, 1], pa.uint64()), pa.int64(), {0: "too_large"}),
        (pa.array([Decimal(2**63), Decimal(7)], pa.decimal128(38, 0)), pa.int64(), {0: "too_large"}),
        (pa.array([Decimal("7.5"), Decimal("7.0")], pa.decimal128(9, 1)), pa.int64(), {0: "type"}),
        ([2**53 + 1, 1], pa.float64(), {0: "type"}),
        (["abc", "1"], pa.float64(), {0: "type"}),
        (["", "0x10", "1_000"], pa.float64(), {0: "type", 1: "type", 2: "type"}),
        (["9223372036854775808", "7"], pa.int64(), {0: "type"}),
        ([math.inf, -math.inf, 1.0], pa.float64(), {0: "infinite", 1: "infinite"}),
        ([math.inf, 1.0], pa.int64(), {0: "infinite"}),
        (["yes", "true"], pa.bool_(), {0: "type"}),
        ([8, None], pa.string(), {0: "type"}),
        ([True, None], pa.float64(), {0: "type"}),
        ([[1], [2]], pa.float64(), {0: "type", 1: "type"}),
        (BROKEN_TEXT, pa.string(), {1: "type"}),
        (["x" * 10_000_000, "x"], pa.string(), {0: "too_long"}),
        (["2026-03-01T12:00:00", "2026-03-01", "2026-02-30T12:00Z", "soon"], ZONED, dict.fromkeys(range(4), "type")),
        (pa.array([10**14, 0], pa.timestamp("s", "UTC")), ZONED, {0: "type"}),
        (["2026-03-01T12:00:00Z", "2026-03-01"], NAIVE, {0: "type"}),
    ],
)
def test_a_cell_that_does_not_fit_is_null_and_a_fault(values, kind, rules):
    fitted, found = fit(values, kind)
    assert found == rules
    assert [row for row, value in enumerate(fitted) if value is None and row in rules] == sorted(rules)
    assert all(value is not None for row, value in enumerate(fitted) if row not in rules) or None in values


def test_a_fault_shows_a_short_value():
    _, faults = cast_table(pa.table({"x": ["x" * 2_000_000, None]}), pa.schema([("x", pa.string())]))
    assert faults == [Fault(row=0, rule="too_long", column="x", value="x" * 200)]


def test_columns_are_put_in_order_and_unknown_ones_left_out():
    schema = pa.schema([("a", pa.int64()), pa.field("b", pa.string(), metadata={b"refit.dtype": b"category"})])
    table, faults = cast_table(pa.table({"c": [1], "b": ["x"]}), schema)
    assert table.schema.equals(schema, check_metadata=True)
    assert (table.to_pylist(), faults) == ([{"a": None, "b": "x"}], [])


def test_an_empty_piece_stays_empty():
    assert fit(pa.array([], pa.string()), ZONED) == ([], {})


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_finite_doubles_are_unchanged(numbers):
    assert fit(pa.array(numbers, pa.float64()), pa.float64()) == (numbers, {})


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_doubles_fit_whole_numbers_exactly_or_not_at_all(numbers):
    fitted, rules = fit(pa.array(numbers, pa.float64()), pa.int64())
    for row, (number, found) in enumerate(zip(numbers, fitted, strict=True)):
        holds = number is not None and number.is_integer() and abs(number) < 2**63
        assert found == (int(number) if holds else None)
        assert (row in rules) == (number is not None and not holds)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_fit_doubles_exactly_or_not_at_all(numbers):
    fitted, rules = fit(pa.array(numbers, pa.int64()), pa.float64())
    for row, (number, found) in enumerate(zip(numbers, fitted, strict=True)):
        assert (found is None) == (number is None or row in rules)
        assert found is None or int(found) == number


@given(st.lists(st.none() | st.floats(allow_infinity=False, allow_nan=False) | st.text(max_size=5)))
def test_text_is_a_number_only_where_python_agrees(cells):
    texts = [None if cell is None else str(cell) for cell in cells]
    fitted, rules = fit(pa.array(texts, pa.string()), pa.float64())
    for row, (text, found) in enumerate(zip(texts, fitted, strict=True)):
        assert (row in rules) == (text is not None and found is None)
        assert found is None or found == float(text)
    numbers = [row for row, cell in enumerate(cells) if isinstance(cell, float)]
    assert all(fitted[row] == cells[row] for row in numbers)


@given(
    st.lists(
        st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])).filter(
            lambda moment: 1 < moment.year < 9999
        )
    )
)
def test_iso_texts_are_the_times_they_say(moments):
    assert fit(pa.array([moment.isoformat() for moment in moments], pa.string()), ZONED) == (moments, {})


def test_a_large_piece_is_fitted_column_by_column():
    numbers = np.arange(200_000.0)
    numbers[::1000] += 0.5
    fitted, rules = fit(pa.array(numbers), pa.int64())
    assert len(rules) == fitted.count(None) == 200


def test_decimals_without_places_keep_every_digit() -> None:
    values = [2**53 + 1, -(2**63), 2**63 - 1, None]
    column = pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))
    assert fit(column, pa.int64()) == (values, {})
