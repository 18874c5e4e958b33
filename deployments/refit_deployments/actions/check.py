"""`refit check`: every check of one project, or of all projects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from refit.project import Project
from refit_deployments.output import Result
from refit_deployments.prefect_server.cron import find_cron_fault
from refit_tasks.catalog import choose_projects
from refit_tasks.project_check.check import Check, check


def check_projects(project: str | None, as_of: datetime | None) -> Result:
    """Checks one project, or all projects and the files that define none.

    Args:
        project: The project's name, or `None` for all.
        as_of: The time up to which rows are loaded; now, if `None`.

    Returns:
        Every check of every project; exit code 1 if one failed.
    """
    moment = as_of or datetime.now(UTC)
    chosen, broken = choose_projects(project)
    found = {definition.name: (*check(definition, moment), *_check_schedule(definition)) for definition in chosen}
    sound = not broken and all(item.passed for items in found.values() for item in items)
    facts = {
        "projects": {
            name: [
                {"check": item.name, "passed": item.passed, "sentence": item.sentence, "seconds": item.seconds}
                for item in items
            ]
            for name, items in found.items()
        },
        "broken": broken,
        "sound": sound,
    }
    lines = [
        *(
            f"{name}  {'ok    ' if item.passed else 'FAILED'}  {item.name}: {item.sentence}{_write_seconds(item)}"
            for name, items in found.items()
            for item in items
        ),
        *(f"FAILED  {reason}" for reason in dict.fromkeys(broken.values())),
    ]
    return Result(facts, lines or ["REFIT_PROJECTS has no project files"], exit_code=0 if sound else 1)


def _check_schedule(definition: Project) -> tuple[Check, ...]:
    """Checks the schedule by Prefect's rules; no check where the project has none."""
    given = definition.schedule
    wanted = {"retrain": given.retrain, "monitor": given.monitor, "score": given.score}
    times = {flow: time for flow, time in wanted.items() if time}
    lines = [time for time in times.values() if not isinstance(time, timedelta)]
    faults = [f"{definition.file}: schedule {line!r} {fault}" for line in lines if (fault := find_cron_fault(line))]
    if faults:
        return (Check("schedule", passed=False, sentence=faults[0]),)
    told = ", ".join(f"{flow} {time if isinstance(time, str) else f'every {time}'}" for flow, time in times.items())
    return (Check("schedule", passed=True, sentence=f"{told}, {given.timezone}"),) if times else ()


def _write_seconds(item: Check) -> str:
    return f" ({item.seconds:.1f} s)" if item.seconds else ""
