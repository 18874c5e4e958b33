"""Rows of one person in every place that may have them: after an erasure they are nowhere, or the place is named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import LedgerBroken
from refit.gate.evaluations import Judgement
from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.predictions import predict_once
from refit.records.ledger import as_payload
from refit_deployments.actions.maintenance import run_restore
from refit_infra.settings import Settings
from refit_tasks.backup.backup import back_up
from refit_tasks.ingestion.label_inbox import append_labels
from refit_tasks.ledger.export import export_ledger
from refit_tasks.ledger.record import entries, record, verify_ledger
from refit_tasks.maintenance.erase import erase_keys, find_erasure
from refit_tasks.maintenance.prune import archive_ledger
from refit_tasks.maintenance.remaining_places import find_remaining
from refit_tasks.maintenance.repeat_erasures import read_erasures, repeat_erasures
from refit_tasks.storage.delta import RETENTION, open_table, read, uri_of, write
from refit_tasks.storage.predictions_table import append
from refit_tasks.storage.quarantine_table import SCHEMA
from tests.support.text_search import traces

FILE = """
import pandas as pd
from sklearn.dummy import DummyRegressor

from refit import Project

project = Project(
    name="visits", kind="regression", target="spent", timestamp="at", key=("customer",),
    load=lambda window: pd.DataFrame(), build=DummyRegressor,
)
"""
AT = datetime(2026, 3, 1, tzinfo=UTC)
PERSON, CITY = "person-7f3e", "Wolkenkuckucksheim"
VISITS = Project(
    name="visits", kind="regression", target="spent", timestamp="at", key=("customer",),
    load=lambda _: pd.DataFrame(), build=DummyRegressor,
)  # fmt: skip


def visits(**more: object) -> pa.Table:
    """Two rows, the first of them of the person."""
    cells = {"customer": [PERSON, "other"], "at": pa.array([AT, AT + timedelta(hours=1)], pa.timestamp("us", "UTC"))}
    return pa.table({**cells, "city": [CITY, "Rome"], "spent": [1.0, 2.0], **more})


def plant_tables() -> None:
    """1 to 4: a version of each of three schemas, and the newest one; 5 quarantine, 6 predictions, 7 inbox."""
    first = visits().drop_columns(["city"])
    write("visits", None, [first], first.schema)
    write("visits", open_table("visits"), [visits()], visits().schema)
    third = visits(age=pa.array([30, 40], pa.int64())).set_column(0, "customer", pa.array([PERSON, "other"]))
    write_deltalake(uri_of("visits"), third, mode="overwrite", schema_mode="overwrite", configuration=RETENTION)
    write("visits", open_table("visits"), [third], third.schema)
    raw = json.dumps({"customer": PERSON, "city": CITY, "spent": "much"})
    cells = {"id": ["a"], "quarantined_at": [AT], "event_time": [AT], "reasons": ["[]"], "row": [raw]}
    write("visits__quarantine", None, [pa.table(cells, SCHEMA)], SCHEMA)
    features = pd.DataFrame({"hour": [0, 1]})
    said = prediction_columns(predict_once(DummyRegressor().fit(features, [0.0, 1.0]), features))
    asked = PredictionContext(version=1, generation=1, role="champion", source="batch", scored_at=AT)
    rows = visits()
    append("visits", prediction_rows(asked, said, features, keys=rows.select(["customer"]), event_time=rows["at"]), "b")
    append_labels("visits", [(rows.select(["customer", "spent"]), AT)])


def plant_leftovers(home: Path) -> None:
    """8: an area of a killed ingest, 9: the scratch of a killed run, 10: files that no version names."""
    for area in ("visits-dead", "scratch/visits-dead/files"):
        (Settings().staging / area).mkdir(parents=True)
        (Settings().staging / area / "rows").write_text(PERSON)
    (home / "tables" / "visits" / "part-00000-loose.parquet").write_bytes(PERSON.encode())
    (home / "tables" / "visits" / "part-00001.parquet#1").write_bytes(PERSON.encode())


@pytest.fixture
def planted(home: Path, tmp_path: Path, evidence) -> Path:
    """All of these, and 11: a judged version, 12: a contract in the ledger, 13: an archive, 14: a backup."""
    plant_tables()
    record("visits", "contract", {"rules": [{"column": "city", "values": [CITY]}]}, AT)
    model, comparison, verdict, ingestion = evidence()
    trained = replace(model.trained_on, project="visits", version=1)
    judged = replace(model, trained_on=trained), replace(comparison, holdout=trained), VISITS.gate, verdict, None
    record("visits", "verdict", {"version": 1, **as_payload(Judgement(*judged, ingestion))}, AT)
    back_up(tmp_path / "backup", AT)
    plant_leftovers(home)
    return home


def rows_of(version: int) -> list[str]:
    return [
        name for part in read(DeltaTable(uri_of("visits"), version=version)) for name in part["customer"].to_pylist()
    ]


def test_a_person_is_nowhere_or_where_it_was_said(planted: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert len(traces(planted, PERSON)) >= 10
    erasure, entry = erase_keys(VISITS, {"customer": (PERSON,)}, "ada", "asked", AT)
    remaining = find_remaining("visits", erasure)
    named = {one.place: one for one in remaining}

    assert traces(planted, PERSON) == []
    assert [sorted(rows_of(version)) for version in range(4)] == [["other"], ["other"] * 2, ["other"], ["other"] * 2]
    assert set(erasure.tables) == {"visits", "visits__quarantine", "visits__predictions", "visits__labels"}
    assert (named["backup"].name, len(traces(backup, PERSON)) > 3) == (str(backup), True)
    assert CITY in str(entries("visits", "contract")[0].payload)
    assert "values of city" in named["contract"].holds
    places = traces(planted, CITY, without=("backup",))
    assert {Path(place).name.partition("-")[0].removesuffix("wal").rstrip("-") for place in places} <= {"ledger.db"}
    assert verify_ledger() == entry


def test_a_backup_that_was_moved_is_named_too_and_one_without_the_project_is_not(home: Path, tmp_path: Path) -> None:
    record("cars", "notice", {}, AT)
    back_up(tmp_path / "before", AT)
    plant_tables()
    back_up(tmp_path / "moved", AT)
    (tmp_path / "moved").rename(tmp_path / "elsewhere")
    erasure = find_erasure(VISITS, {"customer": (PERSON,)})
    (moved,) = find_remaining("visits", erasure)
    assert moved.name == str(tmp_path / "moved")
    assert "is gone: if it was moved, it still holds the rows" in moved.holds


def test_no_key_is_in_an_archive_or_in_what_is_noted(planted: Path, tmp_path: Path) -> None:
    erase_keys(VISITS, {"customer": (PERSON,)}, "ada", "asked", AT)
    record("visits", "contract", {"rules": []}, AT + timedelta(days=1))
    list(archive_ledger(100, 1, AT + timedelta(days=400), dry_run=False))
    assert traces(planted, PERSON) == []
    assert str(tmp_path / "backup") in (planted / "backups.jsonl").read_text()
    assert (planted / "backups.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_restore_repeats_the_erasures_that_were_recorded_since(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_keys(VISITS, {"customer": (PERSON,)}, "ada", "asked", AT)
    former = record("visits", "erasure", {"key": "0" * 64, "tables": {}, "files": 1}, AT)
    gone = record("cars", "erasure", {"values": {"plate": ["0" * 64]}}, AT)
    export_ledger(None, tmp_path / "export.jsonl")
    assert PERSON not in (tmp_path / "export.jsonl").read_text()
    projects = tmp_path / "projects"
    projects.mkdir()
    (projects / "visits.py").write_text(FILE)
    monkeypatch.setenv("REFIT_PROJECTS", str(projects))
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "new"))

    said = run_restore(tmp_path / "backup", tmp_path / "export.jsonl", dry_run=False)
    again, by_hand, unknown = said.facts["erasures"]
    assert (again["rows"], again["outcome"]) == (5, "was repeated: 5 rows")
    assert (by_hand["entry"], by_hand["rows"]) == (former.id, 0)
    assert "run `refit forget visits` with its key" in by_hand["outcome"]
    assert (unknown["entry"], "cannot be repeated" in unknown["outcome"]) == (gone.id, True)
    assert traces(tmp_path / "new", PERSON) == []
    assert [sorted(rows_of(version)) for version in range(4)] == [["other"], ["other"] * 2, ["other"], ["other"] * 2]
    assert verify_ledger() == 3


def test_without_the_salt_of_the_backup_nothing_is_said_to_be_absent(planted: Path, tmp_path: Path) -> None:
    erase_keys(VISITS, {"customer": (PERSON,)}, "ada", "asked", AT)
    file, _ = export_ledger(None, tmp_path / "export.jsonl")
    (planted / "erasures" / "salt").unlink()
    (one,) = repeat_erasures(read_erasures(file, 0), "ada", AT)
    assert one.outcome.startswith("cannot be repeated, since the backup has no salt")


def test_an_export_that_was_changed_erases_nothing(planted: Path, tmp_path: Path) -> None:
    erase_keys(VISITS, {"customer": (PERSON,)}, "ada", "asked", AT)
    file, _ = export_ledger(None, tmp_path / "export.jsonl")
    file.write_text(file.read_text().replace('"who":"ada"', '"who":"bob"'))
    with pytest.raises(LedgerBroken, match="does not follow the one before it"):
        read_erasures(file, 0)
