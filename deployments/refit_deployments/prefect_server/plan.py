"""Which deployments there should be: one for each flow of each project, made from the project files alone.

The form of a deployment in the UI: the parameters with titles for people, and limits that the server keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema

from refit.errors import BrokenProject
from refit.policies.training import ScheduleTrigger
from refit.project import Project
from refit_flows.approve import approve
from refit_flows.monitor import monitor
from refit_flows.retrain import retrain
from refit_flows.rollback import rollback
from refit_flows.score import score

TAG = "refit"
"""The tag of every deployment, and so of its runs, that Refit looks after."""
MANAGED = "refit.managed"
"""The label of the deployments that Refit may change and remove."""
HEARTBEAT_SECONDS = 30
"""How often a run says that it lives; Prefect allows no shorter time."""
ANCHOR = "2026-01-01T00:00:00Z"
"""Where intervals are counted from: always the same instant, so that deploying again changes nothing."""
QUEUED, REFUSED = "ENQUEUE", "CANCEL_NEW"


@dataclass(frozen=True, slots=True)
class Planned:
    """A deployment as the project file wants it."""

    flow: str
    project: str
    wanted: dict[str, Any]
    """The fields as Prefect's API takes them, but for the flow's id."""

    @property
    def name(self) -> str:
        """What Prefect calls it, `retrain/<project>`."""
        return f"{self.flow}/{self.project}"


def plan(project: Project, pool: str) -> list[Planned]:
    """Names the deployments of a project.

    Args:
        project: The project.
        pool: The work pool that runs them.

    Returns:
        Retrain, monitor and rollback; the approval, where the project asks a person; and the score, where it is
        scheduled.

    Raises:
        BrokenProject: If a schedule's cron line means nothing.
    """
    busy = {"refuse": REFUSED, "queue": QUEUED}[project.deployment.when_busy]
    flows = [
        # A monitor that waits for another is a matter of seconds, and an event from outside must not be lost.
        _planned(project, pool, monitor, QUEUED, schedule=project.schedule.monitor),
        _planned(project, pool, retrain, busy, schedule=project.schedule.retrain, scheduled={"reason": "scheduled"}),
        _planned(project, pool, rollback),
    ]
    if project.gate.promotion == "approve":
        flows.append(_planned(project, pool, approve))
    if project.schedule.score:
        # A second run finds what the first has scored: it waits, and has little left to do.
        flows.append(_planned(project, pool, score, QUEUED, schedule=project.schedule.score))
    return flows


def _planned(
    project: Project,
    pool: str,
    flow: Flow[..., Any],
    collision: str | None = None,
    schedule: ScheduleTrigger | None = None,
    scheduled: dict[str, Any] | None = None,
) -> Planned:
    policy = project.deployment
    wanted = {
        "name": project.name,
        "entrypoint": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "description": _description(project, flow),
        "tags": sorted({TAG, project.name, *policy.tags}),
        "labels": {MANAGED: True},
        "parameters": {"project": project.name},
        "parameter_openapi_schema": form(project, flow),
        "enforce_parameter_schema": True,
        "schedules": [_schedule(project, schedule, scheduled or {})] if schedule else [],
        "concurrency_limit": 1 if collision else None,
        "concurrency_options": {"collision_strategy": collision} if collision else None,
        "work_pool_name": pool,
        "work_queue_name": policy.work_queue or "default",
        "job_variables": _job_variables(policy.job_variables),
        "pull_steps": [],
    }
    return Planned(flow.name, project.name, wanted)


def _description(project: Project, flow: Flow[..., Any]) -> str:
    return f"{project.description or project.name}\n\n{(flow.description or '').partition('Args:')[0].strip()}"


def _schedule(project: Project, rhythm: ScheduleTrigger, parameters: dict[str, Any]) -> dict[str, Any]:
    zone = project.schedule.timezone
    if isinstance(rhythm, timedelta):
        timing = {"interval": rhythm.total_seconds(), "timezone": zone, "anchor_date": ANCHOR}
    else:
        timing = {"cron": rhythm, "timezone": zone, "day_or": True}
        try:
            CronSchedule(cron=rhythm, timezone=zone)
        except ValueError as error:
            raise BrokenProject(f"{project.file}: schedule {rhythm!r} is no cron line: correct it") from error
    return {"schedule": timing, "active": True, "slug": TAG, "parameters": parameters}


def _job_variables(given: dict[str, Any]) -> dict[str, Any]:
    """Adds what makes a run whose machine died be noticed; the project file has the last word."""
    beat = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
    return {**given, "env": {**beat, **given.get("env", {})}}


TITLES = {
    "project": "Project",
    "as_of": "As of",
    "reason": "Reason",
    "force": "Force",
    "decision": "Decision",
    "event": "Event",
    "start": "From",
    "end": "Until",
    "source": "File or table",
    "to": "To version",
    "version": "Version",
}
TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$"
"""A time as ISO 8601 writes it: the server does not look at formats, and would start a run that cannot be."""


def form(project: Project, flow: Flow[..., Any]) -> dict[str, Any]:
    """Makes the form. A deployment is about one project, so that there is one choice for it.

    Args:
        project: The project.
        flow: The flow.

    Returns:
        A JSON schema of the flow's parameters.
    """
    schema = parameter_schema(flow).model_dump(exclude_unset=True)
    for name, field in schema["properties"].items():
        field["title"] = TITLES.get(name, name)
        for kind in field.get("anyOf", [field]):
            if kind.get("format") == "date-time":
                kind["pattern"] = TIME
    schema["properties"]["project"] |= {"enum": [project.name], "default": project.name}
    return schema
