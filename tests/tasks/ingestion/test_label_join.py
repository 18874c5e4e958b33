"""Labels that arrive by themselves find their rows: all of a file or nothing, once, beside an ingest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.errors import ContractViolation, LoadFailed, NotEnoughData, ProjectError
from refit.records.references import SnapshotRef
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_join import join_labels
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import last_ingested

START = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=2)
FOREVER = Window(START, datetime(2100, 1, 1, tzinfo=UTC))
KEYS = pytest.mark.parametrize("key", [("id",), ("id", "at")], ids=["key", "key with time"])


def rows(first=0, last=48, **columns) -> pd.DataFrame:
    hours = np.arange(first, last)
    at = START + pd.to_timedelta(hours, unit="h")
    names = [f"{hour:03}" for hour in hours]
    return pd.DataFrame({"id": names, "at": at, "x": hours * 0.5, "y": np.nan, **columns})


def project(frame=None, key=("id",), **changes) -> Project:
    given = rows() if frame is None else frame
    said = {"kind": "regression", **changes}
    return Project(
        name="hours", target="y", timestamp="at", key=key, build=DummyRegressor,
        load=lambda window: given[window.holds(given["at"])], **said,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path):
    def written(frame, name="labels.csv"):
        path = tmp_path / name
        frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
        return path

    return written


def labels(*hours, times=False) -> pd.DataFrame:
    frame = rows().iloc[list(hours)]
    return frame.assign(y=[hour * 2.0 for hour in hours])[["id", "at", "y"] if times else ["id", "y"]]


def held(version=None) -> pd.Series:
    at = open_table("hours").version() if version is None else version
    return read_rows(project(), SnapshotRef("hours", at, FOREVER, 0, "")).set_index("id")["y"]


@KEYS
@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_find_their_rows_and_twice_is_once(key, name, file) -> None:
    definition = project(key=key)
    ingest.fn(definition, UNTIL)
    before, rest = last_ingested("hours"), read_rows(definition, SnapshotRef("hours", 0, FOREVER, 0, ""))
    path = file(labels(3, 7, 30, times=len(key) > 1), name)
    done = join_labels(definition, path)
    assert (done.rows, done.arrived, done.corrected, done.unchanged, done.version) == (3, 3, 0, 0, 1)
    assert held().dropna().to_dict() == {"003": 6.0, "007": 14.0, "030": 60.0}
    after = read_rows(definition, SnapshotRef("hours", 1, FOREVER, 0, ""))
    pd.testing.assert_frame_equal(after.drop(columns="y"), rest.drop(columns="y"))
    again = join_labels(definition, path)
    assert (again.arrived, again.corrected, again.unchanged, again.version) == (0, 0, 3, 1)
    assert held(0).isna().all()
    assert last_ingested("hours") == before


def test_an_ingest_that_brings_the_row_again_without_its_label_does_not_erase_it(file) -> None:
    ingest.fn(project(), UNTIL)
    join_labels(project(), file(labels(40, 41)))
    assert ingest.fn(project(rows(x=7.0)), UNTIL).corrected == 24
    assert held().dropna().to_dict() == {"040": 80.0, "041": 82.0}


def test_every_row_of_the_file_is_accounted_for(file) -> None:
    ingest.fn(project(), UNTIL)
    join_labels(project(), file(labels(1, 2)))
    more = pd.concat([labels(1, 3, 3), labels(2).assign(y=-1.0), labels(4).assign(y=np.nan), labels(5).assign(id="?")])
    done = join_labels(project(), file(more.assign(note="n")))
    counts = (done.arrived, done.corrected, done.unchanged, done.unknown, done.empty, done.repeated)
    assert counts == (1, 1, 1, 1, 1, 1)
    assert done.rows == sum(counts)
    assert done.ignored == ("note",)
    assert held().dropna().to_dict() == {"001": 2.0, "002": -1.0, "003": 6.0}


def test_a_file_without_any_label_changes_nothing(file) -> None:
    ingest.fn(project(), UNTIL)
    done = join_labels(project(), file(labels(1, 2).assign(y=np.nan)))
    assert (done.arrived, done.empty, done.version) == (0, 2, 0)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (labels(1, 2).astype({"y": object}).assign(y=[2.0, "much"]), "'much' in column 'y', row 2"),
        (pd.concat([labels(1), labels(1).assign(y=9.0)]), "different labels for the same key (id=001;"),
        (labels(1, 2).assign(id=["001", None]), "1 rows without the key column 'id'"),
        (labels(1).rename(columns={"y": "yy"}), "no column 'y'"),
        (labels(1, 2).assign(id=["x", "z"]), "none of the 2 keys"),
        (pd.DataFrame({"id": ["001"]}), "no column 'y'"),
    ],
    ids=["type", "contradiction", "no key", "renamed", "unknown", "no target"],
)
def test_a_file_that_is_not_fit_changes_nothing(frame, sentence, file) -> None:
    ingest.fn(project(), UNTIL)
    with pytest.raises(ContractViolation) as refused:
        join_labels(project(), file(frame))
    assert sentence in str(refused.value)
    assert (open_table("hours").version(), held().notna().sum()) == (0, 0)


def test_numbers_are_not_rounded_to_fit(file) -> None:
    definition = project(rows(y=pd.array(range(48), "Int64")))
    ingest.fn(definition, UNTIL)
    with pytest.raises(ContractViolation, match=r"'30\.9' in column 'y'"):
        join_labels(definition, file(labels(1).assign(y=30.9)))
    assert join_labels(definition, file(labels(1).assign(y=31.0))).corrected == 1


def test_times_without_a_zone_are_no_key(file) -> None:
    definition = project(key=("id", "at"))
    ingest.fn(definition, UNTIL)
    frame = labels(1, times=True)
    with pytest.raises(ContractViolation, match="column 'at'"):
        join_labels(definition, file(frame.assign(at=frame["at"].dt.tz_localize(None))))


def test_a_label_outside_the_contract_is_refused(file) -> None:
    definition = project(
        rows(y=["yes", "no"] * 24).assign(y=lambda frame: frame["y"].where(frame.index < 40)), kind="classification"
    )
    ingest.fn(definition, UNTIL)
    with pytest.raises(ContractViolation, match="'yess' breaks the data contract"):
        join_labels(definition, file(labels(44, 45).assign(y=["yes", "yess"])))
    assert join_labels(definition, file(labels(44, 45).assign(y=["yes", "no"]))).arrived == 2


def test_what_is_missing_is_named(file, tmp_path) -> None:
    with pytest.raises(NotEnoughData, match="no table yet"):
        join_labels(project(), file(labels(1)))
    with pytest.raises(ProjectError, match="has no key"):
        join_labels(project(key=()), file(labels(1)))
    ingest.fn(project(), UNTIL)
    with pytest.raises(LoadFailed, match="cannot be read"):
        join_labels(project(), tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(LoadFailed, match="with a header"):
        join_labels(project(), tmp_path / "empty.csv")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(LoadFailed, match="cannot be read"):
        join_labels(project(), tmp_path / "torn.parquet")


def test_two_at_once_both_count(file, race) -> None:
    """Real processes that start together; each brings other labels, and an ingest comes in between."""
    frame = rows()
    ingest.fn(project(frame), UNTIL)
    paths = [str(file(labels(*range(number, 48, 3)), f"part{number}.csv")) for number in range(3)]
    code = f"""
import sys; sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from pathlib import Path
from test_label_join import project, UNTIL, timedelta, rows
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_join import join_labels
if number < 3:
    results.put(join_labels(project(), Path(paths[number])).arrived)
else:
    results.put(ingest.fn(project(rows(0, 60)), UNTIL + timedelta(days=1)).added)
"""
    assert sorted(race(code, 4, paths=paths)) == [12, 16, 16, 16]
    assert held().notna().sum() == 48
    assert len(held()) == 60
