"""`refit labels`: labels that have arrived find the rows they belong to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from refit.labels import Labelling
from refit_deployments.output import Answer
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.labels import join_labels
from refit_tasks.ingestion.waiting_labels import join_waiting

NOTHING = Labelling(rows=0, arrived=0, corrected=0, unchanged=0, unknown=0, empty=0, repeated=0, ignored=(), version=-1)


def add_labels(project: str, file: Path) -> Answer:
    """Joins the labels of a file to a project's rows.

    Args:
        project: The project's name.
        file: A CSV or Parquet file with the key columns and the target.

    Returns:
        What came of each row of the file.
    """
    done = join_labels(find_project(project), file)
    return Answer({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


def add_waiting(project: str) -> Answer:
    """Joins the labels that were sent over HTTP; a run that ingests does so by itself.

    Args:
        project: The project's name.

    Returns:
        What came of each of them.
    """
    done = join_waiting.fn(find_project(project), datetime.now(UTC))
    if done is None:
        return Answer({"project": project, **NOTHING.as_json()}, [f"{project}: no labels wait"])
    return Answer({"project": project, **done.as_json()}, [f"{project}: {_change(done)}", *_notes(done)])


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
