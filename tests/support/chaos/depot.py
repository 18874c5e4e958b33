"""The small project that is killed again and again, and the states of its home that each kill begins with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

PROJECT = '''
"""Hours of work, which follow one input; another way from the 600th hour on."""
from datetime import timedelta

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from refit import MonitoringPolicy, Project


def load(window):
    rng, at = np.random.default_rng(0), pd.date_range("2026-01-01", periods=1_500, freq="h", tz="UTC")
    x, slope = rng.normal(size=1_500), np.where(np.arange(1_500) < 600, 1.0, -1.0)
    frame = pd.DataFrame({"id": range(1_500), "at": at, "x": x, "y": slope * x + 0.1 * rng.normal(size=1_500)})
    frame.loc[frame["id"] % 100 == 7, "x"] = np.inf
    return frame[window.holds(frame["at"])]


project = Project(
    name="hours", kind="regression", target="y", timestamp="at", key=("id",), load=load, build=LinearRegression,
    label_delay=timedelta(hours=2), monitoring=MonitoringPolicy(window=timedelta(days=8)),
)
'''
NAME = "hours"
ROWS_AT = {"2026-01-26": 594, "2026-02-20": 1_188, "2026-03-01": 1_401}
"""How many rows the table holds once everything before that day has been ingested; each hundredth is quarantined."""

SCORED = 595
"""How many rows have come between the newest one that the first champion has learnt from and the second one's day."""


class Scenario(NamedTuple):
    """A command, and the state of the home that it begins with."""

    state: str
    command: tuple[str, ...]
    rows: int
    """How many rows the table holds when it is done."""
    scored: int = 0
    """How many predictions there are then."""
    project: str = NAME

    def __str__(self) -> str:
        return f"{self.command[0]} ({self.state})"


def _run(command: str, day: str) -> tuple[str, ...]:
    return (command, NAME, "--as-of", day)


STATES: dict[str, list[tuple[str, ...]]] = {
    "empty": [],
    "one champion": [_run("retrain", "2026-01-26")],
    "two champions": [_run("retrain", "2026-01-26"), _run("retrain", "2026-02-20")],
}
"""What leads to each state."""

SCENARIOS = (
    Scenario("empty", _run("retrain", "2026-01-26"), ROWS_AT["2026-01-26"]),
    Scenario("empty", _run("monitor", "2026-01-26"), ROWS_AT["2026-01-26"]),
    Scenario("one champion", _run("retrain", "2026-02-20"), ROWS_AT["2026-02-20"]),
    Scenario("one champion", (*_run("monitor", "2026-02-20"), "--event", "a test"), ROWS_AT["2026-02-20"]),
    Scenario("two champions", _run("monitor", "2026-03-01"), ROWS_AT["2026-03-01"]),
    Scenario("two champions", ("rollback", NAME, "--to", "1"), ROWS_AT["2026-02-20"]),
    Scenario("one champion", _run("score", "2026-02-20"), ROWS_AT["2026-01-26"], scored=SCORED),
)


class Depot:
    """A home at a fixed place, since MLflow remembers absolute paths, and copies of it in each state."""

    def __init__(self, directory: Path) -> None:
        self.home, self._states = directory / "home", directory / "states"
        projects = directory / "projects"
        projects.mkdir(parents=True)
        (projects / f"{NAME}.py").write_text(PROJECT)
        os.environ.update({"REFIT_HOME": str(self.home), "REFIT_PROJECTS": str(projects)})

    def keep(self, state: str) -> None:
        shutil.copytree(self.home, self._states / state)

    def restore(self, state: str) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self._states / state, self.home)
