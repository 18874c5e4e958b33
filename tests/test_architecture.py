"""The house rules that a program can check: import direction, file sizes, names, dependencies' telemetry."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import Settings, environment

ROOT = Path(__file__).parent.parent
ROOMS = ("refit", "projects", "tasks", "flows", "serving", "deployments", "infra")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def test_import_direction() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small_and_well_named(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "base", "constants"}
    assert len(path.read_text().splitlines()) <= 200
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_function_bodies_stay_short() -> None:
    lengths = sorted(
        node.end_lineno - node.body[ast.get_docstring(node) is not None].lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and len(node.body) > (ast.get_docstring(node) is not None)
    )
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 9 // 10] <= 20


def test_telemetry_is_off_by_default() -> None:
    quiet = environment(Settings())
    assert quiet["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert quiet["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert quiet["GX_ANALYTICS_ENABLED"] == "false"
    assert quiet["DO_NOT_TRACK"] == "1"


def test_nothing_is_written_outside_home() -> None:
    settings = Settings()
    for place in (settings.tables, settings.ledger, settings.mlflow, settings.mlflow_artifacts, str(settings.staging)):
        assert str(settings.home) in place
