"""Where the repository's own files are that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "projects"
"""The example projects."""
REAL_PROJECTS = Path(__file__).parent / "real_projects"
"""Project files for the real tables of `REFIT_REAL_DATA`."""
OPERATIONS = ROOT / "docs/operations.md"
"""The page whose procedures tests carry out."""
