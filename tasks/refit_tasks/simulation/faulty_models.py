"""Models with one deliberate fault, for the self-test of the gate. Each can be stored and loaded like any estimator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from refit.modelling.predictions import BINARY

if TYPE_CHECKING:
    from sklearn.utils import Tags

Array = npt.NDArray[Any]


def _has_probabilities(planted: FaultyModel) -> bool:
    return hasattr(planted.model, "predict_proba")


class FaultyModel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type hints
    """A fitted model whose rows or answers are changed on the way; by itself it changes nothing.

    Args:
        model: The fitted model.
    """

    def __init__(self, model: BaseEstimator) -> None:
        self.model = model

    def __sklearn_tags__(self) -> Tags:
        return get_tags(self.model)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def classes_(self) -> Array:
        """The model's classes."""
        classes: Array = self.model.classes_
        return classes

    @property
    def feature_names_in_(self) -> Array:
        """The columns that the model was fitted on."""
        names: Array = self.model.feature_names_in_
        return names

    def predict(self, X: pd.DataFrame) -> Array:  # noqa: N803 - scikit-learn's name
        """Predicts.

        Args:
            X: The features.

        Returns:
            What the model says, changed.
        """
        if _has_probabilities(self):
            likeliest: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
            return likeliest
        return self._answers(np.asarray(self.model.predict(self._rows(X)), dtype=float), X)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: pd.DataFrame) -> Array:  # noqa: N803 - scikit-learn's name
        """Gives probabilities.

        Args:
            X: The features.

        Returns:
            One column for each class, changed.
        """
        return self._answers(np.asarray(self.model.predict_proba(self._rows(X))), X)

    def _rows(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        return X

    def _answers(self, answers: Array, X: pd.DataFrame) -> Array:  # noqa: ARG002, N803 - others look at the rows
        return answers


class SleepsOnSingleRow(FaultyModel):
    """Takes its time over a single row.

    Args:
        model: The fitted model.
        seconds: How long.
    """

    def __init__(self, model: BaseEstimator, seconds: float) -> None:
        super().__init__(model)
        self.seconds = seconds

    def _rows(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        if len(X) == 1:
            time.sleep(self.seconds)
        return X


class Overconfident(FaultyModel):
    """Is far too sure of the second of two classes, or of the likeliest of more, in the same order; adds to numbers.

    Args:
        model: The fitted model.
        shift: What is added to each number, in the target's unit.
    """

    def __init__(self, model: BaseEstimator, shift: float) -> None:
        super().__init__(model)
        self.shift = shift

    def _answers(self, answers: Array, X: pd.DataFrame) -> Array:  # noqa: ARG002, N803 - scikit-learn's name
        if answers.ndim == 1:
            return answers + self.shift
        if answers.shape[1] == BINARY:
            second = answers[:, 1] ** (1 / 8)
            return np.column_stack([1 - second, second])
        pushed = np.clip(answers, 1e-6, 1) ** 30
        probabilities: Array = pushed / pushed.sum(axis=1, keepdims=True)
        return probabilities


class SwapsColumns(FaultyModel):
    """Looks at each number in the place of another."""

    def _rows(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        numbers = list(X.select_dtypes("number").columns)
        turned = {name: X[other].astype(X[name].dtype, errors="ignore") for name, other in _pair_with_next(numbers)}
        return X.assign(**turned)


class InvertsSlice(FaultyModel):
    """Says the opposite for the rows of one category.

    Args:
        model: The fitted model.
        column: The column of the category.
        value: The category.
        middle: What a regression's answers are mirrored at, in the target's unit.
    """

    def __init__(self, model: BaseEstimator, column: str, value: str, middle: float) -> None:
        super().__init__(model)
        self.column = column
        self.value = value
        self.middle = middle

    def _answers(self, answers: Array, X: pd.DataFrame) -> Array:  # noqa: N803 - scikit-learn's name
        spoilt = (X[self.column].astype(str) == self.value).to_numpy()
        opposite = 2 * self.middle - answers if answers.ndim == 1 else answers[:, ::-1]
        mixed: Array = np.where(spoilt if answers.ndim == 1 else spoilt[:, None], opposite, answers)
        return mixed


class ReturnsNaN(FaultyModel):
    """Has no answer to every tenth row."""

    def _answers(self, answers: Array, X: pd.DataFrame) -> Array:  # noqa: ARG002, N803 - scikit-learn's name
        holes = answers.astype(float)
        holes[::10] = np.nan
        return holes


def _pair_with_next(names: list[str]) -> list[tuple[str, str]]:
    return list(zip(names, [*names[1:], *names[:1]], strict=True))


TYPES = tuple(
    f"refit_tasks.simulation.faulty_models.{kind.__name__}"
    for kind in (FaultyModel, SleepsOnSingleRow, Overconfident, SwapsColumns, InvertsSlice, ReturnsNaN)
)
"""What the self-test trusts beside the project's own types, in a store of its own."""
