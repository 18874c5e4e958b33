"""The command line as a user meets it: help, usage errors, and faults in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forked_commands import REFIT, refit

HELP = """
import sys
from refit_deployments.main import main
sys.argv = ["refit", "--help"]
try:
    main()
except SystemExit:
    print(sorted({"pandas", "prefect", "mlflow", "sklearn", "great_expectations"} & set(sys.modules)))
"""


LEAVING = """
from sklearn.dummy import DummyRegressor
from refit import Project

def load(window):
    {body}

project = Project(name="{name}", kind="regression", target="y", timestamp="t", load=load, build=DummyRegressor)
"""


def test_help_imports_nothing_heavy() -> None:
    run = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
    assert "retrain" in run.stdout


def test_wrong_usage_exits_with_2() -> None:
    assert refit("retrain").returncode == 2
    assert "is not a time: write it as 2026-04-01" in refit("retrain", "x", "--as-of", "yesterday").stderr
    assert refit("retrain", "x", "--as-of", "0001-01-01T00:00+14:00").returncode == 2
    assert refit("retrain", "x", "--as-of", "2999-01-01").returncode == 2
    run = refit("retrain", "x", "--bogus", "--json")
    assert (run.returncode, json.loads(run.stdout)["kind"]) == (2, "UsageError")
    assert refit("quarantine", "x", "delete").returncode == 2


def test_unknown_project_is_one_sentence(home: Path) -> None:
    run = refit("retrain", "bike_demnad")
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("refit: ")
    assert "bike_demand" in last
    assert "Traceback" not in run.stderr
    assert not home.exists() or not (home / "tables").exists()


def test_json_of_a_fault_stands_alone() -> None:
    run = refit("retrain", "nobody", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["kind"] == "UnknownProject"


def test_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("project = (\n")
    run = refit("retrain", "broken", REFIT_PROJECTS=str(tmp_path))
    assert run.returncode == 1
    assert "broken.py" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_project_that_leaves_the_interpreter_stops_only_itself(tmp_path: Path) -> None:
    for name, body in {"leaves": "raise SystemExit(4)", "stays": "raise KeyError('x')"}.items():
        (tmp_path / f"{name}.py").write_text(LEAVING.format(name=name, body=body))
    run = refit("check", "--json", REFIT_PROJECTS=str(tmp_path))
    assert run.returncode == 1
    checks = {name: items[0]["sentence"] for name, items in json.loads(run.stdout)["projects"].items()}
    assert "SystemExit: 4" in checks["leaves"]
    assert "KeyError" in checks["stays"]
    assert "Warning" not in run.stderr


@pytest.mark.slow
def test_standard_output_that_cannot_be_written_is_one_sentence() -> None:
    for redirection in (">/dev/full", ">&-", "| true"):
        run = subprocess.run(
            ["bash", "-c", f"{REFIT} ledger verify --json {redirection}"], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in run.stderr
        assert "Error" not in run.stderr


def test_status_without_any_state(home: Path) -> None:
    run = subprocess.run([REFIT, "status", "--json"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    states = json.loads(run.stdout)["projects"]
    assert set(states) == {"bike_demand", "late_delivery"}
    assert states["bike_demand"]["champion"] is None


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in refit("champion", "nobody", "--debug").stderr


@pytest.mark.parametrize("command", ["champion", "retrain"])
def test_a_name_is_never_a_path(command: str) -> None:
    run = refit(command, "../../etc/passwd")
    assert run.returncode == 1
    assert "UnknownProject" not in run.stderr
    assert "Traceback" not in run.stderr
