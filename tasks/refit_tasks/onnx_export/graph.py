"""Builder of ONNX graphs in double precision, with decision trees as one `TreeEnsemble` operator.

skl2onnx writes trees in single precision, where a value on a threshold sometimes takes the other branch. Here
thresholds and leaves are scikit-learn's own doubles, and missing values take the branch that each node names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refit.errors import ModelError

OPSETS = {"": 18, "ai.onnx.ml": 5}
"""Operator set versions by domain; version 5 of `ai.onnx.ml` has trees in doubles. No other domain is used."""
IR_VERSION = 9


class Graph:
    """A graph under construction, empty at first or the result of skl2onnx."""

    def __init__(self, start: Any = None) -> None:  # noqa: ANN401 - onnx has no types
        """Starts a graph.

        Args:
            start: An ONNX graph to extend, which is not changed; an empty one if `None`.
        """
        self._nodes: list[Any] = list(start.node) if start else []
        self._constants: list[Any] = list(start.initializer) if start else []
        self._count = 0

    def add(self, operator: str, *sources: str, **attributes: Any) -> str:  # noqa: ANN401
        """Adds a node.

        Args:
            operator: The name of the ONNX operator.
            sources: The names of its inputs.
            attributes: Its attributes.

        Returns:
            The name of its output.
        """
        from onnx import helper

        name = self._name()
        self._nodes.append(helper.make_node(operator, list(sources), [name], **attributes))
        return name

    def cast(self, source: str, kind: str) -> str:
        """Adds a cast.

        Args:
            source: The name of the input.
            kind: numpy's name of the new type.

        Returns:
            The name of the output.
        """
        from onnx import helper

        return self.add("Cast", source, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Adds a constant.

        Args:
            values: Its values.

        Returns:
            Its name.
        """
        from onnx import numpy_helper

        name = self._name()
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def trees(self, trees: Iterable[Tree], targets: int, source: str) -> str:
        """Adds the sum of trees.

        Args:
            trees: The trees.
            targets: The number of outputs.
            source: The name of the rows, in doubles.

        Returns:
            The name of the sums, one column for each output.
        """
        name = self._name()
        self._nodes.append(make_ensemble_node(trees, targets, source, name))
        return name

    def model(self, inputs: dict[str, str], output: str) -> Any:  # noqa: ANN401
        """Builds the ONNX model.

        Args:
            inputs: From the name of an input, which is one column, to `float64` or `str`.
            output: The name of the output, a matrix of doubles.

        Returns:
            The ONNX model, after ONNX's own check.
        """
        from onnx import TensorProto, checker, helper

        kinds = {"float64": TensorProto.DOUBLE, "str": TensorProto.STRING}
        takes = [helper.make_tensor_value_info(name, kinds[kind], [None, 1]) for name, kind in inputs.items()]
        gives = [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, None])]
        graph = helper.make_graph(self._nodes, "refit", takes, gives, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="refit")
        checker.check_model(model)
        return model

    def _name(self) -> str:
        self._count += 1
        return f"refit_{self._count}"


Array = npt.NDArray[Any]
_SUM, _NONE, _AT_MOST = 1, 0, 0
"""ONNX's codes for: aggregate by sum, no transform afterwards, branch on less or equal."""
MAX_NODES = 1_000_000
"""More nodes would take hundreds of megabytes."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A decision tree that adds to one output. Each array has one value for each node; node 0 is the root."""

    left: Array
    """The child for values up to the threshold; undefined for a leaf."""
    right: Array
    feature: Array
    threshold: Array
    gaps_left: Array
    """Whether a missing value takes the left branch."""
    leaf: Array
    """Whether the node is a leaf."""
    value: Array
    """What a leaf adds to the output."""
    target: int
    """The index of the output."""


def read_tree(tree: Any, values: Array, target: int) -> Tree:  # noqa: ANN401 - scikit-learn's own structure
    """Reads a tree of `sklearn.tree`.

    Args:
        tree: The fitted estimator's `tree_`.
        values: What each node adds to the output.
        target: The index of the output.

    Returns:
        The tree.
    """
    gaps = tree.missing_go_to_left.astype(bool)
    leaf = tree.children_left < 0
    return Tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, gaps, leaf, values, target)


def read_boosted_tree(nodes: Array, target: int) -> Tree:
    """Reads a tree of histogram gradient boosting.

    Args:
        nodes: The nodes of a `TreePredictor`.
        target: The index of the output.

    Returns:
        The tree.

    Raises:
        ModelError: If it splits by category, which is not supported.
    """
    if nodes["is_categorical"].any():
        raise ModelError("a tree splits by category, which is not supported in ONNX")
    names = ("left", "right", "feature_idx", "num_threshold", "missing_go_to_left", "is_leaf", "value")
    left, right, feature, threshold, gaps, leaf, value = (nodes[name] for name in names)
    return Tree(left, right, feature, threshold, gaps.astype(bool), leaf.astype(bool), value, target)


def make_ensemble_node(trees: Iterable[Tree], targets: int, source: str, result: str) -> Any:  # noqa: ANN401 - onnx has no types
    """Makes the `TreeEnsemble` node that sums trees.

    Args:
        trees: The trees.
        targets: The number of outputs.
        source: The name of the rows, in doubles.
        result: The name of the sums.

    Returns:
        The ONNX node.

    Raises:
        ModelError: If the trees have more than `MAX_NODES` nodes.
    """
    from onnx import helper, numpy_helper

    parts = _EnsembleAttributes()
    for tree in trees:
        parts.add(tree)
    arrays = {name: np.concatenate(columns) for name, columns in parts.columns.items()}
    kinds = {"nodes_splits": "float64", "leaf_weights": "float64", "nodes_modes": "uint8"}
    attributes: dict[str, Any] = {
        name: numpy_helper.from_array(values.astype(kinds[name]), name) if name in kinds else values.tolist()
        for name, values in arrays.items()
    }
    attributes |= {"n_targets": targets, "aggregate_function": _SUM, "post_transform": _NONE}
    return helper.make_node("TreeEnsemble", [source], [result], domain="ai.onnx.ml", **attributes)


@dataclass(slots=True)
class _EnsembleAttributes:
    """The attributes of a `TreeEnsemble`: inner nodes and leaves are numbered separately, across all trees."""

    columns: dict[str, list[Array]] = field(default_factory=dict)
    nodes: int = 0
    leaves: int = 0

    def add(self, tree: Tree) -> None:
        tree = _with_root_node(tree)
        inner = ~tree.leaf
        place = np.where(tree.leaf, self.leaves + np.cumsum(tree.leaf), self.nodes + np.cumsum(inner)) - 1
        left, right = tree.left[inner].astype(int), tree.right[inner].astype(int)
        values = tree.value[tree.leaf]
        self._extend(
            nodes_featureids=tree.feature[inner].astype(int),
            nodes_splits=tree.threshold[inner],
            nodes_modes=np.full(len(left), _AT_MOST),
            nodes_truenodeids=place[left],
            nodes_trueleafs=tree.leaf[left].astype(int),
            nodes_falsenodeids=place[right],
            nodes_falseleafs=tree.leaf[right].astype(int),
            nodes_missing_value_tracks_true=tree.gaps_left[inner].astype(int),
            tree_roots=np.array([self.nodes]),
            leaf_targetids=np.full(len(values), tree.target),
            leaf_weights=values,
        )
        self.nodes, self.leaves = self.nodes + len(left), self.leaves + len(values)
        if self.nodes > MAX_NODES:
            raise ModelError(f"the trees have more than {MAX_NODES:,} nodes")

    def _extend(self, **columns: Array) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)


def _with_root_node(tree: Tree) -> Tree:
    """Adds a root to a tree that is a single leaf, since the operator requires an inner node as root."""
    if not tree.leaf[0]:
        return tree
    yes = np.array([False, True])
    value = np.array([0.0, tree.value[0]])
    one = np.array([1, 1])
    return Tree(one, one, np.zeros(2, int), np.zeros(2), yes, yes, value, tree.target)
