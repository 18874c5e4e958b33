"""Rows on record are the same ones, or it is said that they are others, or gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import CannotReproduce
from refit.records.recipes import RecipeChange
from refit.records.references import SnapshotRef
from refit_tasks.storage.delta import open_table, write
from refit_tasks.storage.snapshots import take_snapshot
from refit_tasks.training.recorded_inputs import read_recorded_holdout, read_recorded_training_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
TIDES = Project(
    name="tides", kind="regression", target="y", timestamp="at", load=lambda _: pd.DataFrame(), build=DummyRegressor
)


@pytest.fixture
def ref(home: Path) -> SnapshotRef:
    """Twenty rows, to which more came later."""
    for first in (0, 20):
        days = range(first, first + 20)
        at = pa.array([START + timedelta(days=day) for day in days], pa.timestamp("us", "UTC"))
        rows = pa.table({"at": at, "y": [float(day) for day in days]})
        write("tides", open_table("tides"), [rows], rows.schema)
        if first == 0:
            kept = take_snapshot.fn(TIDES, START + timedelta(days=100))
    return kept


def test_the_same_rows_are_read_whatever_came_later(ref: SnapshotRef) -> None:
    rows, causes = read_recorded_holdout(TIDES, ref)
    trained, others = read_recorded_training_rows(TIDES, ref)
    assert (causes, others) == ((), ())
    assert list(rows["y"]) == sorted(trained["y"]) == [float(day) for day in range(20)]


def test_rows_that_were_exchanged_are_named(ref: SnapshotRef) -> None:
    recorded = replace(ref, fingerprint="0" * 32)
    cause = RecipeChange("data", f"fingerprint {'0' * 32}", f"fingerprint {ref.fingerprint}")
    assert read_recorded_training_rows(TIDES, recorded) == (None, (cause,))
    rows, causes = read_recorded_holdout(TIDES, recorded)
    assert (len(rows), causes) == (20, (cause,))


def test_rows_that_are_gone_are_named(ref: SnapshotRef, home: Path) -> None:
    for file in (home / "tables" / "tides").rglob("*.parquet"):
        file.unlink()
    rows, (cause,) = read_recorded_training_rows(TIDES, ref)
    assert (rows, cause.what, cause.recorded) == (None, "data", "table version 0")
    assert cause.now.startswith("cannot be read: ")
    with pytest.raises(CannotReproduce, match="restore the table's files from a backup"):
        read_recorded_holdout(TIDES, ref)
