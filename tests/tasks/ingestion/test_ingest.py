"""What an ingest leaves behind: each row once, labels kept, nothing changed when the batch is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.errors import ContractViolation, LoadFailed
from refit_infra.settings import Settings
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.upsert import UpsertBatch, commit_batch
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.quarantine_table import count_quarantined, list_quarantined
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import last_ingested, take_snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
KEYS = pytest.mark.parametrize("key", [(), ("id",), ("id", "at")], ids=["no key", "key", "key with time"])


def rows(first: int, last: int, **columns: object) -> pd.DataFrame:
    """One row an hour, from one hour after `START` to another."""
    hours = np.arange(first, last)
    frame = pd.DataFrame(
        {"id": hours, "at": START + pd.to_timedelta(hours, unit="h"), "x": hours * 0.5, "y": hours * 2.0}
    )
    return frame.assign(**columns)


def project(*frames: object, key: tuple[str, ...] = ("id",), **policies: object) -> Project:
    """A project whose source holds some rows and gives those of the window, as a real one would."""

    def load(window: Window):
        for frame in frames:
            inside = isinstance(frame, pd.DataFrame) and isinstance(frame["at"].dtype, pd.DatetimeTZDtype)
            yield frame[window.holds(frame["at"])] if inside else frame

    return Project(
        name="hours",
        kind="regression",
        target="y",
        timestamp="at",
        key=key,
        load=load,
        build=DummyRegressor,
        **policies,
    )


def table() -> pd.DataFrame:
    definition = project()
    return read_rows(definition, take_snapshot.fn(definition, FOREVER))


@KEYS
def test_twice_is_once(key) -> None:
    definition = project(rows(0, 100), key=key)
    first = ingest.fn(definition, START + DAY * 2)
    assert (first.rows_in, first.accepted, first.added, first.version) == (48, 48, 48, 0)
    again = ingest.fn(definition, START + DAY * 2)
    assert (again.rows_in, again.added, again.corrected, again.version) == (24, 0, 0, 0)
    later = ingest.fn(definition, START + DAY * 9)
    assert (later.rows_in, later.added, later.window.start) == (76, 52, START + timedelta(hours=47) + TICK - DAY)
    assert last_ingested("hours") == START + timedelta(hours=99) + TICK
    pd.testing.assert_frame_equal(table(), rows(0, 100), check_dtype=False)


@KEYS
def test_late_and_corrected_rows_find_their_place(key) -> None:
    ingest.fn(project(rows(0, 40), rows(41, 48), key=key), START + DAY * 2)
    corrected = rows(0, 60).assign(x=lambda frame: frame["x"].where(frame["id"] != 45, -1.0))
    done = ingest.fn(project(corrected, key=key), START + DAY * 3)
    assert (done.added, done.corrected) == ((13, 1) if key else (14, 0))
    pd.testing.assert_frame_equal(table(), corrected, check_dtype=False)


def test_a_correction_may_move_a_row_in_time() -> None:
    ingest.fn(project(rows(0, 48)), START + DAY * 2)
    moved = rows(46, 60).assign(id=lambda frame: frame["id"].where(frame["id"] != 50, 3))
    done = ingest.fn(project(moved), START + DAY * 3)
    assert (done.added, done.corrected) == (11, 1)
    assert table().set_index("id")["at"][3] == START + timedelta(hours=50)
    assert table()["id"].is_unique


def test_a_label_arrives_and_is_never_lost() -> None:
    ingest.fn(project(rows(0, 48, y=np.nan)), START + DAY * 2)
    assert ingest.fn(project(rows(0, 48)), START + DAY * 2).corrected == 24
    assert ingest.fn(project(rows(0, 48, y=np.nan)), START + DAY * 2).corrected == 0
    assert ingest.fn(project(rows(0, 48, y=np.nan, x=7.0)), START + DAY * 2).corrected == 24
    found = table()
    assert found["y"].iloc[24:].tolist() == [hour * 2.0 for hour in range(24, 48)]
    assert set(found["x"].iloc[24:]) == {7.0}


def test_of_one_key_the_last_delivered_wins_across_pieces() -> None:
    deliveries = (rows(0, 10, x=1.0), rows(0, 10, x=2.0), rows(5, 12, x=3.0))
    with pytest.raises(
        ContractViolation, match=r"55\.6% of the rows \(15 of 27\) .*the key id does not tell rows apart"
    ):
        ingest.fn(project(*deliveries), START + DAY)
    done = ingest.fn(project(*deliveries, contract={"quarantine_limit": 0.6}), START + DAY)
    assert (done.rows_in, done.accepted, done.quarantined, done.superseded) == (27, 12, 0, 15)
    assert table()["x"].tolist() == [2.0] * 5 + [3.0] * 7
    assert {reason["rule"] for row in list_quarantined(project(), 99) for reason in row.reasons} == {"superseded"}


def test_rows_that_cannot_be_placed_are_quarantined() -> None:
    frame = rows(0, 48).astype({"id": "Float64"})
    frame.loc[3, "id"] = None
    frame.loc[7, "at"] = pd.NaT
    frame.loc[9, "at"] = pd.Timestamp(FOREVER)
    definition = Project(**{**dict(project(contract={"quarantine_limit": 0.5})), "load": lambda _: frame})
    done = ingest.fn(definition, START + DAY * 2)
    assert (done.accepted, done.quarantined) == (45, 3)
    rules = sorted(reason["rule"] for row in list_quarantined(definition, 9) for reason in row.reasons)
    assert rules == ["key_missing", "outside_window", "time_missing"]


def test_without_a_key_a_smaller_load_is_refused() -> None:
    ingest.fn(project(rows(0, 48), key=()), START + DAY * 2)
    fewer = rows(44, 60, x=lambda frame: np.where(frame["id"] == 50, np.inf, 1.0))
    with pytest.raises(ContractViolation, match=r"returns 4 rows from .*, but the table holds 24"):
        ingest.fn(project(fewer, key=(), contract={"quarantine_limit": 0.5}), START + DAY * 3)
    assert (len(table()), count_quarantined(project())) == (48, 0)


@pytest.mark.parametrize(
    ("policy", "columns"), [("refuse", None), ("ignore", ["id", "at", "x", "y"]), ("add", ["id", "at", "x", "y", "z"])]
)
@KEYS
def test_an_added_column(policy: str, columns: list[str] | None, key) -> None:
    ingest.fn(project(rows(0, 48), key=key), START + DAY * 2)
    wider = project(rows(0, 60, z="new"), key=key, contract={"added_columns": policy})
    if columns is None:
        with pytest.raises(ContractViolation, match="'z' is new"):
            ingest.fn(wider, START + DAY * 3)
        return
    ingest.fn(wider, START + DAY * 3)
    found = table()
    assert (list(found), len(found)) == (columns, 60)
    if policy == "add":
        assert found["z"].isna().sum() == 24


@pytest.mark.parametrize("policy", ["refuse", "ignore", "add"])
def test_a_column_that_comes_twice_is_refused(policy: str) -> None:
    twice = pd.concat([rows(0, 9), rows(0, 9)[["x"]]], axis=1)
    with pytest.raises(ContractViolation, match="'x' appears twice"):
        ingest.fn(project(twice, contract={"added_columns": policy}), START + DAY)


def test_a_refused_batch_changes_nothing() -> None:
    ingest.fn(project(rows(0, 48)), START + DAY * 2)
    with pytest.raises(ContractViolation):
        ingest.fn(project(rows(48, 60, x=-1e9)), START + DAY * 3)
    assert len(table()) == 48
    assert count_quarantined(project()) == 0
    assert last_ingested("hours") == START + timedelta(hours=47) + TICK
    assert [path.name for path in Settings().staging.iterdir()] == ["lock"]


def test_nothing_loaded_nothing_done() -> None:
    done = ingest.fn(project(rows(0, 0)), START)
    assert (done.rows_in, done.version) == (0, -1)
    assert open_table("hours") is None
    assert last_ingested("hours") is None


def test_a_look_back_does_not_move_the_watermark() -> None:
    ingest.fn(project(rows(0, 96)), START + DAY * 4)
    done = ingest.fn(project(rows(0, 96, x=5.0)), START + DAY * 2)
    assert (done.window.start, done.corrected) == (START + DAY, 24)
    assert last_ingested("hours") == START + timedelta(hours=95) + TICK


@KEYS
def test_an_ingest_from_the_far_future_loses_nothing_that_comes_later(key) -> None:
    ingest.fn(project(rows(0, 48), key=key), FOREVER)
    assert ingest.fn(project(rows(0, 240), key=key), START + DAY * 10).added == 192
    pd.testing.assert_frame_equal(table(), rows(0, 240), check_dtype=False)


def test_a_load_that_leaves_the_interpreter_is_a_mistake() -> None:
    def load(_: Window):
        raise SystemExit(4)

    with pytest.raises(LoadFailed, match="SystemExit: 4"):
        ingest.fn(project().model_copy(update={"load": load}), START)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda _: None, "NoneType"),
        (lambda _: [1], "returns a int"),
        (lambda _: "rows", "returns a str"),
        (lambda _: {}["docks"], "KeyError: 'docks'"),
        (lambda _: b"\xff".decode(), "UnicodeDecodeError"),
        (lambda _: Path("/nowhere/rows.csv").read_text(), "FileNotFoundError"),
        (lambda _: (1 / zero for zero in [0]), "ZeroDivisionError"),
    ],
)
def test_a_mistake_in_the_load_is_named(give, message: str) -> None:
    definition = Project(**{**dict(project()), "load": give})
    with pytest.raises(LoadFailed, match=message):
        ingest.fn(definition, START)


def test_a_lost_connection_is_left_to_the_retry() -> None:
    def load(_: Window) -> pd.DataFrame:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        ingest.fn(Project(**{**dict(project()), "load": load}), START)
    assert ingest.retries == 2


@KEYS
def test_two_at_once_leave_each_row_once(key) -> None:
    ingest.fn(project(rows(0, 24), key=key), START + DAY)
    bad = rows(0, 72).assign(x=lambda frame: frame["x"].where(frame["id"] != 30, np.inf))
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(ingest.fn, project(bad, key=key), START + DAY * 3) for _ in range(4)]
    done = [run.result() for run in runs]
    assert {single.rows_in for single in done} == {72}
    assert sum(single.added for single in done) == 47
    assert len(table()) == 71
    assert table()["id"].is_unique
    assert count_quarantined(project()) == 1


def interrupted(definition: Project, accepted: pd.DataFrame, meanwhile: Project, tmp_path: Path) -> UpsertBatch:
    """A batch that another ingest overtakes after it was compared with the table, before it is written."""
    schema = pa.Schema.from_pandas(rows(0, 1)).remove_metadata()
    schema = schema.set(1, pa.field("at", pa.timestamp("us", tz="UTC")))
    calls: list[int] = []

    def pieces() -> list[pa.Table]:
        calls.append(len(calls))
        if len(calls) == 2:
            ingest.fn(meanwhile, START + DAY * 3)
        return [pa.Table.from_pandas(accepted, schema=schema)]

    times = accepted["at"].dt.as_unit("us").astype("int64").to_numpy()
    return UpsertBatch(definition, schema, pieces, lambda: times, Window(START, START + DAY * 3), tmp_path)


@pytest.mark.parametrize("held", [0, 24], ids=["no table yet", "a table"])
@KEYS
def test_an_ingest_that_is_overtaken_decides_again(key, held: int, tmp_path) -> None:
    if held:
        ingest.fn(project(rows(0, held), key=key), START + DAY)
    done = commit_batch(interrupted(project(key=key), rows(0, 72), project(rows(0, 48), key=key), tmp_path))
    assert done.added == 24
    pd.testing.assert_frame_equal(table(), rows(0, 72), check_dtype=False)


def test_an_overtaken_ingest_without_a_key_loses_no_rows(tmp_path) -> None:
    ingest.fn(project(rows(0, 24), key=()), START + DAY)
    overtaken = interrupted(project(key=()), rows(0, 30), project(rows(0, 60), key=()), tmp_path)
    with pytest.raises(ContractViolation, match=r"returns 30 rows from .*, but the table holds 60"):
        commit_batch(overtaken)
    assert len(table()) == 60


def test_four_first_ingests_at_once_make_one_table() -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(ingest.fn, project(rows(0, 48)), START + DAY * 2) for _ in range(4)]
    assert sum(run.result().added for run in runs) == 48
    assert len(table()) == 48


def test_categories_and_text_come_back_as_they_were() -> None:
    frame = rows(0, 24, c=pd.Categorical(["a", "b"] * 12), s="é", b=[True, None] * 12)
    ingest.fn(project(frame), START + DAY)
    found = table()
    assert [str(kind) for kind in found.dtypes[["c", "s", "b", "at"]]] == [
        "category",
        "str",
        "float64",
        "datetime64[us, UTC]",
    ]
    assert schema_of(open_table("hours")).field("c").metadata == {b"refit.dtype": b"category"}
