"""The commands that put Refit on a Prefect server: `refit up`, `refit deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.local.ports import HOST
from refit_deployments.output import Answer, answering

Pool = Annotated[str, typer.Option("--pool", metavar="NAME", help="The work pool that runs the flows.")]
PREFECT_PORT = 4200
MLFLOW_PORT = 5000


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (up, deploy):
        app.command()(command)


def up(
    host: Annotated[
        str, typer.Option(help="The address of both servers; one that others can reach needs passwords, see docs.")
    ] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of Prefect's server.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of MLflow's UI.")] = MLFLOW_PORT,
    pool: Pool = "refit",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Start Prefect, MLflow's UI, a worker and all deployments; Ctrl-C stops all of it.

    With PREFECT_API_URL or MLFLOW_TRACKING_URI, the server named there is used, and none is started.
    """
    with answering(json, debug, "up: starting") as output:
        from refit_deployments.local.up import Places, Running, up

        def ready(running: Running) -> None:
            facts = {
                "prefect": running.prefect,
                "mlflow": running.mlflow,
                "pool": running.pool,
                "deployments": list(running.deployments),
            }
            lines = [
                "Refit is up. Ctrl-C stops all that it has started.",
                f"  Prefect   {running.prefect}",
                f"  MLflow    {running.mlflow}",
                f"  deployed  {', '.join(running.deployments) or 'nothing: there are no project files'}",
            ]
            output.show(Answer(facts, lines))
            output.go_on("watching")

        up(Places(host, port, mlflow_port), pool, ready)
        output.say("Refit is down.")


def deploy(
    pool: Pool = "refit",
    kind: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="The work pool's type, where it has to be made.")
    ] = "process",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, and change nothing.")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them as a prefect.yaml instead; no server is asked.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the Prefect server in PREFECT_API_URL to what the project files want: deployments, schedules, limits."""
    with answering(json, debug, "deploy: reading the project files") as output:
        if export:
            from refit_deployments.prefect_server.prefect_yaml import export as write

            output.show(write(pool, export))
            return
        from refit_deployments.prefect_server.deploy import deploy_here
        from refit_tasks.runs.audit_log import noted

        with noted("deploy --dry-run" if dry_run else "deploy", None):
            answer = deploy_here(pool, kind, dry_run=dry_run)
        output.show(answer)
