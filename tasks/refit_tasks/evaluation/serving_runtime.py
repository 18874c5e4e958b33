"""Choice of the serving runtime: the ONNX file is exported and timed in the sandbox, and stored if it is chosen."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from refit.errors import ModelError
from refit.gate.evaluations import Judgement
from refit.inference.feature_schema import cast_features
from refit.inference.onnx_choice import ONNX, SKLEARN, ServingForm
from refit.project import Project
from refit.records.references import ModelRef, SnapshotRef
from refit_infra.settings import Settings
from refit_tasks.evaluation.evaluate import read_rows_by_time
from refit_tasks.evaluation.sandbox_rows import write_frame
from refit_tasks.evaluation.sandbox_worker import TIMED_OUT, SandboxJob
from refit_tasks.evaluation.serving_check import SANDBOX
from refit_tasks.model_files.model_hash import FORM_DIRECTORY
from refit_tasks.onnx_export.verify import FILE
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.model_signature import fetch_files, logged_model_id, read_feature_kinds
from refit_tasks.registry.own_code import has_own_types
from refit_tasks.scratch import scratch_area

log = logging.getLogger(__name__)

MAX_SECONDS = 60.0
"""The time limit of the ONNX export; after it scikit-learn serves."""
_MAX_REASON = 200
"""The most characters of a converter's message that are kept: some messages print the whole model."""


@define_task("choose the serving runtime of {definition.name}")
def choose_serving_form(definition: Project, judgement: Judgement, holdout: SnapshotRef) -> Judgement:
    """Chooses the serving runtime of a model that passed the gate.

    With `REFIT_SERVING_FORM=scikit-learn` no ONNX file is made.

    Args:
        definition: The project.
        judgement: The verdict and the model to promote.
        holdout: The rows on which both runtimes are compared.

    Returns:
        The judgement with the chosen form; unchanged if the verdict rejects the model.

    Raises:
        ModelError: If the model's files are missing from MLflow.
    """
    if not judgement.verdict.promote:
        return judgement
    if Settings().serving_form != "measured":
        return replace(judgement, form=_no_onnx_form("REFIT_SERVING_FORM asks for scikit-learn"))
    rows = read_rows_by_time(definition, holdout)
    with fetch_files(judgement.serving) as directory:
        form = make_form(definition, judgement.serving, directory, rows)
    with_project(log, definition.name).info("serving runtime %s: %s", form.name, form.why)
    return replace(judgement, form=form)


def make_form(definition: Project, model: ModelRef, directory: Path, rows: pd.DataFrame) -> ServingForm:
    """Exports and verifies an ONNX file, and stores it beside the model if it is chosen.

    Args:
        definition: The project, for its trusted types.
        model: The model, in MLflow.
        directory: The model's files.
        rows: The rows of the holdout, with all columns.

    Returns:
        The choice: ONNX, or scikit-learn with the reason.
    """
    stored, kinds = logged_model_id(model), read_feature_kinds(directory)
    if stored is None:
        return _no_onnx_form("the model is not stored as a logged model in MLflow")
    if not kinds:
        return _no_onnx_form("the stored model has no feature schema")
    with scratch_area(definition.name) as scratch:
        try:
            write_frame(cast_features(kinds, rows), scratch / "rows.arrow")
        except ModelError as fault:
            return _no_onnx_form(str(fault))
        job = SandboxJob(
            directory=str(directory),
            trusted_types=definition.trusted_types,
            project_file=str(definition.file) if has_own_types(definition) else None,
            rows=str(scratch / "rows.arrow"),
            results=str(scratch),
            kinds=kinds,
            seconds=MAX_SECONDS,
            task="onnx",
        )
        form = _read_form(SANDBOX.run(job), scratch / "found.json")
        if form.name == ONNX:
            kept = scratch / f"{form.sha256}.onnx"
            (scratch / FILE).rename(kept)
            open_mlflow().log_model_artifact(stored, str(kept), FORM_DIRECTORY)
    return form


def _read_form(code: int | None, found: Path) -> ServingForm:
    """Reads the result of the export from the exit code of its process and the file that it wrote."""
    if code == 0 and found.exists():
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return _no_onnx_form(result["fault"]) if "fault" in result else ServingForm(**result)
    late = f"the export did not finish within {MAX_SECONDS:g} s"
    return _no_onnx_form(late if code == TIMED_OUT else "the export process died")


def _no_onnx_form(why: str) -> ServingForm:
    return ServingForm(SKLEARN, f"there is no ONNX form: {' '.join(why.split())[:_MAX_REASON]}")
