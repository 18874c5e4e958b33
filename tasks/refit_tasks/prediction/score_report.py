"""The artifact of a scored batch in Prefect: counts, histogram of the predictions, and differences from training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from refit.inference.prediction_summary import PredictionHistogram
from refit.project import Project
from refit.results.score import ScoreOutcome, VersionCounts
from refit_tasks.monitoring.monitor_report import describe_drift_columns
from refit_tasks.presentation.charts import (
    CURRENT,
    INK,
    REFERENCE,
    make_figure,
    render_png,
    replace_missing_glyphs,
    style_axes,
)
from refit_tasks.presentation.markdown import artifact_key, image, plain, table
from refit_tasks.presentation.summaries import summarize_score
from refit_tasks.runs.links import format_model_links

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MAX_RULES = 20
"""The most contract rules in the table."""


def publish_score(definition: Project, outcome: ScoreOutcome) -> None:
    """Publishes a scored batch as an artifact of the current flow run.

    Args:
        definition: The project.
        outcome: The result of scoring.
    """
    links = f"\n\nThe champion in {format_model_links(outcome.champion)}."
    create_markdown_artifact(
        render_score(outcome) + links,
        key=artifact_key(definition.name, "score"),
        description=plain(summarize_score(outcome)),
    )


def render_score(outcome: ScoreOutcome) -> str:
    """Renders a scored batch as markdown.

    Args:
        outcome: The result of scoring.

    Returns:
        The counts, a histogram of the predictions, the broken contract rules, and the drift from the training rows.
    """
    done = outcome.scored
    parts = (
        [f"## {plain(outcome.project)}: {plain(summarize_score(outcome))}"],
        [_describe_rows(outcome)],
        _render_counts(outcome),
        _render_picture(outcome),
        _render_broken_rules(outcome),
        [f"- {plain(warning, 600)}" for warning in done.warnings],
        ["### Training and serving", "", _describe_skew(outcome)],
        *(describe_drift_columns(done.skew) if done.skew else ()),
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _describe_rows(outcome: ScoreOutcome) -> str:
    done, span = outcome.scored, outcome.scored.span
    times = f", of {span.start:%Y-%m-%d %H:%M} until {span.end:%Y-%m-%d %H:%M} UTC" if span else ""
    return (
        f"{done.rows_in:,} rows from {plain(outcome.request.source, 200)}{times}. {done.quarantined:,} broke the data "
        f"contract; they were quarantined and not scored."
    )


def _render_counts(outcome: ScoreOutcome) -> list[str]:
    rows = [_count_row("champion", outcome.champion.version, outcome.scored.champion)]
    if outcome.shadow and outcome.scored.shadow:
        rows.append(_count_row("shadow", outcome.shadow.version, outcome.scored.shadow))
    return table(("role", "version", "written", "written before"), rows, numeric=(1, 2, 3))


def _count_row(role: str, version: int, found: VersionCounts) -> tuple[str, ...]:
    return role, str(version), f"{found.scored:,}", f"{found.already:,}"


def _render_picture(outcome: ScoreOutcome) -> list[str]:

    drawn = outcome.scored.histograms
    return [image("histogram of the predictions", draw_histograms(drawn))] if drawn else []


def _render_broken_rules(outcome: ScoreOutcome) -> list[str]:
    rows = [(plain(one.rule, 80), plain(one.column, 60), f"{one.rows:,}") for one in outcome.scored.broken[:MAX_RULES]]
    return table(("broken rule", "column", "rows"), rows, numeric=(2,)) if rows else []


def _describe_skew(outcome: ScoreOutcome) -> str:
    if outcome.scored.skew is None:
        return "Not compared: drift is not monitored, there are too few rows, or the version has no training profile."
    return "The scored rows, compared with the training rows of the champion."


COLOURS = (CURRENT, REFERENCE)


def draw_histograms(spreads: Sequence[tuple[str, PredictionHistogram]], scale: float = 1.0) -> bytes:
    """Draws the histograms of predictions side by side.

    Args:
        spreads: Pairs of a version's name and its histogram, all with the same bins.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 480 pixels wide and 240 high.
    """
    figure = make_figure(480, 240)
    axes = figure.add_subplot()
    style_axes(axes)
    _, first = spreads[0]
    if first.ends:
        _draw_steps(axes, spreads)
    else:
        _draw_bars(axes, spreads)
    axes.set_ylabel("rows", fontsize=7.5, color=INK)
    axes.set_xlabel(first.what, fontsize=7.5, color=INK)
    figure.legend(loc="outside upper right", ncols=2, fontsize=7, frameon=False)
    return render_png(figure, scale)


def _draw_steps(axes: Axes, spreads: Sequence[tuple[str, PredictionHistogram]]) -> None:
    for (name, spread), colour in zip(spreads, COLOURS, strict=False):
        low, high = spread.ends or (0.0, 1.0)
        width = (high - low) / len(spread.counts)
        edges = [low + place * width for place in range(len(spread.counts) + 1)]
        axes.stairs(spread.counts, edges, label=name, color=colour, fill=colour == CURRENT, alpha=0.8, linewidth=1.6)


def _draw_bars(axes: Axes, spreads: Sequence[tuple[str, PredictionHistogram]]) -> None:
    cells = list(dict.fromkeys(cell for _, spread in spreads for cell in spread.cells))
    for place, ((name, spread), colour) in enumerate(zip(spreads, COLOURS, strict=False)):
        counts = dict(zip(spread.cells, spread.counts, strict=True))
        shift = 0.2 * (2 * place + 1 - len(spreads))
        axes.bar(
            [at + shift for at in range(len(cells))],
            [counts.get(cell, 0) for cell in cells],
            0.38,
            label=name,
            color=colour,
        )
    axes.set_xticks(range(len(cells)), [replace_missing_glyphs(cell, 14) for cell in cells], parse_math=False)
