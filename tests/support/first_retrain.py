"""The first retrain of a project in memory: the steps of the flow, without Prefect."""

from __future__ import annotations

from datetime import UTC, datetime

from refit import Project
from refit.gate.decide import decide
from refit.gate.evaluations import Judgement
from refit.records.verdicts import Verdict
from refit_tasks.evaluation.evaluate import check_serving_on_holdout, evaluate
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.monitoring.drift import profile_reference
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.register import register
from refit_tasks.storage.snapshots import split, take_snapshot
from refit_tasks.training.final_fit import final_fit
from refit_tasks.training.train import open_run_key, train


def retrain_first(definition: Project, until: datetime) -> Verdict:
    """Trains, judges and promotes as the flow does for a project without a champion.

    Args:
        definition: The project.
        until: The end of its rows, UTC.

    Returns:
        The verdict.

    Raises:
        RefitError: If the rows, the model or the policies are refused.
    """
    now = datetime.now(UTC)
    ingestion = ingest.fn(definition, until)
    parts = split.fn(definition, take_snapshot.fn(definition, until), until)
    model = train.fn(definition, parts.train, open_run_key(definition, parts, force=False))
    sandbox_run = check_serving_on_holdout.fn(definition, model, parts.holdout)
    comparison = evaluate.fn(definition, model, None, parts.holdout, sandbox_run)
    verdict = decide(comparison, definition.gate)
    judged = Judgement(model, comparison, definition.gate, verdict, None, ingestion)
    challenger = register.fn(definition, final_fit.fn(definition, judged, parts), now)
    profile_reference.fn(definition, challenger, parts.holdout)
    if challenger.verdict.promote:
        promote.fn(challenger, None, now)
    return challenger.verdict
