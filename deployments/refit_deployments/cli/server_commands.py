"""The commands that put Refit on a Prefect server: `refit up`, `refit deploy`.

`refit serve`: the champions of some projects over HTTP; `refit serve-key`: who may ask them.

`refit metrics`: what Prometheus asks about flows, read from the ledger.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.local.processes import HOST
from refit_deployments.output import Result, command_output

if TYPE_CHECKING:
    from refit_serving.traffic.service import Service


Pool = Annotated[str, typer.Option("--pool", metavar="NAME", help="The work pool that runs the flows.")]
PREFECT_PORT = 4200
MLFLOW_PORT = 5000


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
    with command_output(json, debug, "up: starting") as output:
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
            output.show(Result(facts, lines))
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
    with command_output(json, debug, "deploy: reading the project files") as output:
        if export:
            from refit_deployments.prefect_server.deploy import export as write

            output.show(write(pool, export))
            return
        from refit_deployments.prefect_server.deploy import deploy_here
        from refit_tasks.runs.audit_log import audited

        with audited("deploy --dry-run" if dry_run else "deploy", None):
            answer = deploy_here(pool, kind, dry_run=dry_run)
        output.show(answer)


SERVE_PORT = 8000
MEGABYTE = 1 << 20
KEYS = "REFIT_SERVE_KEYS_FILE"


class Right(StrEnum):
    """What a key may be for; `refit_serving.http.api_keys` knows them by the same words."""

    look = "look"
    predict = "predict"
    label = "label"


def serve(
    projects: Annotated[list[str], typer.Argument(metavar="PROJECT...", help="The projects to answer for.")],
    host: Annotated[
        str, typer.Option(help="The address to listen at; one that others can reach needs --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = SERVE_PORT,
    max_body: Annotated[float, typer.Option(min=0.001, max=1024, metavar="MB", help="The largest body.")] = 8,
    max_rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most rows of a request.")] = 10_000,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar=KEYS, help="The keys that open the door, from `serve-key`.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, metavar="N", help="The most requests a second of a key.")] = 1_000,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer with the champions over HTTP, and log what they say; Ctrl-C stops it when all is logged.

    A promotion or a rollback is followed within seconds.
    """
    # Before numpy and scikit-learn are imported: a model that starts threads for one row only waits for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with command_output(json, debug, f"serve {', '.join(projects)}: loading") as output:
        from refit_serving.http.server import serve as run
        from refit_serving.rows.request import Limits

        def ready(service: Service, address: str) -> None:
            output.show(_started(service, address))
            output.go_on("serving")

        limits = Limits(body_bytes=int(max_body * MEGABYTE), rows=max_rows, requests_per_second=rate)
        lost = run(list(dict.fromkeys(projects)), host, port, limits, keys, ready)
        output.say(f"{lost:,} predictions could not be stored and are lost" if lost else "All predictions are stored.")
        if lost:
            raise SystemExit(1)


def serve_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold the key.")],
    keys: Annotated[Path, typer.Option(metavar="FILE", envvar=KEYS, help="The file that its hash is written to.")],
    may: Annotated[
        list[Right] | None, typer.Option(help="What it is for: look (at pages and metrics), predict, label; else all.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key for `refit serve --keys FILE`, and show it once: the file keeps its hash.

    A server that runs reads the file again within seconds. To revoke a key, delete its line.
    """
    with command_output(json, debug) as output:
        from refit_serving.http.api_keys import add_key
        from refit_tasks.runs.audit_log import audited

        with audited("serve-key", None):
            key = add_key(keys, name, may or Right)
        lines = [key, f"It is shown this once: send it as the header `Authorization: Bearer {key}`."]
        output.show(Result({"name": name, "key": key, "file": str(keys)}, lines))


def _started(service: Service, address: str) -> Result:
    facts, lines = {}, [f"Refit answers at {address}. Ctrl-C stops it."]
    for name, slot in service.follower.slots.items():
        model = slot.model
        facts[name] = {"version": model.version, "generation": model.generation} if model else None
        lines.append(f"  {name}  " + (f"version {model.version}" if model else slot.problem))
    return Result({"address": address, "projects": facts}, [*lines, f"  {address}/docs describes the addresses"])


METRICS_PORT = 9108


def metrics(
    host: Annotated[str, typer.Option(help="The address to listen at; nobody is asked for a password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = METRICS_PORT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Give Prometheus the numbers of the flows: decisions, promotions, drift, model age, labels, budget.

    They are read from the ledger alone, each entry once, and nothing is ever written. Ctrl-C stops it.
    """
    with command_output(json, debug, "metrics: adding up the ledger") as output:
        from refit_serving.metrics.ledger_metrics import serve_metrics

        def ready(address: str) -> None:
            output.show(Result({"address": address}, [f"Prometheus is answered at {address}. Ctrl-C stops it."]))

        serve_metrics(host, port, ready)
