from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.data.rejected_rows import RowIds, decode_rows, encode_rows

cell = st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | st.booleans()


@given(st.lists(cell, min_size=1))
def test_cells_survive(cells: list[object]) -> None:
    texts = [text for single in cells for text in encode_rows(pa.table({"a": pa.array([single])}))]
    for text in texts:
        json.loads(text, parse_constant=pytest.fail)
    back: dict[int, object] = {}
    for places, rows in decode_rows(texts):
        back |= dict(zip(places, rows["a"].to_pylist(), strict=True))
    for place, expected in enumerate(cells):
        found = back[place]
        if isinstance(expected, bytes) and isinstance(found, str):
            found = found.encode()
        missing = expected is None or (isinstance(expected, float) and math.isnan(expected))
        assert found is None if missing else (found == expected and type(found) is type(expected))


def test_times_and_decimals_are_exact_text() -> None:
    rows = pa.table({"t": [datetime(2026, 1, 1, 12, 30, 0, 7, tzinfo=UTC)], "d": [Decimal("1.10")]})
    assert json.loads(encode_rows(rows)[0]) == {"t": "2026-01-01 12:30:00.000007Z", "d": "1.10"}


def test_a_time_beyond_the_calendar_does_not_stop_the_others() -> None:
    rows = pa.table({"t": pa.array([2**62, 0], pa.timestamp("us", tz="UTC"))})
    assert len(encode_rows(rows)) == 2


def test_equal_rows_are_numbered_and_types_of_neighbours_do_not_matter() -> None:
    whole, float_ = encode_rows(pa.table({"a": [5], "b": ["x"]})), encode_rows(pa.table({"b": ["x"], "a": [5.0]}))
    one, again = RowIds(), RowIds()
    first, second = one.assign(whole[0]), one.assign(whole[0])
    assert first != second
    assert (again.assign(float_[0]), again.assign(whole[0])) == (first, second)


def test_cells_that_no_table_holds_and_texts_that_are_none_become_text() -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    rows = pa.table({"a": [[1, 2]], "b": [{"c": 3}], "d": broken})
    assert json.loads(encode_rows(rows)[0]) == {"a": "[1, 2]", "b": "{'c': 3}", "d": {"$bytes": "ff"}}
