"""The automations of Refit on a Prefect server: marking dead runs, and a monitor run on an outside event."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from refit_deployments.prefect_server.plan import HEARTBEAT_SECONDS, TAG
from refit_tasks.runs.flow_runs import WAITS

REQUEST = "refit.retrain.requested"
"""The event that requests a retrain of `refit.project.<project>` from outside; the monitor decides."""

SILENT = timedelta(seconds=3 * HEARTBEAT_SECONDS)
"""A run without a heartbeat for this long is dead; a healthy one may miss one or two on a busy machine."""

DEAD = "Refit: mark runs whose process has died"


def mark_dead_runs(client: SyncPrefectClient) -> None:
    """Makes the server mark a run without heartbeats as crashed, so that it does not block the next one.

    Args:
        client: A client of the server.
    """
    _upsert(
        client,
        AutomationCore(
            name=DEAD,
            description="A run of Refit sends a heartbeat every half minute. This automation marks a run as crashed "
            "whose worker or machine was killed.",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.*", WAITS},
                match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
                match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"}),
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=SILENT,
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.CRASHED,
                    message=f"the process of this run died: no heartbeat for {SILENT.seconds} seconds",
                )
            ],
        ),
    )


def run_monitor_on_event(client: SyncPrefectClient, deployment: str, project: str) -> None:
    """Makes the server run the monitor when an outside event requests a retrain of the project.

    Args:
        client: A client of the server.
        deployment: The id of the deployment `monitor/<project>`, which owns the automation.
        project: The project's name.
    """
    owner = f"prefect.deployment.{deployment}"
    client.delete_resource_owned_automations(owner)
    wanted = {
        "name": f"Refit: an event asks for a look at {project}",
        "description": f"The event {REQUEST} about refit.project.{project} runs the monitor, which decides.",
        "trigger": {
            "type": "event",
            "expect": [REQUEST],
            "match": {"prefect.resource.id": f"refit.project.{project}"},
            "posture": "Reactive",
            "threshold": 1,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployment,
                "parameters": {
                    "project": project,
                    "event": {
                        "__prefect_kind": "jinja",
                        "template": "{{ event.payload.get('reason', 'an outside event')|string|truncate(200) }}",
                    },
                },
            }
        ],
        "owner_resource": owner,
    }
    client.request("POST", "/automations/", json=wanted)


def _upsert(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Creates or updates an automation; one that is off stays off."""
    known = client.request("POST", "/automations/filter", json=_filter_by_name(wanted.name)).json()
    fields = wanted.model_dump(mode="json", exclude={"owner_resource"})
    if not known:
        client.request("POST", "/automations/", json=fields)
        return
    found = known[0]
    if any(not _contains(found[field], fields[field]) for field in ("description", "trigger", "actions")):
        body = {**fields, "enabled": found["enabled"]}
        client.request("PUT", "/automations/{id}", path_params={"id": found["id"]}, json=body)


def _contains(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """Tells whether the server's value has everything that is wanted; it adds its own ids."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_contains(found.get(key), wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(found) == len(wanted)
        return same and all(_contains(one, other) for one, other in zip(found, wanted, strict=True))
    return bool(found == wanted)


def _filter_by_name(name: str) -> dict[str, Any]:
    return {"automations": {"name": {"any_": [name]}}}
