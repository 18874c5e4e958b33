"""The picture of a calibration: how often the alarms fire without a change, and how often with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refit_tasks.presentation.charts import BAD, CURRENT, INK, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration_picture(false_alarm_rate: float, limit: float, power: Mapping[str, float], scale: float = 1.0) -> bytes:
    """Draws false-alarm rate and power.

    Args:
        false_alarm_rate: The share of windows without a change in which an alarm fired.
        limit: The share that is allowed.
        power: The share of windows with a planted change in which an alarm fired, by the change.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 560 pixels wide.
    """
    figure = blank(560, 190 + 22 * len(power))
    upper, lower = figure.subplots(2, 1, height_ratios=(1, max(len(power), 1)))
    _rates(upper, {"no change": false_alarm_rate}, BAD, "false alarms, % of windows; the line is the limit")
    upper.axvline(100 * limit, color=INK, lw=1, ls="--")
    upper.set_xlim(0, max(2.5, 130 * max(false_alarm_rate, limit)))
    _rates(lower, power, CURRENT, "power: alarms after a planted change, % of windows")
    lower.set_xlim(0, 112)
    return png(figure, scale)


def _rates(axes: Axes, rates: Mapping[str, float], colour: str, title: str) -> None:
    tidy(axes, 8)
    bars = axes.barh(range(len(rates)), [100 * rate for rate in rates.values()], 0.6, color=colour)
    axes.bar_label(bars, [f"{100 * rate:.3g} %" for rate in rates.values()], fontsize=7.5, padding=2, color=INK)
    axes.set_yticks(range(len(rates)), [written(name, 40) for name in rates], parse_math=False)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=8.5, color=INK, loc="left")
