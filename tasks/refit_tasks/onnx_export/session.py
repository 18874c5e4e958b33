"""A model's ONNX form: conversion, its file with the verified input domain, and inference with onnxruntime.

The file comes from the registry and is untrusted: its hash is compared with the ledger before anything parses it, and a
graph that refers to other files or foreign operators is refused all the same.
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
from refit_tasks.model_files.model_hash import FORM_DIRECTORY
from refit_tasks.onnx_export.estimators import find_converter
from refit_tasks.onnx_export.graph import OPSETS
from refit_tasks.onnx_export.pipeline_steps import convert_steps
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement

_DOMAIN_KEY = "refit.proven"
"""The key of the file's metadata that holds the verified input domain."""


def convert_model(model: BaseEstimator, kinds: Mapping[str, str]) -> Any:  # noqa: ANN401 - onnx has no types
    """Converts a model to ONNX, with one input for each feature and one output of probabilities or numbers.

    Args:
        model: The fitted model.
        kinds: Its features, from `refit.inference.feature_schema.feature_kinds`.

    Returns:
        The ONNX model.

    Raises:
        ModelError: If a part of the model, or the kind of a feature, cannot be converted.
    """
    other = next((name for name, kind in kinds.items() if kind not in (*NUMBER_KINDS, *TEXT_KINDS)), None)
    if other is not None:
        raise ModelError(f"the column {other!r} holds {kinds[other]}s, which are not supported in ONNX")
    inputs = {name: "str" if kind in TEXT_KINDS else "float64" for name, kind in kinds.items()}
    steps, last = (model[:-1], model[-1]) if type(model) is Pipeline else (None, model)
    if steps is not None and not steps.steps:
        steps = None
    head = find_converter(last)
    graph, rows = convert_steps(steps, inputs)
    return graph.model(inputs, head(last, graph, rows))


def serialize_model(onnx_model: Any, domain: VerifiedDomain) -> bytes:  # noqa: ANN401
    """Serializes a model with its verified input domain.

    Args:
        onnx_model: From `convert_model`.
        domain: The verified input domain.

    Returns:
        The content of the file.
    """
    from onnx import helper

    texts = {name: sorted(known, key=str) for name, known in domain.texts.items()}
    metadata = json.dumps([list(domain.kinds.items()), texts, sorted(domain.gaps)])
    helper.set_model_props(onnx_model, {_DOMAIN_KEY: metadata})
    content: bytes = onnx_model.SerializeToString()
    return content


def hash_content(content: bytes) -> str:
    """Hashes the content of a file.

    Args:
        content: The content.

    Returns:
        SHA-256, in hexadecimal.
    """
    return hashlib.sha256(content).hexdigest()


class OnnxForm:
    """Predicts rows of the verified input domain with onnxruntime, on one thread."""

    def __init__(self, content: bytes, labels: list[Any]) -> None:
        """Loads the content of a file.

        Args:
            content: From `serialize_model`.
            labels: The model's classes; empty for a regression.

        Raises:
            UntrustedModel: If it refers to other files, or to operators that are not ONNX's own.
            ModelError: If onnxruntime cannot load it.
        """
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

        self._run_errors = (Fail, InvalidArgument, RuntimeException)
        self._session = _open_session(content)
        kinds, texts, gaps = json.loads(self._session.get_modelmeta().custom_metadata_map[_DOMAIN_KEY])
        known = {name: frozenset(each) for name, each in texts.items()}
        self.domain = VerifiedDomain(dict(kinds), known, frozenset(gaps))
        self._labels = np.asarray(labels)

    def predict(self, columns: Columns) -> Prediction | None:
        """Predicts rows.

        Args:
            columns: The rows' cells by feature.

        Returns:
            The predictions; `None` if a row is outside the verified domain, or an output is not a finite number.
        """
        tensors = self.domain.tensors(columns)
        return None if tensors is None else self._run(tensors)

    def _run(self, tensors: dict[str, npt.NDArray[Any]]) -> Prediction | None:
        try:
            (outputs,) = self._session.run(None, tensors)
        except self._run_errors:  # such as an unknown category, for which scikit-learn has the better error
            return None
        if not np.isfinite(outputs).all():
            return None
        if not len(self._labels):
            return Prediction(outputs[:, 0], None)
        return Prediction(self._labels[outputs.argmax(axis=1)], outputs)


def _open_session(content: bytes) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Unknown

    _require_self_contained(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, Unknown) as fault:
        raise ModelError(f"the ONNX form cannot be read here ({str(fault)[:200]}): retrain the project") from fault


def _require_self_contained(content: bytes) -> None:
    """Refuses a graph that reaches beyond its file: external weights, and operators of libraries."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as fault:
        raise ModelError("the ONNX form is damaged: retrain the project") from fault
    foreign = {one.domain for one in model.opset_import} - OPSETS.keys() or {f.name for f in model.functions}
    if foreign or any(uses_external_data(tensor) for tensor in _tensors(model.graph)):
        raise UntrustedModel("the ONNX form refers to other files or foreign operators: retrain the project")


def _tensors(graph: Any) -> list[Any]:  # noqa: ANN401
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    inner = [tensor for attribute in attributes if attribute.HasField("g") for tensor in _tensors(attribute.g)]
    return [*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t")), *inner]


def find_recorded_form(project: str, version: int) -> ServingForm | None:
    """Finds the serving form of a version in the ledger, which is tamper-evident.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The choice of the form; `None` if none is on record.
    """
    challenger = find_verdict_of_version(project, version)
    judgement = read_judgement(challenger) if challenger else None
    return judgement.form if judgement else None


def load_form(directory: Path, form: ServingForm | None, labels: list[Any]) -> OnnxForm | None:
    """Loads the ONNX form of a version, if it is to serve.

    Args:
        directory: The directory of the model's files.
        form: The choice of the form, from the ledger.
        labels: The model's classes; empty for a regression.

    Returns:
        The form; `None` if scikit-learn serves, by that choice or by `REFIT_SERVING_FORM`.

    Raises:
        UntrustedModel: If the file is not the one that was verified.
        ModelError: If the file is missing or cannot be read.
    """
    if form is None or form.name != ONNX or Settings().serving_form != "measured":
        return None
    file = directory / FORM_DIRECTORY / f"{form.sha256}.onnx"
    if not file.is_file():
        raise ModelError(f"its ONNX form {file.name} is missing: retrain the project")
    content = file.read_bytes()
    if hash_content(content) != form.sha256:
        raise UntrustedModel(
            f"its ONNX form {file.name} does not have the hash that the ledger records: retrain the project"
        )
    return OnnxForm(content, labels)
