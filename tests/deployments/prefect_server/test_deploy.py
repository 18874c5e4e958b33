"""`refit deploy` on a real server: what is made, what is compared, what is left alone, and what goes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from refit.errors import StateError
from refit_deployments.prefect_server.deploy import run_deploy
from tests.support.hours_project import HOURS

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def client() -> Iterator[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


def deploy(pool: str, kind: str = "process", *, dry_run: bool = False) -> dict[str, str]:
    """Deploys; gives what was done by deployment."""
    answer = run_deploy(pool, kind, dry_run=dry_run)
    return {one["name"]: one["action"] for one in answer.facts["deployments"]}


def extended(hours: Path, policy: str) -> None:
    """Gives the project another policy."""
    text = HOURS.replace(
        "from refit import Project", "from refit import DeploymentPolicy, GatePolicy, Project, Schedule"
    )
    (hours / "hours.py").write_text(text.replace("label_delay=", f"{policy}, label_delay="))


def test_deploying_twice_changes_nothing_and_a_change_only_what_it_is_about(hours: Path, client: Any) -> None:
    assert set(deploy("one", dry_run=True).values()) == {"create"}
    assert "one" not in {pool.name for pool in client.read_work_pools()}
    assert set(deploy("one").values()) == {"create"}
    assert set(deploy("one").values()) == {"keep"}

    extended(hours, "schedule=Schedule(monitor='0 * * * *', timezone='Europe/Berlin')")
    changed = {"monitor/hours": "update", "retrain/hours": "keep", "rollback/hours": "keep"}
    assert deploy("one", dry_run=True) == deploy("one") == changed
    found = client.read_deployment_by_name("monitor/hours")
    (schedule,) = found.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 * * * *", "Europe/Berlin")
    assert found.tags == ["hours", "refit"]
    assert "Hours <of> work." in found.description
    assert found.parameter_openapi_schema["properties"]["project"]["enum"] == ["hours"]

    extended(hours, "gate=GatePolicy(promotion='approve'), deployment=DeploymentPolicy(tags=('team a',))")
    assert deploy("one") == {
        "monitor/hours": "update",
        "retrain/hours": "update",
        "rollback/hours": "update",
        "approve/hours": "create",
    }


@pytest.mark.slow
def test_a_docker_and_a_kubernetes_pool_take_their_job_variables(hours: Path, client: Any) -> None:
    extended(hours, "deployment=DeploymentPolicy(job_variables={'image': 'refit:1', 'env': {'TEAM': 'a'}})")
    for kind in ("docker", "kubernetes"):
        deploy(kind, kind)
        assert client.read_work_pool(kind).type == kind
        found = client.read_deployment_by_name("retrain/hours")
        assert found.job_variables["image"] == "refit:1"
        assert found.job_variables["env"] == {"TEAM": "a", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
        assert found.entrypoint == "refit_flows.retrain.retrain"
        assert found.pull_steps == []
        assert set(deploy(kind, kind).values()) == {"keep"}
    with pytest.raises(StateError, match="knows no work pool of type 'abacus'"):
        deploy("abaci", "abacus")


@pytest.mark.slow
def test_only_what_refit_made_in_that_pool_is_removed_and_nothing_while_a_file_is_broken(
    hours: Path, client: Any
) -> None:
    deploy("mine")
    flow = client.create_flow_from_name("a-persons-own")
    client.create_deployment(flow, "theirs", tags=["refit"], work_pool_name="mine", entrypoint="theirs.py:flow")
    (hours / "hours.py").write_text("syntax error")
    assert set(deploy("mine").values()) == {"keep"}
    extended(hours, "schedule=Schedule(monitor='61 * * * *')")
    assert set(deploy("mine").values()) == {"keep"}
    (hours / "hours.py").unlink()
    (hours / "other.py").write_text(HOURS.replace('"hours"', '"other"'))
    assert set(deploy("another").values()) == {"create"}
    assert client.read_deployment_by_name("monitor/hours")
    done = deploy("mine")
    assert {name for name, action in done.items() if action == "remove"} == {
        "monitor/hours",
        "retrain/hours",
        "rollback/hours",
    }
    assert client.read_deployment_by_name("a-persons-own/theirs")


@pytest.mark.slow
def test_an_exported_prefect_yaml_deploys_the_same(hours: Path, client: Any, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    from refit_deployments.prefect_server.deploy import export_deployments

    extended(hours, "schedule=Schedule(monitor='0 * * * *', retrain='0 3 * * 1')")
    deploy("exported")
    before = {name: client.read_deployment_by_name(name) for name in ("monitor/hours", "retrain/hours")}
    for found in before.values():
        client.delete_deployment(found.id)
    file = tmp_path / "prefect.yaml"
    export_deployments("exported", file)
    assert len(yaml.safe_load(file.read_text())["deployments"]) == 3
    command = [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all", "--prefect-file"]
    run = subprocess.run(
        [*command, str(file)],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for name, former in before.items():
        found = client.read_deployment_by_name(name)
        for field in ("entrypoint", "description", "parameters", "job_variables", "work_pool_name", "pull_steps"):
            assert getattr(found, field) == getattr(former, field), (name, field)
        assert sorted(found.tags) == former.tags
        assert [one.schedule.cron for one in found.schedules] == [one.schedule.cron for one in former.schedules]
        assert found.concurrency_options == former.concurrency_options
    answer = run_deploy("exported", "process", dry_run=True)
    assert {field for one in answer.facts["deployments"] for field in one["fields"]} <= {
        "labels",
        "parameter_openapi_schema",
        "tags",
    }


def test_a_check_finds_a_schedule_that_means_nothing(hours: Path) -> None:
    from refit_deployments.actions.check import check_projects

    for rhythm, passed in (("0 5 * * *", True), ("0 25 * * *", False)):
        extended(hours, f"schedule=Schedule(monitor='{rhythm}')")
        answer = check_projects("hours", None)
        (found,) = [one for one in answer.facts["projects"]["hours"] if one["check"] == "schedule"]
        assert found["passed"] is passed
        assert rhythm in found["sentence"]
