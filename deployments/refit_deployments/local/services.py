"""What `refit up` runs: Prefect's server, MLflow's, and a worker, each with its command, its settings and its sign."""

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

from refit_deployments.local.processes import EVERYWHERE, HOST, Child, address_of
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

A_LOOK_SECONDS = 2.0
QUERY_SECONDS = 2
"""How often the worker asks for runs that are due."""
WORKER = "worker"
PREFECT_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
SERVERS = {PREFECT, PREFECT_DATABASE, MLFLOW, MLFLOW_SIGNING, "MLFLOW_BACKEND_STORE_URI"}
"""Secrets that are for servers alone; what a flow runs with may be printed by a project file."""
PLACES = (
    *("PREFECT_API_URL", "PREFECT_UI_URL", "PREFECT_SERVER_API_PORT", "REFIT_HOME", "REFIT_PROJECTS", "TMPDIR"),
    SAFE_PATH,
)
"""Settings that say where things are: what `refit up` has found goes before what the environment says."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process of `refit up`, and how to tell that it is ready."""

    child: Child
    address: str
    """What a person opens, or reads."""
    ready: Callable[[], bool]


def prefect_server(host: str, port: int) -> Service:
    """Prefect's server on this machine.

    Args:
        host: The address it listens at.
        port: Its port.

    Returns:
        The service, not started.
    """
    address = address_of(host, port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    own = {
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        # Otherwise any page that a browser on this machine shows could read and change all of it.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address},http://localhost:{port}",
        # A run that holds a slot while the server starts again would otherwise be marked Crashed though it is fine.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # The newer UI asks an analytics host for leave even with analytics off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        # Where others see it, the address is not the one by which this machine reaches it.
        **({} if is_loopback(host) else {"PREFECT_UI_API_URL": "/api"}),
    }
    known = (PREFECT, PREFECT_CLIENT, PREFECT_DATABASE)
    child = Child("Prefect server", command, _with(own, known), _log("prefect-server"))
    return Service(child, address, lambda: answers(f"{address}/api/ready"))


def mlflow_server(host: str, port: int, accounts: Path | None) -> Service:
    """MLflow's UI on the embedded store.

    Args:
        host: The address it listens at.
        port: Its port.
        accounts: The configuration that says who may open it; `None` if anybody may.

    Returns:
        The service, not started.
    """
    address, settings = address_of(host, port), Settings()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.mlflow, "--default-artifact-root", settings.mlflow_artifacts]
    command += ["--no-serve-artifacts"]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **_named(host, port)}
    if accounts:
        command += ["--app-name", "basic-auth"]
        own |= {"MLFLOW_AUTH_CONFIG_PATH": str(accounts), MLFLOW_SIGNING: signing_key()}
    child = Child("MLflow", command, _with(own, (MLFLOW_SIGNING,)), _log("mlflow"))
    return Service(child, address, lambda: answers(f"{address}/health"))


def worker(api: str, pool: str, mlflow: str, online: Callable[[str], bool], scratch: str, number: int = 1) -> Service:
    """A process worker that runs the flows.

    Prefect's workers of all users of a machine share one directory beneath the temporary one, which belongs to whoever
    was first: so this one has a temporary directory of its own.

    Args:
        api: The address of Prefect's API.
        pool: The work pool.
        mlflow: The address of MLflow's UI, for the links in reports.
        online: Tells whether the server has heard of a worker of that name.
        scratch: A directory for what it and its runs put aside for a while.
        number: Which of several it is.

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
        # A server that starts again is away for some seconds; a run should not fail over that.
        "PREFECT_CLIENT_MAX_RETRIES": "12",
        "REFIT_HOME": str(settings.home),
        "REFIT_PROJECTS": str(settings.projects),
        "REFIT_MLFLOW_URL": mlflow,
        "TMPDIR": scratch,
        # For the worker alone: a flow of the user's own that it runs may import from the directory that it runs in.
        SAFE_PATH: "",
    }
    child = Child(known_as, command, _with(own, set(SECRETS) - SERVERS), _log(known_as))
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


def answers(address: str) -> bool:
    """Tells whether a server of ours says that it is well.

    Args:
        address: What to ask.

    Returns:
        True if it answers with success.
    """
    try:
        with urllib.request.urlopen(address, timeout=A_LOOK_SECONDS):  # noqa: S310 - our own loopback address
            return True  # what is no success is raised
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _named(host: str, port: int) -> dict[str, str]:
    """Has MLflow answer by the address it listens at; by default it does so by those of this machine and of a LAN."""
    if host in (HOST, *EVERYWHERE):
        return {}
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:{port},{urlsplit(address_of(host, port)).netloc}"}


def _with(own: dict[str, str], known: Iterable[str]) -> dict[str, str]:
    """What the user has set goes before what we would set, but for where things are; of secrets, what it must know."""
    where = {name: own[name] for name in own if name in PLACES}
    return without_secrets({**own, **os.environ, **where}, known)


def _log(name: str) -> Path:
    return Settings().home / "logs" / f"{name}.log"
