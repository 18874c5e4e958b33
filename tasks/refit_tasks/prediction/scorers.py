"""The versions that answer in a batch: loaded as they would serve, and asked through the same door."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.data.fingerprint import row_hashes
from refit.errors import NotEnoughData
from refit.inference.feature_schema import cast_features
from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.predictions import Predictions, predict_once
from refit.project import Project
from refit.records.references import Challenger, Champion, ModelRef
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.promotion.champion import find_champion
from refit_tasks.registry.challengers import find_challenger
from refit_tasks.registry.model_signature import infer_feature_kinds
from refit_tasks.registry.stored_model import open_model
from refit_tasks.storage.snapshot_rows import frame

log = logging.getLogger(__name__)

HASH_LENGTH = 32
"""Hexadecimal characters of a row's hash."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A version that answers."""

    asked: PredictionContext
    model: BaseEstimator
    kinds: dict[str, str]
    """Its features, from `refit.inference.feature_schema.feature_kinds`."""

    def answer(self, rows: pa.Table) -> Predictions:
        """Has the version answer.

        Args:
            rows: Rows in the types of the project's table.

        Returns:
            Its answers, and the features as it saw them.

        Raises:
            ModelError: If it cannot predict these rows.
        """
        return predict_once(self.model, cast_features(self.kinds, frame(rows)))

    def recorded(self, definition: Project, rows: pa.Table, answers: Predictions, run: str | None) -> pa.Table:
        """Makes rows of the predictions' table.

        Args:
            definition: The project.
            rows: The rows that were asked about.
            answers: What the version says of them.
            run: The flow run that asked.

        Returns:
            One for each. Its hash is of the key, the event time and the features, so that a row that was corrected
            since is another one.
        """
        identity = list(dict.fromkeys([*definition.key, definition.timestamp, *self.kinds]))
        digits = row_hashes(rows, identity).tobytes().hex()
        return prediction_rows(
            self.asked,
            prediction_columns(answers),
            answers.rows,
            keys=rows.select(list(definition.key)),
            event_time=rows[definition.timestamp],
            row_hash=(digits[at : at + HASH_LENGTH] for at in range(0, len(digits), HASH_LENGTH)),
            request_id=[run] * rows.num_rows,
        )


def load_scorer(definition: Project, model: ModelRef, asked: PredictionContext, schema: pa.Schema) -> Scorer:
    """Loads a version.

    Args:
        definition: The project.
        model: Which model.
        asked: What its predictions are recorded as.
        schema: The schema of the project's table, for a model that does not tell what it was fitted on.

    Returns:
        The version, ready to answer.

    Raises:
        ModelError: If its artifact is gone, damaged or not to be trusted, or the table has lost one of its features.
    """
    with open_model(definition, model) as stored:
        kinds = stored.kinds or infer_feature_kinds(schema, definition, stored.estimator)
    return Scorer(asked, stored.estimator, kinds)


def require_champion(definition: Project) -> Champion:
    """Finds the version that serves.

    Args:
        definition: The project.

    Returns:
        The champion.

    Raises:
        NotEnoughData: If there is none.
    """
    champion = find_champion(definition)
    if champion is None:
        raise NotEnoughData(
            f"{definition.name} has no champion yet, so nothing can be scored: run `refit retrain {definition.name}`"
        )
    return champion


@define_retry_task("find the shadow of {definition.name}")
def find_shadow(definition: Project, champion: Champion) -> Challenger | None:
    """Finds the version that answers beside the champion.

    Args:
        definition: The project.
        champion: The version that serves.

    Returns:
        The newest one that waits for approval; `None` where none does, or the project's policy is off.
    """
    challenger = find_challenger(definition, champion)
    if challenger:
        with_project(log, definition.name).info("version %d shadows", challenger.version)
    return challenger
