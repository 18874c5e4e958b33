"""The trial of a model's ONNX form, in a process of its own: made, held against scikit-learn, timed beside it."""

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
"""Where the trial leaves the file."""
GAP_ROWS, SINGLE_ROWS = 50, 30
"""So many rows have a value taken away, and are asked for one by one."""
MAX_TEXTS = 5_000
"""So many texts of an encoder are tried in each column; of others, those that the holdout has shown are enough."""


@dataclass(frozen=True, slots=True)
class _BothForms:
    """Both forms of one model, and the rows to try them on."""

    model: Predictor
    onnx_model: Any
    kinds: Mapping[str, str]
    rows: pd.DataFrame

    def form(self, proven: VerifiedDomain) -> tuple[bytes, OnnxForm]:
        content = serialize_model(self.onnx_model, proven)
        return content, OnnxForm(content, self.model.labels)


def verify_form(model: BaseEstimator, kinds: dict[str, str], rows: pd.DataFrame, results: Path) -> dict[str, Any]:
    """Makes a model's ONNX form and tries it.

    Args:
        model: The fitted model.
        kinds: Its features, from `refit.inference.feature_schema.feature_kinds`.
        rows: The holdout's features.
        results: Where to leave the file.

    Returns:
        The fields of a `ServingForm`.

    Raises:
        ModelError: If there is no such form; a converter, which is foreign code, may raise anything.
    """
    two = _BothForms(Predictor(model), convert_model(model, kinds), kinds, cast_features(kinds, rows))
    expected = two.model.predict(two.rows)
    proven = _find_domain(two)
    content, form = two.form(proven)
    (results / FILE).write_bytes(content)
    apart = _measure_difference(two, form, proven, expected)
    with threadpool_limits(1):  # as where it serves
        faster = _measure_speedup(two, form)
    return asdict(choose_runtime(len(rows), apart, faster, hash_content(content)))


def _measure_difference(two: _BothForms, form: OnnxForm, proven: VerifiedDomain, expected: Prediction) -> float:
    """Compares the forms on all rows; those that ONNX leaves to scikit-learn would not be told apart by asking it."""
    everything = VerifiedDomain(two.kinds, _texts_of(two.rows, two.kinds), frozenset(two.kinds))
    said = form.predict(columns_of(two.rows, two.kinds)) if proven == everything else None
    said = said or two.form(everything)[1].predict(columns_of(two.rows, two.kinds))
    return float("inf") if said is None else runtime_difference(said, expected)


def _find_domain(two: _BothForms) -> VerifiedDomain:
    """Finds the texts and the gaps that both forms treat alike."""
    shown = _texts_of(two.rows, two.kinds)
    everything = VerifiedDomain(
        two.kinds, {name: known | _encoder_texts(two) for name, known in shown.items()}, frozenset(two.kinds)
    )
    form = two.form(everything)[1]
    texts = {name: _verify_texts(two, form, name, everything.texts[name], known) for name, known in shown.items()}
    gaps = {name for name in two.kinds if _agree(two, form, two.rows.head(GAP_ROWS).assign(**{name: None}))}
    texts = {name: known | {None} if name in gaps else known - {None} for name, known in texts.items()}
    return VerifiedDomain(two.kinds, texts, frozenset(gaps - texts.keys()))


def _texts_of(rows: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, frozenset[str | None]]:
    columns = columns_of(rows, {name: kind for name, kind in kinds.items() if kind in TEXT_KINDS})
    return {name: frozenset({*cells, None} - {MISSING_TEXT}) for name, cells in columns.items()}


def _encoder_texts(two: _BothForms) -> frozenset[str | None]:
    """All texts that an encoder of the model knows, whichever column it is of."""
    known = (text for encoder in _encoders(two.model.model) for each in encoder.categories_ for text in each)
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
    two: _BothForms, form: OnnxForm, name: str, tried: frozenset[str | None], shown: frozenset[str | None]
) -> frozenset[str | None]:
    """Tries each text in a row of its own; where one is treated otherwise, only those of the holdout are left."""
    texts = sorted(text for text in tried if text is not None)
    rows = two.rows.iloc[np.arange(len(texts)) % len(two.rows)].assign(**{name: pd.array(texts, dtype="str")})
    return frozenset(texts) if not texts or _agree(two, form, rows) else shown


def _agree(two: _BothForms, form: OnnxForm, rows: pd.DataFrame) -> bool:
    rows = cast_features(two.kinds, rows)
    try:
        expected = two.model.predict(rows)
    except ModelError:  # scikit-learn refuses such rows, and is to say so
        return False
    said = form.predict(columns_of(rows, two.kinds))
    return said is not None and runtime_difference(said, expected) <= MAX_DIFFERENCE


def _measure_speedup(two: _BothForms, form: OnnxForm) -> float:
    """Tells how many times as fast the form answers a row: by the medians of calls in turns."""
    theirs, ours = list[float](), list[float]()
    for place in range(min(SINGLE_ROWS, len(two.rows))):
        row = two.rows.iloc[[place]]
        cells = {name: list(cells) for name, cells in columns_of(row, two.kinds).items()}
        start = perf_counter()
        two.model.predict(row)
        between = perf_counter()
        form.predict(cells)
        theirs.append(between - start)
        ours.append(perf_counter() - between)
    return float(np.median(theirs) / np.median(ours))
