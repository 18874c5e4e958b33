"""Charts as PNG: their common style, the distribution of a column, and the champion's score over time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from refit.records.drift_findings import ColumnDrift
from refit_tasks.presentation.markdown import shorten

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


def make_figure(width: int, height: int, top: float = 0.0) -> Figure:
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


def render_png(figure: Figure, scale: float = 1.0) -> bytes:
    """Draws a picture into a file of few kilobytes.

    Args:
        figure: From `make_figure`.
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


def style_axes(axes: Axes, size: float = 7.5) -> None:
    """Takes away the lines around a picture that say nothing, and makes its numbers small.

    Args:
        axes: The part of the picture.
        size: The letters' size in points.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=size, colors=INK, length=2.5)


def replace_missing_glyphs(text: str, longest: int) -> str:
    """Makes a text that the pictures' font can show.

    Args:
        text: Any text.
        longest: The most characters that are shown.

    Returns:
        The text, with a box for every character that the font does not have.
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return "".join(letter if font.get_char_index(ord(letter)) else "\u25af" for letter in shorten(text, longest))


def draw_column(found: ColumnDrift, scale: float = 1.0) -> bytes | None:
    """Draws how the values of one column are spread in the reference and in the current window.

    Args:
        found: A column with the shares of its cells.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 360 pixels wide and 180 high or, with many cells, more; `None` for a column without shares.
    """
    cells = select_bins(found)
    if not cells:
        return None
    figure = make_figure(360, max(180, 62 + 19 * len(cells)))
    axes = figure.add_subplot()
    style_axes(axes)
    _draw_bars(axes, cells)
    figure.suptitle(
        replace_missing_glyphs(found.column, 44), x=0.02, ha="left", fontsize=9, color=INK, parse_math=False
    )
    figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    return render_png(figure, scale)


def select_bins(found: ColumnDrift) -> list[Cell]:
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
        usual = _merge_small(_drop_empty(usual))
    return [*usual, *_drop_empty(special)]


def _drop_empty(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell[1] or cell[2]]


def _merge_small(cells: Sequence[Cell]) -> list[Cell]:
    ordered = sorted(cells, key=lambda cell: -max(cell[1], cell[2]))
    if len(ordered) <= MOST_CELLS:
        return ordered
    kept, rest = ordered[: MOST_CELLS - 1], ordered[MOST_CELLS - 1 :]
    return [*kept, (f"{len(rest)} others", sum(cell[1] for cell in rest), sum(cell[2] for cell in rest))]


def _draw_bars(axes: Axes, cells: Sequence[Cell]) -> None:
    places = range(len(cells))
    reference, current = ([100 * cell[side] for cell in cells] for side in (1, 2))
    axes.barh([place - 0.2 for place in places], reference, 0.38, color=REFERENCE, label="reference")
    axes.barh([place + 0.2 for place in places], current, 0.38, color=CURRENT, label="current window")
    axes.set_yticks(places, [replace_missing_glyphs(cell[0], 22) for cell in cells], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("share of rows, %", fontsize=7.5, color=INK)


Event = Literal["promoted", "rejected", "failed", "asked", "alert"]

ASKED = "#cc79a7"
"""Of the same palette: a retrain of which nothing came, or nothing yet."""

SHAPES: dict[Event, tuple[str, str, str]] = {
    "promoted": ("^", GOOD, "retrained, promoted"),
    "rejected": ("x", BAD, "retrained, rejected"),
    "failed": ("s", INK, "retrain failed"),
    "asked": ("o", ASKED, "retrain asked for"),
    "alert": ("D", NOTE, "alert"),
}
"""The mark of each event, its colour and its name; the shapes differ, too."""

ONE_LINE = 5
"""So many entries of the legend fit beside each other."""

FEW = 60
"""Up to so many points each is drawn as a dot with its interval; more become a line in a band."""


@dataclass(frozen=True, slots=True)
class Point:
    """The score of one monitored window."""

    at: datetime
    """The window's end, UTC."""
    score: float
    """Higher is better."""
    interval: tuple[float, float] | None
    """95 %."""
    reference: float | None
    """The baseline that the score was held against."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was decided or done."""

    at: datetime
    """UTC."""
    event: Event


def draw_performance(metric: str, points: Sequence[Point], marks: Sequence[Mark], scale: float = 1.0) -> bytes:
    """Draws the score of every monitored window.

    Args:
        metric: The scorer's name.
        points: In order of time.
        marks: What happened meanwhile; what lies far outside the points' time stretches the picture.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 760 by 300 pixels.
    """
    figure = make_figure(760, 300, top=0.06)
    axes = figure.add_subplot()
    style_axes(axes, 8)
    _draw_scores(axes, points)
    _draw_baseline(axes, points)
    for event in SHAPES:
        _draw_events(axes, event, [mark.at for mark in marks if mark.event == event])
    axes.set_ylabel(replace_missing_glyphs(metric, 34) + "\nhigher is better", fontsize=8, color=INK, parse_math=False)
    _format_dates(axes, [*(point.at for point in points), *(mark.at for mark in marks)])
    shown = len(axes.get_legend_handles_labels()[0])
    figure.legend(loc="outside lower center", ncols=shown if shown <= ONE_LINE else 4, fontsize=7.5, frameon=False)
    return render_png(figure, scale)


def _draw_scores(axes: Axes, points: Sequence[Point]) -> None:
    days, scores = _to_days(point.at for point in points), [point.score for point in points]
    known = [(point.at, *point.interval) for point in points if point.interval]
    at, low, high = _to_days(row[0] for row in known), [row[1] for row in known], [row[2] for row in known]
    if len(points) > FEW:
        axes.fill_between(at, low, high, color=CURRENT, alpha=0.2, lw=0, label="95 % interval")
        axes.plot(days, scores, color=CURRENT, lw=1.2, label="score of the window")
        return
    axes.vlines(at, low, high, color=CURRENT, alpha=0.45, lw=2.5, label="95 % interval")
    axes.plot(days, scores, color=CURRENT, lw=0.8, marker="o", ms=3.5, label="score of the window")


def _draw_baseline(axes: Axes, points: Sequence[Point]) -> None:
    known = [(point.at, point.reference) for point in points if point.reference is not None]
    look: dict[str, Any] = {"color": REFERENCE, "lw": 1.6, "ls": "--", "zorder": 1, "label": "baseline"}
    if len({value for _, value in known}) == 1:
        axes.axhline(known[0][1], **look)  # seen even where only one window is scored yet
    elif known:
        axes.plot(_to_days(at for at, _ in known), [value for _, value in known], drawstyle="steps-post", **look)


def _draw_events(axes: Axes, event: Event, times: Sequence[datetime]) -> None:
    """Draws events on a line of their own above the scores, where they hide nothing."""
    if not times:
        return
    shape, colour, name = SHAPES[event]
    look: dict[str, Any] = {} if shape == "x" else {"edgecolors": INK, "linewidths": 0.6}
    look |= {"transform": axes.get_xaxis_transform(), "clip_on": False, "color": colour, "label": name}
    axes.scatter(_to_days(times), [1.04] * len(times), s=34, marker=shape, **look)
    if len(times) <= FEW:
        for day in _to_days(times):
            axes.axvline(day, color=colour, lw=0.6, alpha=0.6, zorder=0)


def _format_dates(axes: Axes, times: Sequence[datetime]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if times:
        first, last = _to_days((min(times), max(times)))
        edge = max((last - first) * 0.03, 1.0)
        axes.set_xlim(first - edge, last + edge)
    places = AutoDateLocator(tz=UTC, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(places)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(places, tz=UTC))
    axes.xaxis.get_offset_text().set_fontsize(7.5)
    axes.set_xlabel("end of the scored window, UTC; marks stand where the decision looked from", fontsize=8, color=INK)


def _to_days(times: Iterable[datetime]) -> list[float]:
    """Turns times into what an axis is measured in."""
    from matplotlib.dates import date2num

    return [float(date2num(time)) for time in times]
