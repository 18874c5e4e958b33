"""The commands that watch a champion: `refit monitor`, `score`, `compare`, `labels`, `report` and more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import AsOf, Debug, From, Json, ProjectName, To
from refit_deployments.output import command_output


def monitor(
    project: ProjectName,
    as_of: AsOf = None,
    event: Annotated[str | None, typer.Option(help="An event from outside that asks for a retrain, in words.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge the production window against the champion's reference, and decide: retrain, wait or alert."""
    with command_output(json, debug, f"monitor {project}: starting Prefect") as output:
        from refit_deployments.actions.monitor import monitor_here
        from refit_tasks.runs.audit_log import audited

        with audited("monitor", project):
            answer = monitor_here(project, as_of, event)
        output.show(answer)


def score(
    project: ProjectName,
    start: From = None,
    end: To = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Score the rows of a CSV or Parquet file.")] = None,
    table: Annotated[str | None, typer.Option(metavar="URI", help="Score the rows of a Delta table.")] = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Score rows with the champion, and with a challenger that shadows it, and keep what they said: each row once."""
    with command_output(json, debug, f"score {project}: starting Prefect") as output:
        from refit_deployments.actions.predictions import score_here
        from refit_tasks.runs.audit_log import audited

        with audited("score", project):
            answer = score_here(project, start, end, file, table, as_of)
        output.show(answer)


def compare(project: ProjectName, start: From = None, end: To = None, json: Json = False, debug: Debug = False) -> None:
    """Hold a challenger that shadows, or answers a share of the requests, against the champion on labels that came."""
    with command_output(json, debug, f"compare {project}: reading the predictions") as output:
        from refit_deployments.actions.predictions import compare_versions

        output.show(compare_versions(project, start, end))


def labels(
    project: ProjectName,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="CSV or Parquet: the key columns and the target.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Join labels that have arrived to the rows they belong to, by key: those of a file, or those sent over HTTP."""
    with command_output(json, debug, f"labels {project}: reading {file or 'those that wait'}") as output:
        from refit_deployments.actions.predictions import add_labels, add_waiting
        from refit_tasks.runs.audit_log import audited

        with audited("labels", project):
            answer = add_labels(project, file) if file else add_waiting(project)
        output.show(answer)


def report(
    project: ProjectName,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default PROJECT.html.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write one self-contained HTML page: drift, performance over time, and the decisions."""
    with command_output(json, debug, f"report {project}: reading the record") as output:
        from refit_deployments.actions.status import write_report

        output.show(write_report(project, out))


def backtest(
    project: ProjectName,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="A policy's name, `project` for its own, or a JSON file; repeatable."),
    ] = None,
    windows: Annotated[int, typer.Option(min=4, max=1000, help="Into how many windows the history is cut.")] = 30,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the picture, too, as PNG.")
    ] = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Replay the project's history under several policies: loss, trainings, promotions and regret of each."""
    with command_output(json, debug, f"backtest {project}: starting Prefect") as output:
        from refit_deployments.actions.simulate import backtest_here

        output.show(backtest_here(project, policy or [], windows, as_of, picture))


def calibrate(project: ProjectName, json: Json = False, debug: Debug = False) -> None:
    """Measure how often the project's drift alarms fire without drift, and how often with one."""
    with command_output(json, debug, f"calibrate {project}: reading the reference") as output:
        from refit_deployments.actions.simulate import calibrate_here

        output.show(calibrate_here(project))
