"""`refit calibrate`: how far a project's drift alarms can be trusted."""

from __future__ import annotations

from datetime import timedelta

from refit.drift.power import LIMIT, CalibrationResult
from refit.errors import NotEnoughData
from refit_deployments.output import Answer
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.simulation.alarm_calibration import calibrate

SEED = 0
"""The same reference gives the same answer."""


def calibrate_here(project: str) -> Answer:
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
    return Answer(result.as_json(), lines_of(result))


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
