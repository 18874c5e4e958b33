"""The main job as the README starts it, in a directory that has nothing, by the command that `make demo` runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support import forked_commands as commands
from tests.support.forked_commands import REFIT


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REFIT_")}


def demo(directory: Path) -> dict[str, Any]:
    """Starts from nothing, as `make demo` does."""
    run = subprocess.run(
        [REFIT, "demo", "--json"],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def answer(directory: Path, *arguments: str) -> dict[str, Any]:
    run = commands.run((*arguments, "--json"), environment(), directory)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_demo_shows_the_whole_loop(tmp_path: Path) -> None:
    (tmp_path / "projects").symlink_to(Path(__file__).parents[3] / "projects")
    shown = demo(tmp_path)
    monitors, retrains = shown["monitors"], shown["retrains"]
    decisions = [one["decision"] for one in monitors]
    first, *quiet = [one["action"] for one in decisions[:4]]
    assert (first, decisions[0]["trigger"]) == ("retrain", "first")
    assert quiet == ["wait"] * 3, "the windows before the drift are quiet"
    assert [one["trigger"] for one in decisions[4:] if one["action"] == "retrain"][:1] == ["probe"]

    assert (retrains[0]["promoted"], retrains[0]["champion"], retrains[0]["generation"]) == (True, None, 1)
    last = retrains[-1]
    assert (last["promoted"], last["generation"]) == (True, len(retrains))
    assert last["rows"]["in"] == last["rows"]["accepted"] + last["rows"]["quarantined"]
    assert set(last["snapshot"]) == {"version", "rows", "start", "end", "fingerprint"}
    assert {"check", "passed", "value", "limit"} <= set(last["verdict"]["reasons"][0])

    told = answer(tmp_path, "why", str(last["verdict"]["id"]))
    assert told["payload"]["version"] == last["challenger"]["version"]
    assert {path.name for path in tmp_path.iterdir()} == {".refit", "projects"}

    states = answer(tmp_path, "status")["projects"]
    assert states["late_delivery"]["champion"]["version"] == last["challenger"]["version"]
    assert states["late_delivery"]["last_decision"]["id"] == decisions[-1]["id"]
    assert states["bike_demand"]["champion"] is None
