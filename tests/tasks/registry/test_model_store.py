"""Models are kept bit by bit, and nothing but known types is ever loaded."""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNetCV, LinearRegression, LogisticRegression, Ridge, TweedieRegressor
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from skops.io import dump
from xgboost import XGBClassifier, XGBRegressor

from refit.errors import ModelError, UntrustedModel
from refit.modelling.preparation import fit_seeded
from refit_tasks.registry.model_store import FILE, load_model, save_model

ROWS = 240


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "temperature": np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(size=ROWS)),
            "humidity": rng.normal(size=ROWS),
            "hour": rng.integers(0, 24, ROWS),
            "station": pd.Series(rng.choice(["north", "south", "west"], ROWS), dtype="str"),
            "weather": pd.Categorical(rng.choice(["dry", "wet"], ROWS)),
        }
    )


def columns() -> BaseEstimator:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer(
        (numbers, ["temperature", "humidity", "hour"]),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["str", "category"])),
    )


def after(step: BaseEstimator, model: BaseEstimator) -> BaseEstimator:
    """A pipeline with a step in between that sees dense numbers."""
    return make_pipeline(columns().set_params(sparse_threshold=0), step, model)


def ordinal(model: BaseEstimator) -> BaseEstimator:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(make_column_transformer((encoder, ["station", "weather"]), remainder="passthrough"), model)


def from_dtype(model: BaseEstimator) -> BaseEstimator:
    kept = make_column_transformer(("drop", ["station"]), remainder="passthrough").set_output(transform="pandas")
    return make_pipeline(kept, model.set_params(categorical_features="from_dtype"))


REGRESSORS: dict[str, Callable[[], BaseEstimator]] = {
    "linear": lambda: make_pipeline(columns(), LinearRegression()),
    "ridge": lambda: make_pipeline(columns(), Ridge()),
    "elastic net": lambda: make_pipeline(columns(), ElasticNetCV(cv=3)),
    "tweedie": lambda: make_pipeline(columns(), TweedieRegressor()),
    "hist gradient boosting": lambda: ordinal(HistGradientBoostingRegressor(max_iter=5)),
    "hist gradient boosting, early stopping": lambda: ordinal(
        HistGradientBoostingRegressor(max_iter=5, early_stopping=True, random_state=0)
    ),
    "hist gradient boosting, absolute error": lambda: ordinal(
        HistGradientBoostingRegressor(max_iter=5, loss="absolute_error")
    ),
    "hist gradient boosting, quantile": lambda: ordinal(
        HistGradientBoostingRegressor(max_iter=5, loss="quantile", quantile=0.9)
    ),
    "hist gradient boosting, categories": lambda: from_dtype(HistGradientBoostingRegressor(max_iter=5)),
    "gradient boosting": lambda: make_pipeline(columns(), GradientBoostingRegressor(n_estimators=5)),
    "random forest": lambda: make_pipeline(columns(), RandomForestRegressor(5, random_state=0)),
    "support vectors, sparse": lambda: make_pipeline(columns(), SVR()),
    "neighbours, sparse": lambda: make_pipeline(columns(), KNeighborsRegressor()),
    "neighbours, dense": lambda: after(StandardScaler(), KNeighborsRegressor()),
    "neighbours, ball tree": lambda: after(StandardScaler(), KNeighborsRegressor(p=3, algorithm="ball_tree")),
    "perceptron, adam": lambda: make_pipeline(columns(), MLPRegressor(hidden_layer_sizes=(4,), random_state=0)),
    "perceptron, sgd": lambda: make_pipeline(
        columns(), MLPRegressor(hidden_layer_sizes=(4,), solver="sgd", learning_rate_init=1e-4, random_state=0)
    ),
    "robust scaler": lambda: after(RobustScaler(), Ridge()),
    "bins": lambda: after(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), Ridge()),
    "splines": lambda: after(SplineTransformer(), Ridge()),
    "best columns": lambda: after(SelectKBest(f_regression, k=3), Ridge()),
    "numpy function": lambda: after(FunctionTransformer(np.tanh), Ridge()),
    "target by function": lambda: TransformedTargetRegressor(
        make_pipeline(columns(), Ridge()), func=np.arcsinh, inverse_func=np.sinh
    ),
    "target by quantiles": lambda: TransformedTargetRegressor(
        make_pipeline(columns(), Ridge()), transformer=QuantileTransformer(n_quantiles=20)
    ),
    "gaussian process": lambda: after(StandardScaler(), GaussianProcessRegressor(RBF() + WhiteKernel())),
    "search": lambda: after(StandardScaler(), GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, scoring="r2", cv=3)),
    "stack": lambda: make_pipeline(columns(), StackingRegressor([("ridge", Ridge()), ("svr", SVR())], cv=3)),
}
CLASSIFIERS: dict[str, Callable[[], BaseEstimator]] = {
    "logistic": lambda: make_pipeline(columns(), LogisticRegression()),
    "hist gradient boosting": lambda: ordinal(HistGradientBoostingClassifier(max_iter=5)),
    "gradient boosting": lambda: make_pipeline(columns(), GradientBoostingClassifier(n_estimators=5)),
    "random forest": lambda: make_pipeline(columns(), RandomForestClassifier(5, random_state=0)),
    "support vectors": lambda: make_pipeline(columns(), SVC()),
    "neighbours": lambda: after(StandardScaler(), KNeighborsClassifier()),
    "perceptron": lambda: make_pipeline(columns(), MLPClassifier((4,), random_state=0)),
    "gaussian process": lambda: after(StandardScaler(), GaussianProcessClassifier(1.0 * RBF())),
    "search, two metrics": lambda: after(
        StandardScaler(),
        GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, scoring=["accuracy", "balanced_accuracy"], refit="accuracy", cv=3
        ),
    ),
    "calibrated, sigmoid": lambda: CalibratedClassifierCV(make_pipeline(columns(), SVC()), cv=3),
    "calibrated, isotonic": lambda: CalibratedClassifierCV(
        make_pipeline(columns(), LogisticRegression()), method="isotonic", cv=3
    ),
    "vote": lambda: make_pipeline(
        columns(), VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier())])
    ),
}


def fitted(model: BaseEstimator, rows: pd.DataFrame, target: np.ndarray) -> BaseEstimator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well the toy models converge is not what is tested
        return model.fit(rows, target)


@pytest.mark.parametrize("build", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_a_regressor_comes_back_bit_by_bit(build: Callable, rows: pd.DataFrame, tmp_path: Path) -> None:
    target = rows["humidity"].to_numpy() + np.random.default_rng(1).normal(size=ROWS)
    model = fitted(build(), rows, target)
    save_model(model, tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model", ()).predict(rows), model.predict(rows))


@pytest.mark.parametrize("build", CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
@pytest.mark.parametrize("classes", [("late", "on time"), (False, True), (0, 1, 2)], ids=["text", "bool", "three"])
def test_a_classifier_comes_back_bit_by_bit(
    build: Callable, classes: tuple, rows: pd.DataFrame, tmp_path: Path
) -> None:
    target = np.array(classes)[np.digitize(rows["humidity"], [-0.4, 0.4]) % len(classes)]
    model = fitted(build(), rows, target)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path, ())
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


@pytest.mark.parametrize("build", [lambda: TunedThresholdClassifierCV(make_pipeline(columns(), LogisticRegression()))])
def test_a_tuned_threshold_comes_back_bit_by_bit(build: Callable, rows: pd.DataFrame, tmp_path: Path) -> None:
    model = build().fit(rows, rows["humidity"] > 0)
    save_model(model, tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path, ()).predict(rows), model.predict(rows))


BOOSTED = {
    "xgboost": lambda: XGBClassifier(n_estimators=5),
    "xgboost, numbers": lambda: XGBRegressor(n_estimators=5),
    "lightgbm": lambda: LGBMClassifier(n_estimators=5, verbose=-1),
    "lightgbm, numbers": lambda: make_pipeline(StandardScaler(), LGBMRegressor(n_estimators=5, verbose=-1)),
    "catboost": lambda: CatBoostClassifier(iterations=5),
    "catboost, numbers": lambda: make_pipeline(StandardScaler(), CatBoostRegressor(iterations=5)),
}


@pytest.mark.parametrize("build", BOOSTED.values(), ids=BOOSTED.keys())
def test_a_boosted_model_comes_back_bit_by_bit(
    build: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    features = pd.DataFrame(draw.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
    model = fit_seeded(build(), features, (features["a"] > 0).astype(int), 0)
    assert (list(tmp_path.iterdir()), capfd.readouterr().out) == ([], "")
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model", ())
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    assert np.array_equal(getattr(again, method)(features), getattr(model, method)(features))


def double(values: np.ndarray) -> np.ndarray:
    return values * 2


def test_a_type_of_the_project_needs_its_word(rows: pd.DataFrame, tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(double), Ridge()).fit(rows[["humidity"]], rows["hour"])
    save_model(model, tmp_path)
    name = f"{double.__module__}.double"
    with pytest.raises(UntrustedModel, match=r"trusted_types=\('.*\.double',\)"):
        load_model(tmp_path, ())
    np.testing.assert_array_equal(
        load_model(tmp_path, (name,)).predict(rows[["humidity"]]), model.predict(rows[["humidity"]])
    )


class Trap:
    """Does harm when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap(mark)))
    (tmp_path / FILE).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path, ())
    (tmp_path / FILE).unlink()
    with pytest.raises(ModelError, match="no other format is loaded"):
        load_model(tmp_path, ())
    assert not mark.exists()


def test_a_pickle_by_mlflow_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LinearRegression().fit([[0.0], [1.0]], [0, 1])
        mlflow.sklearn.save_model(
            model, tmp_path / "m", serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
        )
    with pytest.raises(ModelError, match="no other format is loaded"):
        load_model(tmp_path / "m", ())


def write_tree(directory: Path, tree: dict, **files: bytes) -> None:
    with ZipFile(directory / FILE, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16", **tree}))
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)


def node(kind: str, name: str, **rest: object) -> dict:
    module, _, cls = name.rpartition(".")
    return {"__loader__": kind, "__module__": module, "__class__": cls, "__id__": id(name), **rest}


def text(value: str) -> dict:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def arguments(*values: str) -> dict:
    return node("TupleNode", "builtins.tuple", content=[text(value) for value in values])


HOSTILE = {
    "function called": lambda mark: node("ConstructorFromReduceNode", "os.system", content=arguments(f"touch {mark}")),
    "object": lambda mark: node("ObjectNode", "subprocess.Popen", content=arguments(f"touch {mark}")),
    "function": lambda _: node("FunctionNode", "os.system"),
    "type": lambda _: node("TypeNode", "os.system"),
    "method caller": lambda _: node("OperatorFuncNode", "operator.methodcaller", attrs=arguments("touch")),
    "method": lambda _: node(
        "MethodNode",
        "sklearn.utils._bunch.Bunch",
        content={"func": "clear", "obj": node("ObjectNode", "sklearn.utils._bunch.Bunch", content=None)},
    ),
    "partial": lambda mark: node(
        "PartialNode",
        "functools.partial",
        content={
            "func": node("FunctionNode", "os.system"),
            "args": arguments(f"touch {mark}"),
            "kwds": node("DictNode", "builtins.dict", content={}, key_types=arguments()),
            "namespace": node("DictNode", "builtins.dict", content={}, key_types=arguments()),
        },
    ),
    "list of a foreign type": lambda mark: node("ListNode", "subprocess.Popen", content=[text(f"touch {mark}")]),
    "loader by numpy": lambda _: node("FunctionNode", "numpy.load"),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused(make: Callable[[Path], dict], tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    write_tree(tmp_path, make(mark))
    with pytest.raises(UntrustedModel, match="types outside the allow-list"):
        load_model(tmp_path, ())
    assert not mark.exists()


def test_an_array_of_pickles_is_not_read(tmp_path: Path) -> None:
    mark, buffer = tmp_path / "harm", io.BytesIO()
    np.save(buffer, np.array([Trap(mark)], dtype=object), allow_pickle=True)
    write_tree(tmp_path, node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy"), a__npy=buffer.getvalue())
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path, ())
    assert not mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_one_sentence(share: float, tmp_path: Path) -> None:
    dump(LinearRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / FILE)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match="damaged or cannot be loaded here"):
        load_model(tmp_path, ())


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_changed_bytes_never_crashes(seed: int, tmp_path: Path) -> None:
    dump(make_pipeline(StandardScaler(), Ridge()).fit([[0.0], [1.0]], [0, 1]), tmp_path / FILE)
    content = bytearray((tmp_path / FILE).read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 20):
        content[place] = rng.integers(0, 256)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError):
        load_model(tmp_path, ())


def test_an_unstorable_model_is_one_sentence(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(partial(np.add, (i for i in range(2)))), Ridge())
    with pytest.raises(ModelError, match="cannot be stored"):
        save_model(model, tmp_path)
