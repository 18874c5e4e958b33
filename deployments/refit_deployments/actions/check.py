"""`refit check`: every check of one project, or of all of them.

`refit quarantine`: the rows that broke the data contract, listed or replayed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from refit.data.rejected_rows import mask_row
from refit.errors import BrokenProject
from refit.project import Project
from refit_deployments.output import Result
from refit_tasks.catalog import choose_projects, find_project
from refit_tasks.check_project import Check, check
from refit_tasks.ingestion.quarantine import replay
from refit_tasks.storage.quarantine_table import count_quarantined, quarantined


def check_projects(project: str | None, as_of: datetime | None) -> Result:
    """Checks one project, or all of them and the files that define none.

    Args:
        project: The project's name, or `None` for all.
        as_of: The instant to look from; now, if `None`.

    Returns:
        Every check of every project; exit code 1 if any failed.
    """
    moment = as_of or datetime.now(UTC)
    chosen, broken = choose_projects(project)
    found = {definition.name: (*check(definition, moment), *_schedule(definition)) for definition in chosen}
    sound = not broken and all(item.passed for items in found.values() for item in items)
    facts = {
        "projects": {
            name: [{"check": item.name, "passed": item.passed, "sentence": item.sentence} for item in items]
            for name, items in found.items()
        },
        "broken": broken,
        "sound": sound,
    }
    lines = [
        *(
            f"{name}  {'ok    ' if item.passed else 'FAILED'}  {item.name}: {item.sentence}"
            for name, items in found.items()
            for item in items
        ),
        *(f"FAILED  {reason}" for reason in dict.fromkeys(broken.values())),
    ]
    return Result(facts, lines or ["no projects"], exit_code=0 if sound else 1)


def _schedule(definition: Project) -> tuple[Check, ...]:
    """Whether the project's schedule means something to Prefect; nothing where it has none."""
    from refit_deployments.prefect_server.plan import plan

    given = definition.schedule
    wanted = {"retrain": given.retrain, "monitor": given.monitor, "score": given.score}
    kept = {flow: rhythm for flow, rhythm in wanted.items() if rhythm}
    if not kept:
        return ()
    try:
        plan(definition, "check")
    except BrokenProject as fault:
        return (Check("schedule", passed=False, sentence=str(fault)),)
    told = ", ".join(
        f"{flow} {rhythm if isinstance(rhythm, str) else f'every {rhythm}'}" for flow, rhythm in kept.items()
    )
    return (Check("schedule", passed=True, sentence=f"{told}, {definition.schedule.timezone}"),)


def list_quarantine(project: str, limit: int, *, show_pii: bool = False) -> Result:
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
        rows = [mask_row(definition.pii, row) for row in rows]
    facts = {"project": project, "quarantined": total, "rows": [row.as_json() for row in rows]}
    return Result(facts, [f"{project}: {total:,} rows in quarantine", *(f"  {row}" for row in rows)])


def replay_quarantine(project: str) -> Result:
    """Judges the quarantined rows again, and admits those that keep today's contract.

    Args:
        project: The project's name.

    Returns:
        How many rows were re-admitted and how many remain.
    """
    done = replay(find_project(project), datetime.now(UTC))
    facts = {"project": project, "readmitted": done.readmitted, "remaining": done.remaining}
    return Result(facts, [f"{project}: {done.readmitted:,} rows re-admitted, {done.remaining:,} remain in quarantine"])
