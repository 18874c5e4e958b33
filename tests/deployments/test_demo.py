"""The main job as the README starts it, in a directory that has nothing, by the command that `make demo` runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REFIT = str(Path(sys.executable).with_name("refit"))


def answer(directory: Path, *arguments: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REFIT_")}
    run = subprocess.run(
        [REFIT, *arguments, "--json"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_demo_ends_with_a_champion_and_a_judged_challenger(tmp_path: Path) -> None:
    (tmp_path / "projects").symlink_to(Path(__file__).parents[2] / "projects")
    first, second = answer(tmp_path, "demo")["retrains"]
    assert (first["promoted"], first["champion"], first["generation"]) == (True, None, 1)
    assert second["champion"] == {"version": 1}
    assert second["challenger"]["version"] == 2
    assert second["rows"]["in"] == second["rows"]["accepted"] + second["rows"]["quarantined"]
    assert set(second["snapshot"]) == {"version", "rows", "start", "end", "fingerprint"}
    assert {"check", "passed", "value", "limit"} <= set(second["verdict"]["reasons"][0])
    assert second["verdict"]["promote"] == second["promoted"]

    told = answer(tmp_path, "why", str(second["verdict"]["id"]))
    assert told["payload"]["version"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {".refit", "projects"}

    states = answer(tmp_path, "status")["projects"]
    assert states["bike_demand"]["champion"]["version"] == (2 if second["promoted"] else 1)
    assert states["late_delivery"]["champion"] is None
