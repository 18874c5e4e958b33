"""What a model that serves says of rows: its predictions and, where it gives them, the probabilities of its classes.

What an ONNX form is proven on: the texts that it was tried with, and the columns in which values may be missing.

A row beyond that is answered by scikit-learn, so that an unseen category, a gap or a refusal is treated as ever.
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
from refit.inference.request_rows import RequestRows
from refit.modelling.predictions import BINARY, ESTIMATOR_ERRORS, Predictions, max_abs_difference, predict_once


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answers, one for each row."""

    predictions: npt.NDArray[Any]
    """Numbers, or classes as they are in the data."""
    probabilities: npt.NDArray[Any] | None
    """One column for each class; `None` where the model does not tell."""

    @property
    def scores(self) -> npt.NDArray[Any] | None:
        """The probability of the positive class, the second in sorted order; `None` unless there are two classes."""
        given = self.probabilities
        return given[:, 1] if given is not None and given.shape[1] == BINARY else None


class ModelRuntime(Protocol):
    """Another form of a model, which answers some rows as it does."""

    def predict(self, columns: Columns) -> Prediction | None:
        """Answers rows; `None` where one of them is not of those."""


class RecordedPredictions(Predictions):
    """Answers that were given before, for those who read them as what a model says."""

    def __init__(self, model: BaseEstimator, features: pd.DataFrame, said: Prediction) -> None:
        super().__init__(model, features)
        self._said = {"predict": said.predictions}
        if said.probabilities is not None:
            self._said["predict_proba"] = said.probabilities


class WarmUp(NamedTuple):
    """How a model has answered rows that it knows."""

    max_difference: float
    """How far an answer to a row alone lies from the one to the same row among others, at most."""
    seconds: float
    """The median time of an answer to one row."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted model that is asked about rows as they come."""

    model: BaseEstimator
    form: ModelRuntime | None = None
    """What is asked first, where there is one."""

    @property
    def labels(self) -> list[Any]:
        """The classes, in the order of their probabilities; none of a regression."""
        return list(getattr(self.model, "classes_", []))

    @property
    def dtype_kind(self) -> str:
        """Numpy's letter for the kind of the predictions."""
        return np.asarray(self.labels).dtype.kind if self.labels else "f"

    def predict(self, rows: RequestRows | pd.DataFrame) -> Prediction:
        """Has the model answer.

        Args:
            rows: What it was fitted on, from `refit.inference.request_rows` or
                `refit.inference.feature_schema.cast_features`. The other form is asked
                about rows that came as JSON: a frame that is made already costs more than it would save.

        Returns:
            Finite answers.

        Raises:
            ModelError: If the model cannot predict these rows, or says what is not a number.
        """
        if isinstance(rows, pd.DataFrame):
            return self._said(rows)
        said = self.form.predict(rows.cells) if self.form and rows.cells else None
        return self._said(rows.features) if said is None else said

    def _said(self, features: pd.DataFrame) -> Prediction:
        """The steps of a pipeline before the last see the rows once for both kinds of answer."""
        try:
            answers = predict_once(*_transform_to_last_step(self.model, features))
            probabilities = None
            if answers.labels and hasattr(answers, "predict_proba"):
                answers.compute("predict_proba")  # refuses what is not a number
                probabilities = answers.compute_raw("predict_proba")
            answers.compute("predict")
        except ModelError as fault:
            raise _name_missing_columns(fault, features) from fault
        return Prediction(answers.compute_raw("predict"), probabilities)

    def join_predictions(self, features: pd.DataFrame, parts: Sequence[Prediction]) -> Predictions:
        """Reads answers that it gave before, one after the other, as its predictions.

        Args:
            features: The rows of all of them.
            parts: The answers, at least one.

        Returns:
            The predictions; the model is not asked again.
        """
        told = [part.probabilities for part in parts if part.probabilities is not None]
        said = Prediction(np.concatenate([part.predictions for part in parts]), np.concatenate(told) if told else None)
        return RecordedPredictions(self.model, features, said)

    def warm_up(self, features: pd.DataFrame, singly: int) -> WarmUp:
        """Has the model answer rows that it knows, all together and some of them one by one.

        Args:
            features: The rows.
            singly: How many are asked for one by one.

        Returns:
            What came of it.

        Raises:
            ModelError: If it does not answer.
        """
        together, worst, taken = self.predict(features).predictions, 0.0, list[float]()
        for place in range(min(singly, len(features))):
            row, start = features.iloc[[place]], perf_counter()
            alone = self.predict(row).predictions
            taken.append(perf_counter() - start)
            worst = max(worst, max_abs_difference(alone, together[place : place + 1]))
        return WarmUp(worst, float(np.median(taken)))


def _transform_to_last_step(model: BaseEstimator, features: pd.DataFrame) -> tuple[Any, Any]:
    """Gives the last step of a pipeline and what it sees; of another model, the model and the features themselves."""
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
    """Names the columns without a value, where there are any: why most models refuse rows whose columns are right."""
    gaps = [repr(name) for name in features.columns[np.asarray(features.isna().any(axis=0))]]
    if not gaps:
        return fault
    why = str(fault.__cause__ or fault).partition("\n")[0]
    return ModelError(f"a value is missing in the column {', '.join(gaps)}, and the model cannot predict that ({why})")


Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
"""From feature to its cells: lists in which `None` is missing, or of numbers arrays in which NaN is."""
NUMBERS, TEXTS = frozenset({"integer", "number", "truth value"}), frozenset({"text", "category"})
MISSING_TEXT = "nan"
"""How a missing text is written for ONNX, which knows none: what skl2onnx makes of it among an encoder's categories. No
text of these letters is ever proven."""


@dataclass(frozen=True, slots=True)
class VerifiedDomain:
    """The rows that an ONNX form answers as scikit-learn does."""

    kinds: Mapping[str, str]
    """The features, from `refit.inference.feature_schema.feature_kinds`."""
    texts: Mapping[str, frozenset[str | None]]
    """The texts of each column of them; `None` among them where one may be missing."""
    gaps: frozenset[str]
    """The columns of numbers in which a value may be missing."""

    def tensors(self, columns: Columns) -> dict[str, npt.NDArray[Any]] | None:
        """Makes what ONNX takes: a tensor of one column for each feature.

        Args:
            columns: The rows.

        Returns:
            Doubles and texts; `None` where a row holds something that is not proven.
        """
        made: dict[str, npt.NDArray[Any]] = {}
        for name, kind in self.kinds.items():
            cells = columns[name]
            if kind in TEXTS:
                if not self.texts[name].issuperset(cells):
                    return None
                made[name] = np.array([[MISSING_TEXT if cell is None else cell] for cell in cells], dtype=object)
            else:
                if name not in self.gaps and _has_missing(cells):
                    return None
                made[name] = np.array(cells, "float64").reshape(-1, 1)
        return made


def columns_of(rows: pd.DataFrame, kinds: Mapping[str, str]) -> Columns:
    """Takes the columns of a frame apart.

    Args:
        rows: The features, as a model sees them.
        kinds: What they are.

    Returns:
        The cells.
    """
    return {name: _cells(rows[name], kind) for name, kind in kinds.items()}


def _cells(column: pd.Series[Any], kind: str) -> Sequence[Any] | npt.NDArray[Any]:
    if kind in NUMBERS:
        return column.to_numpy("float64", na_value=np.nan)
    return [None if missing else cell for cell, missing in zip(column, column.isna(), strict=True)]


def _has_missing(cells: Sequence[Any] | npt.NDArray[Any]) -> bool:
    return bool(np.isnan(cells).any()) if isinstance(cells, np.ndarray) else None in cells
