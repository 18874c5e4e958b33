"""The crash matrix on real services: what is left after a kill and one rerun is what there would be without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running_stack import Standing, on_the_stack

ROOT = Path(__file__).parents[2]
CHAINS = 2


@pytest.mark.timeout(2_400)
def test_after_a_kill_and_one_rerun_all_is_as_if_nothing_had_happened(stack: Standing, tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.crash_chain", str(tmp_path), str(CHAINS)],
        cwd=ROOT,
        env={**on_the_stack(stack), "REFIT_PROJECTS": str(tmp_path / "projects")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == f"{5 * CHAINS} kills, 0 inconsistent"
