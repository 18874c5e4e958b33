"""A model that serves says what it says by itself, whatever it consists of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from refit.errors import ModelError
from refit.inference.predictor import Predictor

RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=200), "b": RNG.normal(size=200), "c": RNG.choice(["u", "v"], 200)})
NUMBERS = X[["a", "b"]]
TWO = np.where(X["a"] > 0, "yes", "no")
MANY = np.digitize(X["a"], [-0.5, 0.5])


def encoded(last: BaseEstimator) -> Pipeline:
    return make_pipeline(make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough"), last)


MODELS = {
    "pipeline": encoded(LogisticRegression()).fit(X, TWO),
    "many classes": encoded(HistGradientBoostingClassifier(max_iter=5)).fit(X, MANY),
    "regression": encoded(LinearRegression()).fit(X, X["a"]),
    "bare": RandomForestRegressor(n_estimators=3).fit(NUMBERS, X["a"]),
    "nothing before": Pipeline([("none", "passthrough"), ("model", LogisticRegression())]).fit(NUMBERS, TWO),
    "pipeline in a pipeline": make_pipeline(StandardScaler(), make_pipeline(LogisticRegression())).fit(NUMBERS, TWO),
    "no probabilities": make_pipeline(StandardScaler(), LinearSVC()).fit(NUMBERS, TWO),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_it_says_what_the_model_says(model: BaseEstimator) -> None:
    rows = X if "columntransformer" in getattr(model, "named_steps", {}) else NUMBERS
    said = Predictor(model).predict(rows)
    assert np.array_equal(said.predictions, model.predict(rows))
    if not hasattr(model, "predict_proba"):
        assert said.probabilities is None
        assert said.scores is None
        return
    expected = model.predict_proba(rows)
    assert np.array_equal(said.probabilities, expected)
    assert said.scores is None if expected.shape[1] > 2 else np.array_equal(said.scores, expected[:, 1])
    parts = [Predictor(model).predict(rows[:50]), Predictor(model).predict(rows[50:])]
    kept = Predictor(model).join_predictions(rows, parts)
    assert np.allclose(kept.compute_raw("predict_proba"), expected)
    assert list(kept.compute_raw("predict")) == list(model.predict(rows))


def test_a_gap_that_the_model_cannot_take_is_named() -> None:
    rows = NUMBERS.head(2).assign(b=[1.0, None])
    with pytest.raises(ModelError, match="missing in column 'b'") as refused:
        Predictor(MODELS["nothing before"]).predict(rows)
    assert "\n" not in str(refused.value)


def test_a_model_that_looks_at_other_rows_is_found_out() -> None:
    class Centred(BaseEstimator):
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return (rows["a"] - rows["a"].mean()).to_numpy()

    assert Predictor(MODELS["pipeline"]).warm_up(X, 5).max_difference == 0.0
    assert Predictor(MODELS["regression"]).warm_up(X, 5).max_difference < 1e-9
    assert Predictor(Centred()).warm_up(X, 5).max_difference > 0.01
