"""The commands of the first day: `refit demo`, `check` and `up`."""

from __future__ import annotations

from typing import Annotated

import typer

from refit_deployments.cli.options import AnyProject, AsOf, Debug, Json
from refit_deployments.local.processes import HOST
from refit_deployments.output import Result, command_output

Pool = Annotated[str, typer.Option("--pool", metavar="NAME", help="The Prefect work pool that runs the flows.")]
PREFECT_PORT = 4200
MLFLOW_PORT = 5000


def demo(json: Json = False, debug: Debug = False) -> None:
    """Run the whole loop on generated data, from drift to promotion.

    Seven weekly monitor runs: a first champion, quiet weeks, drift, a decision, a retrain and a promotion. A second
    run continues where the first one ended.
    """
    with command_output(json, debug, "demo: starting Prefect") as output:
        from refit_deployments.actions.demo import run_demo

        output.show_result(run_demo())


def check(project: AnyProject = None, as_of: AsOf = None, json: Json = False, debug: Debug = False) -> None:
    """Find what a first retrain would refuse, on the newest rows.

    Each project is loaded twice, judged by its contract, fitted, stored and run in a fresh process. It
    records nothing.
    """
    with command_output(json, debug, "check: importing the project files", prefect=False) as output:
        from refit_deployments.actions.check import check_projects

        output.show_result(check_projects(project, as_of))


def up(
    host: Annotated[
        str, typer.Option(help="The address of both servers; any other than loopback requires passwords.")
    ] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the Prefect server.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the MLflow server.")] = MLFLOW_PORT,
    pool: Pool = "refit",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Start Prefect, MLflow, a worker and all schedules here.

    Ctrl-C stops everything. A server that PREFECT_API_URL or MLFLOW_TRACKING_URI names is used instead of a new one.
    """
    with command_output(json, debug, "up: starting") as output:
        from refit_deployments.local.up import Addresses, RunningServices, start_services

        def show_addresses(running: RunningServices) -> None:
            facts = {
                "prefect": running.prefect,
                "mlflow": running.mlflow,
                "pool": running.pool,
                "deployments": list(running.deployments),
            }
            lines = [
                "Refit is up. Ctrl-C stops everything that it started.",
                f"  Prefect      {running.prefect}",
                f"  MLflow       {running.mlflow}",
                f"  deployments  {', '.join(running.deployments) or 'none: REFIT_PROJECTS has no project files'}",
            ]
            output.show_result(Result(facts, lines))
            output.show_progress("watching the services")

        start_services(Addresses(host, port, mlflow_port), pool, show_addresses)
        output.show_message("Refit is down.")
