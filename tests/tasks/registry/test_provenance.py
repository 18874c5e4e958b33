"""What determines a model is recorded, and a change of any of it is another run."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refit import GatePolicy, Project, TrainingPolicy, Window
from refit.records.references import SnapshotRef, Split
from refit_tasks.registry.provenance import (
    UNKNOWN,
    describe_machine,
    installed_versions,
    lock_hash,
    pin_requirements,
    read_code_state,
    read_lock,
    run_key,
)

DAY = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=9))
PARTS = Split(SnapshotRef("bikes", 3, WINDOW, 90, "aa", labelled=True), SnapshotRef("bikes", 3, WINDOW, 10, "bb"))


def bikes(file: Path | None = None, **changes: object) -> Project:
    said = {"name": "bikes", "kind": "regression", "target": "rentals", "timestamp": "at", "file": file, **changes}
    return Project(load=lambda _: pd.DataFrame(), build=Ridge, **said)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "bikes.py").write_text("project = 1\n")
    return tmp_path / "bikes.py"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True).stdout


def test_code_outside_a_repository_is_unknown(file: Path) -> None:
    state = read_code_state(bikes(file))
    assert (state.commit, state.dirty) == (UNKNOWN, None)
    assert len(state.file_hash.removeprefix("v2:")) == 64


def test_code_in_a_repository_names_commit_and_changes(file: Path) -> None:
    git(file.parent, "init", "--quiet")
    git(file.parent, "add", ".")
    git(file.parent, "commit", "--quiet", "-m", "first")
    clean = read_code_state(bikes(file))
    assert (clean.commit, clean.dirty) == (git(file.parent, "rev-parse", "HEAD").strip(), False)
    file.write_text("project = 2\n")
    changed = read_code_state(bikes(file))
    assert changed.dirty
    assert changed.file_hash != clean.file_hash


def test_a_repository_without_a_commit_has_none(file: Path) -> None:
    git(file.parent, "init", "--quiet")
    assert (read_code_state(bikes(file)).commit, read_code_state(bikes(file)).dirty) == (UNKNOWN, True)


def test_a_file_that_its_repository_ignores_has_no_commit(file: Path) -> None:
    git(file.parent, "init", "--quiet")
    (file.parent / ".gitignore").write_text("*.py\n")
    git(file.parent, "add", ".")
    git(file.parent, "commit", "--quiet", "-m", "first")
    assert (read_code_state(bikes(file)).commit, read_code_state(bikes(file)).dirty) == (UNKNOWN, None)


def test_an_installed_package_has_the_versions_beside_it_for_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    for place, name in ((tmp_path / "site", "great_expectations"), (here, "of_this_directory")):
        told = place / f"{name}-1.2.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.path", ["", str(here), str(tmp_path / "site"), str(tmp_path / "site")])
    monkeypatch.setattr("refit.__file__", str(tmp_path / "site" / "refit" / "__init__.py"))
    (tmp_path / "site" / "uv.lock").write_text("somebody's own")
    assert read_lock.__wrapped__() == "great-expectations==1.2\n"


def test_the_lock_names_every_package() -> None:
    assert "scikit-learn" in read_lock()
    assert len(lock_hash()) == 64


def test_the_machine_is_described() -> None:
    assert describe_machine().keys() == {"cpu", "threads", "blas", "python"}
    assert all(describe_machine().values())


def test_what_is_installed_is_looked_up_again() -> None:
    assert installed_versions(["no-such-thing", "numpy"]) == f"no-such-thing==absent\nnumpy=={np.__version__}"


def test_requirements_are_exact_and_follow_the_estimator() -> None:
    pinned = pin_requirements(make_pipeline(StandardScaler(), Ridge()))
    assert {line.partition("==")[0] for line in pinned} == {"numpy", "pandas", "scikit-learn", "scipy", "skops"}
    assert all("==" in line for line in pinned)


def test_the_same_run_has_the_same_key(file: Path) -> None:
    assert run_key(bikes(file), PARTS) == run_key(bikes(file), PARTS)
    assert len(run_key(bikes(file), PARTS)) == 32


def test_whatever_changes_the_model_changes_the_key(file: Path) -> None:
    other_rows = Split(PARTS.train, SnapshotRef("bikes", 3, WINDOW, 10, "cc"))
    keys = [
        run_key(bikes(file), PARTS),
        run_key(bikes(file), PARTS, attempt=1),
        run_key(bikes(file), other_rows),
        run_key(bikes(file), Split(other_rows.holdout, PARTS.holdout)),
        run_key(bikes(file, training=TrainingPolicy(seed=1)), PARTS),
        run_key(bikes(file, training=TrainingPolicy(window=timedelta(days=3))), PARTS),
        run_key(bikes(file, gate=GatePolicy(floor=0.5)), PARTS),
        run_key(bikes(file, features=("hour",)), PARTS),
    ]
    file.write_text("project = 2\n")
    keys.append(run_key(bikes(file), PARTS))
    assert len(set(keys)) == len(keys)
