"""The predictor that serves a model: scikit-learn, with an ONNX runtime for rows within its verified domain.

Other rows are predicted by scikit-learn, so that unseen categories, missing values and errors are treated as always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from refit.errors import ModelError
from refit.inference.feature_schema import NUMBER_KINDS, TEXT_KINDS
from refit.inference.request_rows import RequestRows
from refit.modelling.predictions import BINARY, ESTIMATOR_ERRORS, Predictions, max_abs_difference, predict_once

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
"""Features and their cells: lists with `None` for missing values, or float arrays with NaN."""
MISSING_TEXT = "nan"
"""A missing text for ONNX, which has none: the value that skl2onnx puts among an encoder's categories. No text equal to
it is ever in a verified domain."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's predictions, one per row."""

    predictions: npt.NDArray[Any]
    """Numbers, or classes as they are in the data."""
    probabilities: npt.NDArray[Any] | None
    """One column per class; `None` if the model has no probabilities."""

    @property
    def scores(self) -> npt.NDArray[Any] | None:
        """The probability of the positive class, the second in sorted order; `None` unless there are two classes."""
        found = self.probabilities
        return found[:, 1] if found is not None and found.shape[1] == BINARY else None


class ModelRuntime(Protocol):
    """Another runtime of a model, which predicts some rows exactly as the model does."""

    def predict(self, columns: Columns) -> Prediction | None:
        """Predicts rows; returns `None` if one of them is outside the verified domain."""


class RecordedPredictions(Predictions):
    """Recorded predictions in place of a model's."""

    def __init__(self, model: BaseEstimator, features: pd.DataFrame, prediction: Prediction) -> None:
        super().__init__(model, features)
        self._raw = {"predict": prediction.predictions}
        if prediction.probabilities is not None:
            self._raw["predict_proba"] = prediction.probabilities


class WarmUp(NamedTuple):
    """The measurements of a model's first predictions."""

    max_difference: float
    """The largest difference between the prediction of a row alone and of the same row among others."""
    seconds: float
    """The median time to predict one row."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted model that predicts rows of requests."""

    model: BaseEstimator
    form: ModelRuntime | None = None
    """The ONNX runtime, tried first; `None` if there is none."""

    @property
    def labels(self) -> list[Any]:
        """The classes, in the order of their probabilities; empty for a regression."""
        return list(getattr(self.model, "classes_", []))

    @property
    def dtype_kind(self) -> str:
        """The numpy kind of the predictions, such as `f` for floats."""
        return np.asarray(self.labels).dtype.kind if self.labels else "f"

    def predict(self, rows: RequestRows | pd.DataFrame) -> Prediction:
        """Predicts rows.

        Args:
            rows: Rows of a request, or features from `refit.inference.feature_schema.cast_features`. The ONNX runtime
                is tried only for rows from JSON: converting a frame would cost more than it saves.

        Returns:
            Finite predictions.

        Raises:
            ModelError: If the model cannot predict these rows, or a prediction is NaN or infinite.
        """
        if isinstance(rows, pd.DataFrame):
            return self._predict_by_model(rows)
        fast = self.form.predict(rows.cells) if self.form and rows.cells else None
        return self._predict_by_model(rows.features) if fast is None else fast

    def _predict_by_model(self, features: pd.DataFrame) -> Prediction:
        """Predicts with scikit-learn; the steps before a pipeline's last one run once for classes and probabilities."""
        try:
            predictions = predict_once(*_transform_to_last_step(self.model, features))
            probabilities = None
            if predictions.labels and hasattr(predictions, "predict_proba"):
                predictions.compute("predict_proba")  # fails if a probability is NaN or infinite
                probabilities = predictions.compute_raw("predict_proba")
            predictions.compute("predict")
        except ModelError as fault:
            raise _name_missing_columns(fault, features) from fault
        return Prediction(predictions.compute_raw("predict"), probabilities)

    def join_predictions(self, features: pd.DataFrame, parts: Sequence[Prediction]) -> Predictions:
        """Joins recorded predictions without calling the model.

        Args:
            features: The rows of all parts.
            parts: The predictions, at least one.

        Returns:
            The predictions for all rows.
        """
        values = np.concatenate([part.predictions for part in parts])
        probabilities = [part.probabilities for part in parts if part.probabilities is not None]
        joined = Prediction(values, np.concatenate(probabilities) if probabilities else None)
        return RecordedPredictions(self.model, features, joined)

    def warm_up(self, features: pd.DataFrame, singly: int) -> WarmUp:
        """Predicts known rows, all together and some of them one by one.

        Args:
            features: The rows.
            singly: The number of rows to predict one by one.

        Returns:
            The measurements.

        Raises:
            ModelError: If the model cannot predict them.
        """
        together, worst, seconds = self.predict(features).predictions, 0.0, list[float]()
        for place in range(min(singly, len(features))):
            row, start = features.iloc[[place]], perf_counter()
            alone = self.predict(row).predictions
            seconds.append(perf_counter() - start)
            worst = max(worst, max_abs_difference(alone, together[place : place + 1]))
        return WarmUp(worst, float(np.median(seconds)))


@dataclass(frozen=True, slots=True)
class VerifiedDomain:
    """The rows for which ONNX was verified to predict as scikit-learn does."""

    kinds: Mapping[str, str]
    """The features, from `refit.inference.feature_schema.feature_kinds`."""
    texts: Mapping[str, frozenset[str | None]]
    """The verified texts of each text column, with `None` among them if values may be missing."""
    gaps: frozenset[str]
    """The number columns in which values may be missing."""

    def tensors(self, columns: Columns) -> dict[str, npt.NDArray[Any]] | None:
        """Converts rows to the input of ONNX, a tensor of one column for each feature.

        Args:
            columns: The rows.

        Returns:
            Doubles and texts; `None` if a row is outside the verified domain.
        """
        inputs: dict[str, npt.NDArray[Any]] = {}
        for name, kind in self.kinds.items():
            cells = columns[name]
            if kind in TEXT_KINDS:
                if not self.texts[name].issuperset(cells):
                    return None
                inputs[name] = np.array([[MISSING_TEXT if cell is None else cell] for cell in cells], dtype=object)
            else:
                if name not in self.gaps and _has_missing(cells):
                    return None
                inputs[name] = np.array(cells, "float64").reshape(-1, 1)
        return inputs


def columns_of(rows: pd.DataFrame, kinds: Mapping[str, str]) -> Columns:
    """Splits a frame into columns.

    Args:
        rows: The features of a model.
        kinds: Their kinds.

    Returns:
        The cells by feature.
    """
    return {name: _cells(rows[name], kind) for name, kind in kinds.items()}


def _transform_to_last_step(model: BaseEstimator, features: pd.DataFrame) -> tuple[Any, Any]:
    """Returns the last step of a pipeline and its input; of another model, the model and the features."""
    if type(model) is not Pipeline or _is_passthrough(model.steps[-1][1]):
        return model, features
    rows: Any = features
    try:
        for _, step in model.steps[:-1]:
            rows = rows if _is_passthrough(step) else step.transform(rows)
    except ESTIMATOR_ERRORS as fault:
        raise ModelError(f"the model cannot predict these rows ({fault}): check its columns and values") from fault
    return model.steps[-1][1], rows


def _is_passthrough(step: object) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _name_missing_columns(fault: ModelError, features: pd.DataFrame) -> ModelError:
    """Adds the columns with missing values to an error, the usual reason why a model rejects valid columns."""
    gaps = [repr(name) for name in features.columns[np.asarray(features.isna().any(axis=0))]]
    if not gaps:
        return fault
    why = str(fault.__cause__ or fault).partition("\n")[0]
    return ModelError(
        f"a value is missing in column {', '.join(gaps)}, and the model cannot predict such rows ({why}): send a value"
    )


def _cells(column: pd.Series[Any], kind: str) -> Sequence[Any] | npt.NDArray[Any]:
    if kind in NUMBER_KINDS:
        return column.to_numpy("float64", na_value=np.nan)
    return [None if missing else cell for cell, missing in zip(column, column.isna(), strict=True)]


def _has_missing(cells: Sequence[Any] | npt.NDArray[Any]) -> bool:
    return bool(np.isnan(cells).any()) if isinstance(cells, np.ndarray) else None in cells
