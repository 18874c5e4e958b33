"""`make stack`: all of production on this machine, in one foreground command; Ctrl-C stops it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.cli.server_commands import MLFLOW_PORT, PREFECT_PORT
from refit_deployments.output import Answer, answering
from refit_deployments.production.environment import settings_of, take_effect, write_environment
from refit_deployments.production.layout import Places
from refit_deployments.production.passwords import make_secrets
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
    take_effect(places)
    del os.environ["PREFECT_API_URL"]  # it is started here, and not joined
    with answering(json, debug, "stack: starting") as output:
        from refit_deployments.local.up import Places as Servers
        from refit_deployments.local.up import Running, up
        from refit_deployments.production.beneath import begin
        from refit_deployments.production.sockets import clear_sockets

        def ready(running: Running) -> None:
            output.show(_answer(places, running.prefect, running.deployments))
            output.go_on("watching")

        servers = Servers("127.0.0.1", places.prefect, places.mlflow)
        up(servers, "refit", ready, beneath=lambda stack: begin(stack, places), workers=workers)
        clear_sockets(places)
        output.say("The stack is down.")


def _answer(places: Places, prefect: str, deployments: tuple[str, ...]) -> Answer:
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
    return Answer(facts, lines)


if __name__ == "__main__":
    typer.run(main)
