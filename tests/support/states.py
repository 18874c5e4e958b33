"""Homes that many tests begin from: each state is made once in a process, and copied where a test needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from refit_infra.settings import Settings
from refit_tasks.maintenance.moved_home import relocate_artifacts

MLFLOW = "mlflow.db"


class States:
    """Copies of homes, by the name of their state."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._artifacts: dict[str, str] = {}

    def begin(self, state: str, make: Callable[[], object]) -> None:
        """Puts this test's REFIT_HOME into a state.

        Args:
            state: Its name; one for each project file, table and sequence of flows.
            make: Leads there from an empty home; called where no test has asked for the state yet.
        """
        settings, kept = Settings(), self._directory / state
        if state not in self._artifacts:
            make()
            shutil.copytree(settings.home, kept)
            self._artifacts[state] = settings.mlflow_artifacts
            return
        shutil.rmtree(settings.home, ignore_errors=True)
        shutil.copytree(kept, settings.home)
        relocate_artifacts(settings.home / MLFLOW, self._artifacts[state], settings.mlflow_artifacts)


def emptied(directory: Path) -> Path:
    """Makes a directory empty: a project file that lies where it lay has the code that it had."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
