"""What a Prefect server has of a deployment, held against what the project file wants."""

from __future__ import annotations

from typing import Any

from refit_deployments.prefect_server.plan import MANAGED, TAG

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


def with_choices_kept(wanted: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
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
