"""What a backtest showed: the words and numbers that every account of it shares, and a page for Prefect's artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from prefect.artifacts import create_markdown_artifact

from refit.backtest.policies import PRESETS
from refit.backtest.results import BacktestResult, PolicyResult
from refit.project import Project
from refit_tasks.presentation.markdown import artifact_key, image, number, plain, table

NUMBERS = ("loss", "relative loss", "regret", "trainings", "promotions")
"""What is told of each policy; the JSON has the same names, with a low line for the space."""

LOSS_DIGITS = 5
"""Policies may lie close together."""


def publish_backtest(definition: Project, result: BacktestResult) -> None:
    """Shows a backtest as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        result: What the replay showed.
    """
    create_markdown_artifact(
        backtest_markdown(result),
        key=artifact_key(definition.name, "backtest"),
        description=plain(headline(result), 400),
    )


def backtest_markdown(result: BacktestResult) -> str:
    """Writes a backtest as markdown.

    Args:
        result: What the replay showed.

    Returns:
        A headline, a row for every policy, what the numbers and the policies mean, and the picture.
    """
    from refit_tasks.simulation.backtest_picture import backtest_picture

    rows = [(plain(name, 60), *numbers_of(policy)) for name, policy in result.policies.items()]
    parts = (
        f"## {plain(result.project)}: {plain(headline(result), 400)}",
        f"{plain(history_words(result))}; {result.fits} fits, {result.seconds:.0f} seconds.",
        "\n".join(table(("policy", *NUMBERS), rows, numeric=range(1, 6))),
        image("loss per window, trainings and relative loss of every policy", backtest_picture(result)),
        "\n".join(f"- **{name}**: {plain(words)}" for name, words in meanings(result)),
        "\n".join(f"- **{plain(name, 60)}**: {plain(words)}" for name, words in policy_words(result)),
    )
    return "\n\n".join(parts)


def headline(result: BacktestResult) -> str:
    """Says which policy lost least.

    Args:
        result: What the replay showed.

    Returns:
        One line.
    """
    finite = {name: policy for name, policy in result.policies.items() if isfinite(policy.loss)}
    if not finite:
        return "backtest without a scored window"
    best = min(finite, key=lambda name: (finite[name].loss, finite[name].trainings))
    least = number(finite[best].loss, LOSS_DIGITS)
    return f"backtest: least loss with {best}, {least} at {finite[best].trainings} trainings"


def history_words(result: BacktestResult) -> str:
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


def numbers_of(policy: PolicyResult) -> tuple[str, ...]:
    """Writes what is told of a policy.

    Args:
        policy: What it did.

    Returns:
        A cell for each of `NUMBERS`; empty where there is nothing to tell.
    """
    measured = number(policy.loss, LOSS_DIGITS), number(policy.relative_loss), number(policy.regret, 3)
    return *measured, str(policy.trainings), str(policy.promotions)


def meanings(result: BacktestResult) -> tuple[tuple[str, str], ...]:
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
        "the loss over that of never retraining; below 1, retraining paid",
        "the loss beyond that of the best model that any of these policies had by then; 0 is best",
        "retrains the policy asked for; the first champion, which all share, is not counted",
        "trainings whose challenger came to serve",
    )
    return tuple(zip(NUMBERS, words, strict=True))


def policy_words(result: BacktestResult) -> Iterator[tuple[str, str]]:
    """Explains the policies that have a name of their own.

    Args:
        result: What the replay showed.

    Yields:
        A policy's name and what it does.
    """
    for name in result.policies:
        if name in PRESETS:
            yield name, PRESETS[name].about
