"""Verification of a model's ONNX form in a process of its own: agreement with scikit-learn, input domain, speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from refit.errors import ModelError
from refit.inference.feature_schema import TEXT_KINDS, cast_features
from refit.inference.onnx_choice import MAX_DIFFERENCE, choose_runtime, runtime_difference
from refit.inference.predictor import MISSING_TEXT, Prediction, Predictor, VerifiedDomain, columns_of
from refit_tasks.onnx_export.pipeline_steps import ENCODERS
from refit_tasks.onnx_export.session import OnnxForm, convert_model, hash_content, serialize_model

FILE = "form.onnx"
"""The name of the ONNX file in the results directory."""
GAP_ROWS, SINGLE_ROWS = 50, 30
"""Numbers of rows: with a value removed, to verify gaps; and predicted one by one, to measure speed."""
MAX_GAP_FEATURES = 500
"""The most features of a model whose gaps are verified, each by a prediction of its own; rows with gaps of wider models
are left to scikit-learn."""
MAX_TEXTS = 5_000
"""The most encoder categories that are verified in each column, beside the texts of the holdout."""


@dataclass(frozen=True, slots=True)
class _BothForms:
    """Both forms of one model, and the rows to verify them on."""

    model: Predictor
    onnx_model: Any
    kinds: Mapping[str, str]
    rows: pd.DataFrame

    def form(self, domain: VerifiedDomain) -> tuple[bytes, OnnxForm]:
        content = serialize_model(self.onnx_model, domain)
        return content, OnnxForm(content, self.model.labels)


def verify_form(model: BaseEstimator, kinds: dict[str, str], rows: pd.DataFrame, results: Path) -> dict[str, Any]:
    """Converts a model to ONNX and verifies the result.

    Args:
        model: The fitted model.
        kinds: Its features, from `refit.inference.feature_schema.feature_kinds`.
        rows: The features of the holdout.
        results: The directory to write the file to.

    Returns:
        The fields of a `ServingForm`.

    Raises:
        ModelError: If the model cannot be converted. The converter, a library, may raise any other error.
    """
    both = _BothForms(Predictor(model), convert_model(model, kinds), kinds, cast_features(kinds, rows))
    expected = both.model.predict(both.rows)
    domain = _find_domain(both)
    content, form = both.form(domain)
    (results / FILE).write_bytes(content)
    difference = _measure_difference(both, form, domain, expected)
    with threadpool_limits(1):  # as in the server
        speedup = _measure_speedup(both, form)
    return asdict(choose_runtime(len(rows), difference, speedup, hash_content(content)))


def _measure_difference(both: _BothForms, form: OnnxForm, domain: VerifiedDomain, expected: Prediction) -> float:
    """Compares the forms on all rows, including those that ONNX would leave to scikit-learn."""
    everything = VerifiedDomain(both.kinds, _texts_of(both.rows, both.kinds), frozenset(both.kinds))
    prediction = form.predict(columns_of(both.rows, both.kinds)) if domain == everything else None
    prediction = prediction or both.form(everything)[1].predict(columns_of(both.rows, both.kinds))
    return float("inf") if prediction is None else runtime_difference(prediction, expected)


def _find_domain(both: _BothForms) -> VerifiedDomain:
    """Finds the texts and gaps for which both forms agree."""
    shown = _texts_of(both.rows, both.kinds)
    everything = VerifiedDomain(
        both.kinds, {name: known | _encoder_texts(both) for name, known in shown.items()}, frozenset(both.kinds)
    )
    form = both.form(everything)[1]
    texts = {name: _verify_texts(both, form, name, everything.texts[name], known) for name, known in shown.items()}
    tried = both.kinds if len(both.kinds) <= MAX_GAP_FEATURES else ()
    gaps = {name for name in tried if _agree(both, form, both.rows.head(GAP_ROWS).assign(**{name: None}))}
    texts = {name: known | {None} if name in gaps else known - {None} for name, known in texts.items()}
    return VerifiedDomain(both.kinds, texts, frozenset(gaps - texts.keys()))


def _texts_of(rows: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, frozenset[str | None]]:
    columns = columns_of(rows, {name: kind for name, kind in kinds.items() if kind in TEXT_KINDS})
    return {name: frozenset({*cells, None} - {MISSING_TEXT}) for name, cells in columns.items()}


def _encoder_texts(both: _BothForms) -> frozenset[str | None]:
    """Collects the text categories of all encoders of the model, whatever their column."""
    known = (text for encoder in _encoders(both.model.model) for each in encoder.categories_ for text in each)
    return frozenset(islice((text for text in known if isinstance(text, str) and text != MISSING_TEXT), MAX_TEXTS))


def _encoders(model: BaseEstimator) -> Iterable[Any]:
    if isinstance(model, ENCODERS):
        yield model
    elif isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _encoders(step)
    for _, step, _ in getattr(model, "transformers_", ()):
        yield from _encoders(step)


def _verify_texts(
    both: _BothForms, form: OnnxForm, name: str, tried: frozenset[str | None], shown: frozenset[str | None]
) -> frozenset[str | None]:
    """Verifies each text in a row of its own; if the forms differ on one, only the texts of the holdout remain."""
    texts = sorted(text for text in tried if text is not None)
    rows = both.rows.iloc[np.arange(len(texts)) % len(both.rows)].assign(**{name: pd.array(texts, dtype="str")})
    return frozenset(texts) if not texts or _agree(both, form, rows) else shown


def _agree(both: _BothForms, form: OnnxForm, rows: pd.DataFrame) -> bool:
    rows = cast_features(both.kinds, rows)
    try:
        expected = both.model.predict(rows)
    except ModelError:  # scikit-learn refuses such rows, and must give the error
        return False
    prediction = form.predict(columns_of(rows, both.kinds))
    return prediction is not None and runtime_difference(prediction, expected) <= MAX_DIFFERENCE


def _measure_speedup(both: _BothForms, form: OnnxForm) -> float:
    """Measures how many times as fast ONNX predicts one row, by the medians of alternating calls."""
    theirs, ours = list[float](), list[float]()
    for place in range(min(SINGLE_ROWS, len(both.rows))):
        row = both.rows.iloc[[place]]
        cells = {name: list(cells) for name, cells in columns_of(row, both.kinds).items()}
        start = perf_counter()
        both.model.predict(row)
        between = perf_counter()
        form.predict(cells)
        theirs.append(between - start)
        ours.append(perf_counter() - between)
    return float(np.median(theirs) / np.median(ours))
