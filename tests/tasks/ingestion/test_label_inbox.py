"""Labels that were sent before or after their rows, again, corrected or unfit: each ends where it belongs, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.dummy import DummyRegressor

from refit import Project
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_inbox import append_labels, inbox_of, join_waiting_labels, read_inbox, rewrite_inbox
from refit_tasks.storage.delta import open_table, read
from refit_tasks.storage.quarantine_table import list_quarantined
from refit_tasks.storage.snapshots import last_ingested

START = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=2)
KINDS = {"id": pa.string(), "y": pa.float64()}


def rows(first=0, last=48) -> pd.DataFrame:
    hours = np.arange(first, last)
    at = START + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame({"id": [f"{hour:03}" for hour in hours], "at": at, "x": hours * 0.5, "y": np.nan})


def project(frame: pd.DataFrame) -> Project:
    return Project(
        name="hours", kind="regression", target="y", timestamp="at", key=("id",), build=DummyRegressor,
        load=lambda window: frame[window.holds(frame["at"])],
        expectations=lambda: [gxe.ExpectColumnValuesToBeBetween(column="y", min_value=0)],
    )  # fmt: skip


def send(at: int = 0, **labels: float) -> None:
    table = pa.table({"id": [name[1:] for name in labels], "y": list(labels.values())}, schema=pa.schema(KINDS))
    append_labels("hours", [(table, UNTIL + timedelta(seconds=at))])


def labelled(definition: Project) -> dict[str, float]:
    table = open_table(definition.name)
    assert table is not None
    found = pa.concat_tables(read(table)).to_pandas().dropna(subset="y")
    return dict(zip(found["id"], found["y"], strict=True))


def waiting() -> list[str]:
    inbox = open_table(inbox_of("hours"))
    assert inbox is not None
    return read_inbox(inbox)["row"].to_pylist()


def test_labels_find_their_rows_and_leave_the_inbox() -> None:
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    mark = last_ingested(definition)
    send(_000=1.0, _001=2.0)
    done = join_waiting_labels.fn(definition, UNTIL)
    assert done is not None
    assert (done.rows, done.arrived, done.unknown) == (2, 2, 0)
    assert labelled(definition) == {"000": 1.0, "001": 2.0}
    assert waiting() == []
    assert last_ingested(definition) == mark
    assert join_waiting_labels.fn(definition, UNTIL) is None


def test_a_label_before_its_row_waits_for_it() -> None:
    ingest.fn(project(rows(0, 24)), START + timedelta(days=1))
    send(_001=2.0, _030=3.0)
    done = join_waiting_labels.fn(project(rows(0, 24)), UNTIL)
    assert done is not None
    assert (done.arrived, done.unknown) == (1, 1)
    assert len(waiting()) == 1
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    join_waiting_labels.fn(definition, UNTIL)
    assert labelled(definition) == {"001": 2.0, "030": 3.0}
    assert waiting() == []


def test_the_last_label_of_a_key_wins_whatever_commit_it_came_in() -> None:
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    send(at=5, _000=5.0)
    send(at=1, _000=1.0, _001=2.0)
    done = join_waiting_labels.fn(definition, UNTIL)
    assert done is not None
    assert (done.rows, done.arrived, done.repeated) == (3, 2, 1)
    assert labelled(definition) == {"000": 5.0, "001": 2.0}
    send(at=9, _000=6.0, _001=2.0)
    again = join_waiting_labels.fn(definition, UNTIL)
    assert again is not None
    assert (again.arrived, again.corrected, again.unchanged) == (0, 1, 1)
    assert labelled(definition)["000"] == 6.0


def test_a_label_that_breaks_the_contract_is_set_aside_and_the_others_arrive() -> None:
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    send(at=1, _000=4.0)
    send(at=2, _000=-1.0, _001=2.0)
    done = join_waiting_labels.fn(definition, UNTIL)
    assert done is not None
    assert (done.rows, done.arrived, done.refused, done.unknown) == (3, 1, 1, 1)
    assert labelled(definition) == {"001": 2.0}
    (bad,) = list_quarantined(definition, 10)
    assert bad.as_json()["row"]["id"] == "000"
    assert bad.as_json()["row"]["y"] == -1.0
    # What it was to correct is not lost with it.
    join_waiting_labels.fn(definition, UNTIL)
    assert labelled(definition) == {"000": 4.0, "001": 2.0}
    assert waiting() == []


def test_labels_that_arrive_while_others_are_joined_stay() -> None:
    send(_000=1.0)
    inbox = open_table(inbox_of("hours"))
    assert inbox is not None
    held = read_inbox(inbox)
    send(at=1, _001=2.0)
    rewrite_inbox(inbox, held.slice(0, 0))
    assert len(waiting()) == 1
    assert '"001"' in waiting()[0]


def test_a_run_that_is_killed_after_the_join_finds_the_labels_there_already() -> None:
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    send(_000=1.0)
    join_waiting_labels.fn(definition, UNTIL)
    send(_000=1.0)  # as if the inbox had not been emptied
    done = join_waiting_labels.fn(definition, UNTIL)
    assert done is not None
    assert (done.arrived, done.unchanged) == (0, 1)
    assert waiting() == []


def test_a_label_of_another_type_than_the_table_has_goes_on_waiting() -> None:
    definition = project(rows())
    ingest.fn(definition, UNTIL)
    odd = pa.table({"id": ["000", "001"], "y": ["many", "2"]})
    append_labels("hours", [(odd, UNTIL)])
    done = join_waiting_labels.fn(definition, UNTIL)
    assert done is not None
    assert (done.arrived, done.unknown) == (1, 1)
    assert '"many"' in waiting()[0]
