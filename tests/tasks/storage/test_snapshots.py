from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.errors import LeakyHoldout, NoNewData, NotEnoughData
from refit.project import Project as Definition
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_tasks.storage.delta import open_table, schema_of, write
from refit_tasks.storage.snapshot_rows import read_rows, scan_rows
from refit_tasks.storage.snapshots import restrict, split, take_snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def project(**policies: object) -> Definition:
    settings = {"key": ("id",), **policies}
    return Project(
        name="days", kind="regression", target="y", timestamp="at", load=lambda _: [], build=DummyRegressor, **settings
    )


def fill(days: range, labelled: int = 10**9) -> None:
    """Appends one row a day, in no order; those from day `labelled` on have no label."""
    ids = np.random.default_rng(0).permutation(np.array(days))
    rows = pa.table(
        {
            "id": ids,
            "at": pa.array([START + DAY * int(day) for day in ids], pa.timestamp("us", "UTC")),
            "x": ids * 1.5,
            "y": pa.array([float(day) if day < labelled else None for day in ids], pa.float64()),
        }
    )
    write("days", open_table("days"), [rows], rows.schema)


def test_a_snapshot_stays_as_it_was() -> None:
    fill(range(100))
    before = take_snapshot.fn(project(), START + DAY * 90)
    assert (before.rows, before.version, before.window) == (90, 0, Window(START, START + DAY * 90))
    rows = read_rows(project(), before)
    fill(range(200, 300))
    open_table("days").optimize.compact()
    pd.testing.assert_frame_equal(read_rows(project(), before), rows)
    assert rows["id"].tolist() == list(range(90))
    after = take_snapshot.fn(project(), START + DAY * 90)
    assert (after.fingerprint, after.version) == (before.fingerprint, 2)
    assert take_snapshot.fn(project(), START + DAY * 89).fingerprint != before.fingerprint


def test_no_table_and_no_rows_before_that_time() -> None:
    with pytest.raises(NotEnoughData, match="days has no rows"):
        take_snapshot.fn(project(), START)
    fill(range(3))
    with pytest.raises(NotEnoughData, match="no rows before 2026-01-01"):
        take_snapshot.fn(project(), START)


def test_the_split_leaves_a_label_delay_and_takes_mature_rows_only() -> None:
    fill(range(400), labelled=395)
    definition = project(label_delay=DAY * 10, training={"holdout_share": 0.5, "holdout_rows": 60})
    snapshot = take_snapshot.fn(definition, START + DAY * 400)
    parts = split.fn(definition, snapshot, START + DAY * 400)
    train, holdout = read_rows(definition, parts.train), read_rows(definition, parts.holdout)
    assert (holdout["id"].min(), holdout["id"].max(), len(holdout)) == (331, 390, 60)
    assert (train["id"].min(), train["id"].max()) == (0, 320)
    assert (parts.train.rows, parts.holdout.rows) == (len(train), len(holdout))
    earlier = split.fn(definition, snapshot, START + DAY * 300)
    assert read_rows(definition, earlier.holdout)["id"].max() == 290


def test_a_sliding_window() -> None:
    fill(range(400))
    definition = project(training={"window": DAY * 120, "holdout_rows": 60})
    parts = split.fn(definition, take_snapshot.fn(definition, START + DAY * 400), START + DAY * 400)
    assert parts.train.window == Window(START + DAY * 220, START + DAY * 340)
    assert parts.train.rows == 120


@pytest.mark.parametrize(
    ("days", "labelled", "message"),
    [
        (100, 100, "80 mature rows to train on where training.min_rows asks for 100 and 20 mature rows to judge on"),
        (200, 200, "40 mature rows to judge on where gate.min_rows asks for 50"),
        (200, 0, "no row with a known y"),
    ],
)
def test_too_few_rows_are_counted(days: int, labelled: int, message: str) -> None:
    fill(range(days), labelled)
    with pytest.raises(NotEnoughData, match=message):
        split.fn(project(), take_snapshot.fn(project(), START + DAY * days), START + DAY * days)


def champion(seen: int, judged: int | None = None) -> Champion:
    """A champion that was trained until a day, and judged as it was at an earlier one."""

    def model(day: int) -> ModelRef:
        rows = SnapshotRef("days", 0, Window(START, START + DAY * day), day, "f" * 32, labelled=True)
        return ModelRef("days", f"run-{day}", "models:/m", rows, "key")

    return Champion(model(seen), 7, 2, START, None if judged is None else model(judged))


def test_the_holdout_begins_where_the_champion_ended_at_the_earliest() -> None:
    fill(range(400))
    snapshot, until = take_snapshot.fn(project(), START + DAY * 400), START + DAY * 400
    parts = split.fn(project(), snapshot, until, champion(280))
    assert (parts.holdout.window.start, parts.holdout.rows) == (START + DAY * 340, 60)
    assert parts.train.window.end == START + DAY * 340
    assert split.fn(project(), snapshot, until, champion(100)).holdout.rows == 80
    delayed = project(label_delay=DAY * 30)
    parts = split.fn(delayed, snapshot, until, champion(250))
    assert (parts.holdout.window.start, parts.train.window.end) == (START + DAY * 311, START + DAY * 281)


def test_a_champion_that_has_seen_nearly_all_leaves_nothing_to_judge_on() -> None:
    fill(range(400))
    snapshot, until = take_snapshot.fn(project(), START + DAY * 400), START + DAY * 400
    with pytest.raises(NotEnoughData, match="60 mature rows that champion version 7 was not trained on, 40 fewer"):
        split.fn(project(), snapshot, until, champion(340, judged=300))
    with pytest.raises(NotEnoughData, match=r"--as-of$"):
        split.fn(project(), snapshot, until, champion(340), again=True)
    with pytest.raises(NoNewData, match=r"0 mature rows that champion version 7 was not trained on: .* --force"):
        split.fn(project(), snapshot, until, champion(400, judged=300))
    with pytest.raises(LeakyHoldout, match="as-of"):
        split.fn(project(), snapshot, START + DAY * 300, champion(400, judged=300))


def test_once_more_on_the_same_rows_is_judged_where_the_judged_model_had_seen_none() -> None:
    fill(range(400))
    snapshot, until = take_snapshot.fn(project(), START + DAY * 400), START + DAY * 400
    for judged, first in ((300, 320), (340, 340)):
        parts = split.fn(project(), snapshot, until, champion(400, judged), again=True)
        assert parts.holdout.window.start == START + DAY * first


def test_narrow_counts_and_fingerprints_its_part() -> None:
    fill(range(100), labelled=50)
    whole = take_snapshot.fn(project(), START + DAY * 100)
    part = restrict(project(), whole, Window(START + DAY * 40, START + DAY * 60), labelled=True)
    assert part.rows == 10 == sum(batch.num_rows for batch in scan_rows(project(), part))
    assert read_rows(project(), part, ["y", "id"]).columns.tolist() == ["y", "id"]


def test_without_a_key_ties_are_ordered_by_content() -> None:
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("x", pa.float64()), ("y", pa.float64())])
    cells = [(START, 2.0, 1.0), (START, 1.0, None), (START, 1.0, 5.0), (START - DAY, 9.0, 9.0)]
    definition = project(key=())
    found = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        rows = pa.table(
            [pa.array(column) for column in zip(*(cells[i] for i in order), strict=True)], names=schema.names
        )
        table = open_table("days")
        write("days", table, [rows.cast(schema)], schema, replacing='"x" > 0' if table else None)
        found.append(read_rows(definition, take_snapshot.fn(definition, START + DAY), ["x", "y"]))
    pd.testing.assert_frame_equal(found[0], found[1])
    assert found[0]["x"].tolist() == [9.0, 1.0, 1.0, 2.0]
    assert schema_of(open_table("days")) == schema
