"""One Prefect server for all kills, where none is set already."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.settings import QUIET
from tests.test_pinned_server import answers, free_port, running

START_SECONDS = 180


@contextmanager
def prefect_server(scratch: Path) -> Iterator[None]:
    """Sets PREFECT_API_URL, for this process and those that it forks; to be entered before Prefect is imported."""
    os.environ.update(QUIET)
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    os.environ["PREFECT_HOME"] = str(scratch / "prefect")
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    port, deadline = free_port(), time.monotonic() + START_SECONDS
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(port)]
    with running(command, {**os.environ}) as serving:
        while not answers(port):
            if serving.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the Prefect server does not start")
            time.sleep(0.2)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        yield
