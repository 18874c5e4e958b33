"""A model's ONNX form: made, written down with what it is proven on, read back and asked.

The file comes back from the registry, and is data: it is held against the hash in the ledger before anything reads it,
and a graph that names another file or operators of somebody else's is refused all the same.

The form in which a version serves: what the ledger says of it, and the file that fits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from refit.errors import ModelError, UntrustedModel
from refit.inference.feature_schema import NUMBER_KINDS, TEXT_KINDS
from refit.inference.onnx_choice import ONNX, ServingForm
from refit.inference.predictor import Columns, Prediction, VerifiedDomain
from refit_infra.settings import Settings
from refit_tasks.onnx_export.estimators import find_converter
from refit_tasks.onnx_export.graph import OPSETS
from refit_tasks.onnx_export.pipeline_steps import convert_steps
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.registry.model_signature import FORM_DIRECTORY

_DOMAIN_KEY = "refit.proven"
"""Under this name the file holds what the form is proven on."""


def convert_model(model: BaseEstimator, kinds: Mapping[str, str]) -> Any:  # noqa: ANN401 - onnx has no types
    """Writes a model in ONNX: one input for each feature, one output of probabilities or numbers.

    Args:
        model: The fitted model.
        kinds: Its features, from `refit.inference.feature_schema.feature_kinds`.

    Returns:
        The ONNX model.

    Raises:
        ModelError: If a part of it, or the kind of a feature, has no form in ONNX.
    """
    other = next((name for name, kind in kinds.items() if kind not in (*NUMBER_KINDS, *TEXT_KINDS)), None)
    if other is not None:
        raise ModelError(f"the column {other!r} holds {kinds[other]}s")
    inputs = {name: "str" if kind in TEXT_KINDS else "float64" for name, kind in kinds.items()}
    steps, last = (model[:-1], model[-1]) if type(model) is Pipeline else (None, model)
    if steps is not None and not steps.steps:
        steps = None
    head = find_converter(last)
    graph, rows = convert_steps(steps, inputs)
    return graph.model(inputs, head(last, graph, rows))


def serialize_model(onnx_model: Any, proven: VerifiedDomain) -> bytes:  # noqa: ANN401
    """Puts what a form is proven on into its file.

    Args:
        onnx_model: From `converted`.
        proven: The rows.

    Returns:
        The file.
    """
    from onnx import helper

    texts = {name: sorted(known, key=str) for name, known in proven.texts.items()}
    told = json.dumps([list(proven.kinds.items()), texts, sorted(proven.gaps)])
    helper.set_model_props(onnx_model, {_DOMAIN_KEY: told})
    content: bytes = onnx_model.SerializeToString()
    return content


def hash_content(content: bytes) -> str:
    """Hashes a file.

    Args:
        content: The file.

    Returns:
        SHA-256, in hexadecimal.
    """
    return hashlib.sha256(content).hexdigest()


class OnnxForm:
    """Answers rows that it is proven on, on one thread."""

    def __init__(self, content: bytes, labels: list[Any]) -> None:
        """Reads a file.

        Args:
            content: From `packed`.
            labels: The model's classes; none of a regression.

        Raises:
            UntrustedModel: If it names other files, or operators that are not ONNX's own.
            ModelError: If it cannot be read here.
        """
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

        self._faults = (Fail, InvalidArgument, RuntimeException)
        self._session = _open_session(content)
        kinds, texts, gaps = json.loads(self._session.get_modelmeta().custom_metadata_map[_DOMAIN_KEY])
        known = {name: frozenset(each) for name, each in texts.items()}
        self.proven = VerifiedDomain(dict(kinds), known, frozenset(gaps))
        self._labels = np.asarray(labels)

    def predict(self, columns: Columns) -> Prediction | None:
        """Answers rows.

        Args:
            columns: Their cells.

        Returns:
            The answers; `None` where a row is not one of those that it is proven on, or has no answer that is a number.
        """
        tensors = self.proven.tensors(columns)
        return None if tensors is None else self._said(tensors)

    def _said(self, tensors: dict[str, npt.NDArray[Any]]) -> Prediction | None:
        try:
            (answers,) = self._session.run(None, tensors)
        except self._faults:  # such as an encoder that refuses a category: scikit-learn says it in words
            return None
        if not np.isfinite(answers).all():
            return None
        if not len(self._labels):
            return Prediction(answers[:, 0], None)
        return Prediction(self._labels[answers.argmax(axis=1)], answers)


def _open_session(content: bytes) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Unknown

    _require_self_contained(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it complains about, it raises
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, Unknown) as fault:
        raise ModelError(f"the ONNX form cannot be read here ({str(fault)[:200]}): retrain the project") from fault


def _require_self_contained(content: bytes) -> None:
    """Refuses what could reach beyond the file: weights that lie elsewhere, and operators from libraries."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as fault:
        raise ModelError("the ONNX form is damaged: retrain the project") from fault
    foreign = {one.domain for one in model.opset_import} - OPSETS.keys() or {f.name for f in model.functions}
    if foreign or any(uses_external_data(tensor) for tensor in _tensors(model.graph)):
        raise UntrustedModel("the ONNX form names other files or foreign operators: retrain the project")


def _tensors(graph: Any) -> list[Any]:  # noqa: ANN401
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    inner = [tensor for attribute in attributes if attribute.HasField("g") for tensor in _tensors(attribute.g)]
    return [*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t")), *inner]


def find_recorded_form(project: str, version: int) -> ServingForm | None:
    """Finds the form of a version.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The choice, by the ledger, which nobody changes unseen; `None` where none is on record.
    """
    challenger = find_verdict_of_version(project, version)
    judgement = read_judgement(challenger) if challenger else None
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
    file = directory / FORM_DIRECTORY / f"{form.sha256}.onnx"
    if not file.is_file():
        raise ModelError(f"its ONNX form {file.name} is gone: retrain the project")
    content = file.read_bytes()
    if hash_content(content) != form.sha256:
        raise UntrustedModel(f"its ONNX form {file.name} is not what the ledger says was tried: retrain the project")
    return OnnxForm(content, labels)
