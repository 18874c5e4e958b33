"""The way back for flows: by a person in Prefect, or by the watch that found the champion worse than the former one."""

from __future__ import annotations

import logging
from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.references import Champion
from refit_tasks.decision.decide import RecordedDecision
from refit_tasks.presentation.markdown import artifact_key, plain
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.retries import not_ours

log = logging.getLogger(__name__)


@task(
    task_run_name="roll {project} back",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=1,
    retry_condition_fn=not_ours,
)
def take_back(project: str, to: int | None, reason: str, at: datetime) -> Champion:
    """Rolls back as a person asks in Prefect.

    Args:
        project: The project's name.
        to: The version to return to; by default the one before.
        reason: Why.
        at: When this happens, UTC.

    Returns:
        The champion, of a new generation.

    Raises:
        PromotionError: If nothing serves, or there is nobody to return to.
    """
    return roll_back(project, reason, "a flow run", at, to=to)


@task(
    task_run_name="follow the watch of {definition.name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=1,
    retry_condition_fn=not_ours,
)
def follow_watch(definition: Project, evidence: Evidence, recorded: RecordedDecision, at: datetime) -> Champion | None:
    """Rolls back where the watch has found the champion worse than the former one, once for each decision.

    Args:
        definition: The project, for its policy.
        evidence: What the decision rests on.
        recorded: The decision.
        at: When this happens, UTC.

    Returns:
        The champion that came back; `None` where the decision is another one.

    Raises:
        StaleChampion: If another champion serves than the one that was judged.
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
    """Shows a rollback as an artifact of the flow run that this is called in.

    Args:
        champion: The one that came back.
        reason: Why.
    """
    project = champion.model.project
    said = f"version {champion.version} of {project} serves again, generation {champion.generation}"
    create_markdown_artifact(
        f"## {plain(said)}\n\n{plain(reason, 1_000)}\n",
        key=artifact_key(project, "rollback"),
        description=plain(said),
    )
