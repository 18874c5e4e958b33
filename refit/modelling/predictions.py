"""Predictions of a fitted model for fixed rows, computed once however often they are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from refit.errors import ModelError, message_line

if TYPE_CHECKING:
    from sklearn.utils import Tags

Array = npt.NDArray[Any]
_NUMBERS = "fiub"
"""The kinds of numpy types whose values can be subtracted."""
BINARY = 2
"""The number of classes of a binary classification, in which one class is the positive one."""

ESTIMATOR_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""The errors that estimators raise in `fit` or `predict` if columns or values are not as expected."""


def _delegate(method: str) -> property:
    def predict(self: Predictions, rows: Array) -> Array:
        return self.compute(method)[rows]

    predict.__name__ = method
    delegate: property = available_if(lambda self: hasattr(self.model, method))(predict)
    return delegate


class Predictions:
    """A fitted model's predictions for fixed rows, each method's on first use.

    For scikit-learn's scorers it is an estimator like the model, with row positions in place of rows.
    """

    def __init__(self, model: BaseEstimator, X: pd.DataFrame) -> None:  # noqa: N803 - scikit-learn's name
        self.model = model
        self.rows = X
        """The features, one row for each prediction."""
        self._raw: dict[str, Array] = {}
        self._checked_values: dict[str, Array] = {}

    predict = _delegate("predict")
    predict_proba = _delegate("predict_proba")
    decision_function = _delegate("decision_function")

    def __len__(self) -> int:
        return len(self.rows)

    def __sklearn_tags__(self) -> Tags:
        return get_tags(self.model)

    @property
    def labels(self) -> list[Any]:
        """The model's classes as they are in the data, in the order of its probabilities; empty for a regressor."""
        return list(getattr(self.model, "classes_", []))

    @property
    def has_encoded_labels(self) -> bool:
        """Whether scorers get the two classes as 0 and 1: `f1` and others treat the label 1 as positive."""
        return len(self.labels) == BINARY and 1 not in self.labels

    @property
    def classes_(self) -> Array:
        """The classes as scorers get them."""
        return self.encode_labels(np.asarray(self.labels))

    def encode_labels(self, y: Array) -> Array:
        """Encodes labels for scorers.

        Args:
            y: Labels, including ones that the model does not know.

        Returns:
            The labels; as numbers if the classes are encoded.
        """
        if not self.has_encoded_labels:
            return y
        unknown = [label for label in pd.unique(y) if label not in self.labels]
        return np.asarray(pd.Index([*self.labels, *unknown], dtype=object).get_indexer(pd.Index(y, dtype=object)))

    def compute(self, method: str) -> Array:
        """Returns the model's predictions for all rows, as scorers get them.

        Args:
            method: `predict`, `predict_proba` or `decision_function`.

        Returns:
            One prediction per row.

        Raises:
            ModelError: If the model cannot predict these rows, or a prediction is NaN or infinite.
        """
        if method not in self._checked_values:
            self._checked_values[method] = self._check(method)
        return self._checked_values[method]

    @property
    def finest_method(self) -> Literal["predict_proba", "predict"]:
        """The method with the most detail per row: probabilities if the model has them."""
        return "predict_proba" if hasattr(self, "predict_proba") else "predict"

    def compute_raw(self, method: str) -> Array:
        """Returns the model's predictions for all rows unchanged, with NaN, infinities and original class labels.

        Args:
            method: `predict`, `predict_proba` or `decision_function`.

        Returns:
            One prediction per row.

        Raises:
            ModelError: If the model cannot predict these rows.
        """
        if method not in self._raw:
            self._raw[method] = self._call_model(method)
        return self._raw[method]

    def take(self, rows: npt.NDArray[np.intp]) -> Predictions:
        """Takes the predictions of some rows, without a further call of the model where it has been called for all.

        Args:
            rows: Their positions.

        Returns:
            The predictions of these rows.
        """
        part = Predictions(self.model, self.rows.iloc[rows])
        part._raw = {method: values[rows] for method, values in self._raw.items()}
        part._checked_values = {method: values[rows] for method, values in self._checked_values.items()}
        return part

    def _call_model(self, method: str) -> Array:
        try:
            return np.asarray(getattr(self.model, method)(self.rows))
        except ESTIMATOR_ERRORS as fault:
            reason = message_line(fault)
            raise ModelError(f"the model cannot predict these rows ({reason}): check its columns and values") from fault

    def _check(self, method: str) -> Array:
        values = self.compute_raw(method)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            wrong = (~np.isfinite(values.reshape(len(values), -1))).any(axis=1).sum()
            raise ModelError(
                f"the model's {method} is NaN or infinite for {wrong:,} of {len(values):,} rows: "
                f"let the estimator impute missing values, or clip its predictions"
            )
        return self.encode_labels(values) if method == "predict" else values


def predict_once(model: BaseEstimator, X: pd.DataFrame) -> Predictions:  # noqa: N803 - scikit-learn's name
    """Wraps a fitted model so that each of its prediction methods runs at most once for all rows.

    Args:
        model: A fitted classifier or regressor.
        X: The rows to predict.

    Returns:
        The predictions, computed when a scorer needs them.
    """
    return Predictions(model, X)


def max_abs_difference(one: Array, other: Array) -> float:
    """Returns the largest absolute difference between two arrays of predictions for the same rows.

    Args:
        one: Numbers, or classes of any kind.
        other: The predictions of another model, or of another process.

    Returns:
        The largest difference; infinite if classes or shapes differ, or a value is NaN.
    """
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind not in _NUMBERS or other.dtype.kind not in _NUMBERS:
        return 0.0 if np.array_equal(one, other) else float("inf")
    distances = np.abs(one.astype(float) - other.astype(float))
    return float(np.nan_to_num(distances, nan=np.inf).max(initial=0.0))


def prediction_distance(one: Predictions, other: Predictions) -> float:
    """Returns the largest absolute difference between two models' predictions for the same rows.

    Args:
        one: The predictions of one model.
        other: The predictions of the other model.

    Returns:
        As `max_abs_difference`, of probabilities if both models have them.
    """
    method = one.finest_method if one.finest_method == other.finest_method else "predict"
    return max_abs_difference(one.compute_raw(method), other.compute_raw(method))
