"""`refit backtest`: runs the flow in this process and shows a row for every policy."""

from __future__ import annotations

from datetime import datetime

from deployments.output import Answer
from flows.backtest import backtest
from refit.backtest.results import BacktestResult
from tasks.backtest import choose_presets
from tasks.catalog import find_project


def backtest_here(project: str, policies: list[str], windows: int, as_of: datetime | None) -> Answer:
    """Runs the backtest flow in this process.

    Args:
        project: The project's name.
        policies: Names of policies, or JSON files; all, if empty.
        windows: Into how many windows the history is cut.
        as_of: The instant to look from; now, if `None`.

    Returns:
        What each policy lost and did.
    """
    choose_presets(find_project(project), policies)  # a misspelt name should not wait for Prefect's start
    result = backtest(project, policies, windows, as_of)
    return Answer(result.as_json(), describe(result))


def describe(result: BacktestResult) -> list[str]:
    """Words what a replay showed.

    Args:
        result: What it showed.

    Returns:
        Lines for a person: a table of the policies.
    """
    width = max(len(name) for name in result.policies)
    return [
        f"{result.project}: {result.rows:,} rows in {len(result.windows)} windows, {len(result.scored)} of them scored "
        f"by the loss of {result.metric}",
        f"  {'policy':{width}}  {'loss':>10}  {'relative':>8}  {'regret':>10}  trainings  promotions",
        *(
            f"  {name:{width}}  {each.loss:10.5g}  {each.relative_loss:8.3f}  {each.regret:10.4g}  {each.trainings:9d}"
            f"  {each.promotions:10d}"
            for name, each in result.policies.items()
        ),
        f"  {result.fits} fits in {result.seconds:.1f} s; relative to never retraining, lower is better",
    ]
