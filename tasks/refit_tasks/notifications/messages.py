"""What people are told of a run: each flow says in one line what has come of it, and by its hook that it failed.

The words of a message to people, which is plain text: nothing in it calls a whole channel or tells a password.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect.runtime import flow_run as running

from refit.errors import NoNewData, RefitError, RetrainRefused
from refit.gate.evaluations import Judgement
from refit.policies.training import NotificationEvent
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import champion_of
from refit_tasks.ledger.record import entries, latest
from refit_tasks.notifications.notify import Notice, notify
from refit_tasks.presentation.markdown import number, shorten
from refit_tasks.presentation.measurements import describe_performance
from refit_tasks.presentation.summaries import describe_succession
from refit_tasks.project_log import with_project
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.runs.links import flow_run_url

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State


log = logging.getLogger(__name__)

MISSED_BETWEEN = timedelta(minutes=5), timedelta(days=1)
"""What happened between so long ago, and was not told, is told by the monitor: a run was killed, a service was away, or
a person used the command line, where a rollback needs no Prefect."""
NEWEST_ROLLBACKS = 20
"""Among so many rollbacks the one that has just been made is looked for."""


def notify_retrain(definition: Project, outcome: RetrainOutcome) -> None:
    """Tells of a promotion, a rejection, or a challenger that waits for a person.

    Args:
        definition: The project.
        outcome: What the retrain did.
    """
    if definition.notifications.blocks and outcome.judgement:
        with _suppress_errors(definition.name):
            _notify_verdict(definition, outcome.challenger, outcome.judgement, outcome.promotion, outcome.approval_run)


def notify_approval(project: str, champion: Champion | None) -> None:
    """Tells of a promotion that a person has approved.

    Args:
        project: The project's name.
        champion: The new champion; `None` after a refusal, of which nobody is told.
    """
    if champion is None:
        return
    with _suppress_errors(project):
        definition, challenger = find_project(project), find_verdict_of_version(project, champion.version)
        judgement = read_judgement(challenger) if challenger else None
        if definition.notifications.blocks and challenger and judgement:
            _notify_verdict(definition, challenger, judgement, champion)


def notify_monitor(definition: Project, outcome: MonitorOutcome) -> None:
    """Tells of an alert, or of the champion that the watch has taken back; and of what nobody could be told before.

    Args:
        definition: The project.
        outcome: What the monitor found and did.
    """
    decision, policy, project = outcome.decision, definition.notifications, definition.name
    if not policy.blocks:
        return
    _notify_missed(definition)
    if outcome.rolled_back and policy.notifies("rollback"):
        notify_rollback(project, outcome.rolled_back, "; ".join(decision.reasons))
    elif decision.action == "alert" and policy.notifies("alert"):
        with _suppress_errors(project):
            body = (
                *decision.reasons,
                *describe_performance(outcome.evidence.performance),
                format_why_hint(outcome.decision_id),
            )
            subject = f"{project}: alert by the monitor ({decision.trigger})"
            notify(definition, Notice("alert", subject, format_body(body, running.id)))


def notify_rollback(project: str, champion: Champion, reason: str) -> None:
    """Tells that a former champion serves again.

    Args:
        project: The project's name; a rollback needs no project file, and only telling of it does.
        champion: The one that came back.
        reason: Why.
    """
    with _suppress_errors(project):
        definition = find_project(project)
        if not definition.notifications.notifies("rollback"):
            return
        made = [
            one
            for one in entries(project, "rollback", newest=NEWEST_ROLLBACKS)
            if one.payload["champion"]["generation"] == champion.generation
        ]
        former = f" in place of version {made[0].payload['former']['version']}" if made else ""
        subject = f"{project}: rolled back, version {champion.version} serves again{former}"
        body = (
            f"Reason: {reason}",
            f"Generation {champion.generation}.",
            *(format_why_hint(one.id) for one in made[:1]),
        )
        notify(definition, Notice("rollback", subject, format_body(body, running.id), made[0].id if made else None))


def notify_failure(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tells of a run that failed or crashed: a hook of the flows. A refused retrain, or one without new rows, is none.

    A run inside another one is left to that one, which fails with it.

    Args:
        flow: The flow.
        flow_run: Its run.
        state: The state that it ended in.
    """
    project, run_id = str(flow_run.parameters.get("project")), str(flow_run.id)
    error = getattr(state.data, "result", state.data)  # not there where another process found the run dead
    if flow_run.parent_task_run_id or isinstance(error, RetrainRefused | NoNewData):
        return
    with _suppress_errors(project, run_id):
        kind = f" ({type(error).__name__})" if isinstance(error, BaseException) else ""
        subject = f"{project}: {flow.name} {(state.name or 'Failed').lower()}{kind}"
        said = str(error) if isinstance(error, RefitError) else state.message or ""
        notify(find_project(project), Notice("failure", subject, format_body((said,), run_id)), run_id)


def _notify_missed(definition: Project) -> None:
    now, (least, most) = datetime.now(UTC), MISSED_BETWEEN
    with _suppress_errors(definition.name):
        for made in (latest(definition.name, "promotion"), latest(definition.name, "rollback")):
            if made is None or not least < now - made.at < most:
                continue
            if made.kind == "rollback":
                notify_rollback(made.project, champion_of(made), made.payload["reason"])
            else:
                notify_approval(made.project, champion_of(made))


def _notify_verdict(
    definition: Project,
    challenger: Challenger,
    judgement: Judgement,
    promotion: Champion | None,
    approval_run: str | None = None,
) -> None:
    occasion, said = _describe_outcome(challenger, judgement, promotion)
    asked = [f"To answer: refit approve {definition.name} {challenger.version}", *format_link("form", approval_run)]
    lines = (
        *describe_verdict(challenger, judgement),
        *(asked if occasion == "approval" else ()),
        format_why_hint(challenger.verdict_id),
    )
    subject, about = f"{definition.name}: version {challenger.version} {said}", challenger.verdict_id
    notify(definition, Notice(occasion, subject, format_body(lines, running.id), about))


def _describe_outcome(
    challenger: Challenger, judgement: Judgement, promotion: Champion | None
) -> tuple[NotificationEvent, str]:
    if promotion:
        return "promotion", f"promoted {describe_succession(judgement.over)}"
    return ("approval", "waits for approval") if challenger.verdict.promote else ("rejection", "rejected")


@contextmanager
def _suppress_errors(project: str, run_id: str | None = None) -> Iterator[None]:
    """Keeps a run as it is whatever telling of it meets: a project file that broke meanwhile, a ledger that is away."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what the run did is on record, and stays done whatever comes here
        said = str(error) if isinstance(error, RefitError) else type(error).__name__
        with_project(log, project).warning(
            "nobody was told: %s", said, extra={"flow_run_id": run_id} if run_id else None
        )


LONGEST_LINE = 600
"""The most characters of a line: what a project's code raises may be long."""

_CALLS = re.compile(r"<(?=[!@#])|@(?=everyone\b|here\b|channel\b)")
"""What makes chat services call everybody; names and messages come from data."""
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""Who logs in where, in the address of a service."""


def format_body(lines: Iterable[str], run_id: str | None) -> str:
    """Writes the body of a message.

    Args:
        lines: What to say; empty ones are left out.
        run_id: The flow run that it is about, if any.

    Returns:
        The lines, and a link to the run in the Prefect UI where that is known.

    Example:
        >>> body_of(["no rows from postgresql://me:pw@depot/rows", ""], None)
        'no rows from postgresql://***@depot/rows'
    """
    written = [_LOGIN.sub("***", _CALLS.sub("\\g<0>\u200b", shorten(line, LONGEST_LINE))) for line in lines if line]
    return "\n".join((*written, *format_link("run", run_id)))


def format_link(what: str, run_id: str | None) -> list[str]:
    """Points to a flow run in the Prefect UI.

    Args:
        what: What people find there.
        run_id: The flow run, if any.

    Returns:
        One line; none where there is no run, or nobody knows where the UI is.
    """
    address = flow_run_url(run_id) if run_id else ""
    return [f"The {what}: {address}"] if address else []


def format_why_hint(entry_id: int) -> str:
    """Names the command that tells more.

    Args:
        entry_id: An entry of the ledger.

    Returns:
        One line.
    """
    return f"To look it up: refit why {entry_id}"


def describe_verdict(challenger: Challenger, judgement: Judgement) -> list[str]:
    """Says how a challenger was judged.

    Args:
        challenger: The version and its verdict.
        judgement: What the verdict rests on.

    Returns:
        What the gate said, the scores, the fit on all rows if there was one, and why it was trained.
    """
    bound = [judgement.bound.sentence] if judgement.bound else []
    return [_describe_rules(challenger), _describe_scores(judgement), *bound, f"Started as: {judgement.reason}"]


def _describe_rules(challenger: Challenger) -> str:
    reasons = challenger.verdict.reasons
    failed = [reason.sentence for reason in reasons if not reason.passed]
    return "Failed: " + "; ".join(failed) if failed else f"It passed all {len(reasons)} rules of the gate."


def _describe_scores(judgement: Judgement) -> str:
    compared = judgement.comparison
    champion = f"champion {number(compared.champion.value)}, " if compared.champion else ""
    window = compared.holdout.window
    return (
        f"{compared.metric} (higher is better): challenger {number(compared.challenger.value)}, {champion}trivial "
        f"baseline {number(compared.baseline.value)}, on {compared.holdout.rows:,} unseen rows from "
        f"{window.start:%Y-%m-%d %H:%M} until {window.end:%Y-%m-%d %H:%M} UTC."
    )
