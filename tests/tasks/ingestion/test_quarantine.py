"""The quarantine keeps rejected rows without loss, and lets those that pass a changed contract back in, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from great_expectations.expectations import ExpectColumnValuesToBeBetween
from sklearn.dummy import DummyRegressor

from refit import Project
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.quarantine import replay_quarantine
from refit_tasks.storage.delta import open_table, read, schema_of, write
from refit_tasks.storage.quarantine_table import count_quarantined, list_quarantined
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import take_snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=2)
KEYS = pytest.mark.parametrize("key", [("id",), ("id", "at"), ()], ids=["key", "key with time", "no key"])


def rows(**columns: object) -> pd.DataFrame:
    hours = np.arange(48)
    return pd.DataFrame({"id": hours, "at": START + pd.to_timedelta(hours, unit="h"), "x": 1.0, "y": 2.0}).assign(
        **columns
    )


def project(*frames: pd.DataFrame, most: float = 10, key: tuple[str, ...] = ("id",)) -> Project:
    return Project(
        name="limited",
        kind="regression",
        target="y",
        timestamp="at",
        key=key,
        load=lambda window: [frame[window.holds(frame["at"])] for frame in frames],
        build=DummyRegressor,
        expectations=lambda: [ExpectColumnValuesToBeBetween(column="x", max_value=most, severity="critical")],
        contract={"quarantine_limit": 0.9},
    )


def table() -> pd.DataFrame:
    definition = project()
    return read_rows(definition, take_snapshot.fn(definition, UNTIL))


def spoilt() -> list[pd.DataFrame]:
    """Rows 5, 25 and 26 are too large, row 30 is not a number at all; in two pieces, the first one of numbers."""
    frame = rows().astype({"x": object})
    frame.loc[[5, 25, 26], "x"] = 99.5
    frame.loc[30, "x"] = "?"
    return [frame.iloc[:24], frame.iloc[24:]]


def test_rejected_rows_say_why_and_are_listed_newest_first() -> None:
    done = ingest.fn(project(*spoilt()), UNTIL)
    assert (done.rows_in, done.accepted, done.quarantined) == (48, 44, 4)
    found = {row.as_json()["row"]["id"]: row for row in list_quarantined(project(), 10)}
    assert found[30].reasons == ({"rule": "type", "column": "x", "value": "?"},)
    assert found[5].reasons == ({"rule": "expect_column_values_to_be_between", "column": "x", "value": "99.5"},)
    assert found[5].event_time == START + timedelta(hours=5)
    assert "expect_column_values_to_be_between on x: 99.5" in str(found[5])
    assert len(list_quarantined(project(), 2)) == 2
    ingest.fn(project(*spoilt()), UNTIL)
    assert count_quarantined(project()) == 4


@KEYS
def test_replay_lets_in_what_passes_once(key) -> None:
    ingest.fn(project(*spoilt(), key=key), UNTIL)
    unchanged = replay_quarantine(project(key=key), UNTIL)
    assert (unchanged.readmitted, unchanged.remaining) == (0, 4)
    widened = replay_quarantine(project(most=100, key=key), UNTIL)
    assert (widened.readmitted, widened.remaining) == (3, 1)
    again = replay_quarantine(project(most=100, key=key), UNTIL)
    assert (again.readmitted, again.remaining) == (0, 1)
    found = table().set_index("id")["x"]
    assert (len(found), found[5], found[25]) == (47, 99.5, 99.5)
    later = ingest.fn(project(*spoilt(), most=100, key=key), UNTIL)
    assert (later.added, len(table()), count_quarantined(project())) == (0, 47, 1)


@KEYS
def test_a_crash_between_table_and_quarantine_is_mended_by_the_next_replay(key) -> None:
    ingest.fn(project(*spoilt(), key=key), UNTIL)
    held = open_table("limited__quarantine")
    before = list(read(held))
    replay_quarantine(project(most=100, key=key), UNTIL)
    write("limited__quarantine", open_table("limited__quarantine"), before, schema_of(held), replacing="true")
    mended = replay_quarantine(project(most=100, key=key), UNTIL)
    assert (mended.readmitted, mended.remaining, len(table())) == (0, 1, 47)


def test_an_older_row_never_beats_a_newer_one() -> None:
    ingest.fn(project(*spoilt()), UNTIL)
    ingest.fn(project(rows(x=3.0)), UNTIL)
    done = replay_quarantine(project(most=100), UNTIL)
    assert (done.readmitted, done.remaining) == (1, 3)
    assert table().set_index("id")["x"][[5, 25, 26]].tolist() == [99.5, 3.0, 3.0]


def test_of_one_key_the_last_rejected_is_let_in_and_the_other_stays() -> None:
    for hours, value in ((24, 50.0), (48, 60.0)):
        frame = rows()
        frame.loc[30, "x"] = value
        frame.loc[30, "at"] = START + timedelta(hours=23)
        ingest.fn(project(frame), START + timedelta(hours=hours))
    done = replay_quarantine(project(most=100), UNTIL)
    assert (done.readmitted, done.remaining) == (1, 1)
    assert table().set_index("id")["x"][30] == 60.0


def test_superseded_rows_are_not_replayed() -> None:
    ingest.fn(project(rows(), rows(x=2.0)), UNTIL)
    assert count_quarantined(project()) == 48
    done = replay_quarantine(project(most=100), UNTIL)
    assert (done.readmitted, done.remaining) == (0, 48)
    assert set(table()["x"]) == {2.0}
    open_table("limited").delete('"id" >= 0')
    assert replay_quarantine(project(most=100), UNTIL).readmitted == 0


def test_rows_of_the_future_wait() -> None:
    frame = rows()
    frame.loc[3, "at"] = UNTIL + timedelta(days=30)
    definition = Project(**{**dict(project()), "load": lambda _: frame})
    ingest.fn(definition, UNTIL)
    assert replay_quarantine(project(), UNTIL).readmitted == 0
    assert replay_quarantine(project(), UNTIL + timedelta(days=31)).readmitted == 1


def test_nothing_to_replay() -> None:
    assert (replay_quarantine(project(), UNTIL).readmitted, count_quarantined(project())) == (0, 0)
    ingest.fn(project(rows()), UNTIL)
    assert (replay_quarantine(project(), UNTIL).remaining, list_quarantined(project(), 5)) == (0, [])


def test_duplicates_without_a_key_are_rows_of_their_own() -> None:
    ingest.fn(project(*spoilt(), *spoilt(), key=()), UNTIL)
    assert count_quarantined(project()) == 8
    assert replay_quarantine(project(most=100, key=()), UNTIL).readmitted == 6
    assert replay_quarantine(project(most=100, key=()), UNTIL).readmitted == 0
    assert len(table()) == 94


@KEYS
def test_a_row_rejected_again_beside_other_neighbours_is_kept_once(key: tuple[str, ...]) -> None:
    ingest.fn(project(rows()[:20], key=key), START + timedelta(hours=20))
    late = rows()[20:].astype({"x": object}).reset_index(drop=True)
    late.loc[3, "x"] = "?"  # makes text of the whole column
    again = rows()[21:].drop(index=23)
    for frame, hours in ((late, 40), (again, 40)):
        policy = project().ingestion.model_copy(update={"lateness": timedelta(0)})
        whole = project(key=key).model_copy(update={"load": lambda _, frame=frame: frame, "ingestion": policy})
        ingest.fn(whole, START + timedelta(hours=hours))
    assert count_quarantined(project()) == 9
    assert replay_quarantine(project(key=key), UNTIL).readmitted == 8
    assert table()["id"].is_unique


def test_rows_without_a_time_that_every_load_gives_again_count_once() -> None:
    untimed = rows(at=pd.Series(pd.NaT, range(48)).dt.tz_localize("UTC")).iloc[:10]
    definition = project()
    loads = definition.model_copy(
        update={
            "load": lambda window: [rows()[window.holds(rows()["at"])], untimed],
            "contract": definition.contract.model_copy(update={"quarantine_limit": 0.25}),
            "ingestion": definition.ingestion.model_copy(update={"lateness": timedelta(hours=1)}),
        }
    )
    ingest.fn(loads, START + timedelta(hours=40))
    done = ingest.fn(loads, START + timedelta(hours=43))
    assert (done.rows_in, done.accepted, done.quarantined) == (14, 4, 10)
    assert count_quarantined(definition) == 10
    assert ingest.fn(loads, START + timedelta(hours=200)).added == 5
    assert ingest.fn(loads, START + timedelta(hours=400)).added == 0
