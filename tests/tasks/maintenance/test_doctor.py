"""The doctor: it finds what a crash has left, repairs it once, and touches nothing of the living."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Running

from refit_infra.settings import Settings
from refit_tasks.decision.history import read_history
from refit_tasks.decision.lock import lock_owner_file, project_lock
from refit_tasks.ledger.record import verify_ledger
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.alias import set_alias
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.storage.delta import open_table, read, write
from refit_tasks.storage.staging import staging_area
from tests.support.processes import Race
from tests.support.registered_models import Judge, with_runs

AT = datetime(2026, 3, 1, tzinfo=UTC)
KILLED = """
import os, signal
from datetime import UTC, datetime
import pandas as pd
from sklearn.dummy import DummyRegressor
os.environ["PREFECT__RUNTIME__FLOW_RUN__ID"] = run
from refit import Project
from refit.monitoring.evidence import RetrainRequest
from refit_tasks.runs.liveness import run_lock
from refit_tasks.storage.staging import staging_area
from refit_tasks.decision.admission import retrain_slot

project = Project(
    name="rentals", kind="regression", target="rentals", timestamp="observed_at",
    load=lambda window: pd.DataFrame(), build=DummyRegressor,
)
with (
    run_lock("retrain", "rentals"),
    retrain_slot(project, RetrainRequest("manual", "test"), datetime(2026, 3, 1, tzinfo=UTC)),
    staging_area("rentals"),
):
    os.kill(os.getpid(), signal.SIGKILL)
"""


ONCE = ("draft", "staging", "training", "version", "alias", "decision", "turn", "run")


@pytest.fixture
def evidence(mlflow_home: Path, evidence: Callable[..., Any]) -> Callable[..., Any]:
    return with_runs(evidence)


def kinds(findings: list[Any]) -> list[str]:
    return sorted(finding.kind for finding in findings)


def fill(name: str, *values: int) -> None:
    rows = pa.table({"id": pa.array(values, pa.int64())})
    write(name, open_table(name), [rows], rows.schema)


def rows_of(name: str) -> list[int]:
    table = open_table(name)
    assert table is not None
    return sorted(one for part in read(table) for one in part["id"].to_pylist())


def leave_training() -> str:
    """Leaves what a training leaves that is killed while it stores its model."""
    client = open_mlflow()
    experiment = require_experiment(client, "rentals")
    run = client.create_run(experiment, tags={"refit.run_key": "dead"})
    client.create_logged_model(experiment, "model", source_run_id=run.info.run_id)
    return run.info.run_id


def leave_files(home: Path) -> list[Path]:
    left = [
        home / "mlflow.draft",
        home / "mlartifacts" / "rentals" / uuid4().hex / "artifacts" / "file",
        home / "mlartifacts" / "rentals" / "models" / "m-1" / "artifacts" / "file",
        home / "tables" / "rentals" / "part-00000-lost.snappy.parquet",
        home / "tables" / "rentals" / "part-00000-torn.snappy.parquet#1",
        home / "tables" / "rentals" / "_delta_log" / "_commit_torn.json.tmp",
        home / "tables" / "unborn" / "part-00000-lost.snappy.parquet",
    ]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return left


def test_a_healthy_store_is_left_as_it_is(judge: Judge, home: Path) -> None:
    promote.fn(judge(), None, AT)
    fill("rentals", 1, 2)
    fill("rentals", 3)
    version = open_table("rentals").version()
    assert repair_state() == []
    assert open_table("rentals").version() == version
    assert rows_of("rentals") == [1, 2, 3]


def test_an_empty_home_is_healthy() -> None:
    assert repair_state() == []
    assert repair_state("rentals") == []


def test_all_that_a_crash_leaves_is_repaired_once(judge: Judge, race: Race, home: Path, prefect_server: None) -> None:
    champion = promote.fn(judge(), None, AT)
    judge("rejected", champion, promote=False)
    client = open_mlflow()
    for tags in ({"refit.run_key": "orphan"}, {}):  # a version without a verdict, and one that a person has registered
        client.create_model_version("rentals", "file:///models/x", tags=tags)
    set_alias(client, "rentals", "champion", 2)
    for n in range(3):
        fill("rentals", n)
    training, left, run_id = leave_training(), leave_files(home), started()
    race(KILLED, 1, killed=True, run=run_id)

    expected = sorted([*ONCE, *["artifacts"] * 2, *["table"] * 4])
    found = repair_state(dry_run=True)
    assert kinds(found) == expected
    assert any("pointed to version 2, and the ledger's champion is version 1" in finding.sentence for finding in found)
    assert all(file.exists() for file in left)
    assert state_of(run_id) == "RUNNING"

    assert kinds(repair_state()) == expected
    assert repair_state() == []
    assert not any(file.exists() for file in left)
    assert rows_of("rentals") == [0, 1, 2]
    assert client.get_run(training).info.status == "KILLED"
    versions = {int(one.version) for one in client.search_model_versions("name = 'rentals'")}
    assert versions == {1, 2, 4}
    assert int(client.get_model_version_by_alias("rentals", "champion").version) == champion.version
    assert [one.ending for one in read_history("rentals", AT).attempts] == ["failed"]
    assert not lock_owner_file("rentals").exists()
    assert state_of(run_id) == "CRASHED"
    verify_ledger()


def test_nothing_of_the_living_is_touched(judge: Judge, home: Path) -> None:
    promote.fn(judge(), None, AT)
    fill("rentals", 1)
    training, left = leave_training(), leave_files(home)
    with project_lock("rentals", 0), staging_area("rentals") as area:
        found = repair_state()
        assert area.is_dir()
    assert kinds(found) == ["draft"]
    assert open_mlflow().get_run(training).info.status == "RUNNING"
    assert all(file.exists() for file in left[1:])


def test_one_project_is_mended_alone(judge: Judge, home: Path) -> None:
    promote.fn(judge(), None, AT)
    training = leave_training()
    assert repair_state("deliveries") == []
    assert open_mlflow().get_run(training).info.status == "RUNNING"
    assert kinds(repair_state("rentals")) == ["training"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_command_says_a_line_for_each_thing(mlflow_home: Path, dry_run: bool) -> None:
    from refit_deployments.actions.maintenance import run_doctor

    training = leave_training()
    answer = run_doctor(None, dry_run=dry_run)
    (finding,) = json.loads(json.dumps(answer.facts))["findings"]
    assert (finding["kind"], finding["name"], finding["action"]) == ("training", training, "closed")
    assert finding["sentence"] == answer.lines[0]
    assert answer.exit_code == 0
    healthy = "the store is healthy: no repair is needed"
    assert (run_doctor(None, dry_run=dry_run).lines == [healthy]) is not dry_run


def test_on_an_object_store_a_young_file_is_left_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFIT_STORE_URI", str(tmp_path / "bucket"))
    fill("rentals", 1)
    lost = Path(Settings().tables) / "rentals" / "part-00000-lost.snappy.parquet"
    lost.write_bytes(b"x")
    assert repair_state("rentals") == []
    assert lost.exists()


def started() -> str:
    """Has Prefect believe that a flow runs."""

    @flow
    def retrain() -> None: ...

    with get_client(sync_client=True) as client:
        return str(client.create_flow_run(retrain, state=Running()).id)


def state_of(run_id: str) -> str:
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(run_id).state_type.value)
