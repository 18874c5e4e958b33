"""`refit champion` and `refit rollback`, from the ledger alone: neither Prefect nor the project file is imported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from refit.records.references import Champion
from refit.windows import format_time, format_window
from refit_deployments.output import Result
from refit_tasks.ledger.generations import champion_at, current_champion
from refit_tasks.ledger.record import known_projects
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.runs.identity import current_user


def show_champion(project: str, at: datetime | None = None) -> Result:
    """Shows the version that serves.

    Args:
        project: The project's name.
        at: The time to look at; now, if `None`.

    Returns:
        Its version, generation, start and training rows; `champion` is null while there is none.

    Raises:
        UnknownProject: If neither the ledger nor a project file has that name.
    """
    serving = champion_at(project, at) if at else current_champion(project)
    facts = {
        "project": project,
        "at": at.isoformat() if at else None,
        "champion": champion_facts(serving) if serving else None,
    }
    if serving is None:
        _check_known(project)
        when = f" at {format_time(at)}" if at else " yet"
        return Result(facts, [f"{project} has no champion{when}: run `refit retrain {project}`"])
    return Result(facts, _describe(project, serving))


def _describe(project: str, serving: Champion) -> list[str]:
    rows = serving.model.trained_on
    return [
        f"{project}: version {serving.version}, generation {serving.generation}, "
        f"champion since {format_time(serving.since)} UTC",
        f"  trained on {rows.rows:,} rows, {format_window(rows.window)}, table version {rows.version}, "
        f"fingerprint {rows.fingerprint}",
        f"  model {serving.model.uri}",
    ]


def roll_back_champion(project: str, to: int | None, reason: str) -> Result:
    """Makes an earlier champion serve again.

    Args:
        project: The project's name.
        to: The version to return to; the previous one, if `None`.
        reason: The reason, for the ledger.

    Returns:
        The champion after the rollback.
    """
    serving = roll_back(project, reason, current_user(), datetime.now(UTC), to=to)
    line = f"{project}: version {serving.version} serves again, generation {serving.generation}"
    return Result({"project": project, "champion": champion_facts(serving), "reason": reason}, [line])


def champion_facts(serving: Champion) -> dict[str, Any]:
    """Gives a champion as JSON values.

    Args:
        serving: The champion.

    Returns:
        Version, generation, time of promotion, model and training rows.
    """
    return {
        "version": serving.version,
        "generation": serving.generation,
        "since": serving.since.isoformat(),
        "model_uri": serving.model.uri,
        "mlflow_run_id": serving.model.run_id,
        "trained_on": serving.model.trained_on.as_json(),
    }


def _check_known(project: str) -> None:
    """Distinguishes a project without a champion from a misspelt name."""
    if project in known_projects():
        return
    from refit_tasks.catalog import find_project, read_declaration

    find_project(project, read_declaration)
