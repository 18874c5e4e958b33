"""The recorded code runs in place of today's, with what lies beside it, and only if it is what the ledger names."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from refit import Project, Window
from refit.errors import CannotReproduce
from refit.records.recipes import Recipe
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.catalog import read_project
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.recipe import current_recipe, store_code
from refit_tasks.registry.tracking import TrackedRun
from refit_tasks.training.recorded_inputs import load_recorded_project
from tests.support.registered_models import AT

FILE = """
import sys
from pathlib import Path

from sklearn.linear_model import Ridge

if PATH:
    sys.path.insert(0, str(Path(__file__).parent))

from _strength import ALPHA
from refit import Project

project = Project(name="tides", kind="regression", target="height", timestamp="at", load=lambda window: None,
                  build=lambda: Ridge(ALPHA))
"""


@pytest.fixture(params=["itself", "a path"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that imports a file beside it, whose directory it, or somebody else, has put on the path."""
    folder = tmp_path / "projects"
    folder.mkdir()
    (folder / "tides.py").write_text(FILE.replace("PATH", str(request.param == "itself")))
    (folder / "_strength.py").write_text("ALPHA = 1.0\n")
    monkeypatch.setattr(sys, "path", [*([str(folder)] if request.param == "a path" else []), *sys.path])
    yield folder
    sys.modules.pop("_strength", None)


@pytest.fixture
def kept(directory: Path, mlflow_home: Path) -> tuple[ModelRef, Recipe]:
    """A model of alpha 1, whose code is on record."""
    definition, client = read_project(directory / "tides.py"), open_mlflow()
    experiment = require_experiment(client, "tides")
    run = TrackedRun(client, experiment, client.create_run(experiment).info.run_id)
    store_code(run, definition)
    rows = SnapshotRef("tides", 0, Window(AT, AT.replace(day=2)), 1, "f" * 32)
    return ModelRef("tides", run.id, "models:/none", rows, "key"), current_recipe(definition)


def artifacts(model: ModelRef) -> Path:
    return Path(open_mlflow().get_run(model.run_id).info.artifact_uri.removeprefix("file://"))


def changed(directory: Path) -> Project:
    """What a process has read before it reproduces: today's files."""
    (directory / "_strength.py").write_text("ALPHA = 22.0\n")
    sys.modules.pop("_strength", None)
    (directory / "tides.py").write_text((directory / "tides.py").read_text() + "\n")
    definition = read_project(directory / "tides.py")
    assert definition.build().alpha == 22
    return definition


def test_what_lies_beside_the_file_is_the_recorded_one_too(directory: Path, kept: tuple[ModelRef, Recipe]) -> None:
    today = changed(directory)
    path, ours = list(sys.path), (sys.modules["_strength"], sys.modules["refit_project_tides"])
    with load_recorded_project(today, *kept) as (then, code):
        assert (code, then.build().alpha) == ("recorded", 1)
    assert sys.path == path
    assert (sys.modules["_strength"], sys.modules["refit_project_tides"]) == ours


def test_the_same_file_is_not_fetched(directory: Path, kept: tuple[ModelRef, Recipe]) -> None:
    today = read_project(directory / "tides.py")
    with load_recorded_project(today, *kept) as (then, code):
        assert (then, code) == (today, "today's")


@pytest.mark.parametrize(
    "name",
    [
        *("lightgbm.py", "_strength.py", "tides.py", "_more.py", "deep/_more.py"),
        *("_strength.abi3.so", "__pycache__/_strength.cpython-311.pyc", "_strength/__init__.py"),
    ],
)
def test_files_that_no_hash_covers_are_not_run(directory: Path, kept: tuple[ModelRef, Recipe], name: str) -> None:
    today, run = changed(directory), artifacts(kept[0]) / "code" / name
    run.parent.mkdir(exist_ok=True)
    run.write_text("raise SystemExit('this must not run')\n")
    with (
        pytest.raises(CannotReproduce, match="does not have the hash in the ledger"),
        load_recorded_project(today, *kept),
    ):
        pass


def swap(code: Path) -> None:
    """Exchanges the names of two files; the bytes of all files stay the same."""
    first, second = (code / "_strength.py").read_text(), (code / "_zeal.py").read_text()
    (code / "_strength.py").write_text(second)
    (code / "_zeal.py").write_text(first)


def rename(code: Path) -> None:
    (code / "_zeal.py").rename(code / "_zebra.py")


def move_border(code: Path) -> None:
    """Moves the end of one file to the beginning of the next one; all bytes in a row stay the same."""
    first, second = (code / "_strength.py").read_text(), (code / "_zeal.py").read_text()
    (code / "_strength.py").write_text(first[:-2])
    (code / "_zeal.py").write_text(first[-2:] + second)


@pytest.mark.parametrize("attack", [swap, rename, move_border])
def test_the_same_bytes_under_other_names_are_not_run(
    directory: Path, mlflow_home: Path, request: pytest.FixtureRequest, attack: Callable[[Path], None]
) -> None:
    (directory / "_zeal.py").write_text("ALPHA = 99.0\n")
    model, recipe = request.getfixturevalue("kept")
    today = changed(directory)
    attack(artifacts(model) / "code")
    with (
        pytest.raises(CannotReproduce, match="does not have the hash in the ledger"),
        load_recorded_project(today, model, recipe),
    ):
        pass


def test_an_entry_of_a_former_release_still_holds_as_it_was(directory: Path, kept: tuple[ModelRef, Recipe]) -> None:
    parts = [(artifacts(kept[0]) / "code" / name).read_bytes() for name in ("tides.py", "_strength.py")]
    former = replace(kept[1], file_hash=hashlib.sha256(b"\0".join(parts)).hexdigest())
    today = changed(directory)
    with load_recorded_project(today, kept[0], former) as (then, code):
        assert (code, then.build().alpha) == ("recorded", 1)
    (artifacts(kept[0]) / "code" / "_strength.py").write_text("ALPHA = 9.0\n")
    with pytest.raises(CannotReproduce), load_recorded_project(today, kept[0], former):
        pass
