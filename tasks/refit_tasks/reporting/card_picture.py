"""The picture of a model card: what each model scored in each block of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refit.gate.evaluations import Evaluation
from refit.gate.judgements import Judgement
from refit_tasks.presentation.charts import CURRENT, INK, NOTE, REFERENCE, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 2
"""Blocks; one would be a dot."""

LOOKS: dict[str, dict[str, Any]] = {
    "this model": {"color": CURRENT, "marker": "o", "ms": 3, "lw": 1.4, "zorder": 3},
    "champion": {"color": NOTE, "marker": "s", "ms": 5.5, "mfc": "none", "lw": 1.2},
    "trivial model": {"color": REFERENCE, "marker": "", "lw": 1.2, "ls": "--"},
}
"""They differ in more than colour, and equal scores do not hide each other."""


def scores_picture(judgement: Judgement, scale: float = 1.0) -> bytes | None:
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
    figure = blank(560, 220)
    axes = figure.add_subplot()
    tidy(axes)
    for name, one in zip(LOOKS, (compared.challenger, compared.champion, compared.baseline), strict=True):
        _line(axes, name, one)
    axes.set_xlabel("consecutive blocks of the rows that it was judged on", fontsize=7.5, color=INK)
    axes.set_ylabel(written(compared.metric, 34) + "\nhigher is better", fontsize=7.5, color=INK, parse_math=False)
    figure.legend(loc="outside lower center", ncols=len(LOOKS), fontsize=7, frameon=False)
    return png(figure, scale)


def _line(axes: Axes, name: str, one: Evaluation | None) -> None:
    if one is not None and one.blocks:
        axes.plot(range(1, len(one.blocks) + 1), one.blocks, label=name, **LOOKS[name])
