"""Loading and warm-up of the model version that serves, with its ONNX form where that agrees with scikit-learn."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from refit.errors import ModelError
from refit.gate.serving_parity import AGREEMENT
from refit.inference.onnx_choice import runtimes_agree
from refit.inference.predictor import Predictor
from refit.inference.request_rows import FeatureSpec, dummy_row
from refit.records.references import Champion
from refit_tasks.catalog import find_project
from refit_tasks.onnx_export.session import OnnxForm, find_recorded_form, load_form
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_signature import (
    identity_kinds,
    infer_kinds_in_training,
    read_training_features,
)
from refit_tasks.registry.stored_model import open_model

log = logging.getLogger(__name__)

INLINE_SECONDS, FALLBACK_SECONDS = 0.005, 0.05
"""A model that predicts one row faster than the first runs on the event loop, without a worker thread. So does one with
an ONNX form, if scikit-learn, which predicts the few rows that ONNX does not, takes no longer than the second."""
SINGLE_ROWS = 20
"""How many rows the warm-up predicts one by one."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One version of one project. It is immutable: a request that holds it is answered by this version alone."""

    project: str
    version: int
    generation: int
    spec: FeatureSpec
    """The columns that the model takes, and those that a request may have beside them."""
    key: tuple[str, ...]
    """The project's key columns."""
    timestamp: str
    """The project's column of event times."""
    predictor: Predictor
    is_fast: bool = False
    """Whether it predicts a row in less time than a worker thread would need to take it up."""


def load_champion(champion: Champion) -> LoadedModel:
    """Loads a champion's model through the allow-list of types, and warms it up on rows of its training data.

    Args:
        champion: The champion, from the ledger.

    Returns:
        The model, ready to serve.

    Raises:
        RefitError: If the model cannot be loaded, or cannot predict rows that it was trained on.
    """
    definition = find_project(champion.model.project)
    with open_model(definition, champion.model) as stored:
        kinds = stored.kinds or infer_kinds_in_training(definition, champion.model.trained_on, stored.estimator)
        if not kinds:
            raise ModelError(f"version {champion.version} has no record of its feature types: retrain the project")
        predictor = Predictor(stored.estimator)
        form = _load_onnx_model(stored.directory, champion, predictor)
    model = LoadedModel(
        project=definition.name,
        version=champion.version,
        generation=champion.generation,
        spec=FeatureSpec(kinds, identity_kinds(definition), definition.pii),
        key=definition.key,
        timestamp=definition.timestamp,
        predictor=predictor,
    )
    rows = read_training_features(definition, champion.model.trained_on, kinds)
    if rows is None:
        _predict_dummy_row(model)
        return model
    apart, seconds = model.predictor.warm_up(rows, SINGLE_ROWS)
    if apart > AGREEMENT:
        raise ModelError(
            f"version {model.version} predicts a row differently alone and in a batch: "
            f"return to another version by `refit rollback {model.project}`"
        )
    if form is None or seconds > FALLBACK_SECONDS:
        return replace(model, is_fast=seconds < INLINE_SECONDS)
    if not runtimes_agree(form, predictor, kinds, rows):
        with_project(log, model.project).warning("scikit-learn serves version %d: its ONNX form differs", model.version)
        return replace(model, is_fast=seconds < INLINE_SECONDS)
    return replace(model, predictor=replace(predictor, form=form), is_fast=True)


def _load_onnx_model(directory: Path, champion: Champion, predictor: Predictor) -> OnnxForm | None:
    """Loads the ONNX form; without a usable one, the version is served by scikit-learn."""
    try:
        return load_form(directory, find_recorded_form(champion.model.project, champion.version), predictor.labels)
    except ModelError as fault:
        with_project(log, champion.model.project).warning("scikit-learn serves version %d: %s", champion.version, fault)
        return None


def _predict_dummy_row(model: LoadedModel) -> None:
    """Predicts a made-up row. A refusal proves nothing, since the row may hold a category that the model never saw."""
    try:
        model.predictor.predict(dummy_row(model.spec).features)
    except ModelError as refused:
        with_project(log, model.project).info("version %d cannot predict a made-up row: %s", model.version, refused)
