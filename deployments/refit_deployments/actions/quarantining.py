"""`refit quarantine`: the rows that broke the data contract, listed or replayed."""

from __future__ import annotations

from datetime import UTC, datetime

from refit.data.pii import masked
from refit_deployments.output import Answer
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.quarantine_part import count_quarantined, quarantined, replay


def list_quarantine(project: str, limit: int, *, show_pii: bool = False) -> Answer:
    """Lists quarantined rows.

    Args:
        project: The project's name.
        limit: The most rows to list, the newest first.
        show_pii: Whether values of columns that identify a person are shown.

    Returns:
        The rows with the rule each broke and the value that broke it.
    """
    definition = find_project(project)
    total, rows = count_quarantined(definition), quarantined(definition, limit)
    if not show_pii:
        rows = [masked(definition.pii, row) for row in rows]
    facts = {"project": project, "quarantined": total, "rows": [row.as_json() for row in rows]}
    return Answer(facts, [f"{project}: {total:,} rows in quarantine", *(f"  {row}" for row in rows)])


def replay_quarantine(project: str) -> Answer:
    """Judges the quarantined rows again, and admits those that keep today's contract.

    Args:
        project: The project's name.

    Returns:
        How many rows were re-admitted and how many remain.
    """
    done = replay(find_project(project), datetime.now(UTC))
    facts = {"project": project, "readmitted": done.readmitted, "remaining": done.remaining}
    return Answer(facts, [f"{project}: {done.readmitted:,} rows re-admitted, {done.remaining:,} remain in quarantine"])
