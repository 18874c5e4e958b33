"""Brings a Prefect server to what the project files want: deployments, schedules, limits and automations.

What a Prefect server has of a deployment, held against what the project file wants.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from refit.errors import BrokenProject, StateError
from refit_deployments.prefect_server.automations import follow_events, mark_dead_runs
from refit_deployments.prefect_server.plan import MANAGED, TAG, Planned, plan
from refit_tasks.catalog import Catalog

log = logging.getLogger(__name__)

PAGE = 200
"""Prefect gives so many deployments at a time."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done, or was done, about one deployment."""

    name: str
    action: Literal["create", "update", "remove", "keep"]
    fields: tuple[str, ...] = ()
    """What differs, where it is updated."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the project files want and what the server has."""

    pool: str
    planned: dict[str, Planned]
    found: dict[str, dict[str, Any]]
    """By name, those that are ours in this work pool and those that a planned one takes the place of."""
    unreadable: tuple[str, ...] = ()
    """Project files that cannot be read: what they define is left as it is."""

    def changes(self) -> list[Change]:
        """Compares the two.

        Returns:
            One entry for each deployment, those to be removed last.
        """
        return [*(self._change(one) for one in self.planned.values()), *self._removals()]

    def _change(self, planned: Planned) -> Change:
        found = self.found.get(planned.name)
        if found is None:
            return Change(planned.name, "create")
        fields = changed_fields(planned.wanted, found)
        return Change(planned.name, "update", fields) if fields else Change(planned.name, "keep")

    def _removals(self) -> Iterator[Change]:
        for name in self.found.keys() - self.planned.keys():
            if self.unreadable:
                yield Change(name, "keep", why=f"{', '.join(self.unreadable)} cannot be read, and may define it")
            else:
                yield Change(name, "remove", why="no project file wants it")


def compare(client: SyncPrefectClient, catalog: Catalog, pool: str) -> Deployed:
    """Reads what a server has, and holds it against the project files.

    Args:
        client: A client of the server.
        catalog: The project files.
        pool: The work pool. Refit looks after the deployments of that pool alone.

    Returns:
        Both.
    """
    planned, broken = _plans(catalog, pool)
    flows: dict[str, str] = {}
    found = {}
    for one in _tagged(client):
        flow = flows.get(one["flow_id"]) or flows.setdefault(one["flow_id"], _flow_name(client, one["flow_id"]))
        name = f"{flow}/{one['name']}"
        if name in planned or (is_managed(one) and one["work_pool_name"] == pool):
            found[name] = one
    return Deployed(pool, planned, found, tuple(str(file) for file in broken))


def _plans(catalog: Catalog, pool: str) -> tuple[dict[str, Planned], dict[Path, str]]:
    """Plans what can be planned, and names the files that cannot be understood."""
    planned, broken = dict[str, Planned](), dict(catalog.broken)
    for project in catalog.projects.values():
        try:
            planned |= {one.name: one for one in plan(project, pool)}
        except BrokenProject as fault:
            broken[project.file or Path()] = str(fault)
    for sentence in broken.values():
        log.warning("%s", sentence)
    return planned, broken


def apply_changes(client: SyncPrefectClient, deployed: Deployed) -> Iterator[Change]:
    """Makes the server have what the project files want.

    Args:
        client: A client of the server.
        deployed: From `compare`.

    Yields:
        Each change when it is done; the deployments that stay as they are, too.
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


def _upsert(client: SyncPrefectClient, planned: Planned, found: dict[str, Any] | None) -> None:
    flow_id = str(client.create_flow_from_name(planned.flow))
    payload = {**merge_ui_changes(planned.wanted, found), "flow_id": flow_id}
    made = client.request("POST", "/deployments/", json=payload).json()
    if planned.flow == "monitor":
        follow_events(client, made["id"], planned.project)


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
    """Makes the work pool if the server has none of that name; one that is there is left as it is.

    Args:
        client: A client of the server.
        pool: Its name.
        kind: Its type, such as `process`, `docker` or `kubernetes`.

    Returns:
        Whether it was made.

    Raises:
        StateError: If this installation and the server know no such type.
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


ASIDE = ("name", "schedules", "labels", "concurrency_limit", "concurrency_options")
"""Fields that the server gives in another form than it takes."""


def changed_fields(wanted: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    """Names the fields in which a deployment differs from what the project file wants.

    Whether it is paused, whether its schedule is switched off and which schedules a person has added is that person's
    business and no difference.

    Args:
        wanted: The fields from `refit_deployments.prefect_server.plan`.
        found: The deployment as the server's API gives it.

    Returns:
        Names of fields; empty where nothing is to be done.
    """
    changed = [field for field in wanted if field not in ASIDE and wanted[field] != found.get(field)]
    if [_timing(one) for one in wanted["schedules"]] != [_timing(one) for one in found["schedules"] if _ours(one)]:
        changed.append("schedules")
    if not is_managed(found):
        changed.append("labels")
    if _concurrency(wanted, wanted["concurrency_limit"]) != _concurrency(found, _limit_of(found)):
        changed.append("concurrency_limit")
    return tuple(changed)


def is_managed(found: dict[str, Any]) -> bool:
    """Tells whether Refit has made a deployment, so that it may change and remove it.

    Args:
        found: The deployment as the server's API gives it.

    Returns:
        True if it has our label.
    """
    return (found.get("labels") or {}).get(MANAGED) is True


def merge_ui_changes(wanted: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """Carries over what a person has chosen in the UI: a schedule that is switched off, and schedules of their own.

    Args:
        wanted: The fields from `refit_deployments.prefect_server.plan`.
        found: The deployment as the server has it; `None` if it has none.

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
