"""The picture of a backtest: the loss of every policy over time, when each trained, and what it came to."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

from refit.backtest.results import BacktestResult, PolicyResult
from refit_tasks.presentation.charts import INK, blank, png, tidy, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00")
"""Of Okabe and Ito; the last one in place of their yellow, which white paper swallows."""

STYLES = ("-", "--", "-.", ":")


NEVER: dict[str, Any] = {"color": "#8a8a8a", "linestyle": "--"}
"""How the policy that all others are held against is drawn."""


def backtest_picture(result: BacktestResult, scale: float = 1.0) -> bytes:
    """Draws a backtest.

    Args:
        result: From a replay of the project's history.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 860 pixels wide.
    """
    rows = 22 * len(result.policies) + 10
    figure = blank(860, 290 + rows)
    grid = figure.add_gridspec(2, 2, width_ratios=(2.4, 1), height_ratios=(220, rows))
    losses = figure.add_subplot(grid[0, :])
    trainings = figure.add_subplot(grid[1, 0], sharex=losses)
    _losses(losses, result)
    _trainings(trainings, result)
    _relative(figure.add_subplot(grid[1, 1]), result)
    return png(figure, scale)


def trained_at(policy: PolicyResult) -> list[int]:
    """Lists when a policy trained.

    Args:
        policy: What it did.

    Returns:
        The numbers of the windows at whose ends it asked for a retrain, from 0, first to last.
    """
    return sorted({event.window for event in policy.events if event.what == "retrain"})


def _losses(axes: Axes, result: BacktestResult) -> None:
    tidy(axes, 8)
    for look, policy in _looks(result):
        first = len(result.windows) - len(policy.losses)
        axes.plot(range(first, len(result.windows)), policy.losses, lw=1.3, **look)
        at = [window for window in trained_at(policy) if window >= first]
        axes.scatter(at, [policy.losses[window - first] for window in at], s=13, color=look["color"], zorder=3)
    axes.set_ylabel(written(f"loss ({result.metric})", 40), fontsize=8, color=INK, parse_math=False)
    axes.set_title("loss in each window, lower is better; a dot where the policy trained after it", **_TITLE)


def _trainings(axes: Axes, result: BacktestResult) -> None:
    tidy(axes, 8)
    for place, (look, policy) in enumerate(_looks(result)):
        at = trained_at(policy)
        axes.hlines(place, 0, len(result.windows) - 1, lw=1.3, alpha=0.6, zorder=0, **look)
        axes.scatter(at, [place] * len(at), marker="|", s=70, color=look["color"], linewidths=2.2)
    axes.set_yticks(range(len(result.policies)), [written(name, 24) for name in result.policies], parse_math=False)
    axes.set_ylim(len(result.policies) - 0.5, -0.5)
    axes.set_xlabel("number of the window", fontsize=8, color=INK)
    axes.set_title("policies, and the windows at whose ends they trained", **_TITLE)


def _relative(axes: Axes, result: BacktestResult) -> None:
    tidy(axes, 8)
    axes.tick_params(labelleft=False, left=False)
    right, longest = axes.get_yaxis_transform(), 1.0
    for place, (look, policy) in enumerate(_looks(result)):
        if isfinite(policy.relative_loss):
            longest = max(longest, policy.relative_loss)
            axes.barh(place, policy.relative_loss, 0.62, color=look["color"])
            axes.text(0.99, place, f"{policy.relative_loss:.3f}", transform=right, **_NUMBER)
    axes.axvline(1, color=INK, lw=0.8, ls=":")
    axes.set_xlim(0, 1.35 * longest)
    axes.set_ylim(len(result.policies) - 0.5, -0.5)
    axes.set_xlabel("mean loss / that of never retraining", fontsize=8, color=INK)
    axes.set_title("relative loss", **_TITLE)


def _looks(result: BacktestResult) -> Iterator[tuple[dict[str, Any], PolicyResult]]:
    """Gives every policy its own colour or, where the colours run out, its own kind of line."""
    place = 0
    for name, policy in result.policies.items():
        look: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": STYLES[place // len(COLOURS) % len(STYLES)],
        }
        yield (NEVER if name == "never" else look), policy
        place += name != "never"


_TITLE: dict[str, Any] = {"fontsize": 8.5, "color": INK, "loc": "left"}
_NUMBER: dict[str, Any] = {"fontsize": 8, "color": INK, "va": "center", "ha": "right"}
