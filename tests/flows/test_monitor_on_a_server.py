"""The monitor as a deployment: it starts the retrain's deployment once, whatever is repeated, and tells of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.settings import QUIET
from tests.flows.watched import START, Depot, actions, recorded
from tests.test_pinned_server import answers, free_port, running

SERVED = """
from prefect import serve
from prefect.deployments.runner import EntrypointType
from flows.approve import approve
from flows.monitor import monitor
from flows.retrain import retrain

serve(*(
    flow.to_deployment("parcels", entrypoint_type=EntrypointType.MODULE_PATH, parameters={"project": "parcels"})
    for flow in (monitor, retrain, approve)
))
"""
PATIENCE_SECONDS = 240


@pytest.fixture
def depot(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    return depot


@pytest.fixture
def server(depot: Depot, tmp_path: Path) -> Iterator[httpx.Client]:
    """A real server, and a process that serves the deployments of both flows on it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        **QUIET,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": address,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(port)]
    with running(command, environment), httpx.Client(base_url=address, timeout=60) as client:
        wait_for(lambda: answers(port))
        with running([sys.executable, "-c", SERVED], environment):
            for flow in ("monitor", "retrain", "approve"):
                wait_for(lambda: client.get(f"/deployments/name/{flow}/parcels").is_success)  # noqa: B023
            yield client


def test_a_retrain_is_started_once_and_announced(server: httpx.Client, depot: Depot) -> None:
    from tasks.ledger import verify_ledger

    run_to_the_end(server, "monitor", START + timedelta(days=40))
    (started,) = runs_of(server, "retrain")
    assert started["parameters"]["decision"] == recorded("decision")[0]["id"]
    assert started["parent_task_run_id"] is None
    wait_for(lambda: runs_of(server, "retrain")[0]["state_type"] == "COMPLETED")
    assert [one["ending"] for one in recorded("retrain")] == ["promoted"]

    run_to_the_end(server, "monitor", *[START + timedelta(days=40)] * 2)
    assert [one["id"] for one in runs_of(server, "retrain")] == [started["id"]]
    assert set(actions()[1:]) == {"wait"}
    verify_ledger()

    (event,) = events(server)
    assert event["resource"]["refit.project"] == "parcels"
    assert (event["payload"]["action"], event["payload"]["trigger"]) == ("retrain", "first")


def test_a_person_approves_in_the_form_of_a_suspended_run(server: httpx.Client, depot: Depot) -> None:
    from tasks.approve import pending
    from tasks.ledger import verify_ledger
    from tasks.succession import current_champion

    depot.set_policy("), gate=GatePolicy(promotion='approve'")
    run_to_the_end(server, "retrain", START + timedelta(days=40))
    assert [one.version for one in pending("parcels")] == [1]
    assert current_champion("parcels") is None
    assert [one["ending"] for one in recorded("retrain")] == ["pending"]
    wait_for(lambda: [run["state_name"] for run in runs_of(server, "approve")] == ["Suspended"])
    (asking,) = runs_of(server, "approve")
    assert asking["parameters"] == {"project": "parcels", "version": 1}

    form = {"decision": "perhaps", "who": "Ada", "why": "it looks right"}
    refused = dict[str, Any]()

    def form_is_there() -> bool:  # it is stored just after the run is suspended
        refused.update(asked(server, "POST", f"/flow_runs/{asking['id']}/resume", {"run_input": form}))
        return "schema not found" not in str(refused)

    wait_for(form_is_there)
    assert refused["status"] == "REJECT"
    assert "perhaps" in str(refused["details"])
    assert recorded("approval") == []

    asked(server, "POST", f"/flow_runs/{asking['id']}/resume", {"run_input": {**form, "decision": "approve"}})
    wait_for(lambda: runs_of(server, "approve")[0]["state_type"] == "COMPLETED")
    (answer,) = recorded("approval")
    assert (answer["approved"], answer["who"], answer["why"]) == (True, "Ada", "it looks right")
    assert current_champion("parcels").version == 1
    verify_ledger()


def run_to_the_end(server: httpx.Client, flow: str, *instants: datetime) -> None:
    """Starts a run for each instant, at once, and waits for all of them."""
    deployment = asked(server, "GET", f"/deployments/name/{flow}/parcels")["id"]
    for as_of in instants:
        run = {"parameters": {"project": "parcels", "as_of": as_of.isoformat()}, "state": {"type": "SCHEDULED"}}
        asked(server, "POST", f"/deployments/{deployment}/create_flow_run", run)

    def ended() -> bool:
        states = {run["state_type"] for run in runs_of(server, flow)}
        assert states <= {"SCHEDULED", "PENDING", "RUNNING", "COMPLETED"}
        return states == {"COMPLETED"}

    wait_for(ended)


def runs_of(server: httpx.Client, flow: str) -> list[dict[str, Any]]:
    chosen = {"flows": {"name": {"any_": [flow]}}}
    return asked(server, "POST", "/flow_runs/filter", chosen)


def events(server: httpx.Client) -> list[dict[str, Any]]:
    chosen = {"filter": {"event": {"name": ["refit.drift.detected"]}}}
    found = []

    def there() -> bool:
        found[:] = asked(server, "POST", "/events/filter", chosen)["events"]
        return bool(found)

    wait_for(there)
    return found


def asked(server: httpx.Client, method: str, path: str, said: Any = None) -> Any:
    """Asks again while the server answers that its database is locked, as Prefect's own client does."""
    busy = httpx.codes.SERVICE_UNAVAILABLE
    answers = []
    wait_for(lambda: answers.append(server.request(method, path, json=said)) or answers[-1].status_code != busy)
    return answers[-1].raise_for_status().json()


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not there():
        assert time.monotonic() < deadline, "the server does not come so far"
        time.sleep(0.5)
