"""`refit up`: Prefect, MLflow, a worker and all deployments in one foreground command."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import psutil
from prefect.settings import PREFECT_API_URL, temporary_settings

from refit_deployments import local_instance as already_up
from refit_deployments.local.processes import address_of, end, insist_free
from refit_deployments.local.services import Service, is_online, mlflow_server, prefect_server, worker
from refit_deployments.local.supervisor import Stack, Stopped
from refit_deployments.local_instance import MLFLOW, Note, require_passwords
from refit_deployments.prefect_server.deploy import Following, sync_deployments
from refit_infra.settings import Settings, public_url
from refit_tasks.registry.mlflow_client import configure_accounts, open_mlflow

log = logging.getLogger("refit_deployments.local.up")

PROCESS = "process"
A_SECOND = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Running:
    """What is ready."""

    prefect: str
    """Where a person opens Prefect's UI."""
    mlflow: str
    """Where a person opens MLflow's UI."""
    pool: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the servers listen that are started here."""

    host: str
    port: int
    """Of Prefect's server."""
    mlflow_port: int
    """Of MLflow's UI."""


def no_op(_stack: Stack) -> None:
    """Begins nothing: the databases are files, or others' business."""


def up(
    places: Places,
    pool: str,
    ready: Callable[[Running], None],
    beneath: Callable[[Stack], None] = no_op,
    workers: int = 1,
) -> None:
    """Starts all that is needed to watch models on this machine, and watches over it until somebody asks to stop.

    Args:
        places: Where Prefect's server listens, unless one is named in PREFECT_API_URL, and MLflow's UI, unless one is
            named in MLFLOW_TRACKING_URI.
        pool: The work pool.
        ready: Called once when all of it is ready.
        beneath: Begins what Prefect's server stands on.
        workers: How many.

    Raises:
        StateError: If one is running already, a port is taken, others could reach a server that asks nobody for a
            password, or a service does not start.
    """
    require_passwords(places.host, prefect=not PREFECT_API_URL.value(), mlflow=not Settings().tracking_uri)
    with already_up.single_instance() as crashed:
        if crashed:
            _sweep(crashed)
        joined = PREFECT_API_URL.value()
        # The end needs the server's address, too: killed runs are told of there.
        with (
            temporary_settings({PREFECT_API_URL: joined or f"{address_of(places.host, places.port)}/api"}),
            tempfile.TemporaryDirectory(prefix="refit-") as scratch,
            _ended_together() as stack,
            suppress(Stopped),
        ):
            _insist_free(places, prefect=not joined)
            beneath(stack)
            server = None if joined else _begun(stack, prefect_server(places.host, places.port))
            _run(stack, server, places, pool, ready, workers, scratch)


def _run(
    stack: Stack,
    server: Service | None,
    places: Places,
    pool: str,
    ready: Callable[[Running], None],
    workers: int,
    scratch: str,
) -> None:
    api, tracking = str(PREFECT_API_URL.value()), Settings().tracking_uri
    ui = None if tracking else _begun(stack, _mlflow(places))
    mlflow = ui.address if ui else tracking
    if server:
        stack.wait_for(server)
    files = Following(pool)
    deployments = sync_deployments(pool, PROCESS)
    working = [
        _begun(stack, worker(api, pool, mlflow, lambda name: is_online(pool, name), scratch, number + 1))
        for number in range(workers)
    ]
    stack.note(api, mlflow)
    for service in filter(None, (ui, *working)):
        stack.wait_for(service)
    ready(
        Running(public_url(api.removesuffix("/api")), public_url(mlflow), pool, tuple(one.name for one in deployments))
    )
    stack.watch(now_and_then=files.look)


def _mlflow(places: Places) -> Service:
    open_mlflow()  # makes the database, which two processes must not do at once
    password = os.environ.get(MLFLOW)
    return mlflow_server(places.host, places.mlflow_port, configure_accounts(password) if password else None)


def _insist_free(places: Places, *, prefect: bool) -> None:
    """Looks at both ports before anything is started."""
    if prefect:
        insist_free(places.host, places.port, "--port")
    if not Settings().tracking_uri:
        insist_free(places.host, places.mlflow_port, "--mlflow-port")


def _begun(stack: Stack, service: Service) -> Service:
    stack.begin(service)
    return service


@contextmanager
def _ended_together() -> Iterator[Stack]:
    """Gives a stack that a signal asks to stop, and that is ended when the block ends."""
    stack = Stack()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stack.stopping.set()

    former = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield stack
    finally:
        stack.end()
        for number, handler in former.items():
            signal.signal(number, handler)


def _sweep(crashed: Note) -> None:
    """Ends what a killed `refit up` has left running: the very processes that it had started, and no others."""
    left = [process for pid, begun in crashed.children if (process := _same(pid, begun))]
    if left:
        log.info("ending %d processes of a `refit up` that was killed", len(left))
        end(left)


def _same(pid: int, begun: float) -> psutil.Process | None:
    """Finds a process by its id and the time it began at: ids are given again."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if abs(process.create_time() - begun) < A_SECOND else None
