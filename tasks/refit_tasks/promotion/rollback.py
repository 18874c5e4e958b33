"""Rollback to a former champion, by one ledger entry. Needs neither Prefect nor a project file."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from refit.errors import PromotionError, StaleChampion
from refit.records.references import Champion
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import (
    champion_of,
    current_champion,
    generation_start,
    generations_of,
    insert_generation,
    newest_champion,
)
from refit_tasks.ledger.transactions import find_once
from refit_tasks.project_log import with_project
from refit_tasks.registry.alias import follow_ledger

log = logging.getLogger(__name__)


def roll_back(
    project: str,
    reason: str,
    by: str,
    at: datetime,
    *,
    to: int | None = None,
    over: int | None = None,
    decision: int | None = None,
) -> Champion:
    """Makes a former champion serve again; MLflow's alias follows.

    Args:
        project: The project's name.
        reason: The reason, for the record.
        by: The person or program that rolls back.
        at: The current time, UTC.
        to: The former champion's version to return to; the previous champion if `None`.
        over: The generation to roll back; the current one if `None`.
        decision: The ledger entry of the decision to roll back, which is carried out once.

    Returns:
        The champion, with a new generation.

    Raises:
        PromotionError: If there is no champion, or no version to return to.
        StaleChampion: If the current generation is not the one to roll back.
    """
    facts = {"reason": reason, "by": by, "decision": decision}
    try:
        champion = _find_or_insert(project, at, to, over, facts)
    except PromotionError:
        if serving := current_champion(project):
            follow_ledger(project, serving)  # a former rollback may have been killed before the alias followed
        raise
    follow_ledger(project, champion)
    return champion


def _find_or_insert(project: str, at: datetime, to: int | None, over: int | None, facts: dict[str, Any]) -> Champion:
    """Finds the champion of a decision that was carried out already, or inserts its generation."""
    once = None if facts["decision"] is None else f"decision {facts['decision']}"
    with writing() as connection:
        serving = newest_champion(connection, project)
        done = find_once(connection, project, "rollback", once) if once else None
        if serving is not None and done is not None and serving == champion_of(done):
            return serving
        former = _require_generation(project, serving, over)
        target = _find_target(connection, former, to)
        champion = Champion(
            target.model, target.version, former.generation + 1, generation_start(at, former), target.judged
        )
        insert_generation(connection, "rollback", champion, former, facts, once)
        with_project(log, project).info("version %d serves again, generation %d", champion.version, champion.generation)
        return champion


def _require_generation(project: str, serving: Champion | None, over: int | None) -> Champion:
    if serving is None:
        raise PromotionError(f"{project} has no champion to roll back: `refit status` lists the projects")
    if over is not None and serving.generation != over:
        raise StaleChampion(
            f"generation {over} of {project} cannot be rolled back, since version {serving.version} now serves "
            f"(generation {serving.generation}): see `refit status {project}`"
        )
    return serving


def _find_target(connection: Connection, serving: Champion, to: int | None) -> Champion:
    """Finds the champion to return to: by default the one that the current version first replaced."""
    project, seen = serving.model.project, list(generations_of(connection, serving.model.project))
    if to == serving.version:
        raise PromotionError(f"version {to} of {project} is already the champion: name another version with --to")
    if to is not None:
        found = next((champion for _, champion in seen if champion.version == to), None)
        if found is None:
            known = ", ".join(str(version) for version in sorted({champion.version for _, champion in seen}))
            raise PromotionError(f"version {to} of {project} was never champion: return to one of {known}")
        return found
    first = max(place for place, (_, champion) in enumerate(seen) if champion.version == serving.version)
    if first + 1 == len(seen):
        raise PromotionError(f"version {serving.version} of {project} is its first champion: there is none before it")
    return seen[first + 1][1]
