"""`refit score`, `refit labels` and `refit compare`: predictions, late labels, and challenger against champion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import tags

from refit.errors import ProjectError
from refit.gate.online_comparison import ComparisonReport, RoleComparison
from refit.labels import Labelling
from refit.loads.csv_format import CsvFormat
from refit.results.score import ScoreOutcome, VersionCounts
from refit.windows import format_window
from refit_deployments.actions.monitor import SHOWN, describe_drift, without_heartbeats
from refit_deployments.output import Result
from refit_flows.score import score
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import join_waiting_labels
from refit_tasks.ingestion.label_join import join_labels
from refit_tasks.ledger.generations import current_champion
from refit_tasks.prediction.compare import compare_challenger
from refit_tasks.presentation.summaries import summarize_score


def run_score(
    project: str,
    start: datetime | None,
    end: datetime | None,
    file: Path | None,
    table: str | None,
    as_of: datetime | None,
    form: CsvFormat | None = None,
) -> Result:
    """Runs the score flow in this process.

    Args:
        project: The project's name.
        start: The first event time of the project's rows.
        end: The end of the event times, exclusive.
        file: A CSV or Parquet file to score instead.
        table: A Delta table to score instead.
        as_of: The time up to which rows are used; now, if `None`.
        form: The form of a CSV file.

    Returns:
        The outcome.

    Raises:
        ProjectError: If both a file and a table are given.
    """
    if file and table:
        raise ProjectError("--file and --table are given, but a run scores one source: leave one out")
    find_project(project)  # reports a misspelt name before Prefect starts
    source = str(file.expanduser().absolute()) if file else table
    with without_heartbeats(), tags(project):
        outcome = score(project, start=start, end=end, source=source, as_of=as_of, csv=form)
    return Result(outcome.as_json(), describe_score(outcome))


def describe_score(outcome: ScoreOutcome) -> list[str]:
    """Describes the outcome of a batch.

    Args:
        outcome: The outcome of the flow.

    Returns:
        Lines for people.
    """
    done, window = outcome.scored, outcome.scored.span
    times = f", {format_window(window)} UTC" if window else ""
    return [
        f"{outcome.project}: {summarize_score(outcome)}",
        f"  rows      {done.rows_in:,} from {outcome.request.source}{times}; {done.quarantined:,} quarantined",
        f"  champion  {_counted(outcome.champion.version, done.champion)}",
        *([f"  shadow    {_counted(outcome.shadow.version, done.shadow)}"] if outcome.shadow and done.shadow else ()),
        *(f"  skew      {line}" for line in describe_drift(done.skew)),
        *(f"  broken    {one.rule} of {one.column}: {one.rows:,} rows" for one in done.broken[:SHOWN]),
        *(f"  warning   {warning}" for warning in done.warnings),
        f"  ({outcome.seconds:.1f} s)",
    ]


def _counted(version: int, found: VersionCounts) -> str:
    return f"version {version}: {found.scored:,} predictions written, {found.already:,} already stored"


NOTHING = Labelling(rows=0, arrived=0, corrected=0, unchanged=0, unknown=0, empty=0, repeated=0, ignored=(), version=-1)


def join_label_file(project: str, file: Path, form: CsvFormat) -> Result:
    """Joins the labels of a file to a project's rows.

    Args:
        project: The project's name.
        file: A CSV or Parquet file with the key columns and the target.
        form: The form of a CSV file.

    Returns:
        The number of labels by outcome.
    """
    done = join_labels(find_project(project), file, form)
    return Result({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


def join_label_inbox(project: str) -> Result:
    """Joins the labels that were sent over HTTP, as every ingest does.

    Args:
        project: The project's name.

    Returns:
        The number of labels by outcome.
    """
    done = join_waiting_labels.fn(find_project(project), datetime.now(UTC))
    if done is None:
        return Result({"project": project, **NOTHING.as_json()}, [f"{project}: the label inbox is empty"])
    return Result({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


def _change(done: Labelling) -> str:
    if not done.arrived and not done.corrected:
        return f"no change, {done.unchanged:,} labels already stored"
    return f"{done.arrived:,} labels joined, {done.corrected:,} corrected, {done.unchanged:,} already stored"


def _notes(done: Labelling) -> list[str]:
    notes = {
        f"{done.unknown:,} rows have a key that is not in the table": done.unknown,
        f"{done.empty:,} rows have no label": done.empty,
        f"{done.repeated:,} rows repeat an earlier row": done.repeated,
        f"{done.refused:,} labels break the contract: see `refit quarantine PROJECT list`": done.refused,
        f"columns left out: {', '.join(done.ignored)}": done.ignored,
    }
    return [f"  {note}" for note, said in notes.items() if said]


def compare_versions(project: str, start: datetime | None, end: datetime | None) -> Result:
    """Compares the waiting challenger with the champion.

    Args:
        project: The project's name.
        start: The time of the first prediction; by default when the challenger was judged.
        end: The end of the predictions, exclusive; by default now.

    Returns:
        The comparison; without a waiting challenger, `challenger` is null.

    Raises:
        ProjectError: If the project is unknown or has no key.
    """
    definition = find_project(project)
    found = compare_challenger(definition, current_champion(project), datetime.now(UTC), start, end)
    if found is None:
        return Result({"project": project, "challenger": None}, [f"{project}: no challenger waits for approval"])
    return Result(found.as_json(), describe_comparison(found))


def describe_comparison(found: ComparisonReport) -> list[str]:
    """Describes a comparison.

    Args:
        found: The comparison.

    Returns:
        Lines for people.
    """
    sampled = [f"  sample    {found.looked_at:.2%} of the keys are sampled"] if found.looked_at < 1 else []
    return [
        f"{found.project}: {found.words}",
        f"  window    {format_window(found.window)} UTC, champion version {found.champion}",
        *sampled,
        *(line for met in found.met for line in _met(met)),
    ]


def _met(met: RoleComparison) -> list[str]:
    said = met.contest.sentence if met.contest else met.withheld
    rows = f"{met.answered:,} predictions, {met.mature:,} mature, {met.labelled:,} labelled"
    return [f"  {met.role:9} {rows}", f"            {met.metric}: {said}" if met.contest else f"            {said}"]
