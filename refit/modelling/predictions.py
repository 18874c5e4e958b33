"""What a fitted model says of fixed rows, asked for once however often it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from refit.errors import ModelError

if TYPE_CHECKING:
    from sklearn.utils import Tags

Array = npt.NDArray[Any]
_NUMBERS = "fiub"
"""The kinds of numpy types whose values can be subtracted."""
BINARY = 2
"""The number of classes of which one is the positive."""

ESTIMATOR_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What estimators raise, in fitting or predicting, when columns or values are not the ones that they know."""


def _delegate(method: str) -> property:
    def answer(self: Predictions, rows: Array) -> Array:
        return self.compute(method)[rows]

    answer.__name__ = method
    offered: property = available_if(lambda self: hasattr(self.model, method))(answer)
    return offered


class Predictions:
    """A fitted model's answers for fixed rows; each kind of answer is computed when it is first asked for.

    To scikit-learn's scorers it is an estimator like the model, with row positions in the place of rows.
    """

    def __init__(self, model: BaseEstimator, X: pd.DataFrame) -> None:  # noqa: N803 - scikit-learn's name
        self.model = model
        self.rows = X
        """The features, one row for each answer."""
        self._said: dict[str, Array] = {}
        self._answers: dict[str, Array] = {}

    predict = _delegate("predict")
    predict_proba = _delegate("predict_proba")
    decision_function = _delegate("decision_function")

    def __len__(self) -> int:
        return len(self.rows)

    def __sklearn_tags__(self) -> Tags:
        return get_tags(self.model)

    @property
    def labels(self) -> list[Any]:
        """The model's classes as they are in the data, in the order of its probabilities; none for a regressor."""
        return list(getattr(self.model, "classes_", []))

    @property
    def has_encoded_labels(self) -> bool:
        """Whether scorers see the two classes as 0 and 1: `f1` and its like take the label 1 for the positive one."""
        return len(self.labels) == BINARY and 1 not in self.labels

    @property
    def classes_(self) -> Array:
        """The classes as scorers see them."""
        return self.encode_labels(np.asarray(self.labels))

    def encode_labels(self, y: Array) -> Array:
        """Turns labels into what scorers see.

        Args:
            y: Labels, also ones that the model does not know.

        Returns:
            The labels, coded where the classes are.
        """
        if not self.has_encoded_labels:
            return y
        unknown = [label for label in pd.unique(y) if label not in self.labels]
        return np.asarray(pd.Index([*self.labels, *unknown], dtype=object).get_indexer(pd.Index(y, dtype=object)))

    def compute(self, method: str) -> Array:
        """Gives the model's answers for all rows.

        Args:
            method: `predict`, `predict_proba` or `decision_function`.

        Returns:
            One answer per row.

        Raises:
            ModelError: If the model cannot predict these rows, or predicts something that is not a number.
        """
        if method not in self._answers:
            self._answers[method] = self._checked(method)
        return self._answers[method]

    @property
    def finest_method(self) -> Literal["predict_proba", "predict"]:
        """What says most about each row: probabilities where the model gives them."""
        return "predict_proba" if hasattr(self, "predict_proba") else "predict"

    def compute_raw(self, method: str) -> Array:
        """Gives the model's answers for all rows as they are: NaN and infinite ones included, classes by their names.

        Args:
            method: `predict`, `predict_proba` or `decision_function`.

        Returns:
            One answer per row.

        Raises:
            ModelError: If the model cannot predict these rows.
        """
        if method not in self._said:
            self._said[method] = self._ask(method)
        return self._said[method]

    def _ask(self, method: str) -> Array:
        try:
            return np.asarray(getattr(self.model, method)(self.rows))
        except ESTIMATOR_ERRORS as fault:
            raise ModelError(f"the model cannot predict these rows ({fault}): check its columns and values") from fault

    def _checked(self, method: str) -> Array:
        answers = self.compute_raw(method)
        if answers.dtype.kind == "f" and not np.isfinite(answers).all():
            wrong = (~np.isfinite(answers.reshape(len(answers), -1))).any(axis=1).sum()
            raise ModelError(
                f"the model's {method} is NaN or infinite for {wrong:,} of {len(answers):,} rows: "
                f"let the estimator impute missing values, or bound what it predicts"
            )
        return self.encode_labels(answers) if method == "predict" else answers


def predict_once(model: BaseEstimator, X: pd.DataFrame) -> Predictions:  # noqa: N803 - scikit-learn's name
    """Wraps a fitted model so that whatever a scorer asks of it is computed once for all rows.

    Args:
        model: A fitted classifier or regressor.
        X: The rows to predict.

    Returns:
        The predictions, made when the first score needs them.
    """
    return Predictions(model, X)


def max_abs_difference(one: Array, other: Array) -> float:
    """Tells how far two answers to the same rows lie apart.

    Args:
        one: Numbers, or classes of any kind.
        other: The same of another model, or of another process.

    Returns:
        The largest difference of an answer; infinite where classes, or the number of answers, differ or one is NaN.
    """
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind not in _NUMBERS or other.dtype.kind not in _NUMBERS:
        return 0.0 if np.array_equal(one, other) else float("inf")
    distances = np.abs(one.astype(float) - other.astype(float))
    return float(np.nan_to_num(distances, nan=np.inf).max(initial=0.0))


def prediction_distance(one: Predictions, other: Predictions) -> float:
    """Tells how far two models' answers to the same rows lie apart.

    Args:
        one: What one says.
        other: What the other says.

    Returns:
        As `apart`, of probabilities where both give them.
    """
    method = one.finest_method if one.finest_method == other.finest_method else "predict"
    return max_abs_difference(one.compute_raw(method), other.compute_raw(method))
