"""A champion that MLflow lost: its version registered again from the files that remain, or what else to do."""

from __future__ import annotations

import logging
from datetime import datetime

from refit.errors import ModelError, StaleChampion, UntrustedModel
from refit.gate.evaluations import Judgement
from refit.records.references import Champion
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import generation_start, insert_generation, newest_champion
from refit_tasks.ledger.record import entry
from refit_tasks.ledger.transactions import append
from refit_tasks.project_log import with_project
from refit_tasks.registry.alias import follow_ledger, has_version
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.model_signature import fetch_files, logged_model_id
from refit_tasks.registry.register import register_files

log = logging.getLogger(__name__)


def has_files(champion: Champion) -> bool:
    """Tells whether the files of a champion can be read from MLflow.

    Args:
        champion: The champion.

    Returns:
        Whether they are there, and are those that were judged; a model that is stored elsewhere is not looked for.
    """
    if logged_model_id(champion.model) is None:
        return True
    try:
        with fetch_files(champion.model):
            return True
    except (ModelError, UntrustedModel):
        return False


def is_registered(champion: Champion) -> bool:
    """Tells whether MLflow has the version of a champion.

    Args:
        champion: The champion.

    Returns:
        Whether the version is there.
    """
    return has_version(open_mlflow(), champion.model.project, champion.version)


def register_again(lost: Champion, at: datetime) -> Champion | None:
    """Registers the files of a champion whose version was removed in MLflow, as a new version and generation.

    The verdict is recorded once more, for the new version: MLflow gives no number twice.

    Args:
        lost: The champion.
        at: The current time, UTC.

    Returns:
        The champion with its new version; `None` if the ledger no longer has its verdict.

    Raises:
        StaleChampion: If another model has been promoted meanwhile.
    """
    project = lost.model.project
    challenger = find_verdict_of_version(project, lost.version)
    judgement = read_judgement(challenger) if challenger else None
    if challenger is None or judgement is None:
        return None
    version = register_files(lost.model, judgement)
    champion = _record_version(lost, judgement, challenger.verdict_id, version, at)
    with_project(log, project).info("version %d is registered again as version %d", lost.version, version)
    follow_ledger(project, champion)
    return champion


def _record_version(lost: Champion, judgement: Judgement, verdict_id: int, version: int, at: datetime) -> Champion:
    project, judged = lost.model.project, entry(verdict_id)
    payload = {**(judged.payload if judged else {}), "version": version}
    with writing() as connection:
        serving = newest_champion(connection, project)
        if serving != lost:
            raise StaleChampion(f"the champion of {project} has changed: see `refit status {project}`")
        verdict = append(connection, project, "verdict", payload, at, f"{judgement.model.run_key} as {version}")
        champion = Champion(lost.model, version, lost.generation + 1, generation_start(at, lost), lost.judged)
        facts = {"verdict_id": verdict.id, "by": "doctor"}
        insert_generation(connection, "promotion", champion, lost, facts, str(verdict.id))
    return champion
