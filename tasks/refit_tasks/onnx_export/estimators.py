"""Converters of final estimators to ONNX in double precision: linear models, decision trees, forests and boosting.

A converter uses the fitted attributes that scikit-learn documents, and its result is verified on rows before it serves.
The output is probabilities for classifiers, and the predicted number for regressions.
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
"""Adds an estimator to a graph: takes the name of its input, and gives the name of its output."""


def find_converter(estimator: Any) -> EstimatorConverter:  # noqa: ANN401 - any estimator
    """Finds the converter of an estimator.

    Args:
        estimator: The last step of a pipeline, fitted.

    Returns:
        The converter.

    Raises:
        ModelError: If there is no converter for its type.
    """
    if type(estimator) not in _CONVERTERS:
        raise ModelError(f"{type(estimator).__name__} cannot be converted to ONNX")
    return _CONVERTERS[type(estimator)]


def _add_linear(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    """Adds rows times coefficients plus intercept: one column for each output."""
    coefficients = np.atleast_2d(estimator.coef_).T.astype(float)
    product = graph.add("MatMul", rows, graph.constant(coefficients))
    return graph.add("Add", product, graph.constant(np.atleast_2d(estimator.intercept_).astype(float)))


def _add_log_linear(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    return graph.add("Exp", _add_linear(estimator, graph, rows))


def _add_logistic(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    return _add_probabilities(len(estimator.classes_), graph, _add_linear(estimator, graph, rows))


def _add_probabilities(classes: int, graph: Graph, scores: str) -> str:
    """Adds the probabilities of scores; for two classes the one score is the log-odds of the second."""
    if classes > BINARY:
        return graph.add("Softmax", scores, axis=1)
    positive = graph.add("Sigmoid", scores)
    negative = graph.add("Sub", graph.constant(np.ones((1, 1))), positive)
    return graph.add("Concat", negative, positive, axis=1)


def _add_histogram_boosting(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    if getattr(estimator, "_preprocessor", None) is not None:
        raise ModelError(f"{type(estimator).__name__} has categorical features of its own")
    each = [
        read_boosted_tree(one.nodes, target)
        for together in estimator._predictors  # noqa: SLF001 - scikit-learn has no public name for its trees
        for target, one in enumerate(together)
    ]
    start = np.asarray(estimator._baseline_prediction).reshape(1, -1).astype(float)  # noqa: SLF001
    scores = graph.add("Add", graph.trees(each, start.shape[1], rows), graph.constant(start))
    if hasattr(estimator, "classes_"):
        return _add_probabilities(len(estimator.classes_), graph, scores)
    return graph.add("Exp", scores) if estimator.loss in ("poisson", "gamma") else scores


def _add_forest(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    """Adds the mean of the trees: shares of classes, or numbers."""
    trees = getattr(estimator, "estimators_", [estimator])
    if estimator.n_outputs_ > 1:
        raise ModelError(f"{type(estimator).__name__} predicts several targets")
    targets = len(getattr(estimator, "classes_", [None]))
    each = [read_tree(one.tree_, one.tree_.value[:, 0, target], target) for one in trees for target in range(targets)]
    return graph.add(
        "Div", _add_float_trees(each, targets, graph, rows), graph.constant(np.array([[float(len(trees))]]))
    )


def _add_gradient_boosting(estimator: Any, graph: Graph, rows: str) -> str:  # noqa: ANN401
    if getattr(estimator, "loss", "") == "exponential" or estimator.init not in (None, "zero"):
        raise ModelError(f"{type(estimator).__name__} has an unsupported loss or initial estimator")
    targets, rate = estimator.estimators_.shape[1], estimator.learning_rate
    each = [
        read_tree(one.tree_, rate * one.tree_.value[:, 0, 0], target)
        for together in estimator.estimators_
        for target, one in enumerate(together)
    ]
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))  # noqa: SLF001 - no public name
    scores = graph.add("Add", _add_float_trees(each, targets, graph, rows), graph.constant(start.reshape(1, -1)))
    return _add_probabilities(len(estimator.classes_), graph, scores) if hasattr(estimator, "classes_") else scores


def _add_float_trees(trees: list[Tree], targets: int, graph: Graph, rows: str) -> str:
    """Adds trees that compare in single precision, as those of `sklearn.tree` do.

    A number beyond that range makes the output NaN, so that scikit-learn predicts the row, and refuses it.
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
