"""The models that predict in batch scoring: champion and shadow, loaded through the same allow-list as in serving."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.data.fingerprint import row_hashes
from refit.errors import NotEnoughData
from refit.inference.feature_schema import cast_features
from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.former_types import cast_to_former_types
from refit.modelling.predictions import Predictions, predict_once
from refit.project import Project
from refit.records.references import Challenger, Champion, ModelRef
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.promotion.champion import find_champion
from refit_tasks.registry.challengers import find_challenger
from refit_tasks.registry.model_signature import infer_feature_kinds
from refit_tasks.registry.stored_model import open_model
from refit_tasks.storage.snapshot_rows import read_training_schema, to_frame

log = logging.getLogger(__name__)

HASH_LENGTH = 32
"""Length of a row's hash, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded version that predicts batches."""

    context: PredictionContext
    model: BaseEstimator
    kinds: dict[str, str]
    """Its features, from `refit.inference.feature_schema.feature_kinds`."""
    trained_schema: pa.Schema | None = None
    """The schema that the table had when it was trained; `None` if that version of the table is gone."""

    def predict(self, rows: pa.Table) -> Predictions:
        """Predicts rows.

        Args:
            rows: Rows in the types of the project's table.

        Returns:
            The predictions, with the features as the model saw them.

        Raises:
            ModelError: If it cannot predict these rows.
        """
        frame = to_frame(rows)
        known = cast_to_former_types(frame, self.trained_schema, rows.schema) if self.trained_schema else frame
        return predict_once(self.model, cast_features(self.kinds, known))

    def to_rows(self, definition: Project, rows: pa.Table, answers: Predictions, run: str | None) -> pa.Table:
        """Builds rows of the predictions table.

        Args:
            definition: The project.
            rows: The input rows.
            answers: Their predictions.
            run: The id of the flow run.

        Returns:
            One row for each input row. Its hash covers key, event time and features, so that a corrected row is a new
            one.
        """
        identity = list(dict.fromkeys([*definition.key, definition.timestamp, *self.kinds]))
        digits = row_hashes(rows, identity).tobytes().hex()
        return prediction_rows(
            self.context,
            prediction_columns(answers),
            answers.rows,
            keys=rows.select(list(definition.key)),
            event_time=rows[definition.timestamp],
            row_hash=(digits[at : at + HASH_LENGTH] for at in range(0, len(digits), HASH_LENGTH)),
            request_id=[run] * rows.num_rows,
        )


def load_scorer(definition: Project, model: ModelRef, context: PredictionContext, schema: pa.Schema) -> Scorer:
    """Loads a version for batch scoring.

    Args:
        definition: The project.
        model: The model.
        context: Version, generation, role and time that its predictions are recorded with.
        schema: The schema of the project's table, for a model without recorded feature types.

    Returns:
        The version, ready to predict.

    Raises:
        ModelError: If its artifact is missing, damaged or untrusted, or the table no longer has one of its features.
    """
    with open_model(definition, model) as stored:
        kinds = stored.kinds or infer_feature_kinds(schema, definition, stored.estimator)
    return Scorer(context, stored.estimator, kinds, read_training_schema(definition, model.trained_on))


def require_champion(definition: Project) -> Champion:
    """Finds the champion.

    Args:
        definition: The project.

    Returns:
        The champion.

    Raises:
        NotEnoughData: If the project has no champion.
    """
    champion = find_champion(definition)
    if champion is None:
        raise NotEnoughData(
            f"project {definition.name!r} has no champion yet to score with: run `refit retrain {definition.name}`"
        )
    return champion


@define_retry_task("find the shadow of {definition.name}")
def find_shadow(definition: Project, champion: Champion) -> Challenger | None:
    """Finds the challenger that shadows the champion.

    Args:
        definition: The project.
        champion: The version that serves.

    Returns:
        The newest challenger that waits for approval; `None` if none does, or the serving policy is off.
    """
    challenger = find_challenger(definition, champion)
    if challenger:
        with_project(log, definition.name).info("version %d shadows", challenger.version)
    return challenger
