"""`refit backtest`: runs the flow in this process and words what it showed.

`refit calibrate`: how far a project's drift alarms can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from refit.backtest.results import BacktestResult
from refit.drift.power import LIMIT, CalibrationResult
from refit.errors import NotEnoughData
from refit_deployments.output import Result
from refit_flows.backtest import backtest
from refit_tasks.catalog import find_project
from refit_tasks.errors import save, writable
from refit_tasks.ledger.generations import current_champion
from refit_tasks.presentation.summaries import name_best_policy
from refit_tasks.simulation.alarm_calibration import calibrate
from refit_tasks.simulation.backtest import choose_presets
from refit_tasks.simulation.backtest_report import NUMBERS, history_words, meanings, numbers_of, policy_words

SHARP = 2.0
"""Pixels of the picture's file per pixel of a browser."""

GAP = 2
"""Spaces between the columns of a table."""


def backtest_here(
    project: str, policies: list[str], windows: int, as_of: datetime | None, picture: Path | None = None
) -> Result:
    """Runs the backtest flow in this process.

    Args:
        project: The project's name.
        policies: Names or JSON files; the usual ones if empty.
        windows: Into how many windows the history is cut.
        as_of: Later rows are left out; now, if `None`.
        picture: The PNG file that the picture is written to, too.

    Returns:
        What each policy lost and did.

    Raises:
        StateError: If the picture cannot be written.
    """
    choose_presets(find_project(project), policies)  # a misspelt name should not wait for Prefect's start
    file = writable(picture, "--picture") if picture else None
    result = backtest(project, policies, windows, as_of)
    if file is None:
        return Result(result.as_json(), describe(result))
    _draw(result, file)
    return Result({**result.as_json(), "picture": str(file)}, [*describe(result), f"  {'picture':<15}{file}"])


def describe(result: BacktestResult) -> list[str]:
    """Words a backtest.

    Args:
        result: What it showed.

    Returns:
        Lines for a person: a table with one line per policy, and what its numbers mean.
    """
    body = [(name, *numbers_of(policy)) for name, policy in result.policies.items()]
    return [
        f"{result.project}: {history_words(result)}",
        "",
        *_table([("policy", *NUMBERS), *body]),
        "",
        *_list(meanings(result)),
        "",
        *_list(policy_words(result)),
        "",
        f"  {name_best_policy(result)} ({result.fits} fits, {result.seconds:.0f} s)",
    ]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Sets the cells below each other: names to the left, numbers to the right."""
    wide = [max(len(cell) for cell in column) + GAP for column in zip(*rows, strict=True)]
    return [
        f"  {name:<{wide[0]}}" + "".join(f"{cell or '-':>{width}}" for cell, width in zip(cells, wide[1:], strict=True))
        for name, *cells in rows
    ]


def _list(words: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(words)
    wide = max((len(name) for name, _ in pairs), default=0) + GAP
    return [f"  {name:<{wide}}{said}" for name, said in pairs]


def _draw(result: BacktestResult, file: Path) -> None:
    from refit_tasks.simulation.backtest_report import backtest_picture

    save(backtest_picture(result, SHARP), file, "--picture")


SEED = 0
"""The same reference gives the same answer."""


def calibrate_here(project: str) -> Result:
    """Measures false-alarm rate and power of a project's alarms on its champion's reference.

    Args:
        project: The project's name.

    Returns:
        The rates.

    Raises:
        NotEnoughData: If nothing serves yet, or the reference is too small.
    """
    definition = find_project(project)
    champion = current_champion(definition.name)
    if champion is None:
        raise NotEnoughData(
            f"{project} has no champion whose alarms could be calibrated: run `refit retrain {project}`"
        )
    result = calibrate(definition, champion, SEED)
    return Result(result.as_json(), lines_of(result))


def lines_of(result: CalibrationResult) -> list[str]:
    """Says what was measured.

    Args:
        result: Rates and sizes.

    Returns:
        What a person reads.
    """
    trust = "" if result.calibrated else "; the reference is too small to know its own movement, so floors are stricter"
    low, high = result.interval
    return [
        f"{result.project}: windows of {_span(result.length)}, about {result.window_rows:,} rows, "
        f"against a reference of about {result.reference_rows:,} rows{trust}",
        f"  {result.false_alarm_rate:6.1%} of {result.windows} windows without a change alarm "
        f"({low:.1%} to {high:.1%} at 95 %); {LIMIT:.0%} may",
        *(
            f"  {share:6.1%} found within two windows: {change}{_least(result, change)}"
            for change, share in result.power.items()
        ),
    ]


def _span(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:g} days" if days > 1 else f"{length / timedelta(hours=1):g} hours"


def _least(result: CalibrationResult, change: str) -> str:
    """Names the column in which a change is found least often, where columns differ."""
    name, least = min(result.found[change].items(), key=lambda pair: pair[1])
    return f"; least often in {name}, {least:.0%}" if least < max(result.found[change].values()) else ""
