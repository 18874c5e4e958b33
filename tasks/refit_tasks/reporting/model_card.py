"""The model card of a version, filled from the ledger, with a chart of the scores in each block of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from refit.errors import StateError
from refit.gate.evaluations import Evaluation, Judgement
from refit.project import Project
from refit.records.references import Challenger
from refit_tasks.ledger.generations import current_champion
from refit_tasks.presentation.charts import (
    CURRENT,
    INK,
    NOTE,
    REFERENCE,
    make_figure,
    render_png,
    replace_missing_glyphs,
    style_axes,
)
from refit_tasks.presentation.markdown import artifact_key, image, plain
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.reporting.model_card_sections import (
    data_part,
    fairness_part,
    features_part,
    lineage_part,
    purpose_part,
    scores_part,
    serving_part,
    slices_part,
    verdict_part,
)
from refit_tasks.runs.links import format_model_links

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def publish_card(definition: Project, challenger: Challenger) -> None:
    """Keeps the card with the model in MLflow, and shows it as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        challenger: The version, on record.
    """
    from prefect.artifacts import create_markdown_artifact

    judgement = _require_judgement(definition, challenger)
    text = render_card(definition, judgement, challenger)
    open_mlflow().log_text(challenger.model.run_id, text, "card.md")
    create_markdown_artifact(
        f"{text}\n{format_model_links(challenger)}\n{_embed_scores(judgement)}",
        key=artifact_key(definition.name, "card"),
        description=f"Model card of version {challenger.version}: {_describe_verdict(judgement)}",
    )


def _describe_verdict(judgement: Judgement) -> str:
    return "fit to serve" if judgement.verdict.promote else "not fit to serve"


def _embed_scores(judgement: Judgement) -> str:
    """Adds the picture for people with a browser; on a terminal it would be pages of letters."""
    picture = draw_scores(judgement)
    return f"\n{image('the scores in each block of time', picture)}\n" if picture else ""


def _require_judgement(definition: Project, challenger: Challenger) -> Judgement:
    judgement = read_judgement(challenger)
    if judgement is None:
        raise _no_verdict_error(definition, challenger.version)
    return judgement


def _no_verdict_error(definition: Project, version: int) -> StateError:
    return StateError(f"the ledger has no verdict on version {version} of {definition.name}: name another one")


def render_version_card(definition: Project, version: int | None) -> tuple[int, str]:
    """Writes the card of a registered version.

    Args:
        definition: The project.
        version: Its number; the champion's, if `None`.

    Returns:
        The number and the card.

    Raises:
        StateError: If there is no such version, or no champion.
    """
    serving = current_champion(definition.name)
    if version is None and serving is None:
        raise StateError(f"{definition.name} has no champion yet: run `refit retrain {definition.name}`")
    wanted = version or (serving.version if serving else 0)
    challenger = find_verdict_of_version(definition.name, wanted)
    if challenger is None:
        raise _no_verdict_error(definition, wanted)
    return wanted, render_card(definition, _require_judgement(definition, challenger), challenger)


def render_card(definition: Project, judgement: Judgement, challenger: Challenger) -> str:
    """Writes a card as markdown.

    Args:
        definition: The project.
        judgement: What the verdict rests on.
        challenger: The version and its verdict's entry.

    Returns:
        What the model is for, its data, features, scores with intervals, slices, fairness, how it serves, the verdict,
        where it comes from, and its limits.
    """
    parts = (
        [f"# {plain(definition.name)} version {challenger.version}: {_describe_verdict(judgement)}"],
        [plain(definition.description, 1_000), "", purpose_part(definition, judgement)],
        data_part(judgement),
        features_part(judgement.comparison.evidence),
        scores_part(judgement),
        slices_part(judgement),
        fairness_part(judgement.comparison.evidence),
        serving_part(judgement),
        verdict_part(judgement, challenger),
        lineage_part(judgement),
        ["## Limits", "", *(f"- {plain(limit, 500)}" for limit in describe_limits(definition, judgement))],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def describe_limits(definition: Project, judgement: Judgement) -> Iterator[str]:
    """Says what the evidence does not cover.

    Args:
        definition: The project.
        judgement: What the verdict rests on.

    Yields:
        Sentences.
    """
    holdout, evidence = judgement.comparison.holdout, judgement.comparison.evidence
    yield (
        f"Judged on {holdout.rows:,} rows from {holdout.window.start:%Y-%m-%d} until {holdout.window.end:%Y-%m-%d} "
        f"alone; nothing is known about other times."
    )
    if judgement.served:
        yield (
            "The version that serves was refitted on all mature rows, including the holdout: the scores are those of "
            "the same recipe before the refit."
        )
    if judgement.over is None:
        yield "There was no champion to compare with."
    if not evidence.slices:
        yield "No slice was large enough to be judged by itself."
    else:
        yield f"Slices with fewer than {judgement.policy.slice_rows:,} rows were not judged by themselves."
    if evidence.calibration is None:
        yield "It gives no probabilities whose calibration could be measured."
    if (judgement.rehearsal if judgement.served else evidence.rehearsal) is None:
        yield "It was not tested in a fresh process, as it would serve."
    if evidence.fairness is None:
        yield "No sensitive column is named, so that fairness between groups was not measured."
    yield "What rows more than one block of time apart have in common is not in the intervals."
    if definition.label_delay:
        delay = str(definition.label_delay).removesuffix(", 0:00:00")
        yield f"Labels are known {delay} after the event: newer rows were left out."


FEWEST = 2
"""Blocks; one would be a dot."""

LOOKS: dict[str, dict[str, Any]] = {
    "this model": {"color": CURRENT, "marker": "o", "ms": 3, "lw": 1.4, "zorder": 3},
    "champion": {"color": NOTE, "marker": "s", "ms": 5.5, "mfc": "none", "lw": 1.2},
    "trivial model": {"color": REFERENCE, "marker": "", "lw": 1.2, "ls": "--"},
}
"""They differ in more than colour, and equal scores do not hide each other."""


def draw_scores(judgement: Judgement, scale: float = 1.0) -> bytes | None:
    """Draws the metric of the challenger, the champion and the trivial model in each block of the holdout.

    Args:
        judgement: What the verdict rests on.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 560 by 220 pixels; `None` where there are too few blocks.
    """
    compared = judgement.comparison
    if len(compared.challenger.blocks) < FEWEST:
        return None
    figure = make_figure(560, 220)
    axes = figure.add_subplot()
    style_axes(axes)
    for name, one in zip(LOOKS, (compared.challenger, compared.champion, compared.baseline), strict=True):
        _draw_line(axes, name, one)
    axes.set_xlabel("consecutive blocks of the rows that it was judged on", fontsize=7.5, color=INK)
    axes.set_ylabel(
        replace_missing_glyphs(compared.metric, 34) + "\nhigher is better", fontsize=7.5, color=INK, parse_math=False
    )
    figure.legend(loc="outside lower center", ncols=len(LOOKS), fontsize=7, frameon=False)
    return render_png(figure, scale)


def _draw_line(axes: Axes, name: str, one: Evaluation | None) -> None:
    if one is not None and one.blocks:
        axes.plot(range(1, len(one.blocks) + 1), one.blocks, label=name, **LOOKS[name])
