"""The services of one `refit up`, watched over: what dies is started again, and all of them end together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import httpx
import psutil

from refit.errors import StateError
from refit_deployments import local_instance as already_up
from refit_deployments.local.services import WORKER, Service
from refit_deployments.local_instance import Note
from refit_tasks.maintenance.doctor import mark_killed

log = logging.getLogger("refit_deployments.local.up")

START_SECONDS = 180
LOOK_SECONDS = 0.5
ROUND_SECONDS = 5.0
"""How often to look for runs that were killed, and at the project files."""
LIVES = 3
"""A service that dies so often within `SPAN_SECONDS` will not get better by being started again."""
SPAN_SECONDS = 120.0


class Stopped(Exception):
    """Somebody asked to stop before all was ready."""


class Stack:
    """The services of one `refit up`, and who watches over them."""

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._deaths: dict[str, list[float]] = {}
        self._marked: set[str] = set()
        self._addresses: tuple[str, str | None] = ("", None)
        self.stopping = threading.Event()

    def begin(self, service: Service) -> None:
        """Starts a service; it is watched and ended with the others.

        Args:
            service: The service.
        """
        self._services.append(service)
        self._start(service)

    def wait_for(self, service: Service) -> None:
        """Waits until a service is ready.

        Args:
            service: A service that has begun.

        Raises:
            StateError: If it ends, or is not ready in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not service.ready():
            if service.child.exit_code is not None or time.monotonic() > deadline:
                raise StateError(f"{service.child.name} does not start: {_reason(service)}")
            if self.stopping.wait(LOOK_SECONDS):
                raise Stopped
        log.info("%s is ready: %s", service.child.name, service.address)

    def note(self, prefect: str, mlflow: str | None) -> None:
        """Tells others what runs here.

        Args:
            prefect: The address of Prefect's API.
            mlflow: The address of MLflow's UI.
        """
        self._addresses = (prefect, mlflow)
        self._write()

    def _start(self, service: Service) -> None:
        service.child.start()
        self._write()

    def _write(self) -> None:
        """Says of each process that runs, from its first moment on, what to end for whoever comes after a crash."""
        pids = [one.child.process.pid for one in self._services if one.child.process]
        begun = [(pid, psutil.Process(pid).create_time()) for pid in pids if psutil.pid_exists(pid)]
        already_up.write(Note(psutil.Process().pid, *self._addresses, tuple(begun)))

    def watch(self, now_and_then: Callable[[], None]) -> None:
        """Starts again what dies, and marks killed runs, until somebody asks to stop.

        Args:
            now_and_then: Called every few seconds.

        Raises:
            StateError: If a service dies again and again.
        """
        looked = time.monotonic()
        while not self.stopping.wait(LOOK_SECONDS):
            for service in self._services:
                if service.child.exit_code is not None:
                    self._revive(service)
            if time.monotonic() - looked > ROUND_SECONDS:
                self._mark_killed()
                now_and_then()
                looked = time.monotonic()

    def end(self) -> None:
        """Ends all services, the last one first."""
        for service in reversed(self._services):
            if service.child.process:
                log.info("stopping %s", service.child.name)
                service.child.stop()
                if service.child.name.startswith(WORKER):
                    self._mark_killed()  # while the server can still be told
        self._services.clear()

    def _revive(self, service: Service) -> None:
        now = time.monotonic()
        deaths = [at for at in self._deaths.get(service.child.name, []) if now - at < SPAN_SECONDS] + [now]
        self._deaths[service.child.name] = deaths
        if len(deaths) > LIVES:
            raise StateError(f"{service.child.name} has died {len(deaths)} times in a row: {_reason(service)}")
        log.info("%s has died (exit code %s): starting it again", service.child.name, service.child.exit_code)
        self._start(service)
        self.wait_for(service)

    def _mark_killed(self) -> None:
        """Tells Prefect; a server that has just been started, or is about to end, may not listen."""
        try:
            told = mark_killed(self._marked)
        except httpx.HTTPError as fault:
            log.warning("Prefect could not be told of a killed run yet: %s", str(fault).partition("\n")[0])
            return
        for run in told:
            log.info("%s of %s was killed: Prefect shows it as Crashed", run.flow, run.project)


def _reason(service: Service) -> str:
    words = service.child.last_words()
    return f"its log, {service.child.log}, ends with {words[:200]!r}" if words else f"its log is {service.child.log}"
