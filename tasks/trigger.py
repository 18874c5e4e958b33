"""What starts a retrain that was decided on: the project's deployment, where the monitor runs as one itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment

from refit.monitoring.evidence import Evidence
from refit.project import Project
from tasks.decision import RecordedDecision

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger(__name__)

EVENT = "refit.drift.detected"
"""The event that automations may listen to; it starts nothing by itself."""


@task(cache_policy=NO_CACHE)
def start_remotely(definition: Project, evidence: Evidence, recorded: RecordedDecision) -> str | None:
    """Starts the project's deployment `retrain/<project>`, once for each champion and window.

    A repeated monitor run, or one that is retried after a crash, finds the run that it has started before.

    Args:
        definition: The project.
        evidence: What the decision rests on.
        recorded: The decision to retrain.

    Returns:
        The id of the flow run; `None` where the monitor does not run as a deployment, or there is none for the retrain:
        then it runs here.
    """
    if not deployment.id:
        return None
    name = f"retrain/{definition.name}"
    try:
        run = cast(
            "FlowRun",
            run_deployment(
                name,
                parameters={
                    "project": definition.name,
                    "as_of": evidence.as_of.isoformat(),
                    "reason": f"{recorded.decision.trigger}, decision {recorded.id}",
                    "decision": recorded.id,
                },
                timeout=0,
                as_subflow=False,
                idempotency_key=idempotency_key(name, evidence),
            ),
        )
    except ObjectNotFound:
        log.info("%s: there is no deployment %s, so the retrain runs here", definition.name, name)
        return None
    log.info("%s: started %s as run %s", definition.name, name, run.id)
    return str(run.id)


def announce(evidence: Evidence, recorded: RecordedDecision) -> None:
    """Tells automations of a decision that is more than to wait.

    Args:
        evidence: What the decision rests on.
        recorded: The decision.
    """
    if not deployment.id or recorded.decision.action == "wait":
        return
    emit_event(
        event=EVENT,
        resource={"prefect.resource.id": f"refit.project.{evidence.project}", "refit.project": evidence.project},
        payload={
            "decision": recorded.id,
            "action": recorded.decision.action,
            "trigger": recorded.decision.trigger,
            "generation": evidence.generation,
            "drifted": list(evidence.drift.drifted) if evidence.drift else [],
        },
    )


def idempotency_key(name: str, evidence: Evidence) -> str:
    """Names a retrain such that a server starts it once: its keys hold for all deployments of a flow, and for ever.

    Args:
        name: The deployment.
        evidence: What the decision rests on.

    Returns:
        Deployment, project, the champion's generation, and the end of the window that triggered it.
    """
    return f"{name}:{evidence.project}:{evidence.generation}:{evidence.window.end.isoformat()}"
