"""The commands that train, measure and predict: `refit retrain`, `approve`, `monitor`, `score`, `labels` and more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import (
    AsOf,
    Debug,
    Decimal,
    Encoding,
    From,
    Json,
    Missing,
    ProjectName,
    Reason,
    Separator,
    To,
)
from refit_deployments.output import command_output


def retrain(
    project: ProjectName,
    as_of: AsOf = None,
    reason: Reason = "manual",
    force: Annotated[bool, typer.Option("--force", help="Train even if there is no new data.")] = False,
    remote: Annotated[bool, typer.Option("--remote", help="Start the deployment on the Prefect server.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a challenger and promote it if it passes the gate."""
    with command_output(json, debug, f"retrain {project}: starting Prefect") as output:
        from refit_deployments.actions.retrain import run_retrain, start_deployment
        from refit_tasks.runs.audit_log import audited

        with audited("retrain", project, recorded=True):
            result = (start_deployment if remote else run_retrain)(project, as_of, reason, force)
        output.show_result(result)


def approve(
    project: ProjectName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version that waits for approval.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse the version.")] = False,
    why: Reason = "",
    who: Annotated[
        str | None, typer.Option(help="The approver's name, recorded beside the account; by default the account's.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Approve or refuse a version that waits for approval."""
    with command_output(json, debug, f"approve {project} version {version}") as output:
        from refit_deployments.actions.retrain import approve_version
        from refit_tasks.runs.audit_log import audited

        with audited("approve", project, recorded=True):
            result = approve_version(project, version, approved=not refuse, who=who, why=why)
        output.show_result(result)


def monitor(
    project: ProjectName,
    as_of: AsOf = None,
    event: Annotated[str | None, typer.Option(help="The description of an event that requests a retrain.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure drift and performance, then retrain, wait or alert."""
    with command_output(json, debug, f"monitor {project}: starting Prefect") as output:
        from refit_deployments.actions.monitor import run_monitor
        from refit_tasks.runs.audit_log import audited

        with audited("monitor", project):
            result = run_monitor(project, as_of, event)
        output.show_result(result)


def score(
    project: ProjectName,
    start: From = None,
    end: To = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Score the rows of a CSV or Parquet file.")] = None,
    table: Annotated[str | None, typer.Option(metavar="URI", help="Score the rows of a Delta table.")] = None,
    as_of: AsOf = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    missing: Missing = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the champion's predictions for new rows, each once.

    A challenger in shadow scores the same rows.
    """
    with command_output(json, debug, f"score {project}: starting Prefect") as output:
        from refit.loads.csv_format import CsvFormat
        from refit_deployments.actions.predictions import run_score
        from refit_tasks.runs.audit_log import audited

        with audited("score", project):
            form = CsvFormat(sep=sep, decimal=decimal, encoding=encoding, missing=tuple(missing or ()))
            result = run_score(project, start, end, file, table, as_of, form if form != CsvFormat() else None)
        output.show_result(result)


def labels(
    project: ProjectName,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="CSV or Parquet with key columns and target; default the HTTP inbox."),
    ] = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    missing: Missing = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Join late labels from a file or from HTTP to their rows."""
    with command_output(json, debug, f"labels {project}: reading {file or 'the label inbox'}") as output:
        from refit.loads.csv_format import CsvFormat
        from refit_deployments.actions.predictions import join_label_file, join_label_inbox
        from refit_tasks.runs.audit_log import audited

        with audited("labels", project):
            form = CsvFormat(sep=sep, decimal=decimal, encoding=encoding, missing=tuple(missing or ()))
            result = join_label_file(project, file, form) if file else join_label_inbox(project)
        output.show_result(result)


def backtest(
    project: ProjectName,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="A named policy, `project` or a JSON file; may be repeated."),
    ] = None,
    windows: Annotated[int, typer.Option(min=4, max=1000, help="The number of windows of the history.")] = 30,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the chart to a PNG file.")] = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Replay the history under several retraining policies.

    Shows the loss, trainings, promotions and regret of each policy.
    """
    with command_output(json, debug, f"backtest {project}: starting Prefect") as output:
        from refit_deployments.actions.simulate import run_backtest

        output.show_result(run_backtest(project, policy or [], windows, as_of, picture))


def calibrate(project: ProjectName, json: Json = False, debug: Debug = False) -> None:
    """Measure the false-alarm rate and power of the drift alarms."""
    with command_output(json, debug, f"calibrate {project}: reading the reference window") as output:
        from refit_deployments.actions.simulate import run_calibration

        output.show_result(run_calibration(project))


gate = typer.Typer(help="Test that the gate rejects faulty challengers.", no_args_is_help=True)


@gate.callback()  # so that a single command keeps its name
def _gate() -> None:
    """Test that the gate rejects faulty challengers."""


@gate.command("selftest")
def selftest(
    project: ProjectName,
    rounds: Annotated[
        int, typer.Option(min=1, max=1_000, help="The number of sound challengers, each at another time.")
    ] = 20,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run faulty and sound challengers through the gate. Nothing is recorded."""
    with command_output(json, debug, f"gate selftest {project}: reading the rows") as output:
        from refit_deployments.actions.simulate import run_selftest

        output.show_result(run_selftest(project, as_of, rounds))
