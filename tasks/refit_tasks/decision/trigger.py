"""The start of a decided retrain by the project's deployment, and the event that announces a decision."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment

from refit.monitoring.evidence import Evidence
from refit_tasks.decision.decide import RecordedDecision
from refit_tasks.decision.history import read_history
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger(__name__)

EVENT = "refit.drift.detected"
"""The event for Prefect automations; it starts nothing by itself."""


def build_parameters(evidence: Evidence, recorded: RecordedDecision, *, resumed: bool) -> dict[str, Any]:
    """Builds the parameters of a decided retrain, the same wherever it runs.

    Args:
        evidence: The evidence of the decision.
        recorded: The decision to retrain.
        resumed: Whether a former retrain by this decision was killed.

    Returns:
        The arguments of the flow `retrain`.
    """
    request, note = evidence.request, ", resumed after a kill" if resumed else ""
    return {
        "project": evidence.project,
        "as_of": evidence.as_of,
        "reason": f"{recorded.decision.trigger}, decision {recorded.id}{note}",
        "force": request is not None and request.force,
        "decision": recorded.id,
    }


@define_task("start a retrain of {evidence.project}")
def start_deployment(evidence: Evidence, parameters: dict[str, Any]) -> str | None:
    """Starts the project's deployment `retrain/<project>`, once for each champion and window.

    A monitor run that is repeated or retried after a crash finds the run that it started before.

    Args:
        evidence: The evidence of the decision.
        parameters: From `build_parameters`.

    Returns:
        The id of the flow run; `None` if the monitor does not run as a deployment, or no retrain deployment exists, and
        the retrain has to run in this process.
    """
    if not deployment.id:
        return None
    name = f"retrain/{evidence.project}"
    key = build_idempotency_key(name, evidence, _count_ended(evidence))
    try:
        run = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)
    except ObjectNotFound:
        with_project(log, evidence.project).info("there is no deployment %s: the retrain runs in this process", name)
        return None
    started = cast("FlowRun", run).id
    with_project(log, evidence.project).info("started %s as run %s", name, started)
    return str(started)


def emit_decision_event(evidence: Evidence, recorded: RecordedDecision) -> None:
    """Emits an event about a decision to retrain or to alert, for Prefect automations.

    Args:
        evidence: The evidence of the decision.
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


def build_idempotency_key(name: str, evidence: Evidence, ended: int = 0) -> str:
    """Builds the key by which a Prefect server starts a retrain once; keys hold for all deployments of a flow, forever.

    Args:
        name: The deployment.
        evidence: The evidence of the decision.
        ended: The number of retrains of that champion and window that have ended; another one may follow when more
            labels are known, or after a kill.

    Returns:
        Deployment, project, the champion's generation, the end of the window that triggered it, and `ended`.
    """
    window = f"{evidence.generation}:{evidence.window.end.isoformat()}"
    return f"{name}:{evidence.project}:{window}:{ended}"


def _count_ended(evidence: Evidence) -> int:
    history = read_history(evidence.project, datetime.now(UTC))
    same = [
        one
        for one in history.attempts
        if (one.generation, one.window_end) == (evidence.generation, evidence.window.end)
    ]
    return sum(one.ending is not None for one in same)
