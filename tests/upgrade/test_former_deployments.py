"""Deployments whose entry points name modules of the former release are brought to today's, and their runs work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.former_deployments import make_former_deployments
from tests.support.hours_project import HOURS
from tests.support.running_up import ENDED, Hosted, hosted, wait_for

POLICY = (
    "gate=GatePolicy(promotion='approve'), "
    "schedule=Schedule(monitor='0 * * * *', retrain='0 3 * * 1', score=timedelta(hours=6)), "
)
FLOWS = ("approve", "monitor", "retrain", "rollback", "score")


@pytest.fixture
def client(prefect_server: None) -> Iterator[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project that they were made for."""
    (tmp_path / "projects").mkdir()
    text = HOURS.replace("from refit import Project", "from refit import GatePolicy, Project, Schedule")
    (tmp_path / "projects" / "hours.py").write_text(text.replace("label_delay=", f"{POLICY}label_delay="))
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path / "projects"))


def test_deploy_updates_them_and_keeps_what_people_have_chosen(client: Any, hours: None) -> None:
    from refit_deployments.prefect_server.deploy import run_deploy
    from refit_deployments.prefect_server.sync import ensure_pool

    def ask(method: str, path: str, body: Any) -> Any:
        response = client.request(method, path, json=body)
        return response.json() if response.content else None

    def entrypoints() -> dict[str, str]:
        return {flow: ask("GET", f"/deployments/name/{flow}/hours", None)["entrypoint"] for flow in FLOWS}

    def deploy() -> dict[str, tuple[str, bool]]:
        done = run_deploy("former", "process", dry_run=False).facts["deployments"]
        return {one["name"].partition("/")[0]: (one["action"], "entrypoint" in one["fields"]) for one in done}

    ensure_pool(client, "former", "process")
    ids = make_former_deployments(ask, "hours", "former")
    assert entrypoints() == {flow: f"flows.{flow}.{flow}" for flow in FLOWS}
    (schedule,) = ask("GET", f"/deployments/{ids['retrain']}", None)["schedules"]
    ask("PATCH", f"/deployments/{ids['retrain']}/schedules/{schedule['id']}", {"active": False})
    waiting = ask("POST", f"/deployments/{ids['approve']}/create_flow_run", {"parameters": {"version": 1}})["id"]

    assert deploy() == dict.fromkeys(FLOWS, ("update", True))
    assert entrypoints() == {flow: f"refit_flows.{flow}.{flow}" for flow in FLOWS}
    assert deploy() == dict.fromkeys(FLOWS, ("keep", False))

    # What people have linked and chosen stays: ids, a schedule that is switched off, runs that wait.
    assert {flow: ask("GET", f"/deployments/name/{flow}/hours", None)["id"] for flow in FLOWS} == ids
    (schedule,) = ask("GET", f"/deployments/{ids['retrain']}", None)["schedules"]
    assert not schedule["active"]
    assert ask("GET", f"/flow_runs/{waiting}", None)["deployment_id"] == ids["approve"]

    # One automation of each, as before, and that of the monitor runs the deployment.
    automations = {one["name"]: one for one in ask("POST", "/automations/filter", {})}
    assert len(automations) == len(ask("POST", "/automations/filter", {})) == 2
    (action,) = automations["Refit: an event asks for a look at hours"]["actions"]
    assert action["deployment_id"] == ids["monitor"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Hosted]:
    with hosted(tmp_path, "), schedule=Schedule(monitor=timedelta(seconds=20)") as host:
        host.until_ready()
        yield host


@pytest.mark.slow
def test_up_updates_them_and_their_schedule_goes_on(host: Hosted) -> None:
    ids = make_former_deployments(host.ask, "parcels", host.deployment("monitor")["work_pool_name"])
    assert host.deployment("monitor")["entrypoint"] == "flows.monitor.monitor"
    # A run that starts before they are updated crashes, and the worker's log says what is missing.
    early = host.run("monitor")
    wait_for(lambda: host.state(early)[0] in ENDED)
    assert host.state(early)[0] == "CRASHED"
    assert "No module named 'flows" in (host.home / "logs" / "worker.log").read_text()

    assert host.stop() == 0
    host.start_again()
    assert {flow: host.deployment(flow)["id"] for flow in ("monitor", "retrain", "rollback")} == {
        flow: ids[flow] for flow in ("monitor", "retrain", "rollback")
    }
    assert host.deployment("monitor")["entrypoint"] == "refit_flows.monitor.monitor"
    host.wait_for_a_monitor()
    assert {one["name"] for one in host.ask("POST", "/automations/filter", {})} == {
        "Refit: an event asks for a look at parcels",
        "Refit: mark runs whose process has died",
    }
