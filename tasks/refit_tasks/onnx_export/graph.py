"""An ONNX graph that is added to node by node, in doubles.

Decision trees as one ONNX operator that compares, adds up and answers in doubles.

skl2onnx writes trees in single precision, in which a value that lies on a threshold goes the other way now and then.
Here thresholds and leaves are scikit-learn's own doubles, and missing values go where each node sends them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refit.errors import ModelError

OPSETS = {"": 18, "ai.onnx.ml": 5}
"""The versions of the operators: the fifth of the second brought trees in doubles. No other domain is ever used."""
IR_VERSION = 9


class Graph:
    """What is added after a graph that skl2onnx has made, or to none."""

    def __init__(self, start: Any = None) -> None:  # noqa: ANN401 - onnx has no types
        """Begins.

        Args:
            start: The graph to go on from; a copy is changed.
        """
        self._nodes: list[Any] = list(start.node) if start else []
        self._constants: list[Any] = list(start.initializer) if start else []
        self._count = 0

    def add(self, operator: str, *sources: str, **attributes: Any) -> str:  # noqa: ANN401
        """Adds a node.

        Args:
            operator: Its name in ONNX.
            sources: What it takes.
            attributes: How it works.

        Returns:
            The name of what it gives.
        """
        from onnx import helper

        name = self._name()
        self._nodes.append(helper.make_node(operator, list(sources), [name], **attributes))
        return name

    def cast(self, source: str, kind: str) -> str:
        """Adds a change of type.

        Args:
            source: What to change.
            kind: numpy's name for the type.

        Returns:
            The name of the result.
        """
        from onnx import helper

        return self.add("Cast", source, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Adds fixed numbers.

        Args:
            values: The numbers.

        Returns:
            Their name.
        """
        from onnx import numpy_helper

        name = self._name()
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def trees(self, trees: Iterable[Tree], targets: int, source: str) -> str:
        """Adds trees.

        Args:
            trees: The trees.
            targets: How many outputs they add to.
            source: The rows.

        Returns:
            The name of the sums.
        """
        name = self._name()
        self._nodes.append(make_ensemble_node(trees, targets, source, name))
        return name

    def model(self, inputs: dict[str, str], output: str) -> Any:  # noqa: ANN401
        """Closes the graph.

        Args:
            inputs: From name to `float64` or `str`, each a column.
            output: What it gives, a table of doubles.

        Returns:
            The ONNX model, checked.
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
"""The operator's numbers for adding up, for leaving it at that, and for going left up to the threshold."""
MAX_NODES = 1_000_000
"""A form with more of them would take hundreds of megabytes."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, which adds to one output; node 0 is its root."""

    left: Array
    """The child for values up to the threshold; of a leaf, anything."""
    right: Array
    feature: Array
    threshold: Array
    gaps_left: Array
    """Whether a missing value goes left."""
    leaf: Array
    """Whether a node is a leaf."""
    value: Array
    """What a leaf adds."""
    target: int
    """To which output."""


def read_tree(tree: Any, values: Array, target: int) -> Tree:  # noqa: ANN401 - scikit-learn's own structure
    """Reads a tree of `sklearn.tree`.

    Args:
        tree: The fitted estimator's `tree_`.
        values: What each node adds.
        target: To which output.

    Returns:
        The tree.
    """
    gaps = tree.missing_go_to_left.astype(bool)
    leaf = tree.children_left < 0
    return Tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, gaps, leaf, values, target)


def read_boosted_tree(nodes: Array, target: int) -> Tree:
    """Reads a tree of histogram gradient boosting.

    Args:
        nodes: The predictor's nodes.
        target: To which output it adds.

    Returns:
        The tree.

    Raises:
        ModelError: If it splits by category.
    """
    if nodes["is_categorical"].any():
        raise ModelError("a tree splits by category")
    names = ("left", "right", "feature_idx", "num_threshold", "missing_go_to_left", "is_leaf", "value")
    left, right, feature, threshold, gaps, leaf, value = (nodes[name] for name in names)
    return Tree(left, right, feature, threshold, gaps.astype(bool), leaf.astype(bool), value, target)


def make_ensemble_node(trees: Iterable[Tree], targets: int, source: str, result: str) -> Any:  # noqa: ANN401 - onnx has no types
    """Makes the operator that adds up what all trees say.

    Args:
        trees: The trees.
        targets: How many outputs there are.
        source: The name of the rows, doubles.
        result: The name of the sums.

    Returns:
        The node.

    Raises:
        ModelError: If there are too many nodes.
    """
    from onnx import helper, numpy_helper

    parts = _EnsembleAttributes()
    for tree in trees:
        parts.add(tree)
    arrays = {name: np.concatenate(columns) for name, columns in parts.columns.items()}
    kinds = {"nodes_splits": "float64", "leaf_weights": "float64", "nodes_modes": "uint8"}
    given: dict[str, Any] = {
        name: numpy_helper.from_array(values.astype(kinds[name]), name) if name in kinds else values.tolist()
        for name, values in arrays.items()
    }
    given |= {"n_targets": targets, "aggregate_function": _SUM, "post_transform": _NONE}
    return helper.make_node("TreeEnsemble", [source], [result], domain="ai.onnx.ml", **given)


@dataclass(slots=True)
class _EnsembleAttributes:
    """The operator's attributes, tree after tree: nodes and leaves are numbered apart, over all trees."""

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
            raise ModelError(f"its trees have more than {MAX_NODES:,} nodes")

    def _extend(self, **columns: Array) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)


def _with_root_node(tree: Tree) -> Tree:
    """Puts a node above a tree that is a leaf and nothing else: the operator begins every tree with a node."""
    if not tree.leaf[0]:
        return tree
    yes = np.array([False, True])
    value = np.array([0.0, tree.value[0]])
    one = np.array([1, 1])
    return Tree(one, one, np.zeros(2, int), np.zeros(2), yes, yes, value, tree.target)
