"""`refit up` on real servers with a real worker: what is deployed, what drifts, what dies, and what Ctrl-C leaves.

The tests tell one story, in their order: starting the servers for each would take minutes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.other_servers import free_port
from tests.support.running_up import ASKING, ENDED, HOURLY, NOW, SCHEDULED, Hosted, hosted, until_now, wait_for

pytestmark = pytest.mark.xdist_group("refit up")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("hosted"), ASKING) as host:
        host.until_ready()
        yield host


@pytest.fixture(autouse=True)
def beside(host: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test reads the same home."""
    monkeypatch.setenv("REFIT_HOME", str(host.home))
    monkeypatch.setenv("REFIT_PROJECTS", str(host.depot.projects))


@pytest.mark.slow
def test_a_person_approves_the_first_champion_in_the_form_of_a_suspended_run(host: Hosted) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import entries, verify_ledger
    from refit_tasks.registry.challengers import find_pending

    started = host.refit(
        "retrain", "parcels", "--remote", "--as-of", f"{NOW - timedelta(days=20):%Y-%m-%dT%H:%M}", "--json"
    )
    run_id = json.loads(started.stdout)["run_id"]
    wait_for(lambda: host.state(run_id)[0] == "COMPLETED")
    assert host.state(run_id)[1].startswith("waits for approval: version 1")
    assert [one.version for one in find_pending("parcels")] == [1]
    assert current_champion("parcels") is None
    wait_for(lambda: [run["state_name"] for run in host.runs("approve")] == ["Suspended"])
    (asking,) = host.runs("approve")
    assert asking["parameters"] == {"project": "parcels", "version": 1}

    form = {"decision": "perhaps", "who": "Ada", "why": "it looks right"}
    refused = dict[str, Any]()

    def form_is_there() -> bool:  # it is stored just after the run is suspended
        refused.update(host.ask("POST", f"/flow_runs/{asking['id']}/resume", {"run_input": form}))
        return "schema not found" not in str(refused)

    wait_for(form_is_there)
    assert refused["status"] == "REJECT"
    assert "perhaps" in str(refused["details"])
    assert entries("parcels", "approval") == []

    host.ask("POST", f"/flow_runs/{asking['id']}/resume", {"run_input": {**form, "decision": "approve"}})
    wait_for(lambda: host.state(asking["id"])[0] == "COMPLETED")
    (answer,) = entries("parcels", "approval")
    assert {"approved": True, "who": "Ada", "why": "it looks right"}.items() <= answer.payload.items()
    assert current_champion("parcels").version == 1
    verify_ledger()


@pytest.mark.slow
def test_a_scheduled_monitor_finds_the_drift_and_its_retrain_is_promoted(host: Hosted) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import entries, verify_ledger

    host.depot.deliver(until_now(60, turned=45))
    host.depot.set_policy(SCHEDULED)
    wait_for(lambda: current_champion("parcels").version > 1)
    host.wait_for_a_monitor()
    wait_for(lambda: {run["state_type"] for run in host.runs("retrain")} <= ENDED)
    verify_ledger()
    _, started = [run for run in host.runs("retrain") if run["state_type"] == "COMPLETED"]
    # A monitor that looked just before the promotion may have decided just after it: that retrain is refused.
    late = [run["state"]["message"] for run in host.runs("retrain") if run["state_type"] != "COMPLETED"]
    assert all("was about champion generation 1, not the one serving" in message for message in late)
    decision = started["parameters"]["decision"]
    (entry,) = [one for one in entries("parcels", "decision") if one.id == decision]
    assert (entry.payload["decision"]["action"], entry.payload["decision"]["trigger"]) == ("retrain", "probe")
    assert started["parent_task_run_id"] is None
    assert started["state"]["message"].startswith("promoted: version 2 over version 1")
    assert all(run["auto_scheduled"] for run in host.runs("monitor"))
    assert host.deployment("monitor")["schedules"][0]["schedule"]["interval"] == 20

    (event,) = host.events("refit.drift.detected", decision)
    assert event["resource"]["refit.project"] == "parcels"
    assert (event["payload"]["action"], event["payload"]["trigger"]) == ("retrain", "probe")
    host.schedule(HOURLY, 3600)


def test_a_second_one_and_a_taken_port_are_refused_with_a_sentence(host: Hosted, tmp_path: Path) -> None:
    second = host.refit("up")
    assert second.returncode == 1
    assert f"`refit up` is already running at http://127.0.0.1:{host.port}" in second.stderr

    for port, mlflow_port, option in (
        (host.port, free_port(), "--port"),
        (free_port(), host.mlflow_port, "--mlflow-port"),
    ):
        ports = ("--port", str(port), "--mlflow-port", str(mlflow_port))
        taken = host.refit("up", *ports, REFIT_HOME=str(tmp_path / "elsewhere"))
        assert taken.returncode == 1
        assert f"set another port with {option}" in taken.stderr.splitlines()[-1]


def test_bad_input_is_refused_by_the_form(host: Hosted) -> None:
    bad = [{"as_of": "yesterday"}, {"reason": "x" * 1_000}, {"force": "perhaps"}, {"project": "bike_demand"}]
    for parameters in bad:
        asked = {"parameters": {"project": "parcels", **parameters}, "state": {"type": "SCHEDULED"}}
        answer = host.api.post(f"/deployments/{host.deployment('retrain')['id']}/create_flow_run", json=asked)
        assert answer.is_client_error, parameters
        assert next(iter(parameters)) in answer.text or "reason" in answer.text


@pytest.mark.slow
def test_an_event_from_outside_has_the_arbiter_decide(host: Hosted) -> None:
    event = {
        "event": "refit.retrain.requested",
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": "refit.project.parcels"},
        "payload": {"reason": "a new price list"},
    }
    host.ask("POST", "/events", [event])

    def asked() -> list[dict[str, Any]]:
        runs = [run for run in host.runs("monitor") if run["parameters"].get("event")]
        return [run for run in runs if run["state_type"] in ENDED]

    wait_for(asked)
    (run,) = asked()
    assert run["parameters"]["event"] == "a new price list"
    assert run["state"]["message"].startswith("retrain: event, an event requested a retrain: a new price list")
    wait_for(lambda: [one for one in host.runs("retrain") if one["parameters"].get("reason", "").startswith("event")])
    wait_for(lambda: {one["state_type"] for one in host.runs("retrain")} <= ENDED)


@pytest.mark.slow
def test_of_twenty_runs_by_hand_one_runs_and_none_is_lost(host: Hosted) -> None:
    before = {run["id"] for run in host.runs("retrain")}
    with host.depot.stalled_training():
        for _ in range(20):
            host.run("retrain", force=True)

        def states() -> list[str]:
            return [run["state_type"] for run in host.runs("retrain") if run["id"] not in before]

        wait_for(lambda: sorted(states()) == ["CANCELLED"] * 19 + ["RUNNING"], instead=lambda: host.told("retrain"))
    wait_for(lambda: set(states()) <= ENDED)
    refused = [run["state"]["message"] for run in host.runs("retrain") if run["state_type"] == "CANCELLED"]
    assert set(refused) == {"Deployment concurrency limit reached."}


@pytest.mark.slow
def test_what_the_ui_shows_of_the_killed_is_true_and_the_next_run_works(host: Hosted) -> None:
    with host.depot.stalled_training():
        killed = host.run("retrain", force=True)
        wait_for(host.depot.stalled.exists)
        for process in host.running(killed):
            process.kill()
        wait_for(lambda: host.state(killed)[0] == "CRASHED", 60, lambda: host.told("retrain"))

    def gone_on_with() -> list[str]:
        after = [run for run in host.runs("retrain") if "resumed after a kill" in run["parameters"].get("reason", "")]
        return [run["state_type"] for run in after]

    host.run("monitor")
    wait_for(lambda: gone_on_with() == ["COMPLETED"])

    with host.depot.stalled_training():
        orphan = host.run("retrain", force=True)
        wait_for(host.depot.stalled.exists)
        for process in (*host.processes("worker start"), *host.running(orphan)):
            process.kill()
        wait_for(lambda: host.state(orphan) == ("CRASHED", "its process was killed on the machine where it ran"), 120)
    host.run("monitor")
    wait_for(lambda: gone_on_with() == ["COMPLETED"] * 2)

    host.schedule(SCHEDULED, 20)
    with host.depot.stalled_training():
        living = host.run("retrain", force=True)
        wait_for(host.depot.stalled.exists)
        for process in host.processes("server start") + host.processes("create_app"):
            process.kill()
        wait_for(lambda: host.state(living)[0] == "RUNNING", 60)
    wait_for(lambda: host.state(living)[0] == "COMPLETED")
    host.wait_for_a_monitor()
    assert gone_on_with() == ["COMPLETED"] * 2  # each once


@pytest.mark.slow
def test_what_a_person_has_switched_off_stays_so_and_a_removed_project_goes(host: Hosted) -> None:
    (schedule,) = host.deployment("monitor")["schedules"]
    path = f"/deployments/{host.deployment('monitor')['id']}/schedules/{schedule['id']}"
    host.ask("PATCH", path, {"active": False})
    host.ask("POST", f"/deployments/{host.deployment('retrain')['id']}/pause_deployment")
    host.depot.set_policy(HOURLY + ", retrain='0 3 * * 1'")
    wait_for(lambda: host.deployment("retrain")["schedules"])
    (changed,) = host.deployment("monitor")["schedules"]
    assert (changed["schedule"]["interval"], changed["active"]) == (3600.0, False)
    assert host.deployment("retrain")["paused"]
    differ = json.loads(host.refit("deploy", "--dry-run", "--json").stdout)
    assert {one["action"] for one in differ["deployments"]} == {"keep"}
    assert "deploy --dry-run" in host.refit("log").stdout

    (host.depot.projects / "parcels.py").rename(host.depot.projects / "_parcels.py")
    wait_for(lambda: host.api.get("/deployments/name/monitor/parcels").status_code == httpx.codes.NOT_FOUND)
    (host.depot.projects / "_parcels.py").rename(host.depot.projects / "parcels.py")


def test_after_a_crash_it_starts_clean_and_ctrl_c_stops_all_of_it(host: Hosted) -> None:
    def family() -> list[psutil.Process]:
        return psutil.Process(host.process.pid).children(recursive=True)

    def living(processes: list[psutil.Process]) -> list[psutil.Process]:
        return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    left = family()
    host.process.kill()
    host.process.wait()
    assert living(left)
    host.start_again()
    assert not living(left)

    started = family()
    assert len(started) > 3
    (worker, *_) = host.processes("worker start")
    scratch = Path(worker.environ()["TMPDIR"])
    assert scratch.stat().st_mode & 0o777 == 0o700  # /tmp is everybody's, and Prefect's workers would share it
    assert host.stop() == 0
    assert not scratch.exists()
    assert not living(started)
