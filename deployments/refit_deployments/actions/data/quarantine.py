"""`refit quarantine`: the rows that broke the data contract, listed or replayed."""

from __future__ import annotations

from datetime import UTC, datetime

from refit.data.rejected_rows import mask_row
from refit_deployments.output import Result
from refit_tasks.catalog import find_project, read_declaration
from refit_tasks.storage.quarantine_table import count_quarantined, list_quarantined


def list_quarantine(project: str, limit: int, *, show_pii: bool = False) -> Result:
    """Lists quarantined rows.

    Args:
        project: The project's name.
        limit: The maximum number of rows, the newest first.
        show_pii: Whether to show the values of columns that identify a person.

    Returns:
        The rows, each with the rules that it broke and the values that broke them.
    """
    definition = find_project(project, read_declaration)
    total, rows = count_quarantined(definition), list_quarantined(definition, limit)
    if not show_pii:
        rows = [mask_row(definition.pii, row) for row in rows]
    facts = {"project": project, "quarantined": total, "rows": [row.as_json() for row in rows]}
    return Result(facts, [f"{project}: {total:,} rows in quarantine", *(f"  {row}" for row in rows)])


def replay_quarantine(project: str) -> Result:
    """Validates the quarantined rows again, and readmits those that pass the current contract.

    Args:
        project: The project's name.

    Returns:
        How many rows were readmitted and how many remain.
    """
    from refit_tasks.ingestion.quarantine import replay_quarantine

    done = replay_quarantine(find_project(project), datetime.now(UTC))
    facts = {"project": project, "readmitted": done.readmitted, "remaining": done.remaining}
    return Result(facts, [f"{project}: {done.readmitted:,} rows readmitted, {done.remaining:,} remain in quarantine"])
