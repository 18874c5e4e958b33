"""A real home for commands that read the record: a champion, two decisions, and rows in quarantine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.hours_project import HOURS

KEYS = '"id": [None if number % 400 == 7 else f"r{number}" for number in range(1_200)]'
COMMANDS = (("retrain", "hours", "--as-of", "2026-01-20"), ("monitor", "hours", "--as-of", "2026-02-10"))


def record_hours(directory: Path) -> dict[str, str]:
    """Makes the home by the commands themselves; gives the environment variables that name it and its project."""
    projects = directory / "projects"
    projects.mkdir()
    (projects / "work_hours.py").write_text(HOURS.replace('"id": range(1_200)', KEYS))
    named = {"REFIT_HOME": str(directory / "home"), "REFIT_PROJECTS": str(projects)}
    refit = Path(sys.executable).with_name("refit")
    for command in COMMANDS:
        subprocess.run([refit, *command], env={**os.environ, **named}, check=True, capture_output=True)
    return named
