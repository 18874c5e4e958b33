"""The commands of daily operation: `refit deploy`, `serve`, `serve-key`, `metrics`, `backup`, `doctor` and `prune`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refit_deployments.cli.options import AnyProject, Debug, DryRun, Json, ProjectNames
from refit_deployments.cli.start_commands import Pool
from refit_deployments.output import Result, command_output

if TYPE_CHECKING:
    from refit_serving.traffic.service import Service


def deploy(
    pool: Pool = "refit",
    kind: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="The type of a work pool that is created.")
    ] = "process",
    dry_run: DryRun = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a prefect.yaml instead, without a server.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Update deployments and schedules on the Prefect server.

    The server is the one that PREFECT_API_URL names.
    """
    with command_output(json, debug, "deploy: reading the project files") as output:
        if export:
            from refit_deployments.prefect_server.deploy import export_deployments

            output.show_result(export_deployments(pool, export))
            return
        from refit_deployments.prefect_server.deploy import run_deploy
        from refit_tasks.runs.audit_log import audited

        with audited("deploy --dry-run" if dry_run else "deploy", None):
            result = run_deploy(pool, kind, dry_run=dry_run)
        output.show_result(result)


SERVE_PORT = 8000
MEGABYTE = 1 << 20
KEYS = "REFIT_SERVE_KEYS_FILE"


class Right(StrEnum):
    """The rights of an API key, by the same names as in `refit_serving.http.api_keys`."""

    look = "look"
    predict = "predict"
    label = "label"


def serve(
    projects: ProjectNames,
    host: Annotated[
        str, typer.Option(help="The address to listen on; any other than loopback requires --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = SERVE_PORT,
    max_body: Annotated[
        float, typer.Option(min=0.001, max=1024, metavar="MB", help="The maximum size of a request body.")
    ] = 8,
    max_rows: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The maximum number of rows of a request.")
    ] = 10_000,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar=KEYS, help="The file of API keys from `refit serve-key`.")
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.001, metavar="N", help="The maximum number of requests per second of a key.")
    ] = 1_000,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve the champions' predictions over HTTP and log them.

    A promotion or a rollback takes effect within seconds. Ctrl-C stops the server after all predictions are logged.
    """
    # Before numpy and scikit-learn are imported: a model that starts threads for one row only waits for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with command_output(json, debug, f"serve {', '.join(projects)}: loading") as output:
        from refit_serving.http.server import serve as run
        from refit_serving.rows.request import LEAST_UNPACKED, UNPACKED_RATIO, Limits

        def show_address(service: Service, address: str) -> None:
            output.show_result(_describe_server(service, address))
            output.show_progress("serving")

        unpacked = max(LEAST_UNPACKED, int(UNPACKED_RATIO * max_body * MEGABYTE))
        limits = Limits(
            body_bytes=int(max_body * MEGABYTE),
            unpacked_bytes=unpacked,
            all_unpacked_bytes=2 * unpacked,
            rows=max_rows,
            requests_per_second=rate,
        )
        lost = run(list(dict.fromkeys(projects)), host, port, limits, keys, show_address)
        output.show_message(f"{lost:,} predictions were not stored and are lost" if lost else "All predictions stored.")
        if lost:
            raise SystemExit(1)


def _describe_server(service: Service, address: str) -> Result:
    facts, lines = {}, [f"Refit serves at {address}. Ctrl-C stops it."]
    for name, slot in service.follower.slots.items():
        model = slot.model
        facts[name] = {"version": model.version, "generation": model.generation} if model else None
        lines.append(f"  {name}  " + (f"version {model.version}" if model else slot.problem))
    return Result({"address": address, "projects": facts}, [*lines, f"  {address}/docs describes the API"])


def serve_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the key's holder.")],
    keys: Annotated[Path, typer.Option(metavar="FILE", envvar=KEYS, help="The file that the key's hash is added to.")],
    may: Annotated[
        list[Right] | None, typer.Option(help="A right: look (pages, metrics), predict or label; by default all.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Create an API key for `refit serve` and show it once.

    The file keeps only the hash. A running server reads the file again within seconds. To revoke a key, delete its
    line.
    """
    with command_output(json, debug) as output:
        from refit_serving.http.api_keys import add_key
        from refit_tasks.runs.audit_log import audited

        with audited("serve-key", None):
            key = add_key(keys, name, may or Right)
        lines = [key, f"The key is not shown again. Send it as the header `Authorization: Bearer {key}`."]
        output.show_result(Result({"name": name, "key": key, "file": str(keys)}, lines))


METRICS_PORT = 9108


def metrics(
    host: Annotated[str, typer.Option(help="The address to listen on; there is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = METRICS_PORT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve Prometheus metrics that are read from the ledger.

    Decisions, promotions, drift, model age, labels and budget. Each ledger entry is read once, and nothing is
    written. Ctrl-C stops the server.
    """
    with command_output(json, debug, "metrics: reading the ledger") as output:
        from refit_serving.metrics.ledger_metrics import serve_metrics

        def show_address(address: str) -> None:
            lines = [f"Metrics are served at {address}. Ctrl-C stops the server."]
            output.show_result(Result({"address": address}, lines))

        serve_metrics(host, port, show_address)


def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new or empty directory.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy all state to a directory while Refit runs.

    The ledger, tables and models, and the embedded databases of MLflow and Prefect.
    """
    with command_output(json, debug, "backup: copying the ledger") as output:
        from refit_deployments.actions.maintenance import run_backup
        from refit_tasks.runs.audit_log import audited

        with audited("backup", None):
            result = run_backup(directory)
        output.show_result(result)


def doctor(project: AnyProject = None, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Find and repair what a crash left behind.

    Runs without a process, versions without a verdict, and files that nothing refers to.
    """
    with command_output(json, debug, "doctor: checking the store") as output:
        from refit_deployments.actions.maintenance import run_doctor
        from refit_tasks.runs.audit_log import audited

        with audited("doctor --dry-run" if dry_run else "doctor", project):
            result = run_doctor(project, dry_run=dry_run)
        output.show_result(result)


def prune(
    project: AnyProject = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="The number of newest versions kept; default REFIT_KEEP_VERSIONS."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete versions and files that retention no longer keeps.

    What a kept version needs to be reproduced is never deleted.
    """
    with command_output(json, debug, "prune: checking the store") as output:
        from refit_deployments.actions.maintenance import run_prune
        from refit_tasks.runs.audit_log import audited

        with audited("prune --dry-run" if dry_run else "prune", project):
            result = run_prune(project, keep, dry_run=dry_run)
        output.show_result(result)
