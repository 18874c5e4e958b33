"""The picture of what versions said of a batch: how their predictions are spread, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refit.inference.spreads import Spread
from refit_tasks.presentation.charts import CURRENT, INK, REFERENCE, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (CURRENT, REFERENCE)


def spread_picture(spreads: Sequence[tuple[str, Spread]], scale: float = 1.0) -> bytes:
    """Draws how predictions are spread.

    Args:
        spreads: Of each version, by its name, in the same cells.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 480 pixels wide and 240 high.
    """
    figure = blank(480, 240)
    axes = figure.add_subplot()
    tidy(axes)
    _, first = spreads[0]
    if first.ends:
        _steps(axes, spreads)
    else:
        _bars(axes, spreads)
    axes.set_ylabel("rows", fontsize=7.5, color=INK)
    axes.set_xlabel(first.what, fontsize=7.5, color=INK)
    figure.legend(loc="outside upper right", ncols=2, fontsize=7, frameon=False)
    return png(figure, scale)


def _steps(axes: Axes, spreads: Sequence[tuple[str, Spread]]) -> None:
    for (name, spread), colour in zip(spreads, COLOURS, strict=False):
        low, high = spread.ends or (0.0, 1.0)
        width = (high - low) / len(spread.counts)
        edges = [low + place * width for place in range(len(spread.counts) + 1)]
        axes.stairs(spread.counts, edges, label=name, color=colour, fill=colour == CURRENT, alpha=0.8, linewidth=1.6)


def _bars(axes: Axes, spreads: Sequence[tuple[str, Spread]]) -> None:
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
    axes.set_xticks(range(len(cells)), [written(cell, 14) for cell in cells], parse_math=False)
