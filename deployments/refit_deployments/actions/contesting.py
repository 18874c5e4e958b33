"""`refit compare`: the challenger beside the champion, on production rows whose labels have come."""

from __future__ import annotations

from datetime import UTC, datetime

from refit.gate.compared import Compared, Met
from refit_deployments.output import Answer
from refit_tasks.catalog import find_project
from refit_tasks.prediction.compare import compare_beside


def compare_versions(project: str, start: datetime | None, end: datetime | None) -> Answer:
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
    found = compare_beside(find_project(project), datetime.now(UTC), start, end)
    if found is None:
        return Answer(
            {"project": project, "challenger": None}, [f"{project}: no challenger stands beside the champion"]
        )
    return Answer(found.as_json(), describe(found))


def describe(found: Compared) -> list[str]:
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


def _met(met: Met) -> list[str]:
    said = met.contest.sentence if met.contest else met.withheld
    rows = f"{met.answered:,} rows answered, {met.mature:,} mature, {met.labelled:,} labelled"
    return [f"  {met.role:9} {rows}", f"            {met.metric}: {said}" if met.contest else f"            {said}"]
