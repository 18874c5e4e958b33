"""The house rules that a program can check: import direction, file sizes, names, dependencies' telemetry."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from refit_infra.settings import Settings, library_environment

ROOT = Path(__file__).parent.parent
ROOMS = (
    "refit",
    "tasks/refit_tasks",
    "flows/refit_flows",
    "serving/refit_serving",
    "deployments/refit_deployments",
    "infra/refit_infra",
)
FILES = [path for room in (*ROOMS, "projects") for path in sorted((ROOT / room).rglob("*.py"))]


def test_import_direction() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_files_stay_small_and_well_named() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "helpers", "common", "base", "constants"}, path
        assert len(path.read_text().splitlines()) <= 300, path
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_folders_stay_small() -> None:
    """A folder is a capability: some five to fifteen files, `__init__.py` apart."""
    sizes = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {str(folder): size for folder, size in sizes.items() if size > 15} == {}


def test_a_project_file_knows_refit_alone() -> None:
    for path in sorted((ROOT / "projects").glob("*.py")):
        imported = {name.partition(".")[0] for name in imports_of(path)}
        assert not {name for name in imported if name.startswith("refit_")}, path


def test_nothing_installed_has_a_name_that_does_not_begin_with_refit() -> None:
    imported = {name.partition(".")[0] for path in FILES for name in imports_of(path)}
    assert not imported & {"tasks", "flows", "serving", "deployments", "infra", "projects", "tests", "benchmarks"}


def test_no_test_imports_another_one() -> None:
    """What tests share is in `tests/support/`; besides there are tests and what pytest itself reads."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        shared = path.is_relative_to(ROOT / "tests/support")
        assert shared or path.stem.startswith("test_") or path.name == "conftest.py", path
        ours = {name for name in imports_of(path) if name.startswith("tests.")}
        assert {name for name in ours if not name.startswith("tests.support")} == set(), path


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


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
    quiet = library_environment(Settings())
    assert quiet["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert quiet["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert quiet["GX_ANALYTICS_ENABLED"] == "false"
    assert quiet["DO_NOT_TRACK"] == "1"


def test_nothing_is_written_outside_home() -> None:
    settings = Settings()
    for place in (settings.tables, settings.ledger, settings.mlflow, settings.mlflow_artifacts, str(settings.staging)):
        assert str(settings.home) in place
