"""A real `refit up` for tests: its servers, worker and deployments, on a home and project files of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil

from refit_infra.settings import QUIET
from tests.support import forked_commands as commands
from tests.support.other_servers import free_port
from tests.support.watched_project import COMMAND, START, Depot, rows_of

PATIENCE_SECONDS = 240
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
DAYS = 60
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


POLICY = "cooldown=timedelta(0)"
ASKING = POLICY + "), gate=GatePolicy(promotion='approve'"
SCHEDULED = POLICY + "), schedule=Schedule(monitor=timedelta(seconds=20)"
HOURLY = SCHEDULED.replace("seconds=20", "hours=1")
"""In the tests' time never: a monitor is a process of some seconds, so that only those run that a test is about."""


def until_now(days: int = DAYS, turned: int | None = None) -> pd.DataFrame:
    """Makes the first days of a table whose day 60 is now; from the day `turned` on, near parcels are late."""
    rows = rows_of(days, turned)
    return rows.assign(sent_at=rows.sent_at + pd.Timedelta(NOW - START - timedelta(days=DAYS)))


class Hosted:
    """A running `refit up`."""

    def __init__(self, home: Path, depot: Depot) -> None:
        self.home, self.depot = home, depot
        self.port, self.mlflow_port = free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))},
            **QUIET,
            "REFIT_HOME": str(home),
            "REFIT_PROJECTS": str(depot.projects),
        }
        self.said = (home.parent / "up.err").open("a")
        self.process = self.start()
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api", timeout=60)

    def start(self) -> subprocess.Popen[str]:
        """Starts `refit up`, as a person would in a terminal."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "up", "--port", str(self.port), "--mlflow-port", str(self.mlflow_port)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
        )

    def start_again(self) -> None:
        """Starts it again after it has ended, and waits until it is ready."""
        assert self.process.stdout
        self.process.stdout.close()
        self.process = self.start()
        self.until_ready()

    def refit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs another command beside it."""
        return commands.run(arguments, {**self.environment, **environment}, Path.cwd())

    def until_ready(self) -> list[str]:
        """Waits for it to say that it is ready, and gives what it says."""
        assert self.process.stdout
        said = [self.process.stdout.readline() for _ in range(4)]
        assert "Refit is up" in said[0], said
        return said

    def stop(self) -> int:
        """Presses Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def close(self) -> None:
        """Lets go of its connections."""
        assert self.process.stdout
        self.process.stdout.close()
        self.said.close()
        self.api.close()

    def ask(self, method: str, path: str, said: Any = None) -> Any:
        """Asks Prefect's API."""
        return ask(self.api, method, path, said)

    def deployment(self, flow: str) -> dict[str, Any]:
        """Reads the project's deployment of a flow."""
        found: dict[str, Any] = self.ask("GET", f"/deployments/name/{flow}/parcels")
        return found

    def run(self, flow: str, **parameters: Any) -> str:
        """Starts a run as the UI's form does; gives its id."""
        asked = {
            "parameters": {"project": "parcels", **parameters},
            "state": {"type": "SCHEDULED"},
            "idempotency_key": str(uuid.uuid4()),  # `ask` may have to ask twice
        }
        run_id: str = self.ask("POST", f"/deployments/{self.deployment(flow)['id']}/create_flow_run", asked)["id"]
        return run_id

    def state(self, run_id: str) -> tuple[str, str]:
        """Reads a run's state: its type, and what it says."""
        found = self.ask("GET", f"/flow_runs/{run_id}")["state"]
        return found["type"], found["message"] or ""

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Lists the runs of a flow, the oldest first."""
        chosen = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", chosen)
        return found

    def told(self, flow: str) -> list[tuple[str, str, str]]:
        """Tells of the runs of a flow, for one who wonders why what a test waits for does not come."""
        return [(run["name"], run["state_name"], run["state"]["message"] or "") for run in self.runs(flow)]

    def schedule(self, policy: str, seconds: int) -> None:
        """Gives the project file a policy, and waits until its monitor is scheduled so often."""
        self.depot.set_policy(policy)
        wait_for(lambda: self.deployment("monitor")["schedules"][0]["schedule"]["interval"] == seconds)

    def events(self, name: str, decision: int) -> list[dict[str, Any]]:
        """Waits for the events of a name that are about a decision."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            asked = self.ask("POST", "/events/filter", {"filter": {"event": {"name": [name]}}})["events"]
            found[:] = [one for one in asked if one["payload"]["decision"] == decision]
            return bool(found)

        wait_for(there)
        return found

    def wait_for_a_monitor(self) -> None:
        """Waits until a monitor that is scheduled from now on has done its work."""
        now = datetime.now(UTC).isoformat()

        def done() -> bool:
            return any(
                run["state_type"] == "COMPLETED" and run["expected_start_time"] > now for run in self.runs("monitor")
            )

        wait_for(done)

    def processes(self, what: str) -> list[psutil.Process]:
        """Finds those of its processes whose command line holds some words."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in family if what in " ".join(_command(one))]

    def running(self, run_id: str) -> list[psutil.Process]:
        """Finds the processes of a flow run."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in family if _environment(one).get("PREFECT__FLOW_RUN_ID") == run_id]


def _environment(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error):  # it has ended meanwhile
        return process.environ()
    return {}


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


@contextmanager
def hosted(directory: Path, policy: str) -> Iterator[Hosted]:
    """Runs `refit up` for a depot, and ends it with the block."""
    depot = Depot(directory, policy)
    depot.deliver(until_now(40))
    host = Hosted(directory / "home", depot)
    try:
        yield host
    finally:
        if host.process.poll() is None:
            host.process.terminate()
            host.process.wait(60)
        host.close()


def ask(api: httpx.Client, method: str, path: str, said: Any = None) -> Any:
    """Asks Prefect's API, again while its database is locked or it starts again."""
    answers: list[httpx.Response] = []

    def answered() -> bool:
        try:
            answers.append(api.request(method, path, json=said))
        except httpx.TransportError:
            return False
        return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

    wait_for(answered)
    return answers[-1].raise_for_status().json() if answers[-1].content else None


def wait_for(
    there: Callable[[], Any], seconds: float = PATIENCE_SECONDS, instead: Callable[[], Any] = lambda: ""
) -> None:
    """Waits until something is so, or fails with what is so instead."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"it does not come so far: {instead()}"
        time.sleep(0.3)
