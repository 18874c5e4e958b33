"""Predictions in a world that stays as it is: one model's do not alarm, those of two models do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import Reference, ScoreProfile, compare_with_reference
from refit.drift.profile import Profile, build_profile
from refit.inference.prediction_summary import output_columns
from refit.modelling.predictions import predict_once
from refit.policies.monitoring import DriftPolicy
from refit.records.references import ComparedModel
from refit.windows import Window
from tests.support.simulation_sizes import most, sizes

TRAINED, HOLDOUT, ROWS = 600, 1_400, 1_000
"""Rows that the judged model is fitted on, rows that it is judged on, and rows of a window."""
WINDOWS = 20
"""Windows of one world; the judged model and its reference are drawn anew for each world."""
ALLOWED = 0.01
START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = Window(START, START + timedelta(days=1))
JUDGED = ComparedModel("judged", "judged")
WORDS = np.array([f"word{number:03}" for number in range(500)])
"""Every third is bad, so a model that has read more knows more of them."""

ESTIMATORS: dict[str, Callable[[], BaseEstimator]] = {
    "text": lambda: make_pipeline(TfidfVectorizer(ngram_range=(1, 3)), LogisticRegression(C=100)),
    "unpruned tree": lambda: DecisionTreeClassifier(random_state=0),
    "nearest neighbours": lambda: KNeighborsClassifier(3),
    "boosted trees": lambda: HistGradientBoostingClassifier(max_iter=30, min_samples_leaf=2, random_state=0),
    "naive Bayes": GaussianNB,
    "forest of numbers": lambda: RandomForestRegressor(10, random_state=0),
}


def draw(rng: np.random.Generator, rows: int, kind: str) -> tuple[pd.DataFrame | pd.Series, np.ndarray]:
    """Draws features and outcomes; nothing ever changes."""
    if kind == "text":
        said = rng.integers(len(WORDS), size=(rows, 6))
        bad = (said % 3 == 0).sum(axis=1)
        return pd.Series([" ".join(row) for row in WORDS[said]]), (bad + rng.normal(size=rows) > 2).astype(int)
    seen = pd.DataFrame(rng.normal(size=(rows, 5)), columns=list("abcde"))
    y = (seen["a"] + 0.5 * seen["b"] * seen["c"] + rng.normal(size=rows)).to_numpy()
    return seen, y if kind == "forest of numbers" else (y > 0).astype(int)


def predict(model: BaseEstimator, seen: pd.DataFrame | pd.Series) -> pa.Table:
    outputs = output_columns(predict_once(model, seen))
    return outputs.append_column("at", pa.array(np.arange(outputs.num_rows)))


def profile_holdout(said: pa.Table) -> Profile:
    columns, times = [name for name in said.column_names if name != "at"], list(range(said.num_rows))
    return build_profile([said], make_binning(said, columns, times, count_blocks(said.num_rows)), "at")


def alarms(reference: Profile, said: pa.Table) -> bool:
    """Tells whether predictions drift in one window, beside a feature that does not change."""
    still = pa.table({"z": np.linspace(0, 1, said.num_rows), "at": np.arange(said.num_rows)})
    known = Reference(profile_holdout(still), ScoreProfile(reference, JUDGED), 0.5, 1.0)
    data = build_profile([still], known.data.current_binning(), "at")
    scores = ScoreProfile(build_profile([said], reference.current_binning(), "at"), JUDGED)
    found = compare_with_reference(known, data, scores, SPAN, DriftPolicy())
    return any(score.drifted for score in found.scores)


@cache
def count_alarms(kind: str, worlds: int) -> tuple[int, int]:
    """Counts alarms by the predictions of the judged model, and by those of the model that was refitted on all rows."""
    counts = np.zeros(2, int)
    for world in range(worlds):
        rng = np.random.default_rng([world, list(ESTIMATORS).index(kind)])
        seen, y = draw(rng, TRAINED + HOLDOUT, kind)
        judged, refitted = ESTIMATORS[kind]().fit(seen[:TRAINED], y[:TRAINED]), ESTIMATORS[kind]().fit(seen, y)
        reference = profile_holdout(predict(judged, seen[TRAINED:]))
        for _ in range(WINDOWS):
            new, _ = draw(rng, ROWS, kind)
            counts += [alarms(reference, predict(model, new)) for model in (judged, refitted)]
    return int(counts[0]), int(counts[1])


@sizes(10, quick=1)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_quiet_predictions_hardly_ever_alarm(kind: str, repeats: int) -> None:
    assert count_alarms(kind, repeats)[0] <= most(repeats * WINDOWS, ALLOWED)


@pytest.mark.slow
def test_over_all_estimators_at_most_one_window_in_a_hundred_alarms() -> None:
    assert sum(count_alarms(kind, 10)[0] for kind in ESTIMATORS) <= ALLOWED * 10 * WINDOWS * len(ESTIMATORS)


def test_the_predictions_of_two_models_would_alarm() -> None:
    """The simulation can fail: a refitted model is more certain than the judged one was on the same kind of rows."""
    assert count_alarms("text", 1)[1] > most(WINDOWS, ALLOWED)


def test_predictions_of_two_models_cannot_be_compared() -> None:
    rng = np.random.default_rng(0)
    said = pa.table({"prediction": rng.normal(size=500), "at": np.arange(500)})
    profile = profile_holdout(said)
    known = Reference(profile, ScoreProfile(profile, JUDGED), 0.5, 1.0)
    other = ScoreProfile(profile, ComparedModel("served", "refitted"))
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_with_reference(known, profile, other, SPAN, DriftPolicy())
