"""Somebody's rows are erased: from all tables and every version of them, whenever the process dies, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.errors import ProjectError, StateError
from refit.gate.evaluations import Judgement
from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.predictions import predict_once
from refit.records.ledger import as_payload
from refit.results.erasures import parse_keys
from refit_tasks.decision.lock import project_lock
from refit_tasks.ingestion.label_inbox import append_labels
from refit_tasks.ledger.erasures import find_erased_rows
from refit_tasks.ledger.record import entries, record, verify_ledger
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.maintenance.erase import erase_keys, find_erasure
from refit_tasks.maintenance.keyed_tables import KeyedTable, list_tables
from refit_tasks.reporting.entry_story import describe_entry
from refit_tasks.storage.delta import open_table, read, uri_of, within, write
from refit_tasks.storage.predictions_table import append
from refit_tasks.storage.quarantine_table import SCHEMA
from refit_tasks.storage.snapshots import restrict, take_snapshot
from refit_tasks.storage.staging import staging_area
from refit_tasks.storage.table_files import TableFiles
from refit_tasks.training.recorded_inputs import read_recorded_holdout, read_recorded_training_rows
from tests.support.text_search import traces

AT = datetime(2026, 3, 1, tzinfo=UTC)
PERSON, OTHER, CITY = "person-7f3e", "person-0001", "Wolkenkuckucksheim"
VISITS = Project(
    name="visits", kind="regression", target="spent", timestamp="at", key=("customer", "at"),
    load=lambda _: pd.DataFrame(), build=DummyRegressor,
)  # fmt: skip


def visits(first: int, last: int, spent: float = 1.0) -> pa.Table:
    """One row an hour, every tenth of them of the person."""
    hours = range(first, last)
    return pa.table({
        "customer": [PERSON if hour % 10 == 3 else f"person-{hour % 10:04}" for hour in hours],
        "at": pa.array([AT + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC")),
        "city": [CITY if hour % 10 == 3 else "Rome" for hour in hours],
        "spent": pa.array([spent] * len(hours), pa.float64()),
    })  # fmt: skip


@pytest.fixture
def filled(home: Path) -> Project:
    """All tables hold rows of the person, the project's own in five versions and a checkpoint."""
    for first in (0, 40, 80):
        rows = visits(first, first + 40)
        write("visits", open_table("visits"), [rows], rows.schema)
    corrected = Window(AT + timedelta(hours=13), AT + timedelta(hours=14))
    write("visits", open_table("visits"), [visits(13, 14, 9.0)], rows.schema, within("at", corrected))
    open_table("visits").create_checkpoint()
    more = visits(120, 130)
    write("visits", open_table("visits"), [more], more.schema)
    raw = [{"customer": PERSON, "at": "2026-03-09T00:00+00:00", "spent": "much"}, {"customer": OTHER, "spent": "x"}]
    reasons = json.dumps([{"rule": "type", "column": "customer", "value": PERSON}])
    cells = {"id": ["a", "b"], "quarantined_at": [AT] * 2, "event_time": [AT] * 2, "reasons": [reasons, "[]"]}
    write("visits__quarantine", None, [pa.table({**cells, "row": [json.dumps(one) for one in raw]}, SCHEMA)], SCHEMA)
    for batch in range(2):
        append("visits", _predictions(visits(batch * 20, batch * 20 + 20)), f"batch {batch}")
    append_labels("visits", [(visits(0, 5).select(["customer", "at", "spent"]), AT)])
    append_labels("visits", [(visits(5, 9).select(["customer", "at", "spent"]), AT)])
    return VISITS


def _predictions(rows: pa.Table) -> pa.Table:
    features = pd.DataFrame({"hour": range(rows.num_rows)})
    said = prediction_columns(predict_once(DummyRegressor().fit(features, [0.0] * len(features)), features))
    asked = PredictionContext(version=1, generation=1, role="champion", source="batch", scored_at=AT)
    return prediction_rows(asked, said, features, keys=rows.select(["customer", "at"]), event_time=rows["at"])


def contents(name: str) -> list[list[str]]:
    """The rows of each version of a table, those of the person left out."""
    holder = next(one for one in list_tables(VISITS, {"customer": (PERSON,)}) if one.name == name)
    return [_rows(DeltaTable(uri_of(name), version=version), holder) for version in range(_versions(name))]


def _rows(table: DeltaTable, holder: KeyedTable) -> list[str]:
    parts = [part.filter(pa.array(~holder.matches_key(part))) for part in read(table)]
    return sorted(str(row) for part in parts for row in part.to_pylist())


def _versions(name: str) -> int:
    return open_table(name).version() + 1


def test_no_file_holds_the_person_and_every_version_holds_the_others(filled: Project, home: Path) -> None:
    assert len(traces(home, PERSON, CITY)) > 12
    before = {one: contents(one) for one in ("visits", "visits__predictions", "visits__quarantine")}
    erasure, entry = erase_keys(filled, {"customer": (PERSON,)}, "ada", "asked", AT)
    assert traces(home, PERSON, CITY) == []
    assert erasure.tables == {
        "visits": 13, "visits__quarantine": 1, "visits__predictions": 4, "visits__labels": 1,
    }  # fmt: skip
    for name, versions in before.items():
        assert contents(name)[: len(versions)] == versions
        table = open_table(name)
        assert table.count() == sum(part.num_rows for part in read(table)) == len(versions[-1])
    assert open_table("visits__labels").count() == 8
    assert (erasure.unique, len(entries("visits"))) == ({"city": 1}, 1)
    assert "13 of visits" in " ".join(describe_entry(entries("visits")[0]))
    assert (repair_state(), verify_ledger()) == ([], entry)
    assert erase_keys(filled, {"customer": (PERSON,)}, "ada", "", AT)[1] is None
    rows = visits(200, 202)
    write("visits", open_table("visits"), [rows], rows.schema)
    assert open_table("visits").count() == 119


def test_one_row_of_a_person_goes_and_the_others_stay(filled: Project) -> None:
    hour = "2026-03-01T13:00+00:00"
    erasure, _ = erase_keys(filled, parse_keys(filled, [f"customer={PERSON}", f"at={hour}"]), "ada", "", AT)
    assert erasure.tables == {"visits": 1, "visits__predictions": 1}
    assert erasure.unique == {}
    assert find_erasure(filled, {"customer": (PERSON,)}).tables["visits"] == 12


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    "moment", [7, *(pytest.param(moment, marks=pytest.mark.slow) for moment in (1, 3, 13, 18, 30))]
)
def test_killed_at_any_moment_and_repeated_it_ends_the_same(
    filled: Project, home: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    before, left = contents("visits"), [moment]

    def counted(act: Callable) -> Callable:
        def acted(*arguments: object) -> None:
            left[0] -= 1
            if not left[0]:
                raise Killed
            act(*arguments)

        return acted

    with monkeypatch.context() as patch:
        patch.setattr(TableFiles, "write", counted(TableFiles.write))
        patch.setattr(TableFiles, "remove", counted(TableFiles.remove))
        with pytest.raises(Killed):
            erase_keys(filled, {"customer": (PERSON,)}, "ada", "", AT)
    assert contents("visits")[: len(before)] == before
    assert [one.kind for one in repair_state("visits") if one.kind == "erasure"] == ["erasure"]
    erasure, _ = erase_keys(filled, {"customer": (PERSON,)}, "eve", "", AT + timedelta(hours=1))
    assert traces(home, PERSON, CITY) == []
    assert contents("visits")[: len(before)] == before
    (entry,) = entries("visits", "erasure")
    assert (entry.payload["who"], entry.at, erasure.tables["visits"]) == ("ada", AT, 13)
    assert repair_state("visits") == []


def test_rows_on_record_are_named_as_erased_and_are_what_is_left(filled: Project, evidence: Callable) -> None:
    snapshot = take_snapshot.fn(filled, AT + timedelta(hours=200))
    train = restrict(filled, replace(snapshot, version=2), Window(AT, AT + timedelta(hours=50)), labelled=True)
    holdout = restrict(filled, snapshot, Window(AT + timedelta(hours=90), snapshot.window.end), labelled=True)
    model, comparison, verdict, ingestion = evidence()
    made = replace(model, trained_on=train), replace(comparison, holdout=holdout), filled.gate, verdict, None, ingestion
    record("visits", "verdict", {"version": 1, **as_payload(Judgement(*made))}, AT)
    for count, person in ((1, PERSON), (2, OTHER)):
        assert find_erased_rows(train) is None or count > 1
        erasure, _ = erase_keys(filled, {"customer": (person,)}, "ada", "", AT)
        assert [(one.rows, one.erased) for one in erasure.snapshots] == [(train, 5), (holdout, 4)]
        assert erasure.versions == (1,)
        rows, (cause,) = read_recorded_training_rows(filled, train)
        assert (len(rows), set(rows["customer"]) & {person}) == (50 - 5 * count, set())
        said = f"{5 * count} rows of its training data were erased on 2026-03-01"
        assert (cause.recorded, cause.now) == ("50 rows", f"{said} (refit why {1 + count})")
    assert read_recorded_holdout(filled, holdout)[1][0].now.startswith("8 rows of its holdout were erased")
    other = replace(erasure.snapshots[0], left="0" * 32)
    record("visits", "erasure", {**as_payload(replace(erasure, snapshots=(other,))), "who": "eve", "why": ""}, AT)
    assert read_recorded_training_rows(filled, train)[0] is None


def test_a_key_that_cannot_be_is_refused_without_being_shown(filled: Project) -> None:
    for given, said in (([PERSON], "2 columns: write --key COLUMN=VALUE"), ([], "no key is given")):
        with pytest.raises(ProjectError, match=said) as refused:
            parse_keys(filled, given)
        assert PERSON not in str(refused.value)
    with pytest.raises(ProjectError, match="a value that was given for at is no time with a zone"):
        find_erasure(filled, parse_keys(filled, [f"at={PERSON}"]))
    with pytest.raises(ProjectError, match="has no key"):
        parse_keys(filled.model_copy(update={"key": ()}), [PERSON])


def test_a_retrain_or_an_ingest_under_way_is_waited_for(filled: Project) -> None:
    with project_lock("visits", 0), pytest.raises(StateError, match="run again when it has ended"):
        erase_keys(filled, {"customer": (PERSON,)}, "ada", "", AT)
    with staging_area("visits"), pytest.raises(StateError, match="run again when it has ended"):
        erase_keys(filled, {"customer": (PERSON,)}, "ada", "", AT)
    assert find_erasure(filled, {"customer": (PERSON,)}).tables["visits"] == 13
