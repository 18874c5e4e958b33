"""`refit labels` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.forked_commands import refit

PROJECT = '''
"""Hours."""
import pandas as pd
from sklearn.dummy import DummyRegressor
from refit import Project

def load(window):
    at = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
    frame = pd.DataFrame({"id": range(48), "at": at, "x": 1.0, "y": float("nan")})
    return frame[window.holds(frame["at"])]

project = Project(
    name="hours", kind="regression", target="y", timestamp="at", key=("id",), load=load, build=DummyRegressor
)
'''


@pytest.fixture
def ready(tmp_path, monkeypatch):
    projects = tmp_path / "projects"
    projects.mkdir()
    (projects / "hours.py").write_text(PROJECT)
    monkeypatch.setenv("REFIT_PROJECTS", str(projects))
    from refit_tasks.catalog import find_project
    from refit_tasks.ingestion.ingest import ingest

    ingest.fn(find_project("hours"), datetime(2026, 2, 1, tzinfo=UTC))
    return tmp_path


def labels(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return refit("labels", "hours", str(file), *options)


def test_it_says_what_came_of_each_row(ready) -> None:
    file = ready / "labels.csv"
    file.write_text("id,y,by\n1,2.5,me\n2,3\n".replace("2,3\n", "2,3,me\n99,1,me\n"))
    done = json.loads(labels(file, "--json").stdout)
    assert {name: done[name] for name in ("project", "rows", "arrived", "unknown", "ignored")} == {
        "project": "hours", "rows": 3, "arrived": 2, "unknown": 1, "ignored": ["by"],
    }  # fmt: skip
    again = labels(file)
    assert again.returncode == 0
    assert "no change, 2 labels already stored" in again.stdout
    assert "columns left out: by" in again.stdout


def test_a_file_that_is_not_fit_is_one_sentence(ready) -> None:
    file = ready / "labels.csv"
    file.write_text("id,y\n1,much\n")
    run = labels(file)
    assert run.returncode == 1
    assert "'much' in column 'y'" in run.stderr.strip().splitlines()[-1]
    assert "Traceback" not in run.stderr
