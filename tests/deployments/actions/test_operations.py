"""The procedures of docs/operations.md, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from refit_infra.settings import Settings, library_environment
from tests.support.first_release import unpack
from tests.support.other_servers import free_port
from tests.support.paths import OPERATIONS
from tests.support.postgres import ABSENT, binaries
from tests.support.races import place
from tests.support.running_up import ask, wait_for
from tests.support.serving_home import serving
from tests.support.watched_project import refit

POSTGRES = pytest.param("postgres", marks=pytest.mark.skipif(binaries() is None, reason=ABSENT))
ROWS = {"rows": [{"id": 1, "x": 1.5}, {"id": 2, "x": -0.5}]}


def procedure(heading: str) -> list[list[str]]:
    """The commands of a section, with the variables of the environment in place."""
    (block,) = re.findall(rf"^## {heading}\n.*?^```sh\n(.*?)^```", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    return [shlex.split(os.path.expandvars(line)) for line in block.splitlines()]


def carried_out(heading: str) -> list[dict[str, Any]]:
    """Runs them, each to a good end; gives the answers of those of Refit."""
    answers = []
    for program, *arguments in procedure(heading):
        if program == "refit":
            run, answer = refit(*arguments)
            answers.append(answer)
        else:
            command = [sys.executable, "-m", program, *arguments]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
        assert run.returncode == 0, run.stdout + run.stderr
    return answers


def says(projects: Path) -> Any:
    """What the champion answers over HTTP, and which version it is."""
    with serving(projects, "hours") as server:
        answer = server.ask("hours", ROWS).json()
        return answer["version"], answer["predictions"]


@pytest.fixture
def projects(hours: Path, prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"BACKUP": str(tmp_path / "backup"), "PROJECT": "hours", "VERSION": "1"}.items():
        monkeypatch.setenv(name, value)
    return hours


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", POSTGRES])
def test_all_state_is_deleted_and_comes_back(projects: Path, home: Path, mlflow_home: Path, database: str) -> None:
    from refit_flows.retrain import retrain

    with place(database, home):
        for at in (datetime(2026, 1, 19, tzinfo=UTC), datetime(2026, 2, 15, tzinfo=UTC)):
            assert retrain("hours", as_of=at, reason="test", force=False).promotion is not None
        before, (made,) = says(projects), carried_out("Back up")
    shutil.rmtree(home)
    with place(database, home):
        looked, restored, verified, mended, status, rebuilt = carried_out("Restore")
        assert {made["entries"], looked["entries"], restored["entries"], verified["entries"]} == {made["entries"]}
        assert (mended["findings"], rebuilt["reproduced"]) == ([], True)
        assert status["projects"]["hours"]["champion"]["generation"] == 2
        assert says(projects) == before
        log = refit("log")[1]["deeds"]
        assert [one["action"] for one in log if "restore" in one["action"]] == ["restore --dry-run", "restore"]


def test_an_upgrade_begins_with_a_backup_and_ends_with_a_look(
    projects: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFIT_PROJECTS", str(unpack(home, tmp_path / "first")))
    made, verified, mended, status = carried_out("Upgrade")
    assert (made["entries"], verified["entries"], [one["kind"] for one in mended["findings"]]) == (4, 4, ["alias"])
    assert status["projects"]["hours"]["champion"]["version"] == 2


@pytest.mark.slow
def test_retention_leaves_what_a_kept_version_needs(
    projects: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFIT_PROJECTS", str(unpack(home, tmp_path / "first")))
    monkeypatch.setenv("REFIT_KEEP_VERSIONS", "1")
    monkeypatch.setenv("REFIT_KEEP_HOURS", "0")
    assert len(runs(home)) == 2
    (pruned,) = carried_out("Retention")
    assert {one["kind"] for one in pruned["findings"]} == {"version", "training"}
    assert runs(home) == ["active", "deleted"], "what is younger than 30 days stays in the bin"
    with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET deleted_time = 1 WHERE lifecycle_stage = 'deleted'")
    carried_out("Retention")
    assert runs(home) == ["active"]
    assert refit("reproduce", "hours", "2")[1]["reproduced"]
    assert refit("ledger", "verify")[1]["intact"]


@pytest.mark.slow
def test_the_server_of_refit_up_lets_old_runs_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_deployments.local.services import prefect_server

    often = {"LOOP_SECONDS": "1", "RETENTION_PERIOD": "86400"}
    own = {f"PREFECT_SERVER_SERVICES_DB_VACUUM_{name}": value for name, value in often.items()}
    for name, value in {**library_environment(Settings()), **own}.items():
        monkeypatch.setenv(name, value)
    server = prefect_server("127.0.0.1", free_port())
    server.child.start()
    try:
        wait_for(server.ready)
        with httpx.Client(base_url=f"{server.address}/api", timeout=60) as api:
            flow = ask(api, "POST", "/flows/", {"name": "retrain"})["id"]
            for name in ("old", "young"):  # by a key: under load its vacuum, every second here, may have it asked again
                run = {"flow_id": flow, "name": name, "idempotency_key": name, "state": {"type": "COMPLETED"}}
                ask(api, "POST", "/flow_runs/", run)
            with closing(sqlite3.connect(home / "prefect" / "prefect.db", timeout=60)) as connection, connection:
                connection.execute("UPDATE flow_run SET end_time = '2026-01-01 00:00:00.000000' WHERE name = 'old'")
            wait_for(lambda: [run["name"] for run in ask(api, "POST", "/flow_runs/filter", {})] == ["young"])
    finally:
        server.child.stop()


def runs(home: Path) -> list[str]:
    """The stages of MLflow's runs."""
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        return sorted(stage for (stage,) in connection.execute("SELECT lifecycle_stage FROM runs"))
