"""`refit backtest`, `refit calibrate` and `refit gate selftest`: how good the project's own rules are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refit.backtest.results import BacktestResult
from refit.drift.power import LIMIT, CalibrationResult
from refit.errors import NotEnoughData
from refit_deployments.output import Result
from refit_flows.backtest import backtest
from refit_tasks.catalog import find_project
from refit_tasks.errors import require_writable, save_file
from refit_tasks.ledger.generations import current_champion
from refit_tasks.presentation.summaries import name_best_policy
from refit_tasks.simulation.alarm_calibration import calibrate_alarms
from refit_tasks.simulation.backtest import choose_presets
from refit_tasks.simulation.backtest_report import (
    NUMBERS,
    describe_history,
    explain_numbers,
    explain_policies,
    format_numbers,
)

if TYPE_CHECKING:
    from refit_tasks.simulation.gate_selftest import SelfTestResult

SHARP = 2.0
"""Pixels of the file for each pixel of a browser."""

GAP = 2
"""Spaces between the columns of a table."""


def run_backtest(
    project: str, policies: list[str], windows: int, as_of: datetime | None, picture: Path | None = None
) -> Result:
    """Runs the backtest flow in this process.

    Args:
        project: The project's name.
        policies: Names or JSON files; the default policies if empty.
        windows: The number of windows of the history.
        as_of: The time up to which rows are used; now, if `None`.
        picture: A PNG file to write the chart to.

    Returns:
        The loss, trainings, promotions and regret of each policy.

    Raises:
        StateError: If the PNG file cannot be written.
    """
    choose_presets(find_project(project), policies)  # reports a misspelt name before Prefect starts
    file = require_writable(picture, "--picture") if picture else None
    result = backtest(project, policies, windows, as_of)
    if file is None:
        return Result(result.as_json(), describe_backtest(result))
    _draw(result, file)
    return Result({**result.as_json(), "picture": str(file)}, [*describe_backtest(result), f"  {'picture':<15}{file}"])


def describe_backtest(result: BacktestResult) -> list[str]:
    """Describes a backtest.

    Args:
        result: The result of the flow.

    Returns:
        Lines for people: a table with one line per policy, and what its numbers mean.
    """
    body = [(name, *format_numbers(policy)) for name, policy in result.policies.items()]
    return [
        f"{result.project}: {describe_history(result)}",
        "",
        *_table([("policy", *NUMBERS), *body]),
        "",
        *_list(explain_numbers(result)),
        "",
        *_list(explain_policies(result)),
        "",
        f"  {name_best_policy(result)} ({result.fits} fits, {result.seconds:.0f} s)",
    ]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Aligns names to the left and numbers to the right."""
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
    from refit_tasks.simulation.backtest_report import draw_backtest

    save_file(draw_backtest(result, SHARP), file, "--picture")


SEED = 0
"""The same reference gives the same result."""


def run_calibration(project: str) -> Result:
    """Measures false-alarm rate and power of a project's alarms on its champion's reference.

    Args:
        project: The project's name.

    Returns:
        The rates.

    Raises:
        NotEnoughData: If there is no champion, or the reference is too small.
    """
    definition = find_project(project)
    champion = current_champion(definition.name)
    if champion is None:
        raise NotEnoughData(
            f"project {project!r} has no champion to calibrate drift alarms with: run `refit retrain {project}`"
        )
    result = calibrate_alarms(definition, champion, SEED)
    return Result(result.as_json(), describe_calibration(result))


def describe_calibration(result: CalibrationResult) -> list[str]:
    """Describes a calibration.

    Args:
        result: The rates and sizes.

    Returns:
        Lines for people.
    """
    trust = (
        ""
        if result.calibrated
        else "; the reference is too small to estimate its own variation, so stricter thresholds apply"
    )
    low, high = result.interval
    return [
        f"{result.project}: windows of {_span(result.length)}, about {result.window_rows:,} rows, "
        f"against a reference of about {result.reference_rows:,} rows{trust}",
        f"  {result.false_alarm_rate:6.1%} of {result.windows} windows without a change raise an alarm "
        f"({low:.1%} to {high:.1%} at 95 %); the limit is {LIMIT:.0%}",
        *(
            f"  {share:6.1%} detected within two windows: {change}{_least(result, change)}"
            for change, share in result.power.items()
        ),
    ]


def _span(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:g} days" if days > 1 else f"{length / timedelta(hours=1):g} hours"


def _least(result: CalibrationResult, change: str) -> str:
    """Names the column with the lowest power, where columns differ."""
    name, least = min(result.found[change].items(), key=lambda pair: pair[1])
    return f"; lowest in {name}, {least:.0%}" if least < max(result.found[change].values()) else ""


TOLERATED = 0.05
"""The share of sound challengers that may be rejected: the default error budget of the gate."""


def run_selftest(project: str, as_of: datetime | None, rounds: int) -> Result:
    """Runs faulty and sound challengers through the gate.

    Args:
        project: The project's name.
        as_of: The time up to which rows are used; now, if `None`.
        rounds: The number of sound challengers.

    Returns:
        The verdict on each challenger; exit code 1 if a faulty one passed or too many sound ones were rejected.
    """
    from refit_tasks.simulation.gate_selftest import run_selftest as run

    tried = list(run(find_project(project), as_of or datetime.now(UTC), rounds))
    bad = [one for one in tried if not one.good]
    rejected = sum(not one.right for one in tried if one.good)
    passed = all(one.right for one in bad) and rejected <= TOLERATED * rounds
    facts = {
        "project": project,
        "passed": passed,
        "bad": {one.name: _selftest_facts(one) for one in bad},
        "good": {one.name: _selftest_facts(one) for one in tried if one.good},
        "accepted": rounds - rejected,
    }
    lines = [_describe_selftest(one) for one in bad]
    lines += [_describe_selftest(one) for one in tried if one.good and not one.right]
    stopped = sum(one.right for one in bad if one.verdict)
    planted = sum(one.verdict is not None for one in bad)
    summary = (
        f"{project}: {stopped} of {planted} faulty challengers rejected, {rounds - rejected} of {rounds} sound ones "
        f"accepted"
    )
    return Result(facts, [summary, *lines], exit_code=0 if passed else 1)


def _selftest_facts(one: SelfTestResult) -> dict[str, Any]:
    reasons = one.verdict.reasons if one.verdict else ()
    return {
        "promoted": one.verdict.promote if one.verdict else None,
        "right": one.right,
        "expected": list(one.expected),
        "failed": [asdict(reason) for reason in reasons if not reason.passed],
    }


def _describe_selftest(one: SelfTestResult) -> str:
    if one.verdict is None:
        return f"  skipped   {one.name}: it cannot be made for this project"
    failed = [reason for reason in one.verdict.reasons if not reason.passed]
    if one.good:
        return f"  REJECTED  {one.name}: {'; '.join(reason.sentence for reason in failed)}"
    if not failed:
        return f"  PASSED    {one.name}: no rule rejected it; expected {' or '.join(one.expected)}"
    because = [reason for reason in failed if reason.check in one.expected] or failed
    state = "rejected" if one.right else "MISSED  "
    return f"  {state}  {one.name}: {because[0].check}: {because[0].sentence}"
