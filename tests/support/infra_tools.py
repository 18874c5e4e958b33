"""The programs that read the files in infra/, and what they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
REFIT = Path(sys.executable).with_name("refit")
BRINGS = {
    "promtool": "`apt-get install prometheus`",
    "docker-compose": "`apt-get install docker-compose`",
    "actionlint": "its makers' release, which is on no index of Python's",
}


def passes(tool: str, *arguments: str | Path, cwd: Path = ROOT) -> str:
    """What a tool prints that must find no fault; the test is skipped where there is no such tool."""
    beside = Path(sys.executable).with_name(tool)
    program = str(beside) if beside.exists() else shutil.which(tool)
    if program is None:
        pytest.skip(f"there is no {tool}: {BRINGS.get(tool, '`make infra-tools`')} brings one")
    run = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def read(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text())
