"""Checks of a loaded model before it predicts: indices that compiled code follows, and parameters that open files.

scikit-learn's compiled code trusts the indices of a fitted model: a child, a feature or a row that does not exist ends
the process, or reads memory that belongs to something else. Allowed types alone do not rule that out.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from refit.errors import UntrustedModel

MAX_RATIO = 20
"""How many times larger than its file the content of a model may be."""
_NO_CHILD, _MOST_LEVELS = -1, 64
_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, np.generic, np.dtype)


def require_sound_model(model: BaseEstimator) -> None:
    """Checks all parts of a model.

    Args:
        model: The model, as it was loaded.

    Raises:
        UntrustedModel: If a part has an index out of bounds, or a parameter by which it opens files or calls methods.
    """
    try:
        problem = next((problem for part in _list_parts(model) for problem in _find_problems(part)), None)
    except Exception as fault:  # noqa: BLE001 - attributes of any type may stand where a fitted model has its own
        problem = f"a part is not complete ({' '.join(str(fault).split())[:200]})"
    if problem:
        raise UntrustedModel(f"the model is not sound: {problem}; return to another version, or retrain the project")


def require_bounded_archive(file: Path) -> None:
    """Checks the sizes that an archive states of its content, beyond which nothing is unpacked.

    Args:
        file: The file of a model.

    Raises:
        UntrustedModel: If its content is much larger than the file: Refit stores models uncompressed.
        BadZipFile: If it is no archive.
    """
    with ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_RATIO * file.stat().st_size:
        raise UntrustedModel(
            f"{file} has {unpacked:,} bytes of content in {file.stat().st_size:,}: at most {MAX_RATIO} times are "
            f"unpacked; return to another version, or retrain the project"
        )


def _list_parts(model: object) -> Iterator[object]:
    """Gives all objects that a model holds, itself first, each once."""
    waiting, seen = [model], dict[int, object]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, _ATOMS) or id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        waiting.extend(_list_children(part))


def _list_children(part: Any) -> list[object]:  # noqa: ANN401 - a model may hold anything
    if isinstance(part, dict):
        return [*part.keys(), *part.values()]
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, np.ndarray):
        return list(part.ravel()) if part.dtype == object else []
    state = getattr(part, "__dict__", None)
    return list(state.values()) if isinstance(state, dict) else []


def _find_problems(part: object) -> Iterator[str]:
    for base in type(part).__mro__:
        if check := _CHECKS.get(f"{base.__module__}.{base.__qualname__}"):
            yield from check(part)
    if sparse.issparse(part):
        yield from _check_sparse(part)


def _check_tree(tree: Any) -> Iterator[str]:  # noqa: ANN401 - compiled types have no stubs
    inner = tree.children_left != _NO_CHILD
    yield from _check_children(tree.children_left[inner], tree.children_right[inner], np.flatnonzero(inner), inner.size)
    if not inner.size or tree.value.shape[0] != inner.size:
        yield f"a tree has {inner.size} nodes and {tree.value.shape[0]} values"
    yield from _check_range("feature of a tree", tree.feature[inner], tree.n_features)


def _check_children(left: Any, right: Any, parents: Any, count: int) -> Iterator[str]:  # noqa: ANN401
    """Checks that children are nodes that come after their parent, as they always do, so that no path is a circle."""
    for children in (left, right):
        wrong = np.flatnonzero((children <= parents) | (children >= count))
        if wrong.size:
            yield f"node {parents[wrong[0]]} of a tree with {count} nodes has the child {children[wrong[0]]}"


def _check_range(name: str, values: Any, end: int) -> Iterator[str]:  # noqa: ANN401
    wrong = values[(values < 0) | (values >= end)]
    if wrong.size:
        yield f"the {name} is {wrong[0]}, which is not between 0 and {end - 1}"


def _check_features(model: Any) -> Iterator[str]:  # noqa: ANN401
    """Checks that no tree looks at a feature beyond those that its model or the model around it checks."""
    members = [member.tree_ for member in np.ravel(getattr(model, "estimators_", [])) if hasattr(member, "tree_")]
    for tree in [model.tree_] if hasattr(model, "tree_") else members:
        if tree.n_features > model.n_features_in_:
            yield f"a tree takes {tree.n_features} features in a model of {model.n_features_in_}"


def _check_stages(model: Any) -> Iterator[str]:  # noqa: ANN401
    stages = model.estimators_.shape[1] if hasattr(model, "estimators_") else model.n_trees_per_iteration_
    if stages != model.n_trees_per_iteration_:
        yield f"a model has {stages} trees in each stage, and states {model.n_trees_per_iteration_}"


def _check_histogram_trees(model: Any) -> Iterator[str]:  # noqa: ANN401
    if not hasattr(model, "_predictors"):
        return
    count = model.n_features_in_
    stated = getattr(model, "_is_categorical_remapped", model.is_categorical_)
    categorical = np.zeros(count, dtype=bool) if stated is None else stated
    if len(categorical) != count:
        yield f"a model of {count} features states for {len(categorical)} whether they are categories"
    for tree in [tree for stage in vars(model)["_predictors"] for tree in stage]:
        yield from _check_histogram_tree(tree, count, categorical)


def _check_histogram_tree(tree: Any, count: int, categorical: Any) -> Iterator[str]:  # noqa: ANN401
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"][inner].astype(np.int64), nodes["right"][inner].astype(np.int64)
    yield from _check_children(left, right, np.flatnonzero(inner), len(nodes))
    features, splits = nodes["feature_idx"][inner], nodes["is_categorical"][inner] != 0
    yield from _check_range("feature of a tree", features, count)
    yield from _check_range(
        "category set of a tree", nodes["bitset_idx"][inner][splits], len(tree.raw_left_cat_bitsets)
    )
    if not len(nodes) or (splits.any() and not categorical[features[splits]].all()):
        yield "a tree has no nodes, or splits a number by categories"


def _check_neighbour_tree(tree: Any) -> Iterator[str]:  # noqa: ANN401
    data, rows, nodes, bounds = tree.get_arrays()
    yield from _check_range("row of a neighbour tree", rows, len(data))
    yield from _check_range("start of a node in a neighbour tree", nodes["idx_start"], len(data))
    yield from _check_range("end of a node in a neighbour tree", nodes["idx_end"], len(data) + 1)
    levels, stated = tree.__getstate__()[5:7]
    is_whole = 0 < levels < _MOST_LEVELS and len(nodes) == bounds.shape[1] == stated == 2**levels - 1
    if len(rows) != len(data) or not is_whole:
        yield f"a neighbour tree of {len(data)} rows and {stated} nodes has {len(rows)} rows and {len(nodes)} nodes"


def _check_support_vectors(model: Any) -> Iterator[str]:  # noqa: ANN401
    if not hasattr(model, "support_vectors_"):
        return
    vectors, counts, weights = model.support_vectors_.shape, np.asarray(model.n_support_), model._dual_coef_.shape
    is_complete = vectors[0] == counts.sum() == weights[1] == len(model.support_) and (counts >= 0).all()
    if not is_complete or (vectors[0] and model.kernel != "precomputed" and vectors[1] != model.n_features_in_):
        yield f"a support vector machine of {model.n_features_in_} features has {vectors} vectors, and states {counts}"
    pairs = max(1, len(counts) * (len(counts) - 1) // 2)
    if len(model._intercept_) != pairs or weights[0] != max(1, len(counts) - 1):
        yield f"a support vector machine of {len(counts)} classes has {len(model._intercept_)} intercepts"


def _check_sparse(matrix: Any) -> Iterator[str]:  # noqa: ANN401
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
        yield from _check_range("column of a sparse matrix", matrix.indices, max(matrix.shape))


def _check_text_input(vectorizer: Any) -> Iterator[str]:  # noqa: ANN401
    if vectorizer.input != "content":
        yield f"{type(vectorizer).__name__}(input={vectorizer.input!r}) would open the files that a request names"


def _check_function(part: Any) -> Iterator[str]:  # noqa: ANN401
    for name in ("func", "inverse_func"):
        if isinstance(getattr(part, name, None), methodcaller):
            yield f"{type(part).__name__}({name}=methodcaller(...)) calls any method of the rows, such as to_pickle"


_CHECKS = {
    "sklearn.tree._tree.Tree": _check_tree,
    "sklearn.tree._classes.BaseDecisionTree": _check_features,
    "sklearn.ensemble._forest.BaseForest": _check_features,
    "sklearn.ensemble._gb.BaseGradientBoosting": lambda model: (*_check_features(model), *_check_stages(model)),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.BaseHistGradientBoosting": _check_histogram_trees,
    "sklearn.neighbors._kd_tree.BinaryTree64": _check_neighbour_tree,
    "sklearn.neighbors._ball_tree.BinaryTree64": _check_neighbour_tree,
    "sklearn.svm._base.BaseLibSVM": _check_support_vectors,
    "sklearn.feature_extraction.text._VectorizerMixin": _check_text_input,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _check_function,
    "sklearn.compose._target.TransformedTargetRegressor": _check_function,
}
"""From full name of a class to the check of its instances, so that nothing is imported for a model without it."""
