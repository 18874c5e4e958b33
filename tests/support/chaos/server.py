"""One Prefect server for all kills, where none is set already; it can be killed, too, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refit_infra.settings import QUIET
from tests.support.other_servers import answers, free_port

START_SECONDS = 180


class Server:
    """A Prefect server in a process group of its own, on a database and a port that outlive it."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.start()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(self._port)]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(command, start_new_session=True, stdout=nowhere, stderr=nowhere)
        deadline = time.monotonic() + START_SECONDS
        while not answers(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the Prefect server does not start")
            time.sleep(0.2)

    def kill(self) -> None:
        """Ends it at once, as a crash does."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def prefect_server(scratch: Path) -> Iterator[Server | None]:
    """Sets PREFECT_API_URL, for this process and those that it forks; to be entered before Prefect is imported."""
    os.environ.update(QUIET)
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    os.environ["PREFECT_HOME"] = str(scratch / "prefect")
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    server = Server()
    os.environ["PREFECT_API_URL"] = server.url
    try:
        yield server
    finally:
        server.kill()
