"""`refit deploy`, and what `refit up` does of it: the server brought to what the project files want."""

from __future__ import annotations

import logging
from dataclasses import asdict

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from refit.errors import ProjectError, RefitError, StateError
from refit_deployments.output import Answer
from refit_deployments.prefect_server.sync import Change, carry_out, compare, ensure_pool
from refit_infra.settings import Settings
from refit_tasks.catalog import discover, project_files

log = logging.getLogger("refit_deployments.prefect_server.sync")

MARKS = {"create": "+", "update": "~", "remove": "-", "keep": " "}


def deploy_here(pool: str, kind: str, *, dry_run: bool) -> Answer:
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
    changes = bring_about(pool, kind, dry_run=dry_run)
    facts = {"pool": pool, "dry_run": dry_run, "deployments": [asdict(change) for change in changes]}
    differ = sum(change.action != "keep" for change in changes)
    did = "would change: this was a dry run" if dry_run else "changed"
    lines = [f"{MARKS[change.action]} {_words(change)}" for change in changes]
    return Answer(facts, [*lines, f"{differ} of {len(changes)} deployments in work pool {pool} {did}"])


def bring_about(pool: str, kind: str, *, dry_run: bool = False) -> list[Change]:
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
        for change in carry_out(client, wanted):
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
            bring_about(self._pool, "process")
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
