"""The deployments as a `prefect.yaml`, for `prefect deploy --all`; the project files stay the one source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from refit.errors import ProjectError, StateError
from refit_deployments.output import Answer
from refit_deployments.prefect_server.plan import Planned, plan
from refit_infra.settings import Settings
from refit_tasks.catalog import discover

HEAD = """\
# Written by `refit deploy --export` from the project files: change those, and write this file again.
"""


def export(pool: str, file: Path) -> Answer:
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
    return Answer({"file": str(file), "deployments": names}, [did])


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
