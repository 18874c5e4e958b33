"""The threat model promises what a test shows: each door names tests that are there, or stands under the limits."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNTESTED = {"the object store", "project files"}
"""Doors where nothing stops who stands before them, which their row says."""


def test_each_door_names_a_test_that_is_there() -> None:
    model = (ROOT / "docs/security.md").read_text().partition("## Threat model")[2].partition("### Limits")[0]
    rows = [line.strip("| ").split(" | ") for line in model.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`([\w/.]+)`", row[3]) if len(row) > 3 else []
        assert bool(named) != (row[0] in UNTESTED), row[0]
        folder = Path()
        for path in named:
            folder = Path(path).parent if "/" in path else folder
            assert list((ROOT / "tests" / folder).rglob(Path(path).name)), (row[0], path)
