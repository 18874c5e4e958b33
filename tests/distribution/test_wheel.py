"""What is built and installed: a wheel whose names meet nobody's, in a directory that has packages of the same names.

The environment has what `uv.lock` names and the wheel, and nothing of the repository.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from refit_infra.settings import QUIET
from tests.support.other_servers import answers, free_port
from tests.support.paths import ROOT
from tests.support.running_up import PATIENCE_SECONDS, ask, until_now, wait_for
from tests.support.watched_project import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # a demo and two `refit up` on a busy machine

UV = ROOT / ".venv" / "bootstrap" / "bin" / "uv"
FOREIGN = ("flows", "tasks", "deployments", "infra", "serving", "projects")
"""Packages that a user has; importing any of them is a failure."""
SCHEDULED = "), schedule=Schedule(monitor=timedelta(seconds=20)"


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """Runs a command to its end; gives what it says."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution and the wheel built from it; `tree/` has the wheel of the tree."""
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--python", sys.executable, "--out-dir", out)
    run(UV, "build", "--quiet", "--python", sys.executable, "--wheel", "--out-dir", out / "tree")
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (file,) = built.glob("refit_ml-*.whl")
    return file


def test_the_wheel_of_the_source_distribution_is_that_of_the_tree(built: Path, wheel: Path) -> None:
    (other,) = (built / "tree").glob("*.whl")
    assert (wheel.name, wheel.read_bytes()) == (other.name, other.read_bytes())


def test_the_wheel_holds_names_that_begin_with_refit_and_the_data_they_need(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"refit", "refit_tasks", "refit_flows", "refit_serving", "refit_deployments", "refit_infra"}
    examples = {f"refit_deployments/examples/{file.name}" for file in (ROOT / "projects").glob("*.py")}
    data = {"refit_infra/logging.yml", "refit_tasks/reporting/templates/report.html.j2"}
    assert {*(f"{package}/py.typed" for package in packages), *examples, *data} <= {*names}
    assert not [name for name in names if "test" in name.split("/")[0] or name.endswith((".pyc", ".db"))]


def test_the_source_distribution_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as packed:
        inside = {name.partition("/")[2] for name in packed.getnames()}
    assert {name.partition("/")[0] for name in inside} == {
        *("refit", "tasks", "flows", "serving", "deployments", "infra", "projects"),
        *("pyproject.toml", "PKG-INFO", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"),
    }
    assert {name.split("/")[1] for name in inside if name.startswith("infra/")} == {"refit_infra"}


@pytest.fixture(scope="module")
def refit(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `refit` of an environment that has the locked packages and the wheel alone."""
    place = tmp_path_factory.mktemp("installed") / "env"
    to = {"UV_PROJECT_ENVIRONMENT": str(place)}
    run(UV, "sync", "--frozen", "--no-dev", "--no-install-project", "--quiet", "--python", sys.executable, **to)
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", place, wheel)
    run(UV, "pip", "check", "--quiet", "--python", place)
    return place / "bin" / "refit"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's directory: packages with the names of our folders, a module with a name of Python's, a real project."""
    directory = tmp_path_factory.mktemp("foreign")
    for name in FOREIGN:
        (directory / name).mkdir()
        for file in ("__init__", "views"):
            (directory / name / f"{file}.py").write_text(f"raise RuntimeError('{name}/{file}.py was imported')\n")
    (directory / "queue.py").write_text("raise RuntimeError('queue.py was imported')\n")
    until_now(40).to_parquet(directory / "parcels.parquet")
    text = PROJECT.replace("FILE", str(directory / "parcels.parquet"))
    (directory / "models").mkdir()
    (directory / "models" / "parcels.py").write_text(text.replace("POLICY", SCHEDULED))
    run("git", "init", "--quiet", cwd=directory)
    return directory


@pytest.fixture
def clean() -> dict[str, str]:
    """The environment of somebody who has set nothing, but for the telemetry of others."""
    prefixes = ("REFIT_", "PREFECT_", "MLFLOW_", "PYTHON")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(prefixes)}, **QUIET}


def told(command: list[str], cwd: Path, environment: dict[str, str], code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


class Running:
    """What runs in a directory: the `refit up` of the installed wheel."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60)

    def deployment(self, flow: str, project: str) -> dict[str, Any]:
        found: dict[str, Any] = ask(self.api, "GET", f"/deployments/name/{flow}/{project}")
        return found

    def runs(self, flow: str) -> list[tuple[str, str, str]]:
        """The runs of a flow: each with who has started it, its state and what it says."""
        found = ask(self.api, "POST", "/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})
        return [
            ("schedule" if run["auto_scheduled"] else "other", run["state_type"], run["state"]["message"] or "")
            for run in found
        ]

    def family(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]


@contextmanager
def up(refit: Path, directory: Path, environment: dict[str, str]) -> Iterator[Running]:
    """Runs `refit up`, and presses Ctrl-C at the end, which must leave no process and no port."""
    ports = (free_port(), free_port())
    command = [str(refit), "up", "--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with (directory / "up.err").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    running = Running(process, ports[0])
    assert process.stdout
    try:
        assert "Refit is up" in process.stdout.readline(), (directory / "up.err").read_text()
        yield running
        family = running.family()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0, (directory / "up.err").read_text()
        assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
        assert not [port for port in ports if answers(port)]
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        process.stdout.close()
        running.api.close()


def test_commands_work_beside_packages_of_the_same_names(refit: Path, foreign: Path, clean: dict[str, str]) -> None:
    assert "Refit keeps models right" in told([str(refit), "--help"], foreign, clean).stdout
    named = clean | {"REFIT_PROJECTS": str(foreign / "models")}
    checked = json.loads(told([str(refit), "check", "--json"], foreign, named).stdout)
    assert checked["projects"].keys() == {"parcels"}

    # `projects/` is a package of the user's own: a sentence for each file that is no project, and no more than that.
    wrong = told([str(refit), "check"], foreign, clean, code=1)
    assert f"{foreign}/projects/views.py, line 1: RuntimeError: projects/views.py was imported" in wrong.stdout
    unknown = told([str(refit), "monitor", "parcels"], foreign, clean, code=1)
    assert "defines a project 'parcels'" in unknown.stderr
    assert "Traceback" not in wrong.stderr + unknown.stderr


def test_the_demo_runs_there_and_all_it_says_at_its_end_works(
    refit: Path, foreign: Path, clean: dict[str, str]
) -> None:
    shown = told([str(refit), "demo"], foreign, clean).stdout
    assert "late_delivery, the example that comes with Refit" in shown
    assert "promoted, generation 1" in shown
    lines = [line.strip() for line in shown.partition("Where to look")[2].splitlines() if line.startswith("  ")]
    export, *commands, remove = [line for line in lines if line.startswith(("export", str(refit), "rm "))]
    assert [shlex.split(line)[1] for line in commands] == ["report", "status", "why", "monitor", "up"]
    for line in commands[:-1]:
        told(["sh", "-ec", f"{export}\n{line}"], foreign, clean)
    assert (foreign / "late_delivery.html").is_file()
    status = json.loads(told(["sh", "-ec", f"{export}\n{refit} status --json"], foreign, clean).stdout)
    assert status["projects"]["late_delivery"]["champion"]["version"] >= 1
    card = told(["sh", "-ec", f"{export}\n{refit} card late_delivery"], foreign, clean).stdout
    assert "at commit `unknown`" in card, "the user's repository does not hold the example"
    with up(refit, foreign, clean | dict(one.split("=") for one in shlex.split(export)[1:])) as running:
        assert running.deployment("monitor", "late_delivery")["entrypoint"] == "refit_flows.monitor.monitor"
    told(["sh", "-ec", remove], foreign, clean)
    assert not (foreign / ".refit").exists()


def test_a_scheduled_monitor_completes_and_ctrl_c_leaves_nothing(
    refit: Path, foreign: Path, clean: dict[str, str]
) -> None:
    named = clean | {"REFIT_PROJECTS": str(foreign / "models")}
    with up(refit, foreign, named) as running:
        wait_for(
            lambda: ("schedule", "COMPLETED") in {run[:2] for run in running.runs("monitor")},
            PATIENCE_SECONDS,
            lambda: running.runs("monitor"),
        )
        promoted = "promoted: version 1"
        wait_for(
            lambda: any(run[2].startswith(promoted) for run in running.runs("retrain")),
            PATIENCE_SECONDS,
            lambda: running.runs("retrain"),
        )
    status = json.loads(told([str(refit), "status", "parcels", "--json"], foreign, named).stdout)
    assert status["projects"]["parcels"]["champion"]["version"] == 1
    assert not [*foreign.rglob("__pycache__")], "nothing is written outside of REFIT_HOME"
