"""The form in which a version serves: what the ledger says of it, and the file that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refit.errors import ModelError, UntrustedModel
from refit.inference.onnx_choice import ONNX, ServingForm
from refit_infra.settings import Settings
from refit_tasks.onnx_export.session import OnnxForm, digest
from refit_tasks.registry.model_signature import FORMS
from refit_tasks.registry.register import judgement_of, verdict_of_version


def recorded_form(project: str, version: int) -> ServingForm | None:
    """Finds the form of a version.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The choice, by the ledger, which nobody changes unseen; `None` where none is on record.
    """
    challenger = verdict_of_version(project, version)
    judgement = judgement_of(challenger) if challenger else None
    return judgement.form if judgement else None


def load_form(directory: Path, form: ServingForm | None, labels: list[Any]) -> OnnxForm | None:
    """Reads the ONNX form that is to serve.

    Args:
        directory: The model's files.
        form: The choice, by the ledger.
        labels: The model's classes; none of a regression.

    Returns:
        The form; `None` where scikit-learn serves, by that choice or by the setting.

    Raises:
        UntrustedModel: If the file is not the one that was tried.
        ModelError: If it is gone, or cannot be read.
    """
    if form is None or form.name != ONNX or Settings().serving_form != "measured":
        return None
    file = directory / FORMS / f"{form.sha256}.onnx"
    if not file.is_file():
        raise ModelError(f"its ONNX form {file.name} is gone: retrain the project")
    content = file.read_bytes()
    if digest(content) != form.sha256:
        raise UntrustedModel(f"its ONNX form {file.name} is not what the ledger says was tried: retrain the project")
    return OnnxForm(content, labels)
