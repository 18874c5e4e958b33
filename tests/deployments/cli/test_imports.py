"""What a command imports: those that read the record import no engine, so that each of them answers at once.

Each runs from nothing, on a home with a champion, decisions and quarantined rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_imports import COMMAND, ENGINES
from tests.support.recorded_hours import record_hours

pytestmark = pytest.mark.xdist_group("recorded hours")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return record_hours(tmp_path_factory.mktemp("imports"))


def run(arguments: tuple[str, ...], named: Mapping[str, str], cwd: Path) -> tuple[str, set[str]]:
    """Runs a command; gives what it printed, and the packages that were imported."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(
        command, env={**os.environ, **named}, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout, {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("status hours", "version 2 is champion"),
        ("status", "3 rows in quarantine"),
        ("why 1", "Entry 1"),
        ("champion hours", "version 2, generation 2"),
        ("champion hours --at 2026-01-01", "no champion at 2026-01-01"),
        ("log", "retrain hours  refit why"),
        ("ledger verify", "is intact"),
        ("ledger export", '"kind":"decision"'),
        ("quarantine hours list", "key_missing on id"),
        ("card hours", "95 % interval"),
    ],
)
def test_commands_that_read_the_record_import_no_engine(
    command: str, shows: str, recorded: dict[str, str], tmp_path: Path
) -> None:
    printed, imported = run(tuple(command.split()), recorded, tmp_path)
    assert shows in printed
    assert imported & ENGINES == set()


@pytest.mark.parametrize(("command", "shows"), [("check hours", "store: stored as"), ("report hours", "hours.html")])
def test_checks_and_reports_import_no_prefect(
    command: str, shows: str, recorded: dict[str, str], tmp_path: Path
) -> None:
    printed, imported = run(tuple(command.split()), recorded, tmp_path)
    assert shows in printed
    assert "prefect" not in imported


def test_log_lines_for_machines_need_no_prefect_either(recorded: dict[str, str], tmp_path: Path) -> None:
    named = recorded | {"REFIT_LOG_FORMAT": "json"}
    command = [sys.executable, "-c", COMMAND, "check", "hours"]
    done = subprocess.run(
        command, env={**os.environ, **named}, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    *lines, modules = done.stderr.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert "hours: checked load" in {one["message"] for one in told}
    assert "prefect" not in modules.split()


@pytest.mark.parametrize(
    "module",
    [
        *("refit.records.ledger", "refit.records.references", "refit.results.flows", "refit.monitoring.decisions"),
        *("refit.monitoring.decide", "refit.gate.evaluations", "refit.policies.monitoring", "refit.project"),
    ],
)
def test_value_types_need_no_engine_and_no_arrays(module: str) -> None:
    text = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & (ENGINES | {"numpy", "pyarrow", "sqlalchemy"}) == set()
