from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pytest

from refit.data.chunks import merge_tables, split_frame, to_arrow

AWARE, NAIVE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)  # noqa: DTZ001  a naive time is what is tested


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, None, 2.5], pa.float64()),
        ([AWARE, None], pa.timestamp("us", tz="UTC")),
        ([Decimal("1.5")], pa.decimal128(2, 1)),
        ([b"a", None], pa.binary()),
        ([1, "a"], pa.string()),
        ([True, 1], pa.string()),
        ([b"a", "b"], pa.string()),
        ([NAIVE, AWARE], pa.string()),
        ([2**70], pa.string()),
        (["\ud800"], pa.string()),
        ([object()], pa.string()),
        ([1j], pa.string()),
        ([2**53 + 1, 0.5], pa.string()),
    ],
)
def test_object_cells_keep_their_type_or_become_text(cells: list[object], kind: pa.DataType) -> None:
    column = to_arrow(pd.Series(cells, dtype=object))
    assert (column.type, len(column)) == (kind, len(cells))
    assert column.null_count == cells.count(None)


def test_mixed_cells_are_written_as_conform_reads_them() -> None:
    assert to_arrow(pd.Series([NAIVE, AWARE, b"\xff"], dtype=object)).to_pylist() == [
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "\\xff",
    ]


@pytest.mark.parametrize("wrap", [pd.DataFrame, pa.table, pa.record_batch])
def test_frames_are_cut_and_joined_without_loss(wrap) -> None:
    pieces = list(split_frame(wrap({"a": list(range(10)), "b": list("abcdefghij")}), 3))
    assert [piece.num_rows for piece in pieces] == [3, 3, 3, 1]
    joined = list(merge_tables(pieces, 7))
    assert [piece.num_rows for piece in joined] == [6, 4]
    assert pa.concat_tables(joined)["a"].to_pylist() == list(range(10))


def test_pieces_of_different_columns_are_not_joined() -> None:
    one, other = pa.table({"a": [1]}), pa.table({"a": [1.5]})
    assert [piece.num_rows for piece in merge_tables([one, one, other, one], 10)] == [2, 1, 1]


def test_a_column_name_may_come_twice() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert next(split_frame(frame, 5)).column_names == ["a", "a"]


def test_identifiers_become_their_text() -> None:
    ids = [UUID(int=1), None, UUID(int=2**127)]
    expected = [None if one is None else str(one) for one in ids]
    table = pa.table({"id": pa.array([None if one is None else one.bytes for one in ids], pa.uuid())})
    for frame in (table, pd.DataFrame({"id": ids})):
        (piece,) = split_frame(frame, 10)
        assert piece["id"].type == pa.string()
        assert piece["id"].to_pylist() == expected
