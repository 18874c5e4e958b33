"""Temporary files are in REFIT_HOME alone: a killed process leaves nothing elsewhere, and what it leaves is found."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_infra.settings import Settings
from refit_tasks.maintenance.doctor_tables import repair_staging
from refit_tasks.scratch import process_scratch, scratch_area
from refit_tasks.storage.staging import no_ingest_running
from tests.support.paths import ROOT

ROOMS = ("refit", "tasks", "flows", "serving", "deployments", "infra")
PERSON = "person-7f3e"
KILLED = f"""
import os, signal, subprocess, sys, tempfile
from pathlib import Path
from refit_tasks.scratch import process_scratch, scratch_area

with process_scratch("visits"):
    with scratch_area("visits") as area:
        (area / "rows").write_text("{PERSON}")
        tempfile.mkstemp(prefix="{PERSON}-of-a-library-")
        child = "import tempfile; tempfile.mkdtemp(prefix='{PERSON}-of-a-child-')"
        subprocess.run([sys.executable, "-c", child], check=True)
        (Path(os.environ["JOBLIB_TEMP_FOLDER"]) / "{PERSON}-of-joblib").touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def stray_calls(file: Path) -> Iterator[str]:
    """Calls of `tempfile` that leave the place to the system."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or any(word.arg == "dir" for word in node.keywords):
            continue
        if ast.unparse(node.func).startswith(("tempfile.", "mkdtemp", "mkstemp", "TemporaryDirectory")):
            yield f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_no_code_leaves_the_place_of_a_temporary_file_to_the_system() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    assert [call for file in files for call in stray_calls(file)] == []


def test_a_killed_process_leaves_nothing_in_the_systems_directory(home: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    environment = {**os.environ, "TMPDIR": str(system)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(system.iterdir()) == []
    left = [path for path in Settings().staging.rglob("*") if PERSON in path.name or path.name == "rows"]
    assert len(left) == 4

    found = list(repair_staging(dry_run=True))
    assert len(found) == 2
    assert all("of a killed process" in one.sentence for one in found)
    with scratch_area("another"):
        assert [path for path in Settings().staging.rglob("*") if PERSON in path.name] == []
    assert list(repair_staging(dry_run=False)) == []


def test_areas_of_living_processes_stay_and_are_no_ingest(home: Path) -> None:
    with scratch_area("visits") as first, scratch_area("visits") as second, no_ingest_running() as quiet:
        assert quiet
        assert first.is_dir()
        assert second.is_dir()
    assert [path for path in Settings().staging.rglob("*") if path.is_dir()] == [Settings().staging / "scratch"]


def test_the_former_directory_is_back_after_the_block(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBLIB_TEMP_FOLDER", raising=False)
    former, variable = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with process_scratch("visits") as outer, process_scratch("visits") as inner:
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(inner) != str(outer)
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == (former, variable)
    assert "JOBLIB_TEMP_FOLDER" not in os.environ
