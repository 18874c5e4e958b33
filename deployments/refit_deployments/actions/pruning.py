"""`refit prune`: what retention let go, a line for each thing."""

from __future__ import annotations

from refit_deployments.actions.maintenance import answer_of
from refit_deployments.output import Answer
from refit_tasks.maintenance.prune import prune


def prune_here(project: str | None, keep: int | None, *, dry_run: bool) -> Answer:
    """Applies retention.

    Args:
        project: Only this project; all, if `None`.
        keep: How many of the newest versions are kept; what the settings say, if `None`.
        dry_run: Whether to find only.

    Returns:
        What was let go.
    """
    return answer_of(prune(project, keep=keep, dry_run=dry_run), project, dry_run, "there is nothing to let go")
