"""All of a production stack is lost, and comes back on another machine, as docs/operations.md says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import OPERATIONS
from tests.support.running_stack import Standing
from tests.support.running_up import ENDED, wait_for
from tests.support.serving_home import serving

HEADING = "Back up the servers beside it"
ROW = {"parcel": 2_000_001, "weight": 2.0, "distance": 400.0}


def blocks() -> list[str]:
    """The two scripts of the section: there, and back."""
    section = OPERATIONS.read_text().partition(f"## {HEADING}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def carried_out(script: str, stack: Standing, backup: Path, scratch: Path) -> None:
    """Runs a script as a person does who has read `environment.sh` and told the tools their passwords."""
    secrets, programs = stack.place / "secrets", scratch / "programs"
    programs.mkdir(exist_ok=True)
    command = programs / "refit"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from refit_deployments.main import main; main()" "$@"\n')
    command.chmod(0o700)
    words = scratch / "pgpass"
    words.write_text("".join(f"*:*:*:{one}:{(secrets / f'{one}_role').read_text()}\n" for one in ("mlflow", "prefect")))
    words.chmod(0o600)
    told = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "STACK": str(stack.place),
        "BACKUP": str(backup),
        "PGPASSFILE": str(words),
        "PGPORT": str(stack.ports["database-port"]),
        **{f"RCLONE_CONFIG_MODELS_{name}": value for name, value in remote(stack).items()},
    }
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**without_authorities(), **stack.settings, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def without_authorities() -> dict[str, str]:
    """This environment; rclone 1.60 takes no file of authorities from it, and on loopback there are none."""
    return {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}


def remote(stack: Standing) -> dict[str, str]:
    return {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": stack.settings["AWS_ENDPOINT_URL"],
        "REGION": stack.settings["AWS_REGION"],
        "ENV_AUTH": "true",
    }


def says(stack: Standing) -> Any:
    """What the champion answers over HTTP, and which version it is."""
    with serving(stack.depot.projects, "parcels", **stack.settings) as server:
        answer = server.ask("parcels", {"rows": [ROW]}).json()
        return answer["version"], answer["predictions"]


@pytest.fixture
def another() -> Iterator[Path]:
    """The directory of another machine, which PostgreSQL's own user can reach."""
    with tempfile.TemporaryDirectory(prefix="refit-another-") as scratch:
        Path(scratch).chmod(0o755)
        yield Path(scratch)


@pytest.mark.timeout(1_800)
@pytest.mark.skipif(shutil.which("rclone") is None, reason="the bucket is copied by `apt-get install rclone`")
def test_all_of_it_is_back_on_another_machine(stack: Standing, another: Path, tmp_path: Path) -> None:
    # A version of its own: what was trained on a row that somebody had erased since is rebuilt without it.
    made = stack.answer("retrain", "parcels", "--force")["challenger"]["version"]
    there, back = blocks()
    before, entries = says(stack), stack.answer("ledger", "verify")["entries"]
    carried_out(there, stack, tmp_path / "backup", tmp_path)
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(120) == 0
    shutil.rmtree(stack.place)

    (another / "home").mkdir(mode=0o700)
    (another / "home/stack").mkdir(mode=0o700)
    shutil.copytree(tmp_path / "backup.secrets", another / "home/stack/secrets")
    standing = Standing(another, stack.depot)
    try:
        standing.until_ready()
        carried_out(back, standing, tmp_path / "backup", tmp_path)
        assert standing.answer("ledger", "verify")["entries"] == entries
        assert standing.answer("doctor")["findings"] == []
        assert says(standing) == before
        assert standing.answer("reproduce", "parcels", str(made))["reproduced"] is True
        again = standing.answer("retrain", "parcels", "--remote", "--force")["run_id"]
        wait_for(lambda: standing.state(again)[0] in ENDED)
        assert standing.state(again)[0] == "COMPLETED", standing.state(again)
    finally:
        standing.process.terminate()
        standing.process.wait(120)
        standing.close()
