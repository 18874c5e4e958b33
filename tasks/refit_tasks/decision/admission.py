"""Whether a retrain may begin: the arbiter allows it, or a decision on record is still to be carried out."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.runtime import deployment

from refit.errors import RetrainRefused
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence, Request
from refit.monitoring.replay import Retrained
from refit.monitoring.spans import window_length
from refit.project import Project
from refit.windows import Window
from refit_tasks.decision.decide import RecordedDecision, read_history, record_outcome, settle_decision
from refit_tasks.ledger.generations import current_champion, generation_of


def still_open(project: str, decision: int) -> int:
    """Makes sure that a number is a decision to retrain, about the champion that serves, and is carried out once.

    One about a former champion is recorded as refused: nothing was fitted for it, so that no budget is used up.

    Args:
        project: The project's name.
        decision: The number of its entry.

    Returns:
        The same number.

    Raises:
        RetrainRefused: If it is not.
    """
    attempts = read_history(project, datetime.now(UTC)).attempts
    attempt = next((one for one in reversed(attempts) if one.decision == decision), None)
    serving = generation_of(current_champion(project))
    if attempt is None:
        why = f"entry {decision} of the ledger is no decision to retrain {project}"
    elif attempt.ending in ("promoted", "pending", "rejected"):
        why = f"decision {decision} of {project} was carried out already, its challenger was {attempt.ending}"
    elif attempt.generation != serving:
        why = (
            f"decision {decision} of {project} was about champion generation {attempt.generation}, not the one serving"
        )
        if attempt.ending is None:
            record_outcome(project, Retrained(decision, "refused", 0.0, error=why), datetime.now(UTC))
    else:
        return decision
    raise RetrainRefused(f"{why}: leave the decision out to ask for a retrain of your own")


def allowed(definition: Project, request: Request, as_of: datetime, token: str) -> int:
    """Asks the arbiter for a retrain that no decision has started.

    Args:
        definition: The project.
        request: Who asks, and why.
        as_of: The instant the retrain looks from, UTC.
        token: The turn that was taken for it.

    Returns:
        The ledger entry of the decision that it carries out.

    Raises:
        RetrainRefused: If the arbiter says to wait.
    """
    recorded: RecordedDecision = settle_decision.fn(
        definition, _bare_evidence(definition, request, as_of), datetime.now(UTC), token
    )
    if recorded.decision.action != "retrain":
        if (left := _left_to_us(definition, recorded)) is not None:
            return left
        held = [one.sentence for one in recorded.decision.findings[-4:] if one.fired]
        raise RetrainRefused(
            f"a retrain of {definition.name} is held back, since {'; '.join(held)} (decision {recorded.id}): "
            f"{_way_out(recorded.decision)}"
        )
    return recorded.id


def _left_to_us(definition: Project, recorded: RecordedDecision) -> int | None:
    """Finds the decided retrain that this run has kept from starting, and so has to carry out in its place.

    A deployment that refuses when it is busy runs one retrain at a time: while this one runs no other can, and the one
    that was decided on meanwhile has been cancelled. Should it run all the same, it finds that its decision was carried
    out.
    """
    if not deployment.id or definition.deployment.when_busy != "refuse" or not _fired(recorded.decision, "under_way"):
        return None
    waiting = [one for one in read_history(definition.name, datetime.now(UTC)).attempts if one.ending is None]
    return still_open(definition.name, waiting[-1].decision) if waiting else None


def _fired(decision: Decision, check: str) -> bool:
    return any(one.check == check and one.fired for one in decision.findings)


def _way_out(decision: Decision) -> str:
    """Names what helps a person: force passes the budget, and nothing passes a retrain that is under way."""
    return (
        "wait until it has ended" if _fired(decision, "under_way") else "wait, or add --force to pass over the budget"
    )


def _bare_evidence(definition: Project, request: Request, as_of: datetime) -> Evidence:
    """What is known where nothing was measured: somebody asks."""
    champion = current_champion(definition.name)
    length = window_length(definition.monitoring.window, champion.model.trained_on.window if champion else None)
    return Evidence(
        project=definition.name,
        as_of=as_of,
        generation=generation_of(champion),
        window=Window(as_of - length, as_of),
        length=length,
        rows=0,
        table_version=-1,
        trained_until=champion.model.trained_on.window.end if champion else None,
        new_rows=0,
        mature_until=None,
        request=request,
    )
