"""What `refit up` runs: Prefect's server, MLflow's, and a worker, each with its command, its settings and its sign."""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect.client.orchestration import get_client

from deployments.children import Child
from deployments.plan import HEARTBEAT_SECONDS
from infra.settings import Settings
from refit.errors import StateError

HOST = "127.0.0.1"
"""The loopback interface alone: neither server asks who is there."""
A_LOOK_SECONDS = 2.0
QUERY_SECONDS = 2
"""How often the worker asks for runs that are due."""
WORKER = "worker"
PLACES = ("PREFECT_API_URL", "PREFECT_UI_URL", "PREFECT_SERVER_API_PORT", "REFIT_HOME", "REFIT_PROJECTS")
"""Settings that say where things are: what `refit up` has found goes before what the environment says."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process of `refit up`, and how to tell that it is ready."""

    child: Child
    address: str
    """What a person opens, or reads."""
    ready: Callable[[], bool]


def prefect_server(port: int) -> Service:
    """Prefect's server on this machine.

    Args:
        port: Its port.

    Returns:
        The service, not started.
    """
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    own = {
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        # A run that holds a slot while the server starts again would otherwise be marked Crashed though it is fine.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # The newer UI asks an analytics host for leave even with analytics off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }
    child = Child("Prefect server", command, _with(own), _log("prefect-server"))
    return Service(child, address, lambda: _answers(f"{address}/api/ready"))


def mlflow_server(port: int) -> Service:
    """MLflow's UI on the embedded store.

    Args:
        port: Its port.

    Returns:
        The service, not started.
    """
    address, settings = f"http://{HOST}:{port}", Settings()
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.mlflow, "--default-artifact-root", settings.mlflow_artifacts]
    command += ["--no-serve-artifacts"]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    child = Child("MLflow", command, _with(own), _log("mlflow"))
    return Service(child, address, lambda: _answers(f"{address}/health"))


def worker(api: str, pool: str, mlflow: str, online: Callable[[str], bool]) -> Service:
    """A process worker that runs the flows.

    Args:
        api: The address of Prefect's API.
        pool: The work pool.
        mlflow: The address of MLflow's UI, for the links in reports.
        online: Tells whether the server has heard of a worker of that name.

    Returns:
        The service, not started.
    """
    settings, name = Settings(), f"refit-{socket.gethostname()}-{os.getpid()}"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name]
    own = {
        "PREFECT_API_URL": api,
        "PREFECT_UI_URL": api.removesuffix("/api"),
        "PREFECT_WORKER_QUERY_SECONDS": str(QUERY_SECONDS),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        # A server that starts again is away for some seconds; a run should not fail over that.
        "PREFECT_CLIENT_MAX_RETRIES": "12",
        "REFIT_HOME": str(settings.home),
        "REFIT_PROJECTS": str(settings.projects),
        "REFIT_MLFLOW_URL": mlflow,
    }
    child = Child(WORKER, command, _with(own), _log("worker"))
    return Service(child, f"work pool {pool}", lambda: online(name))


def is_online(pool: str, name: str) -> bool:
    """Tells whether Prefect's server has heard of a worker lately.

    Args:
        pool: Its work pool.
        name: Its name.

    Returns:
        True if it is online.
    """
    with get_client(sync_client=True) as client:
        chosen = {"workers": {"status": {"any_": ["ONLINE"]}}}
        path = {"work_pool_name": pool}
        found = client.request("POST", "/work_pools/{work_pool_name}/workers/filter", path_params=path, json=chosen)
        return any(one["name"] == name for one in found.json())


def insist_free(port: int, option: str) -> None:
    """Makes sure that a port can be had.

    Args:
        port: The port.
        option: The option that names it.

    Raises:
        StateError: If something listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StateError(
                f"port {port} cannot be used ({error.strerror}): stop what listens there, or name another one by "
                f"{option}"
            ) from error


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=A_LOOK_SECONDS):  # noqa: S310 - our own loopback address
            return True  # what is no success is raised
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _with(own: dict[str, str]) -> dict[str, str]:
    """What the user has set goes before what we would set, but for where things are."""
    where = {name: own[name] for name in own if name in PLACES}
    return {**own, **os.environ, **where}


def _log(name: str) -> Path:
    return Settings().home / "logs" / f"{name}.log"
