"""The final fit: the pipeline that passed the gate is refitted on all mature rows and compared with the judged one."""

from __future__ import annotations

import logging
from dataclasses import replace

import pandas as pd

from refit.errors import ModelError
from refit.gate.decide import check_serving
from refit.gate.evaluations import Judgement
from refit.gate.evidence import SandboxRun
from refit.gate.paired_tests import check_refit
from refit.project import Project
from refit.records.references import ModelRef, Split
from refit.records.verdicts import Reason
from refit.windows import Window
from refit_tasks.evaluation.evaluate import evaluate_refitted, read_rows_by_time
from refit_tasks.evaluation.serving_check import check_serving_on_rows
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.recipe import read_tuned
from refit_tasks.registry.tracking import TrackedRun, log_values
from refit_tasks.storage.snapshots import restrict
from refit_tasks.training.train import run_name, select_window_and_fit, train_once

log = logging.getLogger(__name__)


@define_task("fit {definition.name} on all rows")
def final_fit(definition: Project, judgement: Judgement, parts: Split) -> Judgement:
    """Refits a pipeline that passed the gate on all mature rows, unless `training.refit` is off.

    Hyperparameters and seed are those of the judged model. The training window is chosen again by the same rule, since
    the newest rows, which were held out, may show a change. The refitted model serves unless the gate's paired test
    finds it significantly worse on the holdout, which is now part of its training rows.

    Args:
        definition: The project.
        judgement: The verdict and its evidence.
        parts: The training rows and the holdout, together all mature rows.

    Returns:
        The judgement with the model to serve and, in `bound`, the reason; unchanged if the gate rejected the model or
        the policy serves the judged one.
    """
    if not (judgement.verdict.promote and definition.training.refit):
        return judgement
    try:
        served = _fit_all_rows(definition, judgement, parts)
        rows = read_rows_by_time(definition, parts.holdout)
        rehearsal = check_serving_on_rows(definition, served, rows)
        bound = _check_final_fit(definition, served, rehearsal, judgement, rows)
    except ModelError as fault:  # the judged model can serve without the final fit
        return replace(judgement, bound=_failed_fit(fault))
    _tag_run(served, bound)
    with_project(log, definition.name).info("%s", bound.sentence)
    return replace(judgement, served=served if bound.passed else None, bound=bound, rehearsal=rehearsal)


def _check_final_fit(
    definition: Project, served: ModelRef, rehearsal: SandboxRun, judgement: Judgement, rows: pd.DataFrame
) -> Reason:
    """Compares the final fit with the judged model, and its serving check with the gate's limits."""
    compared = judgement.comparison
    bound = check_refit(evaluate_refitted(definition, served, compared, rows), compared, judgement.policy)
    failed = [reason for reason in check_serving(rehearsal, judgement.policy) if not reason.passed]
    if not failed:
        return bound
    sentence = f"the model refitted on all rows fails the serving check: {failed[0].sentence}"
    return replace(bound, passed=False, value=failed[0].value, limit=failed[0].limit, sentence=sentence)


def _fit_all_rows(definition: Project, judgement: Judgement, parts: Split) -> ModelRef:
    judged, window = judgement.model, Window(parts.train.window.start, parts.holdout.window.end)
    key = f"{judged.run_key}-served"

    def fit_all(run: TrackedRun) -> ModelRef:
        log_values(run, tags={"refit.judged_run": judged.run_id})
        rows = restrict(definition, parts.holdout, window, labelled=True)
        return select_window_and_fit(definition, rows, key, run, read_tuned(judged))

    return train_once(definition, key, f"{run_name(definition, window)} served", fit_all)


def _tag_run(served: ModelRef, bound: Reason) -> None:
    client = open_mlflow()
    run = TrackedRun(client, client.get_run(served.run_id).info.experiment_id, served.run_id)
    log_values(run, tags={"refit.bound": bound.sentence})


def _failed_fit(fault: ModelError) -> Reason:
    sentence = f"the fit on all rows failed ({fault})"
    return Reason("refit_not_worse", passed=False, value=None, limit=None, sentence=sentence)
