"""Where the rows of a batch come from, the project's own load, a file or a Delta table, and which are asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from glob import escape
from pathlib import Path

import pyarrow as pa

from refit import sources
from refit.errors import LoadFailed, ProjectError, UnusableTime
from refit.project import Project, Rows
from refit.records.references import Champion
from refit.results.score import EVERYTHING, Sought
from refit.windows import Window, as_past
from refit_tasks.prediction.write_predictions import scored_until

PARQUET, CSV = (".parquet", ".pq"), ".csv"


def seek(
    definition: Project,
    champion: Champion,
    until: datetime,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    source: str | None = None,
) -> Sought:
    """Says which rows are to be scored.

    Args:
        definition: The project.
        champion: The version that serves.
        until: The instant that the run looks from, UTC.
        start: The first event time wanted. If left out, what is new since the last scored one, and what may have come
            late before that; the first time, what the champion was not trained on.
        end: Just after the last event time wanted; all until `until`, if left out.
        source: A CSV or Parquet file in place of the project's load, or a Delta table's directory or URI.

    Returns:
        The source and the window.

    Raises:
        ProjectError: If a window of a file or a table is asked for.
        UnusableTime: If the window is empty, or a time has not come.
    """
    if source:
        if start or end:
            raise ProjectError(
                "a window is of the project's own rows, and a file or table is scored whole: leave it out"
            )
        return Sought("file" if _is_file(source) else "table", source, EVERYTHING, until)
    last = min(until, as_past(end, until)) if end else until
    first = as_past(start, until) if start else min(_beginning(definition, champion), last)
    if start and first >= last:
        raise UnusableTime(f"the window from {first.isoformat()} until {last.isoformat()} is empty: end it later")
    return Sought("load", "", Window(first, last), until)


def load_of(definition: Project, sought: Sought, schema: pa.Schema) -> Callable[[Window], Rows]:
    """Gives what reads the rows.

    Args:
        definition: The project.
        sought: Where they lie.
        schema: The schema of the project's table: what it has as text stays text, whatever a CSV file looks like.

    Returns:
        A load.

    Raises:
        LoadFailed: If there is no such file.
    """
    if sought.kind == "load":
        return definition.load
    if sought.kind == "table":
        return sources.delta(sought.place, definition.timestamp, piece_rows=definition.ingestion.piece_rows)
    file, rows = Path(sought.place), definition.ingestion.piece_rows
    if not file.is_file():
        raise LoadFailed(f"there is no file {file}: correct the path")
    if file.suffix.lower() in PARQUET:
        return sources.parquet(escape(str(file)), definition.timestamp, piece_rows=rows)
    texts = {field.name: "str" for field in schema if pa.types.is_string(field.type)}
    return sources.csv(escape(str(file)), definition.timestamp, piece_rows=rows, dtypes=texts)


def finished_until(sought: Sought, definition: Project, newest: datetime) -> datetime | None:
    """Says how far the project's own rows are scored once a batch is written.

    Args:
        sought: The batch.
        definition: The project.
        newest: Just after its newest event time.

    Returns:
        That; `None` for other rows, and where some before the batch may never have been scored.
    """
    if sought.kind != "load":
        return None
    before = scored_until(definition.name)
    return newest if before is None or sought.window.start <= before else None


def _is_file(source: str) -> bool:
    """Tells a file from a Delta table, which is a directory; a file that is not there by its name."""
    path = Path(source)
    return path.is_file() or (path.suffix.lower() in (*PARQUET, CSV) and not path.is_dir())


def _beginning(definition: Project, champion: Champion) -> datetime:
    before = scored_until(definition.name)
    return before - definition.ingestion.lateness if before else champion.model.trained_on.window.end
