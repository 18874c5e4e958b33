"""Models of allowed types only, made to end the process, to read its memory, or to open its files: each is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor

from refit.errors import ModelError, UntrustedModel
from refit_tasks.registry.model_store import FILE, load_model, save_model

X = np.random.default_rng(0).normal(size=(120, 3))
Y = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])


def fitted(model: BaseEstimator) -> Any:
    return model.fit(X, Y)


def edit_tree(field: str, value: float, model: BaseEstimator | None = None) -> BaseEstimator:
    """Sets a field of the root of a tree, as a hostile file does."""
    whole = fitted(DecisionTreeRegressor(max_depth=3) if model is None else model)
    owner = whole if model is None else np.ravel(whole.estimators_)[0]
    state = owner.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][0][field] = value
    owner.tree_.__setstate__(state)
    return whole


def edit_boosting(model: Any = None, **fields: Any) -> BaseEstimator:
    whole = fitted(HistGradientBoostingRegressor(max_iter=3) if model is None else model)
    for field, value in fields.items():
        whole._predictors[0][0].nodes[field][0] = value  # noqa: SLF001
    return whole


def edit_neighbours(algorithm: str, place: int, change: Callable[[Any], None]) -> BaseEstimator:
    whole = fitted(KNeighborsRegressor(algorithm=algorithm))
    state = list(whole._tree.__getstate__())  # noqa: SLF001
    state[place] = np.array(state[place])
    change(state[place])
    whole._tree.__setstate__(tuple(state))  # noqa: SLF001
    return whole


def with_attributes(model: BaseEstimator, **values: Any) -> BaseEstimator:
    whole = fitted(model)
    for name, value in values.items():
        setattr(whole, name, value)
    return whole


def narrow_forest() -> BaseEstimator:
    """A forest that says that it takes one feature; its trees look at three."""
    return with_attributes(RandomForestRegressor(2, random_state=0), n_features_in_=1)


def edit_sparse_rows() -> BaseEstimator:
    whole: Any = KNeighborsRegressor(algorithm="brute").fit(sparse.csr_array(X), Y)
    whole._fit_X.indices[0] = 1_000_000_000  # noqa: SLF001
    return whole


def set_first(name: str | None, value: int) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        (values if name is None else values[name])[0] = value

    return change


MODELS: dict[str, Callable[[], BaseEstimator]] = {
    "tree, child outside": lambda: edit_tree("left_child", 1_000_000),
    "tree, negative child": lambda: edit_tree("right_child", -5),
    "tree, circle": lambda: edit_tree("left_child", 0),
    "tree, feature outside": lambda: edit_tree("feature", 1_000_000),
    "tree in a forest": lambda: edit_tree("left_child", 1_000_000, ExtraTreesClassifier(2, random_state=0)),
    "tree in a boosting": lambda: edit_tree("right_child", 0, GradientBoostingClassifier(n_estimators=2)),
    "forest of fewer features than its trees": narrow_forest,
    "boosting, fewer classes than trees": lambda: with_attributes(
        GradientBoostingClassifier(n_estimators=2), n_trees_per_iteration_=1
    ),
    "histogram boosting, child outside": lambda: edit_boosting(left=4_000_000_000),
    "histogram boosting, circle": lambda: edit_boosting(right=0),
    "histogram boosting, feature outside": lambda: edit_boosting(feature_idx=1 << 40),
    "histogram boosting, category set outside": lambda: edit_boosting(is_categorical=1, bitset_idx=77),
    "histogram boosting of classes": lambda: edit_boosting(HistGradientBoostingClassifier(max_iter=2), left=0),
    "k-d tree, row outside": lambda: edit_neighbours("kd_tree", 1, set_first(None, 1 << 40)),
    "ball tree, node outside": lambda: edit_neighbours("ball_tree", 2, set_first("idx_end", 1 << 40)),
    "support vectors, more than there are": lambda: with_attributes(
        SVC(), _n_support=np.array([1_000_000, 5, 5], dtype=np.int32)
    ),
    "support vectors, no intercept": lambda: with_attributes(SVR(), _intercept_=np.array([])),
    "sparse rows, column outside": edit_sparse_rows,
    "text that names a file": lambda: make_pipeline(CountVectorizer(input="filename"), Ridge()),
    "text that is a file": lambda: make_pipeline(TfidfVectorizer(input="file"), Ridge()),
    "hashed text that names a file": lambda: make_pipeline(HashingVectorizer(input="filename"), Ridge()),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_an_unsound_model_is_refused_before_it_predicts(make: Callable[[], BaseEstimator], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(make(), tmp_path)
    with pytest.raises(UntrustedModel, match="the model is not sound: ") as refused:
        load_model(tmp_path, ("scipy.sparse._csr.csr_array",))
    assert len(str(refused.value)) < 500


def test_a_method_of_the_rows_is_refused_even_if_its_type_is_trusted(tmp_path: Path) -> None:
    save_model(make_pipeline(FunctionTransformer(methodcaller("to_pickle", "/tmp/harm")), Ridge()), tmp_path)  # noqa: S108
    with pytest.raises(UntrustedModel, match="allow-list"):
        load_model(tmp_path, ())
    with pytest.raises(UntrustedModel, match=r"methodcaller\(\.\.\.\)\) calls any method"):
        load_model(tmp_path, ("operator.methodcaller",))


def test_a_small_file_of_much_content_is_not_unpacked(tmp_path: Path) -> None:
    save_model(fitted(LogisticRegression()), tmp_path)
    with ZipFile(tmp_path / FILE, "a", ZIP_DEFLATED) as archive, archive.open("more.npy", "w") as entry:
        for _ in range(64):
            entry.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ModelError, match="at most 20 times are unpacked"):
        load_model(tmp_path, ())
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
