"""The planned deployments, one for each flow of each project, and their parameter forms in the UI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

from refit.errors import BrokenProject
from refit.policies.training import ScheduleTrigger
from refit.project import Project
from refit_deployments.prefect_server.cron import find_cron_fault
from refit_flows.approve import approve
from refit_flows.monitor import monitor
from refit_flows.retrain import retrain
from refit_flows.rollback import rollback
from refit_flows.score import score

TAG = "refit"
"""The tag of every deployment of Refit, and so of its runs."""
MANAGED = "refit.managed"
"""The label of the deployments that Refit manages."""
HEARTBEAT_SECONDS = 30
"""The interval of a run's heartbeats; Prefect allows no shorter one."""
ANCHOR = "2026-01-01T00:00:00Z"
"""The start of all interval schedules, always the same, so that deploying again changes nothing."""
QUEUED, REFUSED = "ENQUEUE", "CANCEL_NEW"


@dataclass(frozen=True, slots=True)
class PlannedDeployment:
    """A deployment, as the project file defines it."""

    flow: str
    project: str
    wanted: dict[str, Any]
    """The fields for Prefect's API, without the flow's id."""

    @property
    def name(self) -> str:
        """Its name in Prefect, `retrain/<project>`."""
        return f"{self.flow}/{self.project}"


def plan_deployments(project: Project, pool: str) -> list[PlannedDeployment]:
    """Plans the deployments of a project.

    Args:
        project: The project.
        pool: The work pool that runs them.

    Returns:
        Retrain, monitor and rollback; approve, where the project requires approval; and score, where it is scheduled.

    Raises:
        BrokenProject: If a schedule is not a cron line, or never fires.
    """
    busy = {"refuse": REFUSED, "queue": QUEUED}[project.deployment.when_busy]
    flows = [
        # A monitor run waits for another one for seconds only, and an outside event must not be lost.
        _planned(project, pool, monitor, QUEUED, schedule=project.schedule.monitor),
        _planned(project, pool, retrain, busy, schedule=project.schedule.retrain, scheduled={"reason": "scheduled"}),
        _planned(project, pool, rollback),
    ]
    if project.gate.promotion == "approve":
        flows.append(_planned(project, pool, approve))
    if project.schedule.score:
        # A second run waits for the first, and then has few rows left to score.
        flows.append(_planned(project, pool, score, QUEUED, schedule=project.schedule.score))
    return flows


def _planned(
    project: Project,
    pool: str,
    flow: Flow[..., Any],
    collision: str | None = None,
    schedule: ScheduleTrigger | None = None,
    scheduled: dict[str, Any] | None = None,
) -> PlannedDeployment:
    policy = project.deployment
    wanted = {
        "name": project.name,
        "entrypoint": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "description": _description(project, flow),
        "tags": sorted({TAG, project.name, *policy.tags}),
        "labels": {MANAGED: True},
        "parameters": {"project": project.name},
        "parameter_openapi_schema": parameter_form(project, flow),
        "enforce_parameter_schema": True,
        "schedules": [_schedule(project, schedule, scheduled or {})] if schedule else [],
        "concurrency_limit": 1 if collision else None,
        "concurrency_options": {"collision_strategy": collision} if collision else None,
        "work_pool_name": pool,
        "work_queue_name": policy.work_queue or "default",
        "job_variables": _job_variables(policy.job_variables),
        "pull_steps": [],
    }
    return PlannedDeployment(flow.name, project.name, wanted)


def _description(project: Project, flow: Flow[..., Any]) -> str:
    return f"{project.description or project.name}\n\n{(flow.description or '').partition('Args:')[0].strip()}"


def _schedule(project: Project, rhythm: ScheduleTrigger, parameters: dict[str, Any]) -> dict[str, Any]:
    zone = project.schedule.timezone
    if isinstance(rhythm, timedelta):
        timing = {"interval": rhythm.total_seconds(), "timezone": zone, "anchor_date": ANCHOR}
    else:
        timing = {"cron": rhythm, "timezone": zone, "day_or": True}
        if fault := find_cron_fault(rhythm):
            raise BrokenProject(f"{project.file}: schedule {rhythm!r} {fault}")
    return {"schedule": timing, "active": True, "slug": TAG, "parameters": parameters}


def _job_variables(given: dict[str, Any]) -> dict[str, Any]:
    """Adds the heartbeat by which a dead run is noticed; the project file wins."""
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
    "csv": "Form of a CSV file",
    "to": "To version",
    "version": "Version",
}
TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$"
"""A time in ISO 8601; the server does not check formats, and would start a run that fails."""


def parameter_form(project: Project, flow: Flow[..., Any]) -> dict[str, Any]:
    """Builds the parameter form of a deployment, whose project is fixed.

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
