"""What a backtest showed, as one readable page for Prefect's artifacts."""

from __future__ import annotations

from math import isfinite

from prefect.artifacts import create_markdown_artifact

from refit.backtest.results import BacktestResult, PolicyResult
from refit.project import Project
from tasks.markdown import image, plain, table


def publish_backtest(definition: Project, result: BacktestResult) -> None:
    """Shows a backtest as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        result: What the replay showed.
    """
    create_markdown_artifact(
        backtest_markdown(result),
        key=f"{definition.name.replace('_', '-')}-backtest",
        description=headline(result),
    )


def backtest_markdown(result: BacktestResult) -> str:
    """Writes a backtest as markdown.

    Args:
        result: What the replay showed.

    Returns:
        A headline, a row for every policy, and the picture.
    """
    from tasks.backtest_picture import backtest_picture

    head = ("policy", "mean loss", "relative loss", "regret", "trainings", "promotions")
    rows = [_row(name, policy) for name, policy in result.policies.items()]
    parts = (
        f"## {plain(result.project)}: {headline(result)}",
        f"{result.rows:,} rows in {len(result.windows)} windows, the newest {len(result.scored)} of them scored; "
        f"{result.fits} fits, {result.seconds:.0f} seconds. The loss is that of {plain(result.metric)}; relative is to "
        f"never retraining; regret is the loss beyond that of the best model any of the policies had by then.",
        "\n".join(table(head, rows, numeric=range(1, 6))),
        image("loss per window, trainings and relative loss of every policy", backtest_picture(result)),
    )
    return "\n\n".join(parts)


def headline(result: BacktestResult) -> str:
    """Says which policy lost least.

    Args:
        result: What the replay showed.

    Returns:
        One line of markdown.
    """
    finite = {name: policy for name, policy in result.policies.items() if isfinite(policy.loss)}
    if not finite:
        return "backtest without a scored window"
    best = min(finite, key=lambda name: finite[name].loss)
    return f"backtest: least loss with {plain(best, 60)}, {finite[best].loss:.6g} at {finite[best].trainings} trainings"


def _row(name: str, policy: PolicyResult) -> tuple[str, ...]:
    numbers = (policy.loss, policy.relative_loss, policy.regret)
    return (
        plain(name, 60),
        *(f"{value:.6g}" if isfinite(value) else "" for value in numbers),
        str(policy.trainings),
        str(policy.promotions),
    )
