"""Synchronizes a Prefect server with the project files: deployments, schedules, limits and automations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from refit.errors import BrokenProject, StateError
from refit_deployments.prefect_server.automations import mark_dead_runs, run_monitor_on_event
from refit_deployments.prefect_server.plan import MANAGED, TAG, PlannedDeployment, plan_deployments
from refit_tasks.catalog import Catalog

log = logging.getLogger(__name__)

PAGE = 200
"""The maximum number of deployments in one response of Prefect."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one deployment."""

    name: str
    action: Literal["create", "update", "remove", "keep"]
    fields: tuple[str, ...] = ()
    """The fields that differ, for an update."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentDiff:
    """The planned deployments, and those on the server."""

    pool: str
    planned: dict[str, PlannedDeployment]
    found: dict[str, dict[str, Any]]
    """By name: those that Refit manages in this work pool, and those that a planned one replaces."""
    unreadable: tuple[str, ...] = ()
    """The project files that cannot be read; no deployment is removed then."""

    def changes(self) -> list[Change]:
        """Lists the change of each deployment.

        Returns:
            One change for each deployment, removals last.
        """
        return [*(self._change(one) for one in self.planned.values()), *self._removals()]

    def _change(self, planned: PlannedDeployment) -> Change:
        found = self.found.get(planned.name)
        if found is None:
            return Change(planned.name, "create")
        fields = changed_fields(planned.wanted, found)
        return Change(planned.name, "update", fields) if fields else Change(planned.name, "keep")

    def _removals(self) -> Iterator[Change]:
        for name in self.found.keys() - self.planned.keys():
            if self.unreadable:
                yield Change(name, "keep", why=f"{', '.join(self.unreadable)} cannot be read and may define it")
            else:
                yield Change(name, "remove", why="no project file defines it")


def compare_deployments(client: SyncPrefectClient, catalog: Catalog, pool: str) -> DeploymentDiff:
    """Compares the deployments on a server with the project files.

    Args:
        client: A client of the server.
        catalog: The project files.
        pool: The work pool; deployments of other pools are not managed.

    Returns:
        The difference.
    """
    planned, broken = _plans(catalog, pool)
    flows: dict[str, str] = {}
    found = {}
    for one in _tagged(client):
        flow = flows.get(one["flow_id"]) or flows.setdefault(one["flow_id"], _flow_name(client, one["flow_id"]))
        name = f"{flow}/{one['name']}"
        if name in planned or (is_managed(one) and one["work_pool_name"] == pool):
            found[name] = one
    return DeploymentDiff(pool, planned, found, tuple(str(file) for file in broken))


def _plans(catalog: Catalog, pool: str) -> tuple[dict[str, PlannedDeployment], dict[Path, str]]:
    """Plans the deployments of each project, and collects the files with errors."""
    planned, broken = dict[str, PlannedDeployment](), dict(catalog.broken)
    for project in catalog.projects.values():
        try:
            planned |= {one.name: one for one in plan_deployments(project, pool)}
        except BrokenProject as fault:
            broken[project.file or Path()] = str(fault)
    for sentence in broken.values():
        log.warning("%s", sentence)
    return planned, broken


def apply_changes(client: SyncPrefectClient, deployed: DeploymentDiff) -> Iterator[Change]:
    """Applies the changes to the server.

    Args:
        client: A client of the server.
        deployed: From `compare_deployments`.

    Yields:
        Each change after it is applied, deployments without a change included.
    """
    for change in deployed.changes():
        found = deployed.found.get(change.name)
        if change.action in ("create", "update"):
            _upsert(client, deployed.planned[change.name], found)
        elif change.action == "remove" and found:
            client.delete_resource_owned_automations(f"prefect.deployment.{found['id']}")
            client.delete_deployment(found["id"])
        yield change
    mark_dead_runs(client)


def _upsert(client: SyncPrefectClient, planned: PlannedDeployment, found: dict[str, Any] | None) -> None:
    flow_id = str(client.create_flow_from_name(planned.flow))
    payload = {**merge_ui_changes(planned.wanted, found), "flow_id": flow_id}
    made = client.request("POST", "/deployments/", json=payload).json()
    if planned.flow == "monitor":
        run_monitor_on_event(client, made["id"], planned.project)


def _tagged(client: SyncPrefectClient) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        chosen = {"deployments": {"tags": {"all_": [TAG]}}, "limit": PAGE, "offset": offset}
        page = client.request("POST", "/deployments/filter", json=chosen).json()
        yield from page
        offset += PAGE
        if len(page) < PAGE:
            return


def _flow_name(client: SyncPrefectClient, flow_id: str) -> str:
    return str(client.request("GET", "/flows/{id}", path_params={"id": flow_id}).json()["name"])


def ensure_pool(client: SyncPrefectClient, pool: str, kind: str) -> bool:
    """Creates the work pool if the server does not have it.

    Args:
        client: A client of the server.
        pool: Its name.
        kind: Its type, such as `process`, `docker` or `kubernetes`.

    Returns:
        Whether it was created.

    Raises:
        StateError: If neither this installation nor the server has the type.
    """
    from anyio import run
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        template = run(get_default_base_job_template_for_infrastructure_type, kind)
        if template is None:
            raise StateError(
                f"Prefect knows no work pool of type {kind!r}: use process, docker or kubernetes"
            ) from None
        client.create_work_pool(WorkPoolCreate(name=pool, type=kind, base_job_template=template))
        return True
    return False


COMPARED_APART = ("name", "schedules", "labels", "concurrency_limit", "concurrency_options")
"""The fields that the server returns in another form than it accepts."""


def changed_fields(wanted: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    """Lists the fields in which a deployment differs from its plan.

    Changes made in the UI do not count: a paused deployment, a schedule that is off, and added schedules.

    Args:
        wanted: The fields from `refit_deployments.prefect_server.plan`.
        found: The deployment from the server's API.

    Returns:
        The names of the fields; empty where nothing differs.
    """
    changed = [field for field in wanted if field not in COMPARED_APART and wanted[field] != found.get(field)]
    if [_timing(one) for one in wanted["schedules"]] != [_timing(one) for one in found["schedules"] if _ours(one)]:
        changed.append("schedules")
    if not is_managed(found):
        changed.append("labels")
    if _concurrency(wanted, wanted["concurrency_limit"]) != _concurrency(found, _limit_of(found)):
        changed.append("concurrency_limit")
    return tuple(changed)


def is_managed(found: dict[str, Any]) -> bool:
    """Tells whether Refit manages a deployment, and may change and remove it.

    Args:
        found: The deployment from the server's API.

    Returns:
        Whether it has our label.
    """
    return (found.get("labels") or {}).get(MANAGED) is True


def merge_ui_changes(wanted: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """Keeps what was changed in the UI: a schedule that is off, and added schedules.

    Args:
        wanted: The fields from `refit_deployments.prefect_server.plan`.
        found: The deployment on the server; `None` if there is none.

    Returns:
        The fields to send.
    """
    if found is None:
        return wanted
    active = all(one["active"] for one in found["schedules"] if _ours(one))
    ours = [{**one, "active": active} for one in wanted["schedules"]]
    theirs = [
        {key: one[key] for key in ("schedule", "active", "parameters", "slug")}
        for one in found["schedules"]
        if not _ours(one)
    ]
    return {**wanted, "schedules": [*ours, *theirs]}


def _ours(schedule: dict[str, Any]) -> bool:
    return schedule.get("slug") == TAG


def _timing(schedule: dict[str, Any]) -> dict[str, Any]:
    timing = {key: value for key, value in schedule["schedule"].items() if key != "anchor_date"}
    return {**timing, "parameters": schedule.get("parameters") or {}}


def _concurrency(fields: dict[str, Any], limit: int | None) -> tuple[int | None, str | None]:
    return limit, (fields.get("concurrency_options") or {}).get("collision_strategy")


def _limit_of(found: dict[str, Any]) -> int | None:
    limit: int | None = (found.get("global_concurrency_limit") or {}).get("limit")
    return limit
