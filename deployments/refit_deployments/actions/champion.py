"""Who serves and who served, by the ledger alone: nothing of Prefect or of a project file is imported for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from refit.records.references import Champion
from refit_deployments.output import Result
from refit_tasks.ledger.generations import champion_at, current_champion
from refit_tasks.ledger.record import known_projects
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.runs.audit_log import current_user


def champion(project: str, at: datetime | None = None) -> Result:
    """Shows the version that serves.

    Args:
        project: The project's name.
        at: The moment to look at; now, if `None`.

    Returns:
        Its version, generation, age and training rows; `champion` is null while there is none.

    Raises:
        UnknownProject: If neither the ledger nor a project file knows that name.
    """
    serving = champion_at(project, at) if at else current_champion(project)
    facts = {
        "project": project,
        "at": at.isoformat() if at else None,
        "champion": champion_facts(serving) if serving else None,
    }
    if serving is None:
        _check_known(project)
        when = f" at {at.isoformat()}" if at else " yet"
        return Result(facts, [f"{project} has no champion{when}: run `refit retrain {project}`"])
    rows = serving.model.trained_on
    return Result(
        facts,
        [
            f"{project} version {serving.version}, generation {serving.generation}, since {serving.since.isoformat()}",
            f"  trained on {rows.rows:,} rows of {rows.window}, table version {rows.version}, {rows.fingerprint}",
            f"  model {serving.model.uri}",
        ],
    )


def rollback(project: str, to: int | None, reason: str) -> Result:
    """Makes a former champion serve again.

    Args:
        project: The project's name.
        to: The version to return to; the one before that which serves, if `None`.
        reason: Why.

    Returns:
        Who serves now.
    """
    serving = roll_back(project, reason, current_user(), datetime.now(UTC), to=to)
    said = f"{project}: version {serving.version} serves again, generation {serving.generation}"
    return Result({"project": project, "champion": champion_facts(serving), "reason": reason}, [said])


def champion_facts(serving: Champion) -> dict[str, Any]:
    """Gives a champion as JSON values.

    Args:
        serving: The champion.

    Returns:
        Version, generation, when it was promoted, and where it came from.
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
    """Tells a project that has no champion from a name that is misspelt."""
    if project in known_projects():
        return
    from refit_tasks.catalog import find_project, read_declaration

    find_project(project, read_declaration)
