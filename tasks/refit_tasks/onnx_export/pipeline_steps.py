"""Conversion of a pipeline's preprocessing steps to ONNX by skl2onnx, restricted to steps that it computes exactly.

The list of steps is short on purpose: a step is supported if its ONNX form gives the same doubles for every possible
row, by the way it is computed, and not only for the rows that it was verified on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn import compose, decomposition, feature_selection, impute, pipeline, preprocessing

from refit.errors import ModelError
from refit_tasks.onnx_export.graph import OPSETS, Graph

ENCODERS = (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder)
_SCALERS = (
    preprocessing.StandardScaler,
    preprocessing.MinMaxScaler,
    preprocessing.MaxAbsScaler,
    preprocessing.RobustScaler,
    feature_selection.SelectKBest,
    feature_selection.VarianceThreshold,
    decomposition.PCA,
)


def convert_steps(steps: Any, inputs: dict[str, str]) -> tuple[Graph, str]:  # noqa: ANN401 - a pipeline, or `None`
    """Converts the preprocessing steps of a pipeline to ONNX.

    Args:
        steps: All steps but the last, fitted; `None` if there are none.
        inputs: From feature, in order, to `float64` or `str`.

    Returns:
        The graph, and the name of its output, a matrix of doubles.

    Raises:
        ModelError: If a step is not supported.
    """
    if steps is None:
        graph = Graph()
        return graph, graph.add("Concat", *inputs, axis=1)
    _require_supported(steps)
    start = _convert(steps, inputs)
    graph = Graph(start)
    return graph, graph.cast(start.output[0].name, "float64")


def _require_supported(step: Any) -> None:  # noqa: ANN401
    """Raises an error for a step that is not supported, at any depth."""
    kind = type(step)
    if kind is pipeline.Pipeline:
        inner = [one for _, one in step.steps]
    elif kind is pipeline.FeatureUnion:
        inner = [one for _, one in step.transformer_list]
    elif kind is compose.ColumnTransformer:
        inner = [one for _, one, columns in step.transformers_ if len(np.atleast_1d(columns))]
    else:
        _require_supported_step(step)
        return
    for one in inner:
        _require_supported(one)


def _require_supported_step(step: Any) -> None:  # noqa: ANN401
    if isinstance(step, str) or type(step) in _SCALERS:
        return
    if type(step) is preprocessing.FunctionTransformer and step.func is None:
        return
    if type(step) in ENCODERS:
        if any(one.dtype.kind in "biuf" for one in step.categories_):
            raise ModelError(f"{type(step).__name__} encodes a column of numbers")
        return
    if type(step) is impute.SimpleImputer:
        numbers = step.statistics_.dtype.kind in "iuf" and not np.isnan(step.statistics_).any()
        if step.add_indicator or not numbers or not pd.isna(step.missing_values):
            raise ModelError("SimpleImputer fills in values other than missing numbers")
        return
    raise ModelError(f"{type(step).__name__} cannot be converted to ONNX exactly")


def _convert(steps: Any, inputs: dict[str, str]) -> Any:  # noqa: ANN401
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    kinds = {"float64": DoubleTensorType, "str": StringTensorType}
    takes = [(name, kinds[kind]([None, 1])) for name, kind in inputs.items()]
    converted = convert_sklearn(
        steps,
        initial_types=takes,
        target_opset={**OPSETS, "ai.onnx.ml": 3},
        custom_conversion_functions={impute.SimpleImputer: _convert_imputer},
        custom_shape_calculators={impute.SimpleImputer: _infer_imputer_shape},
    )
    return converted.graph


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401 - called by skl2onnx
    """Converts `SimpleImputer`, which skl2onnx itself does not convert in doubles."""
    from onnx import TensorProto
    from skl2onnx.operator_converters.common import concatenate_variables

    values = operator.raw_operator.statistics_
    numbers = concatenate_variables(scope, operator.inputs, container)
    fill, gaps = scope.get_unique_variable_name("fill"), scope.get_unique_variable_name("gaps")
    container.add_initializer(fill, TensorProto.DOUBLE, [1, len(values)], values.astype(float).tolist())
    container.add_node("IsNaN", [numbers], gaps, name=scope.get_unique_operator_name("IsNaN"))
    container.add_node(
        "Where", [gaps, fill, numbers], operator.outputs[0].full_name, name=scope.get_unique_operator_name("Where")
    )


def _infer_imputer_shape(operator: Any) -> None:  # noqa: ANN401 - called by skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType

    operator.outputs[0].type = DoubleTensorType([None, len(operator.raw_operator.statistics_)])
