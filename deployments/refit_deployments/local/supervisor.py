"""The supervisor of `refit up`: restarts a service that ends, and stops all services together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import httpx
import psutil

from refit.errors import StateError
from refit_deployments.local.services import WORKER, Service
from refit_deployments.local_instance import RunningInstance, write_instance
from refit_tasks.maintenance.doctor import mark_killed_runs

log = logging.getLogger("refit_deployments.local.up")

START_SECONDS = 180
CHECK_SECONDS = 0.5
ROUND_SECONDS = 5.0
"""The interval in which killed runs and changed project files are looked for."""
RESTARTS = 3
"""A service that ends more often than this within `SPAN_SECONDS` is not restarted again."""
SPAN_SECONDS = 120.0


class StopRequested(Exception):
    """A signal stopped `refit up` before all services were ready."""


class Supervisor:
    """The services of one `refit up`."""

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._ends: dict[str, list[float]] = {}
        self._marked: set[str] = set()
        self._addresses: tuple[str, str | None] = ("", None)
        self.stopping = threading.Event()

    def start(self, service: Service) -> None:
        """Starts a service, which is then supervised.

        Args:
            service: The service.
        """
        self._services.append(service)
        self._start_child(service)

    def wait_until_ready(self, service: Service) -> None:
        """Waits until a service is ready.

        Args:
            service: A started service.

        Raises:
            StateError: If the service ends, or is not ready in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not service.ready():
            if service.child.exit_code is not None or time.monotonic() > deadline:
                raise StateError(f"{service.child.name} does not start: {_describe_log(service)}")
            if self.stopping.wait(CHECK_SECONDS):
                raise StopRequested
        log.info("%s is ready: %s", service.child.name, service.address)

    def publish(self, prefect: str, mlflow: str | None) -> None:
        """Publishes the addresses to other commands of this home.

        Args:
            prefect: The address of Prefect's API.
            mlflow: The address of the MLflow server.
        """
        self._addresses = (prefect, mlflow)
        self._write_file()

    def _start_child(self, service: Service) -> None:
        service.child.start()
        self._write_file()

    def _write_file(self) -> None:
        """Records each process from its start, so that the next `refit up` can stop it after a crash."""
        pids = [one.child.process.pid for one in self._services if one.child.process]
        begun = [(pid, psutil.Process(pid).create_time()) for pid in pids if psutil.pid_exists(pid)]
        write_instance(RunningInstance(psutil.Process().pid, *self._addresses, tuple(begun)))

    def supervise(self, each_round: Callable[[], None]) -> None:
        """Restarts services that end, and marks killed runs, until a signal arrives.

        Args:
            each_round: Called every few seconds.

        Raises:
            StateError: If a service ends too often.
        """
        looked = time.monotonic()
        while not self.stopping.wait(CHECK_SECONDS):
            for service in self._services:
                if service.child.exit_code is not None:
                    self._restart(service)
            if time.monotonic() - looked > ROUND_SECONDS:
                self._mark_killed()
                each_round()
                looked = time.monotonic()

    def stop(self) -> None:
        """Stops all services, the newest first."""
        for service in reversed(self._services):
            if service.child.process:
                log.info("stopping %s", service.child.name)
                service.child.stop()
                if service.child.name.startswith(WORKER):
                    self._mark_killed()  # while the server still runs
        self._services.clear()

    def _restart(self, service: Service) -> None:
        now = time.monotonic()
        ends = [at for at in self._ends.get(service.child.name, []) if now - at < SPAN_SECONDS] + [now]
        self._ends[service.child.name] = ends
        if len(ends) > RESTARTS:
            raise StateError(
                f"{service.child.name} ended {len(ends)} times in {SPAN_SECONDS:.0f} s: {_describe_log(service)}"
            )
        log.info("%s ended with exit code %s: restarting it", service.child.name, service.child.exit_code)
        self._start_child(service)
        self.wait_until_ready(service)

    def _mark_killed(self) -> None:
        """Marks killed runs in Prefect, whose server may not respond during its start or end."""
        try:
            marked = mark_killed_runs(self._marked)
        except httpx.HTTPError as fault:
            log.warning("a killed run is not marked in Prefect yet: %s", str(fault).partition("\n")[0])
            return
        for run in marked:
            log.info("%s of %s was killed: it is marked Crashed in Prefect", run.flow, run.project)


def _describe_log(service: Service) -> str:
    line = service.child.last_log_line()
    return f"its log, {service.child.log}, ends with {line[:200]!r}" if line else f"its log is {service.child.log}"
