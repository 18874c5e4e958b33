"""`refit backtest`: runs the flow in this process and words what it showed."""

from __future__ import annotations

import math
from datetime import datetime

from deployments.output import Answer
from flows.backtest import backtest
from refit.backtest.results import BacktestResult
from tasks.backtest import choose_presets
from tasks.catalog import find_project

HEAD = ("policy", "loss", "relative", "regret", "trainings", "promotions")


def backtest_here(project: str, policies: list[str], windows: int, as_of: datetime | None) -> Answer:
    """Runs the backtest flow in this process.

    Args:
        project: The project's name.
        policies: Names or JSON files; the usual ones if empty.
        windows: Into how many windows the history is cut.
        as_of: Later rows are left out; now, if `None`.

    Returns:
        What each policy lost and did.
    """
    choose_presets(find_project(project), policies)  # a misspelt name should not wait for Prefect's start
    result = backtest(project, policies, windows, as_of)
    return Answer(result.as_json(), describe(result))


def describe(result: BacktestResult) -> list[str]:
    """Words a backtest.

    Args:
        result: What it showed.

    Returns:
        Lines for a person: a table with one line per policy.
    """
    body = [
        (name, *(_number(x) for x in (each.loss, each.relative_loss, each.regret)), each.trainings, each.promotions)
        for name, each in result.policies.items()
    ]
    wide = max(len(name) for name in (*result.policies, HEAD[0]))
    start, end = result.windows[0].start, result.windows[-1].end
    return [
        f"{result.project}: {result.rows:,} rows from {start:%Y-%m-%d} to {end:%Y-%m-%d} in {len(result.windows)} "
        f"windows of about as many rows, the last {len(result.scored)} scored by the loss of {result.metric}",
        *("  " + f"{row[0]:<{wide}}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in (HEAD, *body)),
        f"  relative to never retraining; {result.fits} fits, {result.seconds:.0f} s",
    ]


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
