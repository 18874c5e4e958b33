"""The style that all pictures share, and the picture of one column: reference and current rows side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from refit.records.drift_findings import ColumnDrift
from refit_tasks.presentation.markdown import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE, CURRENT, GOOD, BAD, NOTE, INK = "#a9b4c0", "#0072b2", "#009e73", "#d55e00", "#e69f00", "#333333"
"""From the palette of Okabe and Ito, which people who do not see every colour can tell apart; they differ in
lightness, too."""

PIXELS_PER_INCH = 96.0
"""A browser's."""

SPECIAL_CELLS = 2
"""The last two cells of a column: unseen and missing."""

MOST_CELLS = 12
"""The most cells of a column that are drawn one by one."""

Cell = tuple[str, float, float]
"""A name and the shares of the reference's and of the current rows."""


def blank(width: int, height: int, top: float = 0.0) -> Figure:
    """Makes an empty picture; nothing is shared with other threads.

    Args:
        width: In pixels of a browser.
        height: In pixels of a browser.
        top: The share of the height that is kept free above all parts.

    Returns:
        A figure that arranges its parts by itself.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (width / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
    return Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - top)), facecolor="white")


def png(figure: Figure, scale: float = 1.0) -> bytes:
    """Draws a picture into a file of few kilobytes.

    Args:
        figure: From `blank`.
        scale: Pixels of the file per pixel of the browser; 2 is sharp on fine screens.

    Returns:
        PNG with a palette of 96 colours, the same bytes for the same picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(PIXELS_PER_INCH * scale)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.frombytes("RGBA", canvas.get_width_height(), canvas.buffer_rgba().tobytes())
    small = drawn.convert("RGB").quantize(96, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def tidy(axes: Axes, size: float = 7.5) -> None:
    """Takes away the lines around a picture that say nothing, and makes its numbers small.

    Args:
        axes: The part of the picture.
        size: The letters' size in points.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=size, colors=INK, length=2.5)


def written(text: str, longest: int) -> str:
    """Makes a text that the pictures' font can show.

    Args:
        text: Any text.
        longest: The most characters that are shown.

    Returns:
        The text, with a box for every character that the font does not have.
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return "".join(letter if font.get_char_index(ord(letter)) else "\u25af" for letter in shortened(text, longest))


def column_picture(found: ColumnDrift, scale: float = 1.0) -> bytes | None:
    """Draws how the values of one column are spread in the reference and in the current window.

    Args:
        found: A column with the shares of its cells.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 360 pixels wide and 180 high or, with many cells, more; `None` for a column without shares.
    """
    cells = shown_cells(found)
    if not cells:
        return None
    figure = blank(360, max(180, 62 + 19 * len(cells)))
    axes = figure.add_subplot()
    tidy(axes)
    _bars(axes, cells)
    figure.suptitle(written(found.column, 44), x=0.02, ha="left", fontsize=9, color=INK, parse_math=False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    return png(figure, scale)


def shown_cells(found: ColumnDrift) -> list[Cell]:
    """Chooses what is drawn of a column.

    Args:
        found: A column with the shares of its cells.

    Returns:
        Intervals in their order; categories by their size, the small ones added up; unseen and missing values where
        there are any.
    """
    cells = list(zip(found.cells, found.reference_shares, found.current_shares, strict=True))
    usual, special = cells[:-SPECIAL_CELLS], cells[-SPECIAL_CELLS:]
    if found.kind == "category":
        usual = _largest(_filled(usual))
    return [*usual, *_filled(special)]


def _filled(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell[1] or cell[2]]


def _largest(cells: Sequence[Cell]) -> list[Cell]:
    ordered = sorted(cells, key=lambda cell: -max(cell[1], cell[2]))
    if len(ordered) <= MOST_CELLS:
        return ordered
    kept, rest = ordered[: MOST_CELLS - 1], ordered[MOST_CELLS - 1 :]
    return [*kept, (f"{len(rest)} others", sum(cell[1] for cell in rest), sum(cell[2] for cell in rest))]


def _bars(axes: Axes, cells: Sequence[Cell]) -> None:
    places = range(len(cells))
    reference, current = ([100 * cell[side] for cell in cells] for side in (1, 2))
    axes.barh([place - 0.2 for place in places], reference, 0.38, color=REFERENCE, label="reference")
    axes.barh([place + 0.2 for place in places], current, 0.38, color=CURRENT, label="current window")
    axes.set_yticks(places, [written(cell[0], 22) for cell in cells], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("share of rows, %", fontsize=7.5, color=INK)
