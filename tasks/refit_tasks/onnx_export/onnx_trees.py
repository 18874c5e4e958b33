"""Decision trees as one ONNX operator that compares, adds up and answers in doubles.

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

Array = npt.NDArray[Any]
_SUM, _NONE, _AT_MOST = 1, 0, 0
"""The operator's numbers for adding up, for leaving it at that, and for going left up to the threshold."""
MOST_NODES = 1_000_000
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


def tree_of(tree: Any, values: Array, target: int) -> Tree:  # noqa: ANN401 - scikit-learn's own structure
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


def boosted_tree_of(nodes: Array, target: int) -> Tree:
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


def ensemble(trees: Iterable[Tree], targets: int, source: str, result: str) -> Any:  # noqa: ANN401 - onnx has no types
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

    parts = _Parts()
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
class _Parts:
    """The operator's attributes, tree after tree: nodes and leaves are numbered apart, over all trees."""

    columns: dict[str, list[Array]] = field(default_factory=dict)
    nodes: int = 0
    leaves: int = 0

    def add(self, tree: Tree) -> None:
        tree = _with_a_node(tree)
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
        if self.nodes > MOST_NODES:
            raise ModelError(f"its trees have more than {MOST_NODES:,} nodes")

    def _extend(self, **columns: Array) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)


def _with_a_node(tree: Tree) -> Tree:
    """Puts a node above a tree that is a leaf and nothing else: the operator begins every tree with a node."""
    if not tree.leaf[0]:
        return tree
    yes = np.array([False, True])
    value = np.array([0.0, tree.value[0]])
    one = np.array([1, 1])
    return Tree(one, one, np.zeros(2, int), np.zeros(2), yes, yes, value, tree.target)
