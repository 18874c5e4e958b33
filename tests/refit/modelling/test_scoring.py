import math
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score, get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from refit import GatePolicy, Project
from refit.errors import ModelError, ProjectError
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import baseline_model
from refit.modelling.row_contributions import contribute_rows
from refit.modelling.scoring import primary_metric, score

RNG = np.random.default_rng(7)
X = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["a", "b", "c"])
NUMBERS = X["a"] * 3 + RNG.normal(size=400) + 20
TRUTH = X["a"] + RNG.normal(size=400) > 0
THREE = pd.Series(np.select([X["a"] < -0.5, X["a"] < 0.5], ["low", "middle"], "high"))

REGRESSION = (
    "neg_mean_absolute_error",
    "neg_root_mean_squared_error",
    "neg_mean_squared_error",
    "neg_median_absolute_error",
    "neg_mean_absolute_percentage_error",
    "r2",
    "explained_variance",
)
TWO_CLASSES = (
    "roc_auc",
    "average_precision",
    "neg_log_loss",
    "neg_brier_score",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "matthews_corrcoef",
)
ONE_CLASS = {"accuracy", "neg_log_loss", "neg_brier_score"}
"""Means over rows, which are defined on rows of one class."""
MORE_CLASSES = ("accuracy", "balanced_accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr", "roc_auc_ovo_weighted")


def project(kind="classification", metric=None):
    return Project(
        name="m",
        kind=kind,
        target="y",
        timestamp="t",
        load=pd.DataFrame,
        build=LinearRegression,
        gate=GatePolicy(metric=metric),
    )


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_regression_scores_as_with_the_scorer_itself(metric):
    model = LinearRegression().fit(X, NUMBERS)
    assert score(metric, predict_once(model, X), NUMBERS) == get_scorer(metric)(model, X, NUMBERS)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), RandomForestClassifier(5, random_state=0), make_pipeline(StandardScaler(), LinearSVC())],
    ids=["both", "probabilities", "decision function in a pipeline"],
)
@pytest.mark.parametrize("metric", TWO_CLASSES)
@pytest.mark.parametrize("labels", [TRUTH, TRUTH.astype(int), TRUTH.astype(int) + 1], ids=["bool", "0/1", "1/2"])
def test_two_classes_score_as_with_the_scorer_itself(model, metric, labels):
    model.fit(X, labels)
    if metric in {"neg_log_loss", "neg_brier_score"} and not hasattr(model, "predict_proba"):
        with pytest.raises(ModelError, match=r"set gate\.metric to one that this estimator supports"):
            score(metric, predict_once(model, X), labels)
        return
    for rows in (slice(None), slice(100, 180)):
        expected = get_scorer(metric)(model, X[rows], labels[rows])
        assert score(metric, predict_once(model, X), labels, rows) == expected


@pytest.mark.parametrize("metric", MORE_CLASSES)
def test_more_classes_score_as_with_the_scorer_itself(metric):
    model = LogisticRegression().fit(X, THREE)
    assert score(metric, predict_once(model, X), THREE) == get_scorer(metric)(model, X, THREE)


@pytest.mark.parametrize("metric", TWO_CLASSES)
@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_text_classes_score_like_zero_and_one(metric, dtype):
    text = TRUTH.map({False: "no", True: "yes"}).astype(dtype)
    model = LogisticRegression().fit(X, text)
    coded = LogisticRegression().fit(X, TRUTH.astype(int))
    assert score(metric, predict_once(model, X), text) == get_scorer(metric)(coded, X, TRUTH.astype(int))


@pytest.mark.parametrize("dtype", ["boolean", "Int64", "bool"])
def test_nullable_labels_score_like_plain_ones(dtype):
    labels = TRUTH.astype(dtype)
    model = LogisticRegression().fit(X, labels)
    assert score("f1", predict_once(model, X), labels) == f1_score(TRUTH, model.predict(X))


@pytest.mark.parametrize("metric", [metric for metric in TWO_CLASSES if metric not in ONE_CLASS])
@pytest.mark.parametrize("only", [True, False])
def test_a_block_of_one_class_has_no_score(metric, only):
    labels = TRUTH.sort_values(ascending=not only).reset_index(drop=True)
    model = LogisticRegression().fit(X, TRUTH)
    assert math.isnan(score(metric, predict_once(model, X), labels, slice(0, 50)))
    assert math.isfinite(score("accuracy", predict_once(model, X), labels, slice(0, 50)))


def test_a_block_without_a_rare_class_has_the_recall_of_the_others():
    model = LogisticRegression().fit(X, THREE)
    labels = THREE.sort_values().reset_index(drop=True)
    two = slice(0, int((labels != "middle").sum()))
    assert math.isfinite(score("balanced_accuracy", predict_once(model, X), labels, two))
    assert math.isnan(score("roc_auc_ovr", predict_once(model, X), labels, two))


def test_a_metric_that_warns_of_being_undefined_has_no_score():
    never = DummyClassifier(strategy="constant", constant=0).fit(X, TRUTH.astype(int))
    assert math.isnan(score("precision", predict_once(never, X), TRUTH.astype(int)))


def test_an_unfit_metric_is_an_error_in_a_block_too():
    labels = THREE.sort_values().reset_index(drop=True)
    with pytest.raises(ModelError, match="neg_log_loss cannot be computed for RidgeClassifier"):
        score("neg_log_loss", predict_once(RidgeClassifier().fit(X, THREE), X), labels, slice(0, 200))


def test_a_class_that_was_never_trained_on_counts_as_missed():
    known = THREE != "high"
    model = LogisticRegression().fit(X[known], THREE[known])
    expected = get_scorer("balanced_accuracy")(model, X, THREE)
    assert score("balanced_accuracy", predict_once(model, X), THREE) == expected


def test_the_trivial_model_scores_an_auc_of_one_half():
    baseline = baseline_model("classification").fit(X, TRUTH)
    assert score("roc_auc", predict_once(baseline, X), TRUTH) == 0.5
    assert score("r2", predict_once(baseline_model("regression").fit(X, NUMBERS), X), NUMBERS) == pytest.approx(0)


@pytest.mark.parametrize(
    ("kind", "classes", "metric"),
    [
        ("classification", ["no", "yes"], "roc_auc"),
        ("classification", [1, 2, 3], "balanced_accuracy"),
        ("regression", range(100), "neg_mean_absolute_error"),
    ],
)
def test_the_default_metric_follows_the_target(kind, classes, metric):
    assert primary_metric(project(kind), classes) == metric
    own = "accuracy" if kind == "classification" else "r2"
    assert primary_metric(project(kind, own), classes) == own


def test_an_unknown_metric_names_those_that_are_close():
    with pytest.raises(ProjectError, match=r"'rocauc'.*roc_auc"):
        primary_metric(project(metric="rocauc"), [0, 1])


MEANINGLESS = {
    "percentages of zeros": ("neg_mean_absolute_percentage_error", [0.0, *range(1, 20)], "as in 1 of 20 rows"),
    "three rows": ("r2", [1.0, 2.0, 4.0], r"on 3 rows \(fewer than 10\)"),
    "one value": ("r2", [2.0] * 20, r"all 20 rows have the same target \(2\)"),
}


@pytest.mark.parametrize("case", MEANINGLESS)
def test_a_metric_that_means_nothing_has_no_number_and_names_one_that_does(case: str) -> None:
    metric, values, why = MEANINGLESS[case]
    truth = pd.Series(values)
    rows = truth.to_frame("x")
    predictions = predict_once(LinearRegression().fit(rows, truth + 0.5), rows)
    assert math.isnan(score(metric, predictions, truth))
    found = contribute_rows(metric, predictions, truth, [slice(0, len(truth))])
    assert re.search(why, found)
    assert "neg_mean_absolute_error" in found
    assert math.isfinite(score("neg_mean_absolute_error", predictions, truth))
