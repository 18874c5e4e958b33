"""Retention: what nobody returns to goes, and every kept version keeps its run, its files and its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import StateError
from refit.records.references import Champion
from refit.results.maintenance import select_kept_versions
from refit_tasks.decision.lock import project_lock
from refit_tasks.ledger.record import record, verify_ledger
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.maintenance.prune import prune
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.storage.delta import open_table, read, uri_of, write
from refit_tasks.storage.staging import staging_area
from tests.support.registered_models import BEGUN, Judge, with_runs

AT = datetime(2026, 3, 1, tzinfo=UTC)
MILLS = """
from datetime import timedelta
import pandas as pd
from sklearn.dummy import DummyRegressor
from refit import IngestionPolicy, Project
project = Project(
    name="mills", kind="regression", target="y", timestamp="t", load=lambda _: pd.DataFrame(), build=DummyRegressor,
    ingestion=IngestionPolicy(keep=timedelta(days=365)),
)
"""


def overwrite(value: int) -> int:
    """Replaces all rows; gives the version of the table that holds the new ones."""
    rows = pa.table({"id": pa.array([value], pa.int64())})
    table = open_table("rentals")
    return write("rentals", table, [rows], rows.schema, replacing="id >= 0" if table else None)


def rows_at(version: int) -> list[int]:
    from deltalake import DeltaTable

    table = DeltaTable(uri_of("rentals"), version=version)
    return [one for part in read(table) for one in part["id"].to_pylist()]


@pytest.fixture
def evidence(mlflow_home: Path, evidence: Callable[..., Any]) -> Callable[..., Any]:
    """Each model is trained on rows of its own table version, which the next one's take the place of."""
    made, versions = with_runs(evidence), {}

    def make(run_key: str = "key", *, promote: bool = True) -> Any:
        model, comparison, verdict, ingestion = made(run_key, promote=promote)
        if run_key not in versions:
            versions[run_key] = 77 if run_key == "lost" else overwrite(len(versions))
        holdout = replace(comparison.holdout, version=versions[run_key])
        trained = replace(model.trained_on, version=versions[run_key])
        return replace(model, trained_on=trained), replace(comparison, holdout=holdout), verdict, ingestion

    return make


@pytest.fixture
def champion(judge: Judge) -> Champion:
    """Version 2 serves, version 1 did before, versions 3 to 6 were rejected; each has rows at a table version."""
    first = promote.fn(judge("one"), None, AT)
    second = promote.fn(judge("two", first), first, AT)
    for key in ("three", "four", "five", "six"):
        judge(key, second, promote=False)
    overwrite(99)
    return second


def versions() -> set[int]:
    return {int(one.version) for one in open_mlflow().search_model_versions("name = 'rentals'")}


def runs() -> set[str]:
    client = open_mlflow()
    return {run.data.tags["refit.run_key"] for run in client.search_runs([experiment()])}


def experiment() -> str:
    return str(open_mlflow().get_experiment_by_name("rentals").experiment_id)


def test_what_nobody_returns_to_goes_and_the_rest_stays_whole(champion: Champion, home: Path) -> None:
    found = prune("rentals", keep=2, hours=0, dry_run=True)
    assert versions() == {1, 2, 3, 4, 5, 6}
    assert prune("rentals", keep=2, hours=0) == found
    assert [one.kind for one in found] == ["version", "version", "training", "training", "table"]
    assert versions() == {1, 2, 5, 6}
    assert runs() == {"one", "two", "five", "six"}
    assert [rows_at(version) for version in (0, 1, 4, 5, 6)] == [[0], [1], [4], [5], [99]]
    for gone in (2, 3):
        with pytest.raises(Exception, match=r"not found|No such file"):
            rows_at(gone)
    kept = {run.info.run_id for run in open_mlflow().search_runs([experiment()])}
    directories = {path.name for path in (home / "mlartifacts" / "rentals").iterdir()}
    assert directories - {"models"} == kept
    assert prune("rentals", keep=2, hours=0) == []
    assert repair_state("rentals") == []
    verify_ledger()


@pytest.mark.slow
def test_a_training_whose_retrain_was_interrupted_stays_for_the_rerun(champion: Champion) -> None:
    client = open_mlflow()
    for started, key in ((BEGUN, "old"), (datetime.now(UTC), "young")):
        run = client.create_run(experiment(), int(started.timestamp() * 1000), {"refit.run_key": key})
        client.create_run(experiment(), int(started.timestamp() * 1000), {"mlflow.parentRunId": run.info.run_id})
        client.set_terminated(run.info.run_id, "KILLED")
    client.create_run(experiment(), int(BEGUN.timestamp() * 1000))  # a person's own
    prune("rentals", keep=2, hours=0)
    tags = [run.data.tags for run in client.search_runs([experiment()], "attributes.status = 'KILLED'")]
    assert [one["refit.run_key"] for one in tags] == ["young"]
    assert repair_state("rentals", dry_run=True)[0].kind == "training"  # the young trial
    assert any("refit.run_key" not in run.data.tags for run in client.search_runs([experiment()]))


def test_by_default_everything_stays(champion: Champion) -> None:
    assert prune() == []
    assert versions() == {1, 2, 3, 4, 5, 6}


def test_the_champion_stays_and_what_waits_or_has_a_name(champion: Champion, judge: Judge) -> None:
    judge("waits", champion)
    judge("rejected", champion, promote=False)
    client = open_mlflow()
    client.set_registered_model_alias("rentals", "of_a_person", "3")
    client.create_model_version("rentals", "file:///models/of-a-person")
    prune("rentals", keep=0, hours=0)
    # 2 serves, 3 has a name, 7 waits to be promoted, 8 is called challenger, 9 is a person's own.
    assert versions() == {2, 3, 7, 8, 9}


@pytest.mark.slow
def test_a_file_stays_while_somebody_may_be_reading_it(champion: Champion) -> None:
    assert "table" not in {one.kind for one in prune("rentals", keep=2)}
    assert [rows_at(version) for version in range(7)] == [[0], [1], [2], [3], [4], [5], [99]]


def test_nothing_is_removed_where_a_kept_version_cannot_be_read(champion: Champion, judge: Judge, home: Path) -> None:
    judge("lost", champion, promote=False)
    files = set((home / "tables" / "rentals").glob("*.parquet"))
    with pytest.raises(StateError, match="cannot be read"):
        prune("rentals", keep=2, hours=0)
    assert set((home / "tables" / "rentals").glob("*.parquet")) == files


@pytest.mark.slow
def test_a_retrain_or_an_ingest_under_way_is_waited_for(champion: Champion) -> None:
    with project_lock("rentals", 0):
        (left,) = prune("rentals", keep=2, hours=0)
    assert (left.kind, left.action) == ("turn", "left")
    with staging_area("rentals"):
        found = prune("rentals", keep=2, hours=0)
    assert found[-1].action == "left"
    assert rows_at(2) == [2]


def test_a_prune_that_was_killed_is_completed_by_the_next(champion: Champion, home: Path) -> None:
    client = open_mlflow()
    run = next(one for one in client.search_runs([experiment()]) if one.data.tags["refit.run_key"] == "three")
    client.delete_model_version("rentals", "3")
    client.set_tag(run.info.run_id, "refit.pruned", "true")
    client.delete_run(run.info.run_id)
    prune("rentals", keep=2, hours=0)
    assert not (home / "mlartifacts" / "rentals" / run.info.run_id).exists()
    assert versions() == {1, 2, 5, 6}


def test_small_files_are_put_together_and_former_versions_stay(home: Path) -> None:
    record("rentals", "contract", {}, AT)
    for value in range(64):
        rows = pa.table({"id": pa.array([value], pa.int64())})
        write("rentals", open_table("rentals"), [rows], rows.schema)
    assert [one.action for one in prune("rentals")] == ["compacted"]
    assert prune("rentals") == []
    assert len(open_table("rentals").file_uris()) == 1
    assert sorted(rows_at(64)) == list(range(64))
    assert sorted(rows_at(9)) == list(range(10))


@pytest.mark.slow
def test_rows_that_are_older_than_a_project_keeps_leave_table_and_quarantine(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mills.py").write_text(MILLS)
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    times = pa.array([AT - timedelta(days=400), datetime.now(UTC)], pa.timestamp("us", "UTC"))
    for name, column in (("mills", "t"), ("mills__quarantine", "quarantined_at")):
        rows = pa.table({column: times, "y": [1.0, 2.0]})
        write(name, None, [rows], rows.schema)
    record("mills", "contract", {}, AT)
    found = prune("mills", hours=0, dry_run=True)
    assert [(one.name, one.action) for one in found] == [("mills", "removed"), ("mills__quarantine", "removed")]
    assert len(prune("mills", hours=0)) == 4  # the files of both go as well
    assert [open_table(name).count() for name in ("mills", "mills__quarantine")] == [1, 1]
    assert len(list((home / "tables").rglob("*.parquet"))) == 2
    assert prune("mills", hours=0) == []


@given(
    there=st.sets(st.integers(1, 30)),
    champions=st.lists(st.integers(1, 30)),
    bound=st.sets(st.integers(1, 30)),
    newest=st.integers(0, 40),
)
def test_whatever_is_asked_for_the_champion_and_what_is_bound_stays(
    there: set[int], champions: list[int], bound: set[int], newest: int
) -> None:
    kept = select_kept_versions(there, champions, bound, newest)
    assert kept <= there
    assert ({*champions[:1], *bound} & there) <= kept
    assert set(sorted(there)[-newest:] if newest else ()) <= kept
    assert kept <= select_kept_versions(there, champions, bound, newest + 1)
