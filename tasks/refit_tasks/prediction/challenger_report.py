"""How a challenger does beside the champion, as a page for Prefect's artifacts."""

from __future__ import annotations

from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from refit.gate.compared import Compared, Met
from refit.project import Project
from refit_tasks.prediction.compare import compare_beside
from refit_tasks.prediction.contest_picture import contest_picture
from refit_tasks.presentation.markdown import artifact_key, image, number, plain, sentences, table
from refit_tasks.retries import not_ours

ONE_LOOK = (
    "An interval holds for one look: who looks every day and stops at the first that pleases is wrong more often. "
    "Rows answered twice count by their newest answer; rows whose label delay has not passed do not count."
)


@task(
    task_run_name="compare the challenger of {definition.name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=1,
    retry_condition_fn=not_ours,
)
def publish_challenger(definition: Project, as_of: datetime) -> Compared | None:
    """Compares the challenger that waits with the champion, and shows it as an artifact of the flow run.

    Args:
        definition: The project.
        as_of: The instant looked from, UTC.

    Returns:
        What was found; `None` where no version waits, or the project has no key by which labels find their answers.
    """
    found = compare_beside(definition, as_of) if definition.key else None
    if found:
        key = artifact_key(definition.name, "challenger")
        create_markdown_artifact(challenger_markdown(found), key=key, description=plain(found.words, 600))
    return found


def challenger_markdown(found: Compared) -> str:
    """Writes a comparison as markdown.

    Args:
        found: What was found.

    Returns:
        What came of it in words, the numbers, and a picture.
    """
    drawn = contest_picture(found.met)
    start, end = found.window.start, found.window.end
    parts = (
        [f"## {plain(found.project)}: {plain(found.words, 600)}"],
        [f"Answers of {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} UTC, beside version {found.champion}."],
        _numbers(found),
        [image("the difference of the scores with its interval", drawn)] if drawn else [],
        sentences(
            (met.role, plain(met.contest.sentence if met.contest else met.withheld or "", 600)) for met in found.met
        ),
        [plain(ONE_LOOK, 600)],
        [f"`refit approve {found.project} {found.challenger}` lets it serve; with `--refuse` it goes."],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def where_compared(project: str) -> str:
    """Says where a person who is to approve a version finds how it does.

    Args:
        project: The project's name.

    Returns:
        Markdown to follow a page.
    """
    key = artifact_key(project, "challenger")
    return (
        f"\n\nHow it does beside the champion on rows in production: the artifact `{key}`, which every run of the "
        f"monitor makes anew, or `refit compare {project}`."
    )


def _numbers(found: Compared) -> list[str]:
    head = ("as", "metric", "challenger", "champion", "difference", "interval", "answered", "mature", "labelled")
    return table(head, map(_row, found.met), numeric=(2, 3, 4, 6, 7, 8)) if found.met else []


def _row(met: Met) -> tuple[str, ...]:
    contest = met.contest
    counts = tuple(f"{count:,}" for count in (met.answered, met.mature, met.labelled))
    if contest is None:
        return (met.role, "", "", "", "", "", *counts)
    low, high = contest.interval or (None, None)
    interval = "" if low is None else f"{number(low)} to {number(high)}"
    scores = (number(contest.challenger), number(contest.champion), number(contest.difference))
    return (met.role, plain(met.metric or "", 60), *scores, interval, *counts)
