"""`refit up`: Prefect, MLflow, a worker and all deployments in one foreground command."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import psutil
from prefect.settings import PREFECT_API_URL, temporary_settings

from refit_deployments.local.processes import require_free_port, stop_processes, url_of
from refit_deployments.local.services import Service, is_online, mlflow_server, prefect_server, worker
from refit_deployments.local.supervisor import StopRequested, Supervisor
from refit_deployments.local_instance import MLFLOW, RunningInstance, require_passwords, single_instance
from refit_deployments.prefect_server.deploy import ProjectFileWatcher, sync_deployments
from refit_infra.settings import Settings, public_url
from refit_tasks.registry.mlflow_client import configure_accounts, open_mlflow
from refit_tasks.scratch import scratch_area

log = logging.getLogger("refit_deployments.local.up")

PROCESS = "process"
CLOCK_TOLERANCE_SECONDS = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class RunningServices:
    """The services that are ready, by the addresses for people."""

    prefect: str
    """The address of the Prefect UI."""
    mlflow: str
    """The address of the MLflow UI."""
    pool: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses that the new servers listen on."""

    host: str
    port: int
    """The port of the Prefect server."""
    mlflow_port: int
    """The port of the MLflow server."""


def no_op(_supervisor: Supervisor) -> None:
    """Starts no service before Prefect: the databases are files, or run elsewhere."""


def start_services(
    addresses: Addresses,
    pool: str,
    on_ready: Callable[[RunningServices], None],
    start_first: Callable[[Supervisor], None] = no_op,
    workers: int = 1,
) -> None:
    """Starts all services on this machine, and supervises them until a signal arrives.

    Args:
        addresses: Of the Prefect server, unless PREFECT_API_URL names one, and of the MLflow server, unless
            MLFLOW_TRACKING_URI names one.
        pool: The work pool.
        on_ready: Called once, when all services are ready.
        start_first: Starts the services that the Prefect server needs.
        workers: The number of workers.

    Raises:
        StateError: If a `refit up` is already running, a port is taken, a server that other machines can reach has no
            password, or a service does not start.
    """
    require_passwords(addresses.host, prefect=not PREFECT_API_URL.value(), mlflow=not Settings().tracking_uri)
    with single_instance() as crashed:
        if crashed:
            _stop_leftovers(crashed)
        joined = PREFECT_API_URL.value()
        # The supervisor needs the server's address until its end, to mark killed runs.
        with (
            temporary_settings({PREFECT_API_URL: joined or f"{url_of(addresses.host, addresses.port)}/api"}),
            scratch_area("up") as scratch,
            _stopped_together() as supervisor,
            suppress(StopRequested),
        ):
            _require_free_ports(addresses, prefect=not joined)
            start_first(supervisor)
            server = None if joined else _start(supervisor, prefect_server(addresses.host, addresses.port))
            _run(supervisor, server, addresses, pool, on_ready, workers, str(scratch))


def _run(
    supervisor: Supervisor,
    server: Service | None,
    addresses: Addresses,
    pool: str,
    on_ready: Callable[[RunningServices], None],
    workers: int,
    scratch: str,
) -> None:
    api, tracking = str(PREFECT_API_URL.value()), Settings().tracking_uri
    ui = None if tracking else _start(supervisor, _mlflow(addresses))
    mlflow = ui.address if ui else tracking
    if server:
        supervisor.wait_until_ready(server)
    files = ProjectFileWatcher(pool)
    deployments = sync_deployments(pool, PROCESS)
    working = [
        _start(supervisor, worker(api, pool, mlflow, lambda name: is_online(pool, name), scratch, number + 1))
        for number in range(workers)
    ]
    supervisor.publish(api, mlflow)
    for service in filter(None, (ui, *working)):
        supervisor.wait_until_ready(service)
    on_ready(
        RunningServices(
            public_url(api.removesuffix("/api")), public_url(mlflow), pool, tuple(one.name for one in deployments)
        )
    )
    supervisor.supervise(each_round=files.deploy_changes)


def _mlflow(addresses: Addresses) -> Service:
    open_mlflow()  # creates the database, which two processes must not do at once
    password = os.environ.get(MLFLOW)
    return mlflow_server(addresses.host, addresses.mlflow_port, configure_accounts(password) if password else None)


def _require_free_ports(addresses: Addresses, *, prefect: bool) -> None:
    """Checks both ports before any service is started."""
    if prefect:
        require_free_port(addresses.host, addresses.port, "--port")
    if not Settings().tracking_uri:
        require_free_port(addresses.host, addresses.mlflow_port, "--mlflow-port")


def _start(supervisor: Supervisor, service: Service) -> Service:
    supervisor.start(service)
    return service


@contextmanager
def _stopped_together() -> Iterator[Supervisor]:
    """Gives a supervisor that a signal stops, and whose services stop at the end of the block."""
    supervisor = Supervisor()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping.set()

    former = {number: signal.signal(number, request_stop) for number in SIGNALS}
    try:
        yield supervisor
    finally:
        supervisor.stop()
        for number, handler in former.items():
            signal.signal(number, handler)


def _stop_leftovers(crashed: RunningInstance) -> None:
    """Stops the processes that a killed `refit up` left running, and no others."""
    left = [process for pid, begun in crashed.children if (process := _find_process(pid, begun))]
    if left:
        log.info("stopping %d processes of a killed `refit up`", len(left))
        stop_processes(left)


def _find_process(pid: int, begun: float) -> psutil.Process | None:
    """Finds a process by its id and its start time, since ids are reused."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if abs(process.create_time() - begun) < CLOCK_TOLERANCE_SECONDS else None
