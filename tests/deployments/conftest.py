"""A small project for the commands' tests: numbers that follow one input, and another way from the middle on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hours_project import HOURS


@pytest.fixture
def hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one project file, which the commands find."""
    projects = tmp_path / "projects"
    projects.mkdir()
    (projects / "hours.py").write_text(HOURS)
    monkeypatch.setenv("REFIT_PROJECTS", str(projects))
    return projects
