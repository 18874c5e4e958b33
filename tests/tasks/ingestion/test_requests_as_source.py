"""A project whose rows are its requests: each key once and as it was asked last, beside the history."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from refit import Window
from refit.errors import LoadFailed
from refit.inference.prediction_rows import PredictionContext, Role, Source, prediction_rows
from refit.requests import requests
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.storage.delta import open_table, read
from refit_tasks.storage.predictions_table import append

START = datetime(2026, 1, 1, tzinfo=UTC)
MIDDLE, END = START + timedelta(days=1), START + timedelta(days=2)
PROJECT = textwrap.dedent('''
    """Hours."""
    import pandas as pd
    from sklearn.dummy import DummyRegressor
    from refit import Project
    from refit.requests import requests


    def history(window):
        at = pd.date_range("2026-01-01", periods=24, freq="h", tz="UTC")
        frame = pd.DataFrame({"id": range(24), "at": at, "x": range(24), "open": True, "place": "home", "y": 1.5})
        return frame[window.holds(frame["at"])]


    project = Project(
        name="hours", kind="regression", target="y", timestamp="at", key=KEY, load=requests(history),
        build=DummyRegressor,
    )
''')


@pytest.fixture
def hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    key = getattr(request, "param", ("id",))
    (tmp_path / "hours.py").write_text(PROJECT.replace("KEY", repr(key)))
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    ingest.fn(find_project("hours"), MIDDLE)
    return "hours"


def ask(
    name: str,
    batch: str,
    rows: pd.DataFrame,
    seconds: float = 0.0,
    role: Role = "champion",
    source: Source = "http",
    features: tuple[str, ...] = ("x", "open", "place"),
) -> None:
    asked = PredictionContext(1, 1, role, source, MIDDLE + timedelta(seconds=seconds))
    said = pa.table({
        "prediction": pa.array([0.5] * len(rows)), "score": pa.nulls(len(rows), pa.float64()),
        "scores": pa.nulls(len(rows), pa.list_(pa.float64())), "classes": pa.nulls(len(rows), pa.list_(pa.string())),
    })  # fmt: skip
    keys = pa.table({"id": pa.array(rows["id"], pa.int64())}) if "id" not in features else None
    times = pa.array(rows["at"], pa.timestamp("us", "UTC")) if "at" in rows else None
    append(name, prediction_rows(asked, said, rows[list(features)], keys, times), batch)


def asked_rows(first: int, last: int, **columns: object) -> pd.DataFrame:
    at = MIDDLE + pd.to_timedelta(range(first, last), unit="h")
    return pd.DataFrame(
        {"id": range(100 + first, 100 + last), "at": at, "x": 7, "open": False, "place": "away", **columns}
    )


def ingested(name: str) -> pd.DataFrame:
    ingest.fn(find_project(name), END)
    table = open_table(name)
    assert table is not None
    return pa.concat_tables(read(table)).to_pandas().sort_values("at", ignore_index=True)


def test_what_was_asked_becomes_rows_without_labels_beside_the_history(hours: str) -> None:
    ask(hours, "a", asked_rows(0, 5))
    rows = ingested(hours)
    assert len(rows) == 29
    new = rows.tail(5)
    assert new["id"].tolist() == [100, 101, 102, 103, 104]
    assert new["y"].isna().all()
    assert new["open"].tolist() == [False] * 5
    assert (new["x"].tolist(), set(new["place"])) == ([7] * 5, {"away"})
    assert rows["y"].head(24).tolist() == [1.5] * 24


def test_of_a_key_the_last_request_counts_and_shadows_and_batches_do_not(hours: str) -> None:
    ask(hours, "late", asked_rows(0, 2, x=9), seconds=20)
    ask(hours, "early", asked_rows(0, 2, x=8), seconds=10)
    ask(hours, "shadow", asked_rows(0, 2, x=1), seconds=30, role="shadow")
    ask(hours, "batch", asked_rows(0, 2, x=2), seconds=40, source="batch")
    twice = pd.concat([asked_rows(3, 4, x=5)] * 2)
    ask(hours, "twice", twice)
    rows = ingested(hours).tail(3)
    assert rows["x"].tolist() == [9, 9, 5]
    assert rows["id"].tolist() == [100, 101, 103]


def test_requests_without_a_key_are_left_out_and_those_without_a_time_happened_when_they_were_answered(
    hours: str,
) -> None:
    ask(hours, "no key", asked_rows(0, 2, id=pd.array([None, 200], "Int64")))
    ask(hours, "no time", asked_rows(0, 1).drop(columns="at").assign(id=300), seconds=1800)
    rows = ingested(hours).tail(2)
    assert sorted(rows["id"]) == [200, 300]
    assert rows.set_index("id")["at"][300] == MIDDLE + timedelta(seconds=1800)


@pytest.mark.parametrize("hours", [()], indirect=True)
def test_without_a_key_every_request_is_a_row(hours: str) -> None:
    ask(hours, "a", asked_rows(0, 3), features=("id", "x", "open", "place"))
    ask(hours, "b", asked_rows(0, 3), seconds=1, features=("id", "x", "open", "place"))
    assert len(ingested(hours)) == 30


def test_only_a_run_of_refit_can_read_requests() -> None:
    with pytest.raises(LoadFailed, match="in a run of Refit"):
        requests()(Window(START, END))
