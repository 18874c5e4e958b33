"""The report of a backtest: sentences, a table, a chart of losses and trainings, and the Prefect artifact."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_markdown_artifact

from refit.backtest.policies import PRESETS
from refit.backtest.results import BacktestResult, PolicyResult
from refit.project import Project
from refit_tasks.presentation.charts import INK, make_figure, render_png, replace_missing_glyphs, style_axes
from refit_tasks.presentation.markdown import artifact_key, image, number, plain, table
from refit_tasks.presentation.summaries import LOSS_DIGITS, name_best_policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


NUMBERS = ("loss", "relative loss", "regret", "trainings", "promotions")
"""What is told of each policy; the JSON has the same names, with a low line for the space."""


def publish_backtest(definition: Project, result: BacktestResult) -> None:
    """Shows a backtest as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        result: What the replay showed.
    """
    create_markdown_artifact(
        backtest_markdown(result),
        key=artifact_key(definition.name, "backtest"),
        description=plain(name_best_policy(result), 400),
    )


def backtest_markdown(result: BacktestResult) -> str:
    """Writes a backtest as markdown.

    Args:
        result: What the replay showed.

    Returns:
        A headline, a row for every policy, what the numbers and the policies mean, and the picture.
    """
    rows = [(plain(name, 60), *format_numbers(policy)) for name, policy in result.policies.items()]
    parts = (
        f"## {plain(result.project)}: {plain(name_best_policy(result), 400)}",
        f"{plain(describe_history(result))}; {result.fits} fits, {result.seconds:.0f} seconds.",
        "\n".join(table(("policy", *NUMBERS), rows, numeric=range(1, 6))),
        image("loss per window, trainings and relative loss of every policy", draw_backtest(result)),
        "\n".join(f"- **{name}**: {plain(words)}" for name, words in explain_numbers(result)),
        "\n".join(f"- **{plain(name, 60)}**: {plain(words)}" for name, words in explain_policies(result)),
    )
    return "\n\n".join(parts)


def describe_history(result: BacktestResult) -> str:
    """Says what was replayed.

    Args:
        result: What the replay showed.

    Returns:
        A sentence without its full stop.
    """
    start, end, first = result.windows[0].start, result.windows[-1].end, len(result.windows) - len(result.scored)
    return (
        f"{result.rows:,} rows from {start:%Y-%m-%d} until {end:%Y-%m-%d} in {len(result.windows)} windows of about as "
        f"many rows; the first champion was trained in the first {first}, the last {len(result.scored)} are scored"
    )


def format_numbers(policy: PolicyResult) -> tuple[str, ...]:
    """Writes what is told of a policy.

    Args:
        policy: What it did.

    Returns:
        A cell for each of `NUMBERS`; empty where there is nothing to tell.
    """
    relative = number(policy.relative_loss)
    if policy.interval and policy.interval[0] < policy.interval[1]:
        relative += f" ({policy.interval[0]:.3g} to {policy.interval[1]:.3g})"
    measured = number(policy.loss, LOSS_DIGITS), relative, number(policy.regret, 3)
    return *measured, str(policy.trainings), str(policy.promotions)


def explain_numbers(result: BacktestResult) -> tuple[tuple[str, str], ...]:
    """Explains the numbers.

    Args:
        result: What the replay showed.

    Returns:
        Each of `NUMBERS` with what it means.
    """
    metric = result.metric
    kind = metric.removeprefix("neg_").replace("_", " ") if metric.startswith("neg_") else f"1 - {metric}"
    words = (
        f"{kind} of the champion that served, averaged over the scored windows; lower is better",
        "the loss over that of never retraining, with its 95 % interval over the windows; below 1, retraining paid",
        "the loss beyond that of the best model that any of these policies had by then; 0 is best",
        "retrains the policy asked for; the first champion, which all share, is not counted",
        "trainings whose challenger came to serve",
    )
    return tuple(zip(NUMBERS, words, strict=True))


def explain_policies(result: BacktestResult) -> Iterator[tuple[str, str]]:
    """Explains the policies that have a name of their own.

    Args:
        result: What the replay showed.

    Yields:
        A policy's name and what it does.
    """
    for name in result.policies:
        if name in PRESETS:
            yield name, PRESETS[name].about


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00")
"""Of Okabe and Ito; the last one in place of their yellow, which white paper swallows."""

STYLES = ("-", "--", "-.", ":")


NEVER: dict[str, Any] = {"color": "#8a8a8a", "linestyle": "--"}
"""How the policy that all others are held against is drawn."""


def draw_backtest(result: BacktestResult, scale: float = 1.0) -> bytes:
    """Draws a backtest.

    Args:
        result: From a replay of the project's history.
        scale: Pixels of the file per pixel of the browser.

    Returns:
        PNG, 860 pixels wide.
    """
    rows = 22 * len(result.policies) + 10
    figure = make_figure(860, 290 + rows)
    grid = figure.add_gridspec(2, 2, width_ratios=(2.4, 1), height_ratios=(220, rows))
    losses = figure.add_subplot(grid[0, :])
    trainings = figure.add_subplot(grid[1, 0], sharex=losses)
    _draw_losses(losses, result)
    _draw_trainings(trainings, result)
    _draw_relative_losses(figure.add_subplot(grid[1, 1]), result)
    return render_png(figure, scale)


def _draw_losses(axes: Axes, result: BacktestResult) -> None:
    style_axes(axes, 8)
    for look, policy in _line_styles(result):
        first = len(result.windows) - len(policy.losses)
        axes.plot(range(first, len(result.windows)), policy.losses, lw=1.3, **look)
        at = [window for window in policy.trained_after if window >= first]
        axes.scatter(at, [policy.losses[window - first] for window in at], s=13, color=look["color"], zorder=3)
    axes.set_ylabel(replace_missing_glyphs(f"loss ({result.metric})", 40), fontsize=8, color=INK, parse_math=False)
    axes.set_title("loss in each window, lower is better; a dot where the policy trained after it", **_TITLE)


def _draw_trainings(axes: Axes, result: BacktestResult) -> None:
    style_axes(axes, 8)
    for place, (look, policy) in enumerate(_line_styles(result)):
        at = policy.trained_after
        axes.hlines(place, 0, len(result.windows) - 1, lw=1.3, alpha=0.6, zorder=0, **look)
        axes.scatter(at, [place] * len(at), marker="|", s=70, color=look["color"], linewidths=2.2)
    axes.set_yticks(
        range(len(result.policies)), [replace_missing_glyphs(name, 24) for name in result.policies], parse_math=False
    )
    axes.set_ylim(len(result.policies) - 0.5, -0.5)
    axes.set_xlabel("number of the window", fontsize=8, color=INK)
    axes.set_title("policies, and the windows at whose ends they trained", **_TITLE)


def _draw_relative_losses(axes: Axes, result: BacktestResult) -> None:
    style_axes(axes, 8)
    axes.tick_params(labelleft=False, left=False)
    right, longest = axes.get_yaxis_transform(), 1.0
    for place, (look, policy) in enumerate(_line_styles(result)):
        if isfinite(policy.relative_loss):
            longest = max(longest, policy.relative_loss)
            axes.barh(place, policy.relative_loss, 0.62, color=look["color"])
            axes.text(0.99, place, f"{policy.relative_loss:.3f}", transform=right, **_NUMBER)
    axes.axvline(1, color=INK, lw=0.8, ls=":")
    axes.set_xlim(0, 1.35 * longest)
    axes.set_ylim(len(result.policies) - 0.5, -0.5)
    axes.set_xlabel("mean loss / that of never retraining", fontsize=8, color=INK)
    axes.set_title("relative loss", **_TITLE)


def _line_styles(result: BacktestResult) -> Iterator[tuple[dict[str, Any], PolicyResult]]:
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
