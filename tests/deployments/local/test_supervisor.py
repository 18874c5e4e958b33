"""The services of `refit up` end together, whatever Prefect's server answers meanwhile."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from refit_deployments import local_instance
from refit_deployments.local.processes import Child
from refit_deployments.local.services import WORKER, Service
from refit_deployments.local.supervisor import Supervisor
from refit_tasks.runs.liveness import dead_runs

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


class Broken(BaseHTTPRequestHandler):
    """Answers everything as a server whose database is locked."""

    def do_GET(self) -> None:
        self.send_error(500)

    def do_POST(self) -> None:
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def broken_server() -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
        yield
    server.shutdown()
    server.server_close()
    thread.join()


def service(name: str, directory: Path) -> Service:
    return Service(Child(name, SLEEPING, dict(os.environ), directory / f"{name}.log"), "", lambda: True)


def test_who_is_killed_while_it_starts_has_told_what_to_end(home: Path) -> None:
    home.mkdir()
    stack, one = Supervisor(), service("Prefect server", home / "logs")
    with local_instance.single_instance() as crashed:
        assert crashed is None
        stack.start(one)
        assert local_instance.find_running() is None, "there is nothing to join yet"
        told = json.loads((home / "up.json").read_text())
        assert one.child.process is not None
        assert [pid for pid, _ in told["children"]] == [one.child.process.pid]
        stack.publish("http://127.0.0.1:1/api", None)
        assert (joined := local_instance.find_running()) is not None
        assert (joined.prefect, len(joined.children)) == ("http://127.0.0.1:1/api", 1)
        stack.stop()


@pytest.mark.usefixtures("broken_server")
def test_a_server_that_cannot_be_told_of_a_killed_run_does_not_keep_the_others_from_ending(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "runs").mkdir(parents=True)
    killed = {"id": str(uuid4()), "flow": "monitor", "project": "parcels", "started": "2026-03-01T00:00:00+00:00"}
    (home / "runs" / f"{killed['id']}.lock").write_text(json.dumps(killed))
    assert [run.id for run in dead_runs()] == [killed["id"]]
    stack = Supervisor()
    services = [service("Prefect server", home / "logs"), service(WORKER, home / "logs")]
    for one in services:
        stack.start(one)
    with caplog.at_level(logging.WARNING, "refit_deployments.local.up"):
        stack.stop()
    assert [one.child.exit_code is None for one in services] == [False, False]
    assert "a killed run is not marked in Prefect yet" in caplog.text
