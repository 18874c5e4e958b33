"""The picture of a champion's score over time, with its uncertainty and what was decided meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from refit_tasks.presentation.charts import BAD, CURRENT, GOOD, INK, NOTE, REFERENCE, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def performance_picture(metric: str, points: Sequence[Point], marks: Sequence[Mark], scale: float = 1.0) -> bytes:
    """Draws the score of every monitored window.

    Args:
        metric: The scorer's name.
        points: In order of time.
        marks: What happened meanwhile; what lies far outside the points' time stretches the picture.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 760 by 300 pixels.
    """
    figure = blank(760, 300, top=0.06)
    axes = figure.add_subplot()
    tidy(axes, 8)
    _scores(axes, points)
    _baseline(axes, points)
    for event in SHAPES:
        _marks(axes, event, [mark.at for mark in marks if mark.event == event])
    axes.set_ylabel(written(metric, 34) + "\nhigher is better", fontsize=8, color=INK, parse_math=False)
    _dates(axes, [*(point.at for point in points), *(mark.at for mark in marks)])
    shown = len(axes.get_legend_handles_labels()[0])
    figure.legend(loc="outside lower center", ncols=shown if shown <= ONE_LINE else 4, fontsize=7.5, frameon=False)
    return png(figure, scale)


def _scores(axes: Axes, points: Sequence[Point]) -> None:
    days, scores = _days(point.at for point in points), [point.score for point in points]
    known = [(point.at, *point.interval) for point in points if point.interval]
    at, low, high = _days(row[0] for row in known), [row[1] for row in known], [row[2] for row in known]
    if len(points) > FEW:
        axes.fill_between(at, low, high, color=CURRENT, alpha=0.2, lw=0, label="95 % interval")
        axes.plot(days, scores, color=CURRENT, lw=1.2, label="score of the window")
        return
    axes.vlines(at, low, high, color=CURRENT, alpha=0.45, lw=2.5, label="95 % interval")
    axes.plot(days, scores, color=CURRENT, lw=0.8, marker="o", ms=3.5, label="score of the window")


def _baseline(axes: Axes, points: Sequence[Point]) -> None:
    known = [(point.at, point.reference) for point in points if point.reference is not None]
    look: dict[str, Any] = {"color": REFERENCE, "lw": 1.6, "ls": "--", "zorder": 1, "label": "baseline"}
    if len({value for _, value in known}) == 1:
        axes.axhline(known[0][1], **look)  # seen even where only one window is scored yet
    elif known:
        axes.plot(_days(at for at, _ in known), [value for _, value in known], drawstyle="steps-post", **look)


def _marks(axes: Axes, event: Event, times: Sequence[datetime]) -> None:
    """Draws events on a line of their own above the scores, where they hide nothing."""
    if not times:
        return
    shape, colour, name = SHAPES[event]
    look: dict[str, Any] = {} if shape == "x" else {"edgecolors": INK, "linewidths": 0.6}
    look |= {"transform": axes.get_xaxis_transform(), "clip_on": False, "color": colour, "label": name}
    axes.scatter(_days(times), [1.04] * len(times), s=34, marker=shape, **look)
    if len(times) <= FEW:
        for day in _days(times):
            axes.axvline(day, color=colour, lw=0.6, alpha=0.6, zorder=0)


def _dates(axes: Axes, times: Sequence[datetime]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if times:
        first, last = _days((min(times), max(times)))
        edge = max((last - first) * 0.03, 1.0)
        axes.set_xlim(first - edge, last + edge)
    places = AutoDateLocator(tz=UTC, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(places)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(places, tz=UTC))
    axes.xaxis.get_offset_text().set_fontsize(7.5)
    axes.set_xlabel("end of the scored window, UTC; marks stand where the decision looked from", fontsize=8, color=INK)


def _days(times: Iterable[datetime]) -> list[float]:
    """Turns times into what an axis is measured in."""
    from matplotlib.dates import date2num

    return [float(date2num(time)) for time in times]
