"""A version that serves: loaded through the allow-list, and warmed up before it answers anybody."""

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
from refit_tasks.onnx_export.session import OnnxForm, load_form, recorded_form
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_signature import fetched, kinds_beside, others_of, recorded_features, recorded_kinds
from refit_tasks.registry.model_store import load_model
from refit_tasks.registry.own_code import code_of_model

log = logging.getLogger(__name__)

INLINE_SECONDS, FALLBACK_SECONDS = 0.005, 0.05
"""A version that answers a row faster than the first is asked at once, without another thread. One that answers by ONNX
is, too, if scikit-learn, which answers the few rows that ONNX does not, takes no longer than the second."""
SINGLE_ROWS = 20
"""So many rows are asked for one by one when a version warms up."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One version of one project. Nothing of it changes: whoever holds it gets answers of this version alone."""

    project: str
    version: int
    generation: int
    wanted: FeatureSpec
    key: tuple[str, ...]
    """The project's key columns."""
    timestamp: str
    """The project's column of event times."""
    model: Predictor
    quick: bool = False
    """Whether it answers a row sooner than another thread would be asked and heard."""


def load_champion(champion: Champion) -> LoadedModel:
    """Loads a champion's model and has it answer, before it answers anybody else.

    Args:
        champion: The champion, by the ledger.

    Returns:
        The version, fit to serve.

    Raises:
        RefitError: If the model cannot be loaded, or does not answer rows that it was trained on.
    """
    definition = find_project(champion.model.project)
    with fetched(champion.model) as directory, code_of_model(definition, champion.model):
        estimator = load_model(directory, definition.trusted_types)
        kinds = kinds_beside(directory) or recorded_kinds(definition, champion.model.trained_on, estimator)
        if not kinds:
            raise ModelError(f"version {champion.version} does not say what its features are: retrain the project")
        model = Predictor(estimator)
        form = _load_onnx_model(directory, champion, model)
    served = LoadedModel(
        project=definition.name,
        version=champion.version,
        generation=champion.generation,
        wanted=FeatureSpec(kinds, others_of(definition), definition.pii),
        key=definition.key,
        timestamp=definition.timestamp,
        model=model,
    )
    rows = recorded_features(definition, champion.model.trained_on, kinds)
    if rows is None:
        _predict_dummy_row(served)
        return served
    apart, seconds = served.model.warm_up(rows, SINGLE_ROWS)
    if apart > AGREEMENT:
        raise ModelError(
            f"version {served.version} says one thing of a row alone and another of it among others: "
            f"let another version serve by `refit rollback {served.project}`"
        )
    if form is None or seconds > FALLBACK_SECONDS:
        return replace(served, quick=seconds < INLINE_SECONDS)
    if not runtimes_agree(form, model, kinds, rows):
        with_project(log, served.project).warning(
            "scikit-learn serves version %d: its ONNX form differs", served.version
        )
        return replace(served, quick=seconds < INLINE_SECONDS)
    return replace(served, model=replace(model, form=form), quick=True)


def _load_onnx_model(directory: Path, champion: Champion, model: Predictor) -> OnnxForm | None:
    """Reads the ONNX form; without it the version serves all the same."""
    try:
        return load_form(directory, recorded_form(champion.model.project, champion.version), model.labels)
    except ModelError as fault:
        with_project(log, champion.model.project).warning("scikit-learn serves version %d: %s", champion.version, fault)
        return None


def _predict_dummy_row(served: LoadedModel) -> None:
    """Asks for one row made up; that it is refused proves nothing, since it may hold a category that nobody knows."""
    try:
        served.model.predict(dummy_row(served.wanted).features)
    except ModelError as refused:
        with_project(log, served.project).info("version %d refuses a row made up: %s", served.version, refused)
