"""The parts of a model card that measure it: scores, slices, groups."""

from __future__ import annotations

import numpy as np
from scipy import stats

from refit.data.blocks import MIN_BLOCKS
from refit.gate.evaluations import Evaluation
from refit.gate.evidence import Evidence
from refit.gate.judgements import Judgement
from refit_tasks.presentation.markdown import number, plain, table

LEVEL = 0.95
"""Of the intervals."""


def scores_part(judgement: Judgement) -> list[str]:
    """Gives the scores of all that were compared, with intervals.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    compared = judgement.comparison
    scored = {"this model": compared.challenger, "trivial model": compared.baseline}
    if judgement.over and compared.champion:
        as_judged = ", as it was judged" if compared.stand_in else ""
        scored[f"champion, version {judgement.over.version}{as_judged}"] = compared.champion
    rows = [(name, number(one.value), _interval(one)) for name, one in scored.items()]
    head = (f"on the same {compared.holdout.rows:,} unseen rows", plain(compared.metric), "95 % interval")
    note = "Intervals are of the mean over blocks of time, by Student's t."
    said = " ".join([note, *_calibrated(compared.evidence)])
    return ["## Scores", "", *table(head, rows, numeric=(1,)), "", said]


def _calibrated(evidence: Evidence) -> list[str]:
    found = evidence.calibration
    if found is None:
        return []
    champions = f"; the champion's is {number(found.champion)}" if found.champion is not None else ""
    return [f"The calibration error is {number(found.challenger)}{champions}."]


def _interval(one: Evaluation) -> str:
    blocks = np.asarray(one.blocks)[np.isfinite(one.blocks)]
    if len(blocks) < MIN_BLOCKS:
        return ""
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(blocks) - 1) * blocks.std(ddof=1) / np.sqrt(len(blocks)))
    return f"{number(float(blocks.mean()) - half)} to {number(float(blocks.mean()) + half)}"


def slices_part(judgement: Judgement) -> list[str]:
    """Gives the losses in each slice.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    slices = judgement.comparison.evidence.slices
    if not slices:
        return []
    rows = [(plain(one.name, 80), f"{one.rows:,}", number(one.challenger), number(one.other)) for one in slices]
    other = "the champion's" if judgement.comparison.champion else "the trivial model's"
    head = ("slice", "rows", "its mean loss", other)
    return ["## Slices", "", *table(head, rows, numeric=(1, 2, 3))]


def fairness_part(evidence: Evidence) -> list[str]:
    """Says how groups are treated.

    Args:
        evidence: What was measured.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    found = evidence.fairness
    if found is None:
        return []
    rows = [
        (
            plain(one.name, 80),
            f"{one.rows:,}",
            number(one.selected),
            number(one.true_positive),
            number(one.false_positive),
        )
        for one in found.groups
    ]
    head = (plain(found.column), "rows", "positive answers", "true positives", "false positives")
    differences = (
        f"Demographic parity difference {number(found.demographic_parity)}, equalised odds difference "
        f"{number(found.equalized_odds)}."
    )
    return ["## Fairness", "", *table(head, rows, numeric=(1, 2, 3, 4)), "", differences]
