"""A project file is read without running it where it is written in plain values, and run where it is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from refit.errors import BrokenProject
from refit_tasks.catalog import find_project, read_declaration
from refit_tasks.project_code.declaration import declared_project

PLAIN = '''"""Rents bikes.

More about it.
"""
import datetime as dt
from datetime import timedelta

import refit
from refit import GatePolicy, Project
from refit import MonitoringPolicy as Rules

LEFT = (WHERE := "here")
raise SystemExit("this file was run")

KEY = ("station", "at")
DELAY: timedelta = 2 * timedelta(hours=1) + dt.timedelta(minutes=-30)
GATE = GatePolicy(significance=0.02)


def load(window):
    return [window]


project = Project(
    name="bikes", kind="regression", target="y", timestamp="t", key=KEY, pii=("station",), label_delay=DELAY,
    load=load, build=lambda: made, gate=GATE, monitoring=Rules(budget=refit.BudgetPolicy(retrains=3)),
    training=refit.TrainingPolicy(window=timedelta(days=-(-9))), trusted_types=["mine.Tree"],
)
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    (tmp_path / "rental.py").write_text(PLAIN)
    return tmp_path / "rental.py"


def test_plain_values_are_read_without_running_the_file(file: Path) -> None:
    found = find_project("bikes", read_declaration)
    assert (found.file, found.description, found.key) == (file, "Rents bikes.", ("station", "at"))
    assert (found.pii, found.label_delay) == (("station",), timedelta(minutes=90))
    assert (found.monitoring.budget.retrains, found.gate.significance) == (3, 0.02)
    assert (found.training.window, found.trusted_types) == (timedelta(days=9), ("mine.Tree",))
    with pytest.raises(BrokenProject, match="this file was run"):
        found.build()


def test_it_is_the_project_that_running_the_file_gives(file: Path) -> None:
    file.write_text(PLAIN.replace("raise SystemExit", "str"))
    declared, run = find_project("bikes", read_declaration), find_project("bikes")
    functions = {"load", "build", "expectations"}
    assert declared.model_dump(exclude=functions) == run.model_dump(exclude=functions)
    assert declared.load("a window") == ["a window"]


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ("key=KEY", "key=tuple(KEY)"),
        ("key=KEY", "key=open"),
        ("key=KEY", "**{}"),
        ('name="bikes"', 'name=f"bikes"'),
        ('KEY = ("station", "at")', 'KEY = ("station", "at")\nKEY = ("station",)'),
        ('KEY = ("station", "at")', 'if LEFT:\n    KEY = ("station", "at")'),
        ('KEY = ("station", "at")', 'KEY = ["station", "at"]\nKEY.remove("at")'),
        ("import refit\n", "import refit\nfrom os import *\n"),
        ("import refit\n", "import refit\ndef Project(**k): ...\n"),
        ("    return [window]", "    global KEY"),
        ("target=", "tarqet="),
        ('target="y"', 'target="t"'),
        ("project = Project(", "project = dict("),
        ("project = Project(", "projects = Project("),
        ("load=load, build", "load=load; build"),
    ],
)
def test_what_only_running_the_file_can_tell_is_not_guessed(plain: str, other: str, file: Path) -> None:
    assert plain in PLAIN
    file.write_text(PLAIN.replace(plain, other))
    assert declared_project(file, pytest.fail) is None
    with pytest.raises(BrokenProject):
        read_declaration(file)
