"""The picture of a challenger beside the champion: the difference of their scores, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refit.gate.compared import Met
from refit.gate.online_comparison import Word
from refit_tasks.presentation.charts import BAD, CURRENT, GOOD, INK, REFERENCE, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Word, str] = {"better": GOOD, "worse": BAD, "not yet known": CURRENT}


def contest_picture(met: Sequence[Met], scale: float = 1.0) -> bytes | None:
    """Draws the differences of the scores; what lies right of the line is better than the champion.

    Args:
        met: The ways in which both have met.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 480 pixels wide; `None` where no difference is known.
    """
    drawn = [one for one in met if one.contest and one.contest.interval]
    if not drawn:
        return None
    figure = blank(480, 80 + 40 * len(drawn))
    axes = figure.add_subplot()
    tidy(axes, 8)
    axes.axvline(0, color=REFERENCE, lw=1.6, ls="--")
    for place, one in enumerate(drawn):
        _interval(axes, place, one)
    axes.set_yticks(range(len(drawn)), [f"{one.role}, {one.labelled:,} rows" for one in drawn])
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_xlabel(
        written(f"{drawn[0].metric}, challenger minus champion", 60), fontsize=8, color=INK, parse_math=False
    )
    return png(figure, scale)


def _interval(axes: Axes, place: int, one: Met) -> None:
    found = one.contest
    if found is None or found.interval is None or found.difference is None:
        return
    colour = COLOURS[found.verdict]
    axes.hlines(place, *found.interval, color=colour, lw=3, alpha=0.5)
    axes.plot([found.difference], [place], color=colour, marker="o", ms=6)
