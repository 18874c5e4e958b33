"""Writes to a table that has changed since it was opened fail, whatever they write, and are decided again."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError, DeltaError

from refit.errors import StateError
from refit.windows import Window
from refit_infra.settings import Settings
from refit_tasks.storage.delta import open_table, read, retry_on_conflict, schema_of, within, write
from refit_tasks.storage.staging import SpilledTables, staging_area

INSTANT = pa.timestamp("us", tz="UTC")


def one(cell: int) -> pa.Table:
    return pa.table({"a": [cell]})


def cells() -> list[int]:
    return sorted(cell for part in read(open_table("some")) for cell in part["a"].to_pylist())


@pytest.mark.parametrize("replacing", [None, "a > 0"])
def test_a_write_to_what_has_changed_fails(replacing: str | None) -> None:
    write("some", None, [one(1)], one(1).schema)
    stale = open_table("some")
    write("some", open_table("some"), [one(2)], one(1).schema)
    with pytest.raises(CommitFailedError):
        write("some", stale, [one(3)], one(1).schema, replacing)
    with pytest.raises(DeltaError, match="already exists"):
        write("some", None, [one(3)], one(1).schema)
    assert cells() == [1, 2]


def test_redo_opens_the_table_again_and_gives_up_in_the_end() -> None:
    stale = iter([None, None])
    write("some", None, [one(1)], one(1).schema)
    retry_on_conflict(lambda: write("some", next(stale, open_table("some")), [one(2)], one(1).schema), "some")
    assert cells() == [1, 2]
    with pytest.raises(StateError, match="'some' was changed by another process"):
        retry_on_conflict(lambda: write("some", None, [one(3)], one(1).schema), "some")


def test_a_version_stays_readable_for_a_century() -> None:
    write("some", None, [one(1)], one(1).schema)
    write("some", open_table("some"), [one(2)], one(1).schema, replacing="a > 0")
    assert open_table("some").vacuum() == []
    assert open_table("some").metadata().configuration == {
        "delta.logRetentionDuration": "interval 36500 days",
        "delta.deletedFileRetentionDuration": "interval 36500 days",
    }


def test_windows_of_columns_with_any_name() -> None:
    times = [datetime(2026, 1, day, 0, 0, 0, 1, tzinfo=UTC) for day in (1, 2, 3)]
    rows = pa.table({'the "É" time': pa.array(times, INSTANT)})
    write("named", None, [rows], rows.schema)
    found = list(read(open_table("named"), where=within('the "É" time', Window(times[0], times[2]))))
    assert [cell for part in found for cell in part.column(0).to_pylist()] == times[:2]
    assert schema_of(open_table("named")) == rows.schema


def test_staging_is_removed_and_so_is_what_a_dead_process_left() -> None:
    with staging_area("p") as dead:
        left = Settings().staging / "p-left"
        left.mkdir()
        (left / "000000.arrow").touch()
        with staging_area("p") as living:
            assert not left.exists()
            assert dead.exists()
            pieces = SpilledTables(living / "raw")
            pieces.add(one(1))
            pieces.add(pa.table({"b": ["x", None]}))
            assert (pieces.rows, [piece.column_names for piece in pieces]) == (3, [["a"], ["b"]])
        assert not living.exists()
    assert [path.name for path in Settings().staging.iterdir()] == ["lock"]
