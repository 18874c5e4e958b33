"""`make stack`: all of production on this machine, in one foreground command; Ctrl-C stops it.

What has to run before Prefect's server can: PostgreSQL, the object store, MLflow.

MLflow's server of the stack: its database in PostgreSQL, its artifacts in the object store, and a password.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from refit.errors import StateError
from refit_deployments.cli.options import Debug, Json
from refit_deployments.cli.server_commands import MLFLOW_PORT, PREFECT_PORT
from refit_deployments.local.processes import HOST, Child, address_of
from refit_deployments.local.services import Service, answers
from refit_deployments.local.supervisor import Stack
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
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of Prefect's server.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of MLflow's server.")] = MLFLOW_PORT,
    objects_port: Annotated[int, typer.Option(min=1, max=65528, help="The S3 port; the next 7 too.")] = OBJECTS_PORT,
    database_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of PostgreSQL.")] = DATABASE_PORT,
    workers: Annotated[int, typer.Option(min=1, max=16, help="How many workers.")] = 2,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Start PostgreSQL, an object store, MLflow, Prefect, workers and all deployments; Ctrl-C stops all of it.

    Its state lies in the directory `stack` of REFIT_HOME, and a second start goes on with it.
    """
    places = Places(Settings().home / "stack", port, mlflow_port, objects_port, database_port)
    make_secrets(places)
    apply_environment(places)
    del os.environ["PREFECT_API_URL"]  # it is started here, and not joined
    with command_output(json, debug, "stack: starting") as output:
        from refit_deployments.local.up import Places as Servers
        from refit_deployments.local.up import Running, up
        from refit_deployments.production.object_store import clear_sockets

        def ready(running: Running) -> None:
            output.show(_answer(places, running.prefect, running.deployments))
            output.go_on("watching")

        servers = Servers("127.0.0.1", places.prefect, places.mlflow)
        up(servers, "refit", ready, beneath=lambda stack: start_base_services(stack, places), workers=workers)
        clear_sockets(places)
        output.say("The stack is down.")


def _answer(places: Places, prefect: str, deployments: tuple[str, ...]) -> Result:
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
        "The stack is up. Ctrl-C stops all of it.",
        f"  Prefect       {prefect}, as admin, with what {places.secrets / 'prefect_password'} holds",
        f"  MLflow        {facts['mlflow']}, as admin, with what {places.secrets / 'mlflow_password'} holds",
        f"  object store  {facts['objects']}",
        f"  PostgreSQL    {facts['database']}",
        f"  deployed      {', '.join(deployments) or 'nothing: there are no project files'}",
        f"  `. {file}` in a shell has `refit` use it there",
    ]
    return Result(facts, lines)


if __name__ == "__main__":
    typer.run(main)


def start_base_services(stack: Stack, places: Places) -> None:
    """Starts them, and waits for those on which the next ones stand.

    Args:
        stack: Watches over them, and ends them after all that is begun later.
        places: Where.

    Raises:
        StateError: If one is not installed, its port or socket is taken, or it does not start.
    """
    places.insist_free()
    clear_sockets(places)
    store = [postgres(places), objects(places)]
    for service in store:
        stack.begin(service)
    for service in store:
        stack.wait_for(service)
    make_buckets(places)
    _make_ledger(places)
    stack.begin(mlflow := tracking(places))
    stack.wait_for(mlflow)


def _make_ledger(places: Places) -> None:
    """Has the ledger's owner make its tables where there are none; where there are, their chain is followed."""
    command = [sys.executable, "-c", "from refit_deployments.main import main; main()", "ledger", "verify"]
    owner = {"REFIT_DATABASE_URL": read_secret(places, "refit_owner_url")}
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        command, env={**os.environ, **owner}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StateError(f"the ledger of the stack cannot be used: {done.stderr.strip().removeprefix('refit: ')}")


def tracking(places: Places) -> Service:
    """The server on this machine; whoever uses it needs no key of the object store, it hands the artifacts on.

    Args:
        places: Where; PostgreSQL and the object store are running.

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
        "MLFLOW_S3_ENDPOINT_URL": address_of(HOST, places.objects),
        "AWS_ACCESS_KEY_ID": read_secret(places, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY": read_secret(places, "s3_secret_key"),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment = {**without_secrets(inherited, ()), **own}
    child = Child("MLflow", command, environment, places.home / "logs" / "mlflow.log")
    address = address_of(HOST, places.mlflow)
    return Service(child, address, lambda: answers(f"{address}/health"))
