"""Online comparison of a challenger with the champion on logged predictions and labels, and its artifact in Prefect."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect.artifacts import create_markdown_artifact

from refit.errors import ModelError
from refit.gate.online_comparison import (
    Arm,
    ComparisonReport,
    OnlineVerdict,
    Role,
    RoleComparison,
    compare_blocked,
    compare_paired,
)
from refit.inference.prediction_rows import find_classes, read_predictions
from refit.modelling.predictions import Predictions
from refit.modelling.row_contributions import sum_contributions
from refit.modelling.scoring import primary_metric, score
from refit.project import Project, require_key
from refit.records.references import Challenger, Champion
from refit.windows import Window
from refit_tasks.ledger.record import entry
from refit_tasks.prediction.labelled_predictions import LoggedPredictions, join_labels, read_logged_predictions
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.presentation.charts import (
    BAD,
    CURRENT,
    GOOD,
    INK,
    REFERENCE,
    make_figure,
    render_png,
    replace_missing_glyphs,
    style_axes,
)
from refit_tasks.presentation.markdown import artifact_key, format_list, image, number, plain, table
from refit_tasks.registry.challengers import find_challenger

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


log = logging.getLogger(__name__)


def compare_challenger(
    definition: Project,
    champion: Champion | None,
    as_of: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
) -> ComparisonReport | None:
    """Compares the challenger that waits for approval with the champion, on their logged predictions.

    Args:
        definition: The project.
        champion: The version that serves, if any.
        as_of: The time of the comparison, UTC; labels of rows that are not mature by then do not count.
        start: The time of the first prediction that counts, UTC; by default the challenger's verdict.
        end: The end of the window of predictions, exclusive, UTC; by default `as_of`.

    Returns:
        The comparison; `None` if no challenger waits, or the project's serving policy is off.

    Raises:
        ProjectError: If the project has no key.
    """
    challenger = find_challenger(definition, champion) if champion else None
    if champion is None or challenger is None:
        return None
    require_key(definition, "predictions cannot be matched to labels")
    last = end or as_of
    window = Window(min(start or _judged_at(challenger), last), last)
    answers = read_logged_predictions(definition, (champion.version, challenger.version), window)
    met = (
        tuple(_compare_roles(definition, champion, challenger, join_labels(definition, answers, as_of)))
        if answers
        else ()
    )
    role: Role = "canary" if definition.serving.challenger == "canary" else "shadow"
    return ComparisonReport(
        project=definition.name,
        as_of=as_of,
        window=window,
        champion=champion.version,
        challenger=challenger.version,
        role=role,
        share=definition.serving.share if role == "canary" else None,
        looked_at=answers.looked_at if answers else 1.0,
        met=met,
    )


def _judged_at(challenger: Challenger) -> datetime:
    judged = entry(challenger.verdict_id)
    return judged.at if judged else challenger.model.trained_on.window.end


def _compare_roles(
    definition: Project, champion: Champion, challenger: Challenger, answers: LoggedPredictions
) -> Iterator[RoleComparison]:
    """Compares them in each role that the challenger has predicted in."""
    own = [pc.equal(answers.rows["version"], one.version) for one in (challenger, champion)]
    serving = pc.and_(own[1], pc.equal(answers.rows["role"], "champion"))
    shadow = answers.of(pc.and_(own[0], pc.equal(answers.rows["role"], "shadow")))
    if len(shadow.keys):
        beside = answers.of(serving)
        _, one, other = np.intersect1d(shadow.keys, beside.keys, assume_unique=True, return_indices=True)
        yield _compare_role(definition, "shadow", shadow.rows.take(pa.array(one)), beside.rows.take(pa.array(other)))
    canary = answers.of(pc.and_(own[0], pc.equal(answers.rows["role"], "canary")))
    if len(canary.keys):
        beside = answers.of(pc.and_(serving, pc.equal(answers.rows["source"], "http")))
        yield _compare_role(definition, "canary", canary.rows, beside.rows)


def _compare_role(definition: Project, role: Role, challenger: pa.Table, champion: pa.Table) -> RoleComparison:
    # A shadow predicts the champion's rows, in blocks of event time; a canary other rows, in blocks of request time.
    by, rule = ("happened_at", compare_paired) if role == "shadow" else ("scored_at", compare_blocked)
    labelled = [_sort_by_time(rows.filter(rows["truth"].is_valid()), by) for rows in (challenger, champion)]
    met = partial(
        RoleComparison, role, challenger.num_rows, pc.sum(challenger["mature"]).as_py() or 0, labelled[0].num_rows
    )
    if not labelled[0].num_rows or not labelled[1].num_rows:
        return met(None, None, "no mature and labelled rows to compare on: wait for the labels")
    try:
        metric, sides = _build_arms(definition, labelled, by)
        gate = definition.gate
        return met(metric, rule(sides[0], sides[1], gate.significance, gate.min_rows))
    except ModelError as fault:
        return met(None, None, str(fault))


def _build_arms(definition: Project, labelled: list[pa.Table], by: str) -> tuple[str, list[Arm]]:
    truths = [rows["truth"].to_pandas() for rows in labelled]
    found = definition.kind == "classification"
    classes = find_classes(labelled, (one for truth in truths for one in truth.unique())) if found else []
    metric = primary_metric(definition, classes)
    sides = [
        _build_arm(metric, rows[by].to_pandas(), read_predictions(rows, classes), truth)
        for rows, truth in zip(labelled, truths, strict=True)
    ]
    return metric, sides


def _build_arm(metric: str, times: pd.Series, predictions: Predictions, truth: pd.Series) -> Arm:
    contribute = partial(sum_contributions, metric, predictions, truth)
    return Arm(times, partial(score, metric, predictions, truth), contribute)


def _sort_by_time(rows: pa.Table, by: str) -> pa.Table:
    """Sorts rows by time, stably, so that the rows of a shadow and its champion stay aligned by key."""
    return rows.take(pa.array(np.argsort(rows[by].cast(pa.int64()).to_numpy(), kind="stable")))


CAVEAT = (
    "The interval holds for a single look: stopping at the first favourable one of many looks errs more often. "
    "Rows predicted twice count by their newest prediction; rows whose label delay has not passed do not count."
)


@define_retry_task("compare the challenger of {definition.name}")
def publish_challenger(definition: Project, champion: Champion | None, as_of: datetime) -> ComparisonReport | None:
    """Compares the challenger that waits for approval with the champion, and publishes it as an artifact of the run.

    Args:
        definition: The project.
        champion: The version that serves, if any.
        as_of: The time of the comparison, UTC.

    Returns:
        The comparison; `None` if no challenger waits, or the project has no key to join labels by.
    """
    found = compare_challenger(definition, champion, as_of) if definition.key else None
    if found:
        key = artifact_key(definition.name, "challenger")
        create_markdown_artifact(render_comparison(found), key=key, description=plain(found.words, 600))
    return found


def render_comparison(found: ComparisonReport) -> str:
    """Renders a comparison as markdown.

    Args:
        found: The comparison.

    Returns:
        The result in a sentence, a table of the numbers, and a chart.
    """
    drawn = draw_comparison(found.met)
    start, end = found.window.start, found.window.end
    parts = (
        [f"## {plain(found.project)}: {plain(found.words, 600)}"],
        [f"Predictions from {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} UTC, beside version {found.champion}."],
        _render_table(found),
        [image("difference of the scores, with its interval", drawn)] if drawn else [],
        format_list(
            (met.role, plain(met.contest.sentence if met.contest else met.withheld or "", 600)) for met in found.met
        ),
        [plain(CAVEAT, 600)],
        [f"`refit approve {found.project} {found.challenger}` approves it, and `--refuse` refuses it."],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def point_to_comparison(project: str) -> str:
    """Points a person who has to approve a version to its comparison with the champion.

    Args:
        project: The project's name.

    Returns:
        Markdown to append to a page.
    """
    key = artifact_key(project, "challenger")
    return (
        f"\n\nComparison with the champion on production rows: see the artifact `{key}`, which every monitor run "
        f"updates, or run `refit compare {project}`."
    )


def _render_table(found: ComparisonReport) -> list[str]:
    head = ("as", "metric", "challenger", "champion", "difference", "interval", "answered", "mature", "labelled")
    return table(head, map(_row, found.met), numeric=(2, 3, 4, 6, 7, 8)) if found.met else []


def _row(met: RoleComparison) -> tuple[str, ...]:
    contest = met.contest
    counts = tuple(f"{count:,}" for count in (met.answered, met.mature, met.labelled))
    if contest is None:
        return (met.role, "", "", "", "", "", *counts)
    low, high = contest.interval or (None, None)
    interval = "" if low is None else f"{number(low)} to {number(high)}"
    scores = (number(contest.challenger), number(contest.champion), number(contest.difference))
    return (met.role, plain(met.metric or "", 60), *scores, interval, *counts)


COLOURS: dict[OnlineVerdict, str] = {"better": GOOD, "worse": BAD, "not yet known": CURRENT}


def draw_comparison(met: Sequence[RoleComparison], scale: float = 1.0) -> bytes | None:
    """Draws the differences of the scores; a value right of the line is better than the champion.

    Args:
        met: The comparisons by role.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 480 pixels wide; `None` if no difference is known.
    """
    drawn = [one for one in met if one.contest and one.contest.interval]
    if not drawn:
        return None
    figure = make_figure(480, 80 + 40 * len(drawn))
    axes = figure.add_subplot()
    style_axes(axes, 8)
    axes.axvline(0, color=REFERENCE, lw=1.6, ls="--")
    for place, one in enumerate(drawn):
        _draw_interval(axes, place, one)
    axes.set_yticks(range(len(drawn)), [f"{one.role}, {one.labelled:,} rows" for one in drawn])
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_xlabel(
        replace_missing_glyphs(f"{drawn[0].metric}, challenger minus champion", 60),
        fontsize=8,
        color=INK,
        parse_math=False,
    )
    return render_png(figure, scale)


def _draw_interval(axes: Axes, place: int, one: RoleComparison) -> None:
    found = one.contest
    if found is None or found.interval is None or found.difference is None:
        return
    colour = COLOURS[found.verdict]
    axes.hlines(place, *found.interval, color=colour, lw=3, alpha=0.5)
    axes.plot([found.difference], [place], color=colour, marker="o", ms=6)
