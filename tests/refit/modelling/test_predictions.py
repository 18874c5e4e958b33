import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from refit.errors import ModelError
from refit.modelling.predictions import predict_once
from refit.modelling.scoring import score

X = pd.DataFrame({"x": np.linspace(-1.0, 1.0, 60)})


class CountingRegression(LinearRegression):
    calls = 0

    def predict(self, rows):
        self.calls += 1
        return super().predict(rows)


def test_the_model_predicts_once_however_often_it_is_scored():
    y = X["x"] * 2
    model = CountingRegression().fit(X, y)
    predictions = predict_once(model, X)
    for start in range(0, 60, 10):
        score("neg_mean_absolute_error", predictions, y, slice(start, start + 10))
    assert model.calls == 1


def test_nothing_is_predicted_that_no_metric_asks_for():
    model = CountingRegression().fit(X, X["x"])
    predict_once(model, X)
    assert model.calls == 0


def test_predictions_that_are_not_numbers_are_counted_in_the_error():
    y = pd.Series(np.arange(60.0))
    model = DummyRegressor(strategy="constant", constant=np.nan)
    model.constant_, model.n_outputs_ = np.array([[np.nan]]), 1
    with pytest.raises(ModelError, match="NaN or infinite for 60 of 60 rows"):
        score("r2", predict_once(model, X), y)


def test_rows_that_the_model_does_not_know_are_a_sentence():
    model = LogisticRegression().fit(X, X["x"] > 0)
    with pytest.raises(ModelError, match="cannot predict these rows"):
        score("roc_auc", predict_once(model, X.rename(columns={"x": "z"})), X["x"] > 0)


def test_labels_are_coded_only_where_no_class_is_one():
    text = predict_once(LogisticRegression().fit(X, np.where(X["x"] > 0, "yes", "no")), X)
    assert text.encode_labels(np.array(["yes", "no", "maybe"], dtype=object)).tolist() == [1, 0, 2]
    numbers = predict_once(LogisticRegression().fit(X, np.where(X["x"] > 0, 1, 2)), X)
    assert numbers.encode_labels(np.array([1, 2])).tolist() == [1, 2]
