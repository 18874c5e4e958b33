"""Has an ONNX form made of a stored model, where a crash or a hang of the converter harms nothing, and keeps it."""

from __future__ import annotations

import json
import logging
import tempfile
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
from refit_tasks.onnx_export.verify import FILE
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.model_signature import FORM_DIRECTORY, fetch_files, logged_model_id, read_feature_kinds
from refit_tasks.registry.own_code import has_own_types

log = logging.getLogger(__name__)

MAX_SECONDS = 60.0
"""A converter that takes longer is ended; scikit-learn serves."""
_MAX_REASON = 200
"""How much of what a converter complains about is told: some print the whole model."""


@define_task("choose the form in which {definition.name} serves")
def choose_serving_form(definition: Project, judgement: Judgement, holdout: SnapshotRef) -> Judgement:
    """Chooses the form in which a model serves that may; of one that was rejected none is made.

    Where `REFIT_SERVING_FORM` asks for scikit-learn, no ONNX form is made, timed or kept.

    Args:
        definition: The project.
        judgement: The verdict, and the model that is to serve.
        holdout: The rows to try the form on.

    Returns:
        The judgement with the form.

    Raises:
        ModelError: If the artifact is gone.
    """
    if not judgement.verdict.promote:
        return judgement
    if Settings().serving_form != "measured":
        return replace(judgement, form=_no_onnx_form("REFIT_SERVING_FORM asks for scikit-learn"))
    rows = read_rows_by_time(definition, holdout)
    with fetch_files(judgement.serving) as directory:
        form = make_form(definition, judgement.serving, directory, rows)
    with_project(log, definition.name).info("%s serves: %s", form.name, form.why)
    return replace(judgement, form=form)


def make_form(definition: Project, model: ModelRef, directory: Path, rows: pd.DataFrame) -> ServingForm:
    """Has a form made and tried, and keeps it beside the model where it is to serve.

    Args:
        definition: The project, for its trusted types.
        model: The model, in MLflow.
        directory: Its files.
        rows: The holdout's rows with all columns.

    Returns:
        The choice; that there is no such form is one, too.
    """
    stored, kinds = logged_model_id(model), read_feature_kinds(directory)
    if stored is None:
        return _no_onnx_form("the model lies elsewhere than in MLflow")
    if not kinds:
        return _no_onnx_form("the model does not say what its features are")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        try:
            write_frame(cast_features(kinds, rows), scratch / "rows.arrow")
        except ModelError as fault:
            return _no_onnx_form(str(fault))
        job = SandboxJob(
            directory=str(directory),
            trusted_types=definition.trusted_types,
            project_file=str(definition.file) if has_own_types(definition) else None,
            rows=str(scratch / "rows.arrow"),
            results=name,
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
    """Reads what came of the process that made a form: its exit code, and the file that it left."""
    if code == 0 and found.exists():
        told: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return _no_onnx_form(told["fault"]) if "fault" in told else ServingForm(**told)
    late = f"it was not made within {MAX_SECONDS:g} s"
    return _no_onnx_form(late if code == TIMED_OUT else "the process that made it died")


def _no_onnx_form(why: str) -> ServingForm:
    return ServingForm(SKLEARN, f"there is no ONNX form: {' '.join(why.split())[:_MAX_REASON]}")
