import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, RidgeClassifier

from refit.inference.prediction_summary import output_columns
from refit.modelling.predictions import predict_once

X = pd.DataFrame({"x": np.arange(24.0)})


@pytest.mark.parametrize(
    ("model", "y", "names"),
    [
        (LinearRegression(), X["x"], ["prediction"]),
        (DummyClassifier(), X["x"] > 11, ["probability of True"]),
        (DummyClassifier(), X["x"] % 3, ["probability of 0.0", "probability of 1.0", "probability of 2.0"]),
        (DummyClassifier(), X["x"] % 12, ["prediction"]),
        (RidgeClassifier(), X["x"] > 11, ["prediction"]),
    ],
)
def test_every_output_is_a_column(model, y, names: list[str]) -> None:
    found = output_columns(predict_once(model.fit(X, y), X))
    assert found.column_names == names
    assert found.num_rows == len(X)
