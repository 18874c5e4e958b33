"""`refit ingest`: new rows are taken in without a retrain, and older ones that arrived late."""

from __future__ import annotations

from datetime import UTC, datetime

from refit.records.references import Ingestion
from refit.results.flows import late_json
from refit.windows import format_window
from refit_deployments.output import Result
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.late_rows import find_late_rows


def run_ingest(project: str, since: datetime | None, as_of: datetime | None) -> Result:
    """Takes in new and late rows.

    Args:
        project: The project's name.
        since: The earliest event time of late rows; `None` looks back as a retrain does.
        as_of: The end of the load; now, if `None`.

    Returns:
        The counts.
    """
    definition = find_project(project)
    done = find_late_rows.fn(definition, ingest.fn(definition, as_of or datetime.now(UTC), since))
    return Result(_describe_counts(done), _describe_ingest(done))


def _describe_counts(done: Ingestion) -> dict[str, object]:
    return {
        "project": done.project,
        "window": {"start": done.window.start.isoformat(), "end": done.window.end.isoformat()},
        "rows": {
            "in": done.rows_in,
            "accepted": done.accepted,
            "quarantined": done.quarantined,
            "superseded": done.superseded,
            "added": done.added,
            "corrected": done.corrected,
        },
        "late": late_json(done),
        "warnings": list(done.warnings),
        "version": done.version,
    }


def _describe_ingest(done: Ingestion) -> list[str]:
    return [
        f"{done.project}: {done.added:,} rows added, {done.corrected:,} corrected, {done.left_out}",
        f"  loaded    {done.rows_in:,} rows, {format_window(done.window)}",
        *(f"  warning   {warning}" for warning in done.warnings),
        *([f"  late      {done.late.describe(done.project)}"] if done.late else []),
    ]
