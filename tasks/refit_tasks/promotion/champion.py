"""The champion at the start of a flow, reconciliation of MLflow's alias with the ledger, and rollback tasks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from prefect.artifacts import create_markdown_artifact
from sqlalchemy import Connection

from refit.errors import NotApproved
from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.ledger import Entry, as_payload
from refit.records.references import Challenger, Champion
from refit_tasks.decision.decide import RecordedDecision
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import current_champion, generation_start, insert_generation, newest_champion
from refit_tasks.ledger.transactions import append, find_once, newest_entry
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.presentation.markdown import artifact_key, plain
from refit_tasks.project_log import with_project
from refit_tasks.promotion.lost_champion import is_registered
from refit_tasks.promotion.promote import check_approval
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.registry.alias import AliasState, follow_ledger, read_alias, tag_repaired_move
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement

log = logging.getLogger(__name__)


@define_retry_task("find the champion of {definition.name}")
def find_champion(definition: Project, known: Champion | None = None, *, replacing: bool = False) -> Champion | None:
    """Finds the champion, and reconciles MLflow's alias with the ledger.

    An alias that a crash left behind is moved to the champion. If a person moved it, that is recorded, and
    `gate.moved_alias` decides: the alias is restored, or the version becomes champion if its verdict, and an approval
    where one is required, allow it.

    Args:
        definition: The project.
        known: The ledger's champion, if the caller has just read it; read here if `None`.
        replacing: Whether the run is to replace the champion, so that one that MLflow lost is no error.

    Returns:
        The ledger's champion; `None` if there is none.

    Raises:
        StateError: If the ledger cannot be read, or MLflow no longer has the champion's version.
    """
    serving = known or current_champion(definition.name)
    if serving is None:
        return None
    alias = read_alias(definition.name, serving)
    if alias.follows:
        return serving
    if replacing and not is_registered(serving):
        with_project(log, definition.name).warning("version %d is missing in MLflow: it is replaced", serving.version)
        return serving
    move = _record_move(definition, datetime.now(UTC)) if alias.moved else None
    champion = follow_ledger(definition.name)
    if champion and move:
        tag_repaired_move(definition.name, champion, move.id)
    return champion


def _record_move(definition: Project, at: datetime) -> Entry | None:
    """Records a move of the alias once, and adopts the version if the policy says so.

    Champion and alias are read again under the write lock, since another process may have changed them.
    """
    with writing() as connection:
        serving = newest_champion(connection, definition.name)
        alias = read_alias(definition.name, serving) if serving else None
        if serving is None or alias is None or not alias.moved:
            return None
        before = newest_entry(connection, definition.name, "alias")
        if before and before.id > alias.settled and _is_same(before, serving, alias):
            return before  # it is recorded, and a crash or another process has not yet restored the alias
        adopted = definition.gate.moved_alias == "adopt" and _adopt(connection, serving, alias.found, at)
        return _append_move(connection, serving, alias.found, "adopted" if adopted else "restored", at)


def _is_same(recorded: Entry, serving: Champion, alias: AliasState) -> bool:
    return (recorded.payload["found"], recorded.payload["generation"]) == (alias.found, serving.generation)


def _append_move(connection: Connection, serving: Champion, found: int, action: str, at: datetime) -> Entry:
    project, place = serving.model.project, f"version {found}" if found else "nothing"
    with_project(log, project).warning(
        "MLflow's alias 'champion' was moved by hand from version %d to %s: %s", serving.version, place, action
    )
    facts = {"found": found, "expected": serving.version, "generation": serving.generation, "action": action}
    return append(connection, project, "alias", as_payload(facts), at)


def _adopt(connection: Connection, serving: Champion, version: int, at: datetime) -> bool:
    """Makes the version under the moved alias champion, if its verdict allows it and no approval is missing."""
    chosen = find_verdict_of_version(serving.model.project, version)
    if chosen is None or not _is_allowed(connection, chosen):
        return False
    champion = Champion(chosen.model, version, serving.generation + 1, generation_start(at, serving), chosen.judged)
    followed = find_once(connection, serving.model.project, "promotion", str(chosen.verdict_id))
    once = f"alias {champion.generation}" if followed else str(chosen.verdict_id)
    insert_generation(
        connection, "promotion", champion, serving, {"verdict_id": chosen.verdict_id, "by": "alias"}, once
    )
    return True


def _is_allowed(connection: Connection, chosen: Challenger) -> bool:
    judgement = read_judgement(chosen)
    if judgement is None or not chosen.verdict.promote:
        return False
    try:
        check_approval(connection, chosen, judgement)
    except NotApproved:
        return False
    return True


@define_retry_task("roll {project} back")
def rollback_task(project: str, to: int | None, reason: str, at: datetime) -> Champion:
    """Rolls back on request of a person in Prefect.

    Args:
        project: The project's name.
        to: The version to return to; the previous champion if `None`.
        reason: The reason, for the record.
        at: The current time, UTC.

    Returns:
        The champion, with a new generation.

    Raises:
        PromotionError: If there is no champion, or no version to return to.
    """
    return roll_back(project, reason, "a flow run", at, to=to)


@define_retry_task("follow the watch of {definition.name}")
def rollback_if_worse(
    definition: Project, evidence: Evidence, recorded: RecordedDecision, at: datetime
) -> Champion | None:
    """Rolls back if the post-promotion check found the champion worse than the former one, once per decision.

    Args:
        definition: The project, for its policy.
        evidence: The evidence of the decision.
        recorded: The decision.
        at: The current time, UTC.

    Returns:
        The restored champion; `None` if the decision is not a rollback, or the policy only alerts.

    Raises:
        StaleChampion: If the champion is no longer the one that was judged.
    """
    watch = definition.monitoring.watch
    if recorded.decision.trigger != "watch" or evidence.watched is None or watch is None or not watch.rollback:
        return None
    reason = next(one.sentence for one in recorded.decision.findings if one.check == "watch")
    former, generation = evidence.watched.former_version, evidence.generation
    champion = roll_back(definition.name, reason, "the watch", at, to=former, over=generation, decision=recorded.id)
    publish_rollback(champion, reason)
    return champion


def publish_rollback(champion: Champion, reason: str) -> None:
    """Publishes a rollback as an artifact of the current flow run.

    Args:
        champion: The restored champion.
        reason: The reason for the rollback.
    """
    project = champion.model.project
    summary = f"version {champion.version} of {project} serves again, generation {champion.generation}"
    create_markdown_artifact(
        f"## {plain(summary)}\n\n{plain(reason, 1_000)}\n",
        key=artifact_key(project, "rollback"),
        description=plain(summary),
    )
