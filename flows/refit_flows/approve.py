"""The approval: waits for a person's word on a challenger, and promotes it through the fence if that is yes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from refit.records.references import Champion
from refit_flows.parameters import ProjectName, VersionNumber
from refit_tasks.notifications.messages import notify_approval
from refit_tasks.prediction.compare import point_to_comparison
from refit_tasks.presentation.summaries import summarize_approval
from refit_tasks.promotion.approve import find_pending_version, record_approval, require_judgement
from refit_tasks.registry.verdict_report import render_verdict
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, suspended_heartbeat
from refit_tasks.runs.liveness import run_lock

WAITS_SECONDS = 30 * 24 * 3_600
"""So long a run waits, suspended, before it ends; `refit approve` works afterwards, too."""


class Approval(RunInput):
    """What the form in the Prefect UI asks for."""

    decision: Literal["approve", "refuse"] = Field(
        title="May it serve?", description="Approved, it is champion at once; refused, the champion of now serves on."
    )
    who: str = Field(min_length=1, max_length=200, title="Your name", description="It stands in the record.")
    why: str = Field("", max_length=2_000, title="Why", description="For those who read the record later.")


@flow(name="approve", flow_run_name="{project}: approve version {version}")
@fail_with_message
def approve(project: ProjectName, version: VersionNumber) -> Champion | None:
    """Waits until a person approves or refuses a version; meanwhile no process runs.

    Args:
        project: The project's name.
        version: The version that waits.

    Returns:
        The new champion; `None` after a refusal.

    Raises:
        RefitError: If that version waits for nobody, or another champion serves by now.
    """
    with run_lock("approve", project):
        page = render_verdict(require_judgement(find_pending_version(project, version)))
        form = Approval.with_initial_data(description=page + point_to_comparison(project))
        with suspended_heartbeat():
            answer = suspend_flow_run(wait_for_input=form, timeout=WAITS_SECONDS)
        approved, now = answer.decision == "approve", datetime.now(UTC)
        champion = record_approval(project, version, approved, answer.who, answer.why, now)
    notify_approval(project, champion)
    return complete_with_message(champion, summarize_approval(version, champion, answer.who))
