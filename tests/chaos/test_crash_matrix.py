"""A small crash matrix for every day; `make chaos` runs the whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_after_a_kill_and_one_rerun_all_is_as_if_nothing_had_happened(prefect_server: None) -> None:
    from prefect.settings import PREFECT_API_URL

    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.chaos",
            "--boundaries",
            "4",
            "--moments",
            "2",
            "--seed",
            "4",
            "--services",
            "0",
        ],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "6 kills, 0 inconsistent"
