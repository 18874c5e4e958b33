"""The way back, as a flow: a former champion serves again."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow

from refit.models import Champion
from tasks.alive import living
from tasks.take_back import publish_rollback, take_back


@flow(name="rollback", flow_run_name="{project}: rollback")
def rollback(project: str, to: int | None = None, reason: str = "manual") -> Champion:
    """Makes a former champion serve again, in one entry of the ledger.

    Args:
        project: The project's name.
        to: The version to return to; by default the one before that which serves.
        reason: Why, for the people who read the record.

    Returns:
        The champion, of a new generation.

    Raises:
        RefitError: If nothing serves, or there is nobody to return to.
    """
    with living("rollback", project):
        champion = take_back(project, to, reason, datetime.now(UTC))
        publish_rollback(champion, reason)
    return champion
