"""`make stack`: the production services on this machine in one foreground command; Ctrl-C stops them.

PostgreSQL, the object store and MLflow, with its database and artifacts in both, start before the Prefect server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from refit.errors import StateError
from refit_deployments.cli.options import Debug, Json
from refit_deployments.cli.start_commands import MLFLOW_PORT, PREFECT_PORT
from refit_deployments.local.processes import HOST, Child, url_of
from refit_deployments.local.services import Service, is_healthy
from refit_deployments.local.supervisor import Supervisor
from refit_deployments.local_instance import without_secrets
from refit_deployments.output import Result, command_output
from refit_deployments.production.environment import apply_environment, settings_of, write_environment
from refit_deployments.production.layout import MODELS, Places
from refit_deployments.production.object_store import clear_sockets, make_buckets, objects
from refit_deployments.production.passwords import make_secrets, read_secret
from refit_deployments.production.postgres import postgres
from refit_infra.settings import Settings

OBJECTS_PORT, DATABASE_PORT = 8333, 55432
"""Debian's own cluster listens at 5432."""


def main(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the Prefect server.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the MLflow server.")] = MLFLOW_PORT,
    objects_port: Annotated[int, typer.Option(min=1, max=65528, help="The S3 port; 7 more follow.")] = OBJECTS_PORT,
    database_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of PostgreSQL.")] = DATABASE_PORT,
    workers: Annotated[int, typer.Option(min=1, max=16, help="The number of workers.")] = 2,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Start PostgreSQL, an object store, MLflow, Prefect, workers and all deployments; Ctrl-C stops everything.

    The state is in the directory `stack` of REFIT_HOME and is used again by the next start.
    """
    places = Places(Settings().home / "stack", port, mlflow_port, objects_port, database_port)
    make_secrets(places)
    apply_environment(places)
    del os.environ["PREFECT_API_URL"]  # the server is started here
    with command_output(json, debug, "stack: starting") as output:
        from refit_deployments.local.up import Addresses as Servers
        from refit_deployments.local.up import RunningServices, start_services
        from refit_deployments.production.object_store import clear_sockets

        def show_addresses(running: RunningServices) -> None:
            output.show_result(_describe(places, running.prefect, running.deployments))
            output.show_progress("watching the services")

        servers = Servers("127.0.0.1", places.prefect, places.mlflow)
        start_services(
            servers, "refit", show_addresses, lambda supervisor: start_base_services(supervisor, places), workers
        )
        clear_sockets(places)
        output.show_message("The stack is down.")


def _describe(places: Places, prefect: str, deployments: tuple[str, ...]) -> Result:
    settings, file = settings_of(places), write_environment(places)
    facts = {
        "prefect": prefect,
        "mlflow": settings["MLFLOW_TRACKING_URI"],
        "objects": settings["AWS_ENDPOINT_URL"],
        "database": f"127.0.0.1:{places.database}",
        "environment": str(file),
        "deployments": list(deployments),
    }
    lines = [
        "The stack is up. Ctrl-C stops everything.",
        f"  Prefect       {prefect}, user admin, password in {places.secrets / 'prefect_password'}",
        f"  MLflow        {facts['mlflow']}, user admin, password in {places.secrets / 'mlflow_password'}",
        f"  object store  {facts['objects']}",
        f"  PostgreSQL    {facts['database']}",
        f"  deployments   {', '.join(deployments) or 'none: REFIT_PROJECTS has no project files'}",
        f"  run `. {file}` in a shell to use the stack there",
    ]
    return Result(facts, lines)


if __name__ == "__main__":
    typer.run(main)


def start_base_services(supervisor: Supervisor, places: Places) -> None:
    """Starts PostgreSQL, the object store and MLflow, and waits until they are ready.

    Args:
        supervisor: Supervises them, and stops them after the services that start later.
        places: The ports and directories.

    Raises:
        StateError: If a service is not installed, its port or socket is taken, or it does not start.
    """
    places.require_free_ports()
    clear_sockets(places)
    store = [postgres(places), objects(places)]
    for service in store:
        supervisor.start(service)
    for service in store:
        supervisor.wait_until_ready(service)
    make_buckets(places)
    _make_ledger(places)
    supervisor.start(mlflow := tracking(places))
    supervisor.wait_until_ready(mlflow)


def _make_ledger(places: Places) -> None:
    """Creates the ledger's tables as their owner; where there are some, the hash chain is verified."""
    command = [sys.executable, "-c", "from refit_deployments.main import main; main()", "ledger", "verify"]
    owner = {"REFIT_DATABASE_URL": read_secret(places, "refit_owner_url")}
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        command, env={**os.environ, **owner}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StateError(f"the ledger of the stack cannot be used: {done.stderr.strip().removeprefix('refit: ')}")


def tracking(places: Places) -> Service:
    """Defines the MLflow server, which serves the artifacts, so that clients need no key of the object store.

    Args:
        places: The ports and directories; PostgreSQL and the object store are running.

    Returns:
        The service, not started.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server", f"--host={HOST}", f"--port={places.mlflow}", "--workers=1"),
        *("--app-name=basic-auth", f"--artifacts-destination=s3://{MODELS}"),
    ]
    own = {
        "MLFLOW_BACKEND_STORE_URI": read_secret(places, "mlflow_database_uri"),
        "MLFLOW_AUTH_CONFIG_PATH": str(places.secrets / "mlflow_auth"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": read_secret(places, "mlflow_password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": read_secret(places, "mlflow_session_key"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_S3_ENDPOINT_URL": url_of(HOST, places.objects),
        "AWS_ACCESS_KEY_ID": read_secret(places, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY": read_secret(places, "s3_secret_key"),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment = {**without_secrets(inherited, ()), **own}
    child = Child("MLflow", command, environment, places.home / "logs" / "mlflow.log")
    address = url_of(HOST, places.mlflow)
    return Service(child, address, lambda: is_healthy(f"{address}/health"))
