"""`refit score`: runs the flow in this process and words its outcome.

`refit labels`: labels that have arrived find the rows they belong to.

`refit compare`: the challenger beside the champion, on production rows whose labels have come.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import tags

from refit.errors import ProjectError
from refit.gate.online_comparison import ComparisonReport, RoleComparison
from refit.labels import Labelling
from refit.results.score import ScoreOutcome, VersionCounts
from refit_deployments.actions.monitor import SHOWN, drift_lines, without_heartbeats
from refit_deployments.output import Result
from refit_flows.score import score
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import join_waiting
from refit_tasks.ingestion.label_join import join_labels
from refit_tasks.ledger.generations import current_champion
from refit_tasks.prediction.compare import compare_challenger
from refit_tasks.presentation.summaries import summarize_score


def score_here(
    project: str,
    start: datetime | None,
    end: datetime | None,
    file: Path | None,
    table: str | None,
    as_of: datetime | None,
) -> Result:
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
    return Result(outcome.as_json(), describe_score(outcome))


def describe_score(outcome: ScoreOutcome) -> list[str]:
    """Words the outcome of a batch.

    Args:
        outcome: What the flow did.

    Returns:
        Lines for a person.
    """
    done, window = outcome.scored, outcome.scored.span
    times = f", of {window.start:%Y-%m-%d %H:%M} until {window.end:%Y-%m-%d %H:%M} UTC" if window else ""
    return [
        f"{outcome.project}: {summarize_score(outcome)}",
        f"  rows      {done.rows_in:,} from {outcome.request.source}{times}; {done.quarantined:,} quarantined",
        f"  champion  {_counted(outcome.champion.version, done.champion)}",
        *([f"  shadow    {_counted(outcome.shadow.version, done.shadow)}"] if outcome.shadow and done.shadow else ()),
        *(f"  skew      {line}" for line in drift_lines(done.skew)),
        *(f"  broken    {one.rule} of {one.column}: {one.rows:,} rows" for one in done.broken[:SHOWN]),
        *(f"  warning   {warning}" for warning in done.warnings),
        f"  ({outcome.seconds:.1f} s)",
    ]


def _counted(version: int, found: VersionCounts) -> str:
    return f"version {version}: {found.scored:,} predictions written, {found.already:,} were there"


NOTHING = Labelling(rows=0, arrived=0, corrected=0, unchanged=0, unknown=0, empty=0, repeated=0, ignored=(), version=-1)


def add_labels(project: str, file: Path) -> Result:
    """Joins the labels of a file to a project's rows.

    Args:
        project: The project's name.
        file: A CSV or Parquet file with the key columns and the target.

    Returns:
        What came of each row of the file.
    """
    done = join_labels(find_project(project), file)
    return Result({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


def add_waiting(project: str) -> Result:
    """Joins the labels that were sent over HTTP; a run that ingests does so by itself.

    Args:
        project: The project's name.

    Returns:
        What came of each of them.
    """
    done = join_waiting.fn(find_project(project), datetime.now(UTC))
    if done is None:
        return Result({"project": project, **NOTHING.as_json()}, [f"{project}: no labels wait"])
    return Result({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


def _change(done: Labelling) -> str:
    if not done.arrived and not done.corrected:
        return f"nothing changed, {done.unchanged:,} labels were there already"
    return f"{done.arrived:,} labels arrived, {done.corrected:,} corrected, {done.unchanged:,} were there already"


def _notes(done: Labelling) -> list[str]:
    notes = {
        f"{done.unknown:,} rows have a key that the table does not hold": done.unknown,
        f"{done.empty:,} rows have no label": done.empty,
        f"{done.repeated:,} rows say the same as an earlier one": done.repeated,
        f"{done.refused:,} labels break the contract: see `refit quarantine`": done.refused,
        f"columns left out: {', '.join(done.ignored)}": done.ignored,
    }
    return [f"  {note}" for note, said in notes.items() if said]


def compare_versions(project: str, start: datetime | None, end: datetime | None) -> Result:
    """Compares the version that waits with the one that serves.

    Args:
        project: The project's name.
        start: The first answer that counts; by default all since the challenger was judged.
        end: Just after the last one; now, by default.

    Returns:
        What was found; that no version waits is an answer, too.

    Raises:
        ProjectError: If there is no such project, or it has no key.
    """
    definition = find_project(project)
    found = compare_challenger(definition, current_champion(project), datetime.now(UTC), start, end)
    if found is None:
        return Result(
            {"project": project, "challenger": None}, [f"{project}: no challenger stands beside the champion"]
        )
    return Result(found.as_json(), describe_comparison(found))


def describe_comparison(found: ComparisonReport) -> list[str]:
    """Words a comparison.

    Args:
        found: What was found.

    Returns:
        Lines for a person.
    """
    window = f"{found.window.start:%Y-%m-%d %H:%M} until {found.window.end:%Y-%m-%d %H:%M} UTC"
    sampled = [f"  sample    {found.looked_at:.2%} of the keys stand for all"] if found.looked_at < 1 else []
    return [
        f"{found.project}: {found.words}",
        f"  answers   of {window}, beside version {found.champion}",
        *sampled,
        *(line for met in found.met for line in _met(met)),
    ]


def _met(met: RoleComparison) -> list[str]:
    said = met.contest.sentence if met.contest else met.withheld
    rows = f"{met.answered:,} rows answered, {met.mature:,} mature, {met.labelled:,} labelled"
    return [f"  {met.role:9} {rows}", f"            {met.metric}: {said}" if met.contest else f"            {said}"]
