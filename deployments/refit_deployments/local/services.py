"""The services of `refit up`: Prefect server, MLflow server and worker, each with a command and a health check."""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client

from refit_deployments.local.processes import EVERYWHERE, HOST, Child, url_of
from refit_deployments.local_instance import (
    MLFLOW,
    MLFLOW_SIGNING,
    PREFECT,
    PREFECT_CLIENT,
    signing_key,
    without_secrets,
)
from refit_deployments.output import SAFE_PATH
from refit_deployments.prefect_server.plan import HEARTBEAT_SECONDS
from refit_infra.loopback import is_loopback
from refit_infra.secrets import SECRETS
from refit_infra.settings import Settings

HEALTH_TIMEOUT_SECONDS = 2.0
QUERY_SECONDS = 2
"""The interval in which the worker asks for due runs."""
WORKER = "worker"
PREFECT_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
SERVERS = {PREFECT, PREFECT_DATABASE, MLFLOW, MLFLOW_SIGNING, "MLFLOW_BACKEND_STORE_URI"}
"""The secrets of servers, which a worker must not get: a project file can print its environment."""
OWN_SETTINGS = (
    *("PREFECT_API_URL", "PREFECT_UI_URL", "PREFECT_SERVER_API_PORT", "REFIT_HOME", "REFIT_PROJECTS", "TMPDIR"),
    SAFE_PATH,
)
"""The settings that `refit up` decides, even where the environment has another value."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process of `refit up` with its health check."""

    child: Child
    address: str
    """The address for people, or a name."""
    ready: Callable[[], bool]


def prefect_server(host: str, port: int) -> Service:
    """Defines the Prefect server.

    Args:
        host: The address to listen on.
        port: The port.

    Returns:
        The service, not started.
    """
    address = url_of(host, port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    own = {
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        # Without this, any web page in a browser on this machine could read and change everything.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address},http://localhost:{port}",
        # Without this, a healthy run that holds a slot during a server restart would be marked Crashed.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # The newer UI contacts an analytics host even with analytics off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        # Other machines reach the server by another address than this machine.
        **({} if is_loopback(host) else {"PREFECT_UI_API_URL": "/api"}),
    }
    known = (PREFECT, PREFECT_CLIENT, PREFECT_DATABASE)
    child = Child("Prefect server", command, _environment(own, known), _log("prefect-server"))
    return Service(child, address, lambda: is_healthy(f"{address}/api/ready"))


def mlflow_server(host: str, port: int, accounts: Path | None) -> Service:
    """Defines the MLflow server on the embedded store.

    Args:
        host: The address to listen on.
        port: The port.
        accounts: The configuration of its user accounts; `None` without authentication.

    Returns:
        The service, not started.
    """
    address, settings = url_of(host, port), Settings()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.mlflow, "--default-artifact-root", settings.mlflow_artifacts]
    command += ["--no-serve-artifacts"]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **_allowed_hosts(host, port)}
    if accounts:
        command += ["--app-name", "basic-auth"]
        own |= {"MLFLOW_AUTH_CONFIG_PATH": str(accounts), MLFLOW_SIGNING: signing_key()}
    child = Child("MLflow", command, _environment(own, (MLFLOW_SIGNING,)), _log("mlflow"))
    return Service(child, address, lambda: is_healthy(f"{address}/health"))


def worker(api: str, pool: str, mlflow: str, online: Callable[[str], bool], scratch: str, number: int = 1) -> Service:
    """Defines a process worker that runs the flows.

    The worker has its own temporary directory, since Prefect's workers of all users of a machine share one directory
    below the default one, and it belongs to the first user.

    Args:
        api: The address of Prefect's API.
        pool: The work pool.
        mlflow: The address of the MLflow server, for links in reports.
        online: Tells whether a worker of that name is online.
        scratch: The temporary directory of the worker and its runs.
        number: The number of this worker, from 1.

    Returns:
        The service, not started.
    """
    settings, known_as = Settings(), WORKER if number == 1 else f"{WORKER}-{number}"
    name = f"refit-{socket.gethostname()}-{os.getpid()}" + known_as.removeprefix(WORKER)
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    command += ["--name", name]
    own = {
        "PREFECT_API_URL": api,
        "PREFECT_UI_URL": api.removesuffix("/api"),
        "PREFECT_WORKER_QUERY_SECONDS": str(QUERY_SECONDS),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        # A server that restarts is away for some seconds, and no run should fail for that.
        "PREFECT_CLIENT_MAX_RETRIES": "12",
        "REFIT_HOME": str(settings.home),
        "REFIT_PROJECTS": str(settings.projects),
        "REFIT_MLFLOW_URL": mlflow,
        "TMPDIR": scratch,
        # Unset for flows: a user's own flow may import from its working directory.
        SAFE_PATH: "",
    }
    child = Child(known_as, command, _environment(own, set(SECRETS) - SERVERS), _log(known_as))
    return Service(child, f"work pool {pool}", lambda: online(name))


def is_online(pool: str, name: str) -> bool:
    """Tells whether a worker is online.

    Args:
        pool: Its work pool.
        name: Its name.

    Returns:
        Whether the Prefect server has a recent heartbeat of it.
    """
    with get_client(sync_client=True) as client:
        chosen = {"workers": {"status": {"any_": ["ONLINE"]}}}
        path = {"work_pool_name": pool}
        found = client.request("POST", "/work_pools/{work_pool_name}/workers/filter", path_params=path, json=chosen)
        return any(one["name"] == name for one in found.json())


def is_healthy(address: str) -> bool:
    """Requests a health endpoint.

    Args:
        address: Its URL.

    Returns:
        Whether the response is a success.
    """
    try:
        with urllib.request.urlopen(address, timeout=HEALTH_TIMEOUT_SECONDS):  # noqa: S310 - our own loopback address
            return True  # any other status raises
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _allowed_hosts(host: str, port: int) -> dict[str, str]:
    """Allows requests to the address that MLflow listens on; by default it allows loopback and private addresses."""
    if host in (HOST, *EVERYWHERE):
        return {}
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:{port},{urlsplit(url_of(host, port)).netloc}"}


def _environment(own: dict[str, str], known: Iterable[str]) -> dict[str, str]:
    """Merges our settings with the user's, which win except for addresses; only the known secrets are kept."""
    where = {name: own[name] for name in own if name in OWN_SETTINGS}
    return without_secrets({**own, **os.environ, **where}, known)


def _log(name: str) -> Path:
    return Settings().home / "logs" / f"{name}.log"
