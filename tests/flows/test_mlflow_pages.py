"""What people find on a real MLflow server after real retrains: each search that the docs promise finds something.

A server refuses things that the embedded store takes: a version, for one, whose model's id it is not told.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from refit_infra.settings import QUIET
from tests.support.other_servers import free_port, running
from tests.support.watched_project import Depot

DOCS = Path(__file__).parents[2] / "docs" / "mlflow.md"


@pytest.fixture
def depot(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    return depot


@pytest.fixture
def mlflow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    port, store = free_port(), tmp_path / "mlflow"
    store.mkdir()
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--workers", "1", "--port", str(port)]
    places = [
        "--backend-store-uri",
        f"sqlite:///{store}/mlflow.db",
        "--artifacts-destination",
        str(store / "artifacts"),
    ]
    environment = {**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running([*command, *places], environment):
        deadline = time.monotonic() + 120
        while not healthy(port):
            assert time.monotonic() < deadline, "the MLflow server does not start"
            time.sleep(0.5)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_server")
def test_each_search_of_the_docs_finds_something_and_runs_say_where_they_come_from(depot: Depot) -> None:
    from refit_tasks.registry.mlflow_client import open_mlflow

    first = depot.retrain(40)
    file = depot.projects / "parcels.py"
    file.write_text(file.read_text().replace("load=parquet", "gate=GatePolicy(floor=0.9999), load=parquet"))
    depot.retrain(70)
    client = open_mlflow()
    names: dict[str, object] = {"client": client}
    [searches] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    for line in searches.replace("'42'", f"'{first.challenger.verdict_id}'").splitlines():
        if line.startswith("client.search"):
            assert eval(line, names), line  # noqa: S307 - a line of our own docs
        else:
            exec(line, names)  # noqa: S102 - likewise

    assert first.judgement is not None
    run = client.get_run(first.challenger.model.run_id)
    assert run.info.run_name.startswith("parcels 2026-02-0")
    assert run.data.tags["refit.flow_run_id"] == first.run_id
    assert run.data.tags["refit.flow_run_url"].endswith(f"/runs/flow-run/{first.run_id}")
    assert run.data.tags["mlflow.source.name"] == "parcels.py"
    metrics = client.get_logged_model(first.judgement.model.uri.removeprefix("models:/")).metrics
    assert [one.dataset_name for one in metrics if one.key == "holdout_roc_auc"] == ["parcels"]
    version = client.get_model_version_by_alias("parcels", "champion")
    assert version.tags["refit.entry"] == str(first.challenger.verdict_id)
    assert version.tags["refit.verdict"] == "promoted"
    assert all(len(value) <= 200 for name, value in version.tags.items())
    experiments = [client.get_experiment_by_name("parcels").experiment_id]
    for one in client.search_runs(experiments):
        assert re.fullmatch(r"parcels \d{4}-\d\d-\d\d \d\d:\d\d( served)?", one.info.run_name)
        assert all(len(used.dataset.digest) <= 36 for used in one.inputs.dataset_inputs)
