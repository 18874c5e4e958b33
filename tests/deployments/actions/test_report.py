"""`refit report` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.forked_commands import refit


def report(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return refit("report", *arguments, cwd=directory)


def complaint(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("refit: ")]
    return line


def test_before_anything_ran_the_page_is_there_and_says_what_to_run(hours: Path, tmp_path: Path) -> None:
    run = report(tmp_path, "hours", "--json")
    assert run.returncode == 0, run.stderr
    page = tmp_path / "hours.html"
    assert json.loads(run.stdout) == {"project": "hours", "file": str(page), "bytes": page.stat().st_size}
    assert "refit retrain hours" in page.read_text()
    assert "Hours &lt;of&gt; work" in page.read_text()


def test_the_page_goes_where_it_is_wanted_and_replaces_the_one_before(hours: Path, tmp_path: Path) -> None:
    page = tmp_path / "a page.html"
    page.write_text("old")
    run = report(tmp_path, "hours", "--out", "a page.html")
    assert run.returncode == 0, run.stderr
    assert str(page) in run.stdout
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert {found.name for found in tmp_path.iterdir()} == {"a page.html", "projects", "home"}


@pytest.mark.parametrize("place", ["projects", "nowhere/page.html"])
def test_a_place_that_cannot_be_written_is_one_sentence(hours: Path, tmp_path: Path, place: str) -> None:
    said = complaint(report(tmp_path, "hours", "--out", place))
    assert str(tmp_path / place) in said
    assert "--out" in said


def test_an_unknown_project_is_one_sentence_that_names_the_known_ones(hours: Path, tmp_path: Path) -> None:
    assert "hours" in complaint(report(tmp_path, "huors"))
    assert {found.name for found in tmp_path.iterdir()} <= {"projects", "home"}
