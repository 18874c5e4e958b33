"""`refit calibrate`: how far a project's drift alarms can be trusted."""

from __future__ import annotations

from deployments.output import Answer
from refit.drift.power import LIMIT, CalibrationResult
from refit.errors import NotEnoughData
from tasks.calibrate import calibrate
from tasks.catalog import find_project
from tasks.champion import current_champion

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
    return Answer(result.as_json(), _lines(result))


def _lines(result: CalibrationResult) -> list[str]:
    trust = "" if result.calibrated else "; the reference is too small to know its own movement, so floors are stricter"
    return [
        f"{result.project}: {result.false_alarm_rate:.1%} of {result.windows} windows without a change alarm, "
        f"{LIMIT:.0%} may{trust}",
        *(f"  {share:6.1%} found within two windows: {change}" for change, share in result.power.items()),
    ]
