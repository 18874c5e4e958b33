"""The last step of a pipeline in ONNX, in doubles: what it computes of the numbers that the steps before it give.

A head is written for what scikit-learn documents of an estimator's fitted attributes, and tried on rows before it
serves. Of classifiers it gives probabilities, of regressions the number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import ensemble, linear_model, tree

from refit.errors import ModelError
from refit.modelling.predictions import BINARY
from refit_tasks.onnx_export.graph import Graph, Tree, read_boosted_tree, read_tree

EstimatorConverter = Callable[[Any, Graph, str], str]
"""Adds an estimator to a graph: takes the name of its rows, and gives that of its answers."""


def find_converter(estimator: Any) -> EstimatorConverter:  # noqa: ANN401 - any estimator
    """Finds how an estimator is written in ONNX.

    Args:
        estimator: The last step, fitted.

    Returns:
        What adds it to a graph.

    Raises:
        ModelError: If nobody has written that down.
    """
    if type(estimator) not in _CONVERTERS:
        raise ModelError(f"{type(estimator).__name__} has no form in ONNX here")
    return _CONVERTERS[type(estimator)]


def _add_linear(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    """Rows times coefficients plus intercept: one column for each output."""
    coefficients = np.atleast_2d(estimator.coef_).T.astype(float)
    product = graph.add("MatMul", rows, graph.constant(coefficients))
    return graph.add("Add", product, graph.constant(np.atleast_2d(estimator.intercept_).astype(float)))


def _add_log_linear(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    return graph.add("Exp", _add_linear(estimator, graph, rows))


def _add_logistic(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    return _add_probabilities(len(estimator.classes_), graph, _add_linear(estimator, graph, rows))


def _add_probabilities(classes: int, graph: Graph, scores: str) -> str:
    """One score of two classes is the log-odds of the second."""
    if classes > BINARY:
        return graph.add("Softmax", scores, axis=1)
    positive = graph.add("Sigmoid", scores)
    negative = graph.add("Sub", graph.constant(np.ones((1, 1))), positive)
    return graph.add("Concat", negative, positive, axis=1)


def _add_histogram_boosting(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    if getattr(estimator, "_preprocessor", None) is not None:
        raise ModelError(f"{type(estimator).__name__} takes categories as they are")
    each = [
        read_boosted_tree(one.nodes, target)
        for together in estimator._predictors  # noqa: SLF001 - scikit-learn gives its trees no other name
        for target, one in enumerate(together)
    ]
    start = np.asarray(estimator._baseline_prediction).reshape(1, -1).astype(float)  # noqa: SLF001
    scores = graph.add("Add", graph.trees(each, start.shape[1], rows), graph.constant(start))
    if hasattr(estimator, "classes_"):
        return _add_probabilities(len(estimator.classes_), graph, scores)
    return graph.add("Exp", scores) if estimator.loss in ("poisson", "gamma") else scores


def _add_forest(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    """The mean of what the trees say: shares of classes, or numbers."""
    trees = getattr(estimator, "estimators_", [estimator])
    if estimator.n_outputs_ > 1:
        raise ModelError("it predicts several targets")
    targets = len(getattr(estimator, "classes_", [None]))
    each = [read_tree(one.tree_, one.tree_.value[:, 0, target], target) for one in trees for target in range(targets)]
    return graph.add(
        "Div", _add_float_trees(each, targets, graph, rows), graph.constant(np.array([[float(len(trees))]]))
    )


def _add_gradient_boosting(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    if getattr(estimator, "loss", "") == "exponential" or estimator.init not in (None, "zero"):
        raise ModelError(f"{type(estimator).__name__} has a loss or a start of its own")
    targets, rate = estimator.estimators_.shape[1], estimator.learning_rate
    each = [
        read_tree(one.tree_, rate * one.tree_.value[:, 0, 0], target)
        for together in estimator.estimators_
        for target, one in enumerate(together)
    ]
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))  # noqa: SLF001 - known by no other name
    scores = graph.add("Add", _add_float_trees(each, targets, graph, rows), graph.constant(start.reshape(1, -1)))
    return _add_probabilities(len(estimator.classes_), graph, scores) if hasattr(estimator, "classes_") else scores


def _add_float_trees(trees: list[Tree], targets: int, graph: Graph, rows: str) -> str:
    """Asks trees that see single precision, as those of `sklearn.tree` do.

    A number beyond its range makes the answer no number, so that scikit-learn is asked and refuses it.
    """
    single = graph.cast(graph.cast(rows, "float32"), "float64")
    endless = graph.add("IsInf", single)
    nothing = graph.add("Where", endless, graph.constant(np.array([[np.nan]])), graph.constant(np.zeros((1, 1))))
    spoiled = graph.add("ReduceSum", nothing, graph.constant(np.array([1])), keepdims=1)
    return graph.add("Add", graph.trees(trees, targets, single), spoiled)


_CONVERTERS: dict[type, EstimatorConverter] = {
    linear_model.LogisticRegression: _add_logistic,
    **dict.fromkeys(
        (
            linear_model.LinearRegression,
            linear_model.Ridge,
            linear_model.RidgeCV,
            linear_model.Lasso,
            linear_model.LassoCV,
            linear_model.ElasticNet,
            linear_model.ElasticNetCV,
        ),
        _add_linear,
    ),
    linear_model.PoissonRegressor: _add_log_linear,
    linear_model.GammaRegressor: _add_log_linear,
    ensemble.HistGradientBoostingClassifier: _add_histogram_boosting,
    ensemble.HistGradientBoostingRegressor: _add_histogram_boosting,
    **dict.fromkeys(
        (
            ensemble.RandomForestClassifier,
            ensemble.RandomForestRegressor,
            ensemble.ExtraTreesClassifier,
            ensemble.ExtraTreesRegressor,
            tree.DecisionTreeClassifier,
            tree.DecisionTreeRegressor,
        ),
        _add_forest,
    ),
    ensemble.GradientBoostingClassifier: _add_gradient_boosting,
    ensemble.GradientBoostingRegressor: _add_gradient_boosting,
}
