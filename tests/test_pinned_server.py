"""Prefect with the versions we pin: a real server starts, and a schedule on it really fires.

A newer SQLAlchemy stops the schedules silently and a newer FastAPI stops the server, so an upgrade must pass here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.settings import QUIET

SCHEDULED = """
import sys
from pathlib import Path
from prefect import flow

@flow
def mark() -> None:
    Path(sys.argv[1]).touch()

if __name__ == "__main__":
    mark.serve(name="every-second", interval=1)
"""
PATIENCE_SECONDS = 150


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command in a process group of its own, which ends with the block."""
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_schedule_fires(tmp_path: Path) -> None:
    port, mark, script = free_port(), tmp_path / "fired", tmp_path / "scheduled.py"
    script.write_text(SCHEDULED)
    environment = {
        **os.environ,
        **QUIET,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    server = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(port)]
    with running(server, environment) as serving:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers(port):
            assert serving.poll() is None, "the server has ended at its start"
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.5)
        with running([sys.executable, str(script), str(mark)], environment):
            while not mark.exists():
                assert time.monotonic() < deadline, "no scheduled run was started"
                time.sleep(0.5)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
