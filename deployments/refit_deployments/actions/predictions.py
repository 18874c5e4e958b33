"""`refit score`: runs the flow in this process and words its outcome."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from prefect import tags

from refit.errors import ProjectError
from refit.results.score import Counted, ScoreOutcome
from refit_deployments.actions.monitor import SHOWN, drift_lines, without_heartbeats
from refit_deployments.output import Answer
from refit_flows.score import score
from refit_tasks.catalog import find_project
from refit_tasks.prediction.score_words import scored


def score_here(
    project: str,
    start: datetime | None,
    end: datetime | None,
    file: Path | None,
    table: str | None,
    as_of: datetime | None,
) -> Answer:
    """Runs the score flow in this process.

    Args:
        project: The project's name.
        start: The first event time of the project's rows.
        end: Just after the last one.
        file: A CSV or Parquet file in their place.
        table: A Delta table in their place.
        as_of: The instant to look from; now, if `None`.

    Returns:
        The outcome.

    Raises:
        ProjectError: If two sources are named.
    """
    if file and table:
        raise ProjectError("a file and a table are two runs: name one of them")
    find_project(project)  # a misspelt name should not wait for Prefect's start
    source = str(file.expanduser().absolute()) if file else table
    with without_heartbeats(), tags(project):
        outcome = score(project, start=start, end=end, source=source, as_of=as_of)
    return Answer(outcome.as_json(), describe(outcome))


def describe(outcome: ScoreOutcome) -> list[str]:
    """Words the outcome of a batch.

    Args:
        outcome: What the flow did.

    Returns:
        Lines for a person.
    """
    done, window = outcome.scored, outcome.scored.span
    times = f", of {window.start:%Y-%m-%d %H:%M} until {window.end:%Y-%m-%d %H:%M} UTC" if window else ""
    return [
        f"{outcome.project}: {scored(outcome)}",
        f"  rows      {done.rows_in:,} from {outcome.sought.source}{times}; {done.quarantined:,} quarantined",
        f"  champion  {_counted(outcome.champion.version, done.champion)}",
        *([f"  shadow    {_counted(outcome.shadow.version, done.shadow)}"] if outcome.shadow and done.shadow else ()),
        *(f"  skew      {line}" for line in drift_lines(done.skew)),
        *(f"  broken    {one.rule} of {one.column}: {one.rows:,} rows" for one in done.broken[:SHOWN]),
        *(f"  warning   {warning}" for warning in done.warnings),
        f"  ({outcome.seconds:.1f} s)",
    ]


def _counted(version: int, found: Counted) -> str:
    return f"version {version}: {found.scored:,} predictions written, {found.already:,} were there"
