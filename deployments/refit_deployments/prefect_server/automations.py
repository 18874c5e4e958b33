"""What a Prefect server does by itself for Refit: it marks dead runs, and lets an event from outside ask for a look."""

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
"""The event by which anything outside asks for a retrain of `refit.project.<project>`; the arbiter decides."""

SILENT = timedelta(seconds=3 * HEARTBEAT_SECONDS)
"""A run that says nothing for so long is dead: a healthy one may miss one or two heartbeats on a busy machine."""

DEAD = "Refit: mark runs whose process has died"


def mark_dead_runs(client: SyncPrefectClient) -> None:
    """Has the server mark a run as crashed that no longer says that it lives, so that nothing waits for it.

    Args:
        client: A client of the server.
    """
    _settle(
        client,
        AutomationCore(
            name=DEAD,
            description="A run of Refit tells every half minute that it lives. One that was killed with its worker or "
            "its machine cannot say that it ended; this does.",
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
                    message=f"its process has died: nothing was heard of it for {SILENT.seconds} seconds",
                )
            ],
        ),
    )


def follow_events(client: SyncPrefectClient, deployment: str, project: str) -> None:
    """Has the server run the monitor when an event from outside asks for a retrain of the project.

    Args:
        client: A client of the server.
        deployment: The id of the deployment `monitor/<project>`, which owns the automation.
        project: The project's name.
    """
    owner = f"prefect.deployment.{deployment}"
    client.delete_resource_owned_automations(owner)
    wanted = {
        "name": f"Refit: an event asks for a look at {project}",
        "description": f"The event {REQUEST} about refit.project.{project} runs the monitor, whose arbiter decides.",
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
                        "template": "{{ event.payload.get('reason', 'an event from outside')|string|truncate(200) }}",
                    },
                },
            }
        ],
        "owner_resource": owner,
    }
    client.request("POST", "/automations/", json=wanted)


def _settle(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Creates an automation, or brings the one of that name to its newest form; one that is switched off stays so."""
    known = client.request("POST", "/automations/filter", json=_named(wanted.name)).json()
    fields = wanted.model_dump(mode="json", exclude={"owner_resource"})
    if not known:
        client.request("POST", "/automations/", json=fields)
        return
    found = known[0]
    if any(not _holds(found[field], fields[field]) for field in ("description", "trigger", "actions")):
        body = {**fields, "enabled": found["enabled"]}
        client.request("PUT", "/automations/{id}", path_params={"id": found["id"]}, json=body)


def _holds(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether what the server has holds all that is wanted; it adds ids of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(key), wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(found) == len(wanted)
        return same and all(_holds(one, other) for one, other in zip(found, wanted, strict=True))
    return bool(found == wanted)


def _named(name: str) -> dict[str, Any]:
    return {"automations": {"name": {"any_": [name]}}}
