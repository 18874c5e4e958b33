"""`refit deploy`, and what `refit up` does of it: the server brought to what the project files want.

The deployments as a `prefect.yaml`, for `prefect deploy --all`; the project files stay the one source.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from refit.errors import ProjectError, RefitError, StateError
from refit_deployments.output import Result
from refit_deployments.prefect_server.plan import Planned, plan
from refit_deployments.prefect_server.sync import Change, apply_changes, compare, ensure_pool
from refit_infra.settings import Settings
from refit_tasks.catalog import discover, project_files

log = logging.getLogger("refit_deployments.prefect_server.sync")

MARKS = {"create": "+", "update": "~", "remove": "-", "keep": " "}


def deploy_here(pool: str, kind: str, *, dry_run: bool) -> Result:
    """Brings the Prefect server in PREFECT_API_URL to what the project files want.

    Args:
        pool: The work pool; it is made if the server has none of that name.
        kind: The type of work pool to make, such as `process`, `docker` or `kubernetes`.
        dry_run: Whether to show the difference only.

    Returns:
        What is different, or was.

    Raises:
        StateError: If no server is named.
    """
    if not PREFECT_API_URL.value():
        raise StateError(
            "PREFECT_API_URL names no Prefect server: set it, or run `refit up`, which starts one and deploys to it"
        )
    changes = sync_deployments(pool, kind, dry_run=dry_run)
    facts = {"pool": pool, "dry_run": dry_run, "deployments": [asdict(change) for change in changes]}
    differ = sum(change.action != "keep" for change in changes)
    did = "would change: this was a dry run" if dry_run else "changed"
    lines = [f"{MARKS[change.action]} {_words(change)}" for change in changes]
    return Result(facts, [*lines, f"{differ} of {len(changes)} deployments in work pool {pool} {did}"])


def sync_deployments(pool: str, kind: str, *, dry_run: bool = False) -> list[Change]:
    """Makes the server have the deployments, schedules, limits and automations that the project files want.

    Args:
        pool: The work pool.
        kind: The type of work pool to make if there is none of that name.
        dry_run: Whether to find the difference only.

    Returns:
        All deployments, with what was done about each.
    """
    catalog = discover(Settings().projects)
    with get_client(sync_client=True) as client:
        wanted = compare(client, catalog, pool)
        if dry_run:
            return wanted.changes()
        ensure_pool(client, pool, kind)
        done = []
        for change in apply_changes(client, wanted):
            done.append(change)
            if change.action != "keep":
                log.info("%s", _words(change))
        return done


class Following:
    """Follows the project files while `refit up` runs."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._known = _files()

    def look(self) -> None:
        """Deploys again if a file came, went or was written; where that fails, the next look tries again."""
        if (now := _files()) == self._known:
            return
        log.info("the project files have changed: deploying again")
        try:
            sync_deployments(self._pool, "process")
        except (RefitError, httpx.HTTPError) as fault:
            log.warning("deploying failed, and is tried again: %s", fault)
            return
        self._known = now


def _files() -> list[tuple[str, int]]:
    """Names the state of the project files; a directory that cannot be read has none."""
    try:
        return [(str(file), file.stat().st_mtime_ns) for file in project_files(Settings().projects)]
    except (ProjectError, FileNotFoundError):
        return []


def _words(change: Change) -> str:
    told = f" ({', '.join(change.fields)})" if change.fields else f" ({change.why})" if change.why else ""
    did = {"create": "created", "update": "updated", "remove": "removed", "keep": "stays as it is"}[change.action]
    return f"{change.name} {did}{told}"


HEAD = """\
# Written by `refit deploy --export` from the project files: change those, and write this file again.
"""


def export(pool: str, file: Path) -> Result:
    """Writes the file.

    Args:
        pool: The work pool that runs the flows.
        file: Where to write it.

    Returns:
        What was written.

    Raises:
        ProjectError: If a project file cannot be read: a file that lacks its deployments would look complete.
        StateError: If the file cannot be written.
    """
    catalog = discover(Settings().projects)
    for sentence in catalog.broken.values():
        raise ProjectError(sentence)
    planned = [one for project in catalog.projects.values() for one in plan(project, pool)]
    try:
        file.write_text(HEAD + as_yaml(planned))
    except OSError as error:
        raise StateError(f"{file} cannot be written ({error.strerror}): name another file") from error
    names = [one.name for one in planned]
    did = f"{file}: {len(names)} deployments; `prefect deploy --all --prefect-file {file}` deploys them"
    return Result({"file": str(file), "deployments": names}, [did])


def as_yaml(planned: Iterable[Planned]) -> str:
    """Words deployments the way `prefect deploy` reads them.

    Args:
        planned: The deployments.

    Returns:
        The text of the file.
    """
    told = {"name": "refit", "pull": [], "deployments": [_deployment(one.wanted) for one in planned]}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)


def _deployment(wanted: dict[str, Any]) -> dict[str, Any]:
    limit = {"limit": wanted["concurrency_limit"], **(wanted["concurrency_options"] or {})}
    return {
        **{field: wanted[field] for field in ("name", "description", "tags", "entrypoint", "parameters")},
        "enforce_parameter_schema": True,
        "schedules": [{**one["schedule"], **_without(one, "schedule")} for one in wanted["schedules"]],
        **({"concurrency_limit": limit} if limit["limit"] else {}),
        "work_pool": {
            "name": wanted["work_pool_name"],
            "work_queue_name": wanted["work_queue_name"],
            "job_variables": wanted["job_variables"],
        },
    }


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}
