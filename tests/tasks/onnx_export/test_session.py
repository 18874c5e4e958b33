"""A model's ONNX form: the same doubles as scikit-learn, for rows that both were tried on, from a file that is data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper
from sklearn import ensemble, linear_model
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier

from refit.errors import ModelError, UntrustedModel
from refit.inference.feature_schema import feature_kinds
from refit.inference.onnx_choice import ONNX, SKLEARN, ServingForm, runtime_difference
from refit.inference.predictor import Predictor, VerifiedDomain, columns_of
from refit_tasks.model_files.model_hash import FORM_DIRECTORY
from refit_tasks.onnx_export.session import OnnxForm, convert_model, hash_content, load_form, serialize_model
from refit_tasks.onnx_export.verify import FILE, verify_form

RNG = np.random.default_rng(0)
COUNT = 400
ROWS = pd.DataFrame(
    {
        "town": pd.array(RNG.choice(["north", "süd", None], COUNT, p=[0.5, 0.4, 0.1]), dtype="str"),
        "size": pd.Categorical(RNG.choice(["s", "m"], COUNT)),
        "count": RNG.integers(0, 20, COUNT),
        "weight": RNG.normal(5, 2, COUNT).round(1),
        "gaps": np.where(RNG.random(COUNT) < 0.1, np.nan, RNG.gamma(3, 100, COUNT).round()),
        "fragile": RNG.random(COUNT) < 0.5,
    }
)
TEXTS, NUMBERS = ["town", "size"], ["count", "weight", "gaps", "fragile"]
AMOUNT = ROWS["count"] + ROWS["weight"].abs() * ROWS["gaps"].fillna(50) + 30 * ROWS["fragile"]
LATE = AMOUNT.gt(AMOUNT.median()).map({True: "late", False: "soon"})
THREE = pd.cut(AMOUNT, 3, labels=["a", "b", "c"]).astype(str)
KINDS = feature_kinds(ROWS)


def codes() -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)


def coded(estimator: Any) -> Any:
    texts = make_column_selector(dtype_exclude=["number", "bool"])
    return make_pipeline(make_column_transformer((codes(), texts), remainder="passthrough"), estimator)


def scaled(estimator: Any, **options: Any) -> Any:
    encoder = OneHotEncoder(**({"handle_unknown": "ignore"} | options))
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(make_column_transformer((encoder, TEXTS), (numbers, NUMBERS)), estimator)


MODELS: dict[str, tuple[Any, Any]] = {
    "logistic": (scaled(linear_model.LogisticRegression()), LATE),
    "logistic of three": (scaled(linear_model.LogisticRegression()), THREE),
    "ridge": (scaled(linear_model.Ridge()), AMOUNT),
    "poisson": (scaled(linear_model.PoissonRegressor(alpha=10)), AMOUNT),
    "histogram": (coded(ensemble.HistGradientBoostingClassifier(max_iter=10)), LATE),
    "histogram of three": (coded(ensemble.HistGradientBoostingClassifier(max_iter=5)), THREE),
    "histogram poisson": (coded(ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=10)), AMOUNT),
    "forest": (coded(ensemble.RandomForestClassifier(10, random_state=0)), LATE),
    "forest of numbers": (coded(ensemble.RandomForestRegressor(5, random_state=0)), AMOUNT),
    "extra trees": (scaled(ensemble.ExtraTreesClassifier(5, random_state=0)), THREE),
    "boosted": (scaled(ensemble.GradientBoostingClassifier(n_estimators=5)), THREE),
    "boosted numbers": (scaled(ensemble.GradientBoostingRegressor(n_estimators=5)), AMOUNT),
    "a tree that is a leaf": (scaled(DecisionTreeClassifier(max_depth=1, min_samples_leaf=COUNT // 2 + 1)), LATE),
}


@pytest.mark.parametrize(("model", "target"), MODELS.values(), ids=MODELS)
def test_both_forms_say_the_same(model: Any, target: Any, tmp_path: Path) -> None:
    model.fit(ROWS, target)
    form = ServingForm(**verify_form(model, KINDS, ROWS, tmp_path))
    assert form.name == ONNX, form.why
    assert form.difference is not None
    assert form.difference < 1e-12
    read = OnnxForm((tmp_path / FILE).read_bytes(), Predictor(model).labels)
    assert read.domain.texts["town"] >= {"north", "süd", None}
    assert "gaps" in read.domain.gaps
    assert read.predict(columns_of(ROWS.assign(town="unseen"), KINDS)) is None


def made(model: Any, rows: pd.DataFrame) -> OnnxForm:
    kinds = feature_kinds(rows)
    proven = VerifiedDomain(kinds, {}, frozenset(kinds))
    return OnnxForm(serialize_model(convert_model(model, kinds), proven), Predictor(model).labels)


@pytest.mark.parametrize("kind", [ensemble.HistGradientBoostingRegressor, ensemble.RandomForestRegressor])
def test_a_value_on_a_threshold_goes_where_scikit_learn_sends_it(kind: Any) -> None:
    rows = pd.DataFrame({"x": np.arange(COUNT) / 10, "y": RNG.random(COUNT)})
    model = kind(random_state=0).fit(rows, np.sin(rows["x"]) + rows["y"])
    edges = np.unique((rows["x"].to_numpy()[1:] + rows["x"].to_numpy()[:-1]) / 2)
    around = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 99)])
    asked = pd.DataFrame({"x": around, "y": 0.5})
    said = made(model, rows).predict(columns_of(asked, feature_kinds(rows)))
    assert said is not None
    np.testing.assert_allclose(said.predictions, model.predict(asked), atol=1e-12)
    single = model.predict(asked.astype("float32").astype("float64"))
    if kind is ensemble.HistGradientBoostingRegressor:  # it sees doubles: in single precision some would go astray
        assert np.abs(single - said.predictions).max() > 1e-3


def test_a_number_that_trees_refuse_is_left_to_scikit_learn() -> None:
    rows = pd.DataFrame({"x": np.arange(20.0)})
    model = ensemble.RandomForestRegressor(3).fit(rows, rows["x"])
    form = made(model, rows)
    assert form.predict({"x": [3.0]}) is not None
    assert form.predict({"x": [1e300]}) is None
    with np.errstate(over="ignore"), pytest.raises(ModelError, match="too large"):
        Predictor(model).predict(pd.DataFrame({"x": [1e300]}))


def test_gaps_and_texts_that_scikit_learn_refuses_are_left_to_it(tmp_path: Path) -> None:
    rows = ROWS[["size", "weight"]]
    columns = make_column_transformer((OneHotEncoder(), ["size"]), remainder="passthrough")
    model = make_pipeline(columns, linear_model.LogisticRegression()).fit(rows, LATE)
    kinds = feature_kinds(rows)
    assert verify_form(model, kinds, rows, tmp_path)["name"] == ONNX
    form = OnnxForm((tmp_path / FILE).read_bytes(), Predictor(model).labels)
    for row in ({"size": ["l"], "weight": [1.0]}, {"size": [None], "weight": [1.0]}, {"size": ["s"], "weight": [None]}):
        assert form.predict(row) is None, row


WITHOUT: dict[str, tuple[Any, str]] = {
    "a step": (make_pipeline(SimpleImputer(), PolynomialFeatures(2), linear_model.Ridge()), "PolynomialFeatures"),
    "a model": (linear_model.HuberRegressor(), "HuberRegressor"),
    "an encoder of numbers": (make_pipeline(OneHotEncoder(), linear_model.Ridge()), "encodes a column of numbers"),
    "another gap": (make_pipeline(SimpleImputer(missing_values=0), linear_model.Ridge()), "SimpleImputer"),
    "inexact": (make_pipeline(TargetEncoder(), linear_model.Ridge()), "TargetEncoder"),
}


@pytest.mark.parametrize(("model", "named"), WITHOUT.values(), ids=WITHOUT)
def test_what_has_no_exact_form_is_refused_by_name(model: Any, named: str) -> None:
    rows = ROWS[["count"]].astype("float64")
    with pytest.raises(ModelError, match=named):
        convert_model(model.fit(rows, AMOUNT), feature_kinds(rows))


def test_trees_of_categories_and_times_have_none() -> None:
    sized = ROWS[["size", "weight"]]
    with pytest.raises(ModelError, match="categor"):
        convert_model(ensemble.HistGradientBoostingRegressor().fit(sized, AMOUNT), feature_kinds(sized))
    with pytest.raises(ModelError, match="'at' holds times"):
        convert_model(linear_model.Ridge(), {"at": "time"})


def test_forms_that_do_not_agree_are_not_served(tmp_path: Path) -> None:
    rows = ROWS.assign(town=ROWS["town"].mask(ROWS["town"].notna() & (ROWS.index < 20), "nan"))
    model = scaled(linear_model.LogisticRegression()).fit(ROWS, LATE)
    form = ServingForm(**verify_form(model, KINDS, rows, tmp_path))
    assert (form.name, form.sha256) == (SKLEARN, "")
    assert "different class, or none," in form.why


def test_a_file_is_held_against_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model.Ridge().fit(ROWS[["weight"]], AMOUNT)
    content = serialize_model(
        convert_model(model, {"weight": "number"}), VerifiedDomain({"weight": "number"}, {}, frozenset())
    )
    form = ServingForm(ONNX, "", sha256=hash_content(content))
    file = tmp_path / FORM_DIRECTORY / f"{form.sha256}.onnx"
    with pytest.raises(ModelError, match="is missing"):
        load_form(tmp_path, form, [])
    file.parent.mkdir()
    file.write_bytes(content)
    read = load_form(tmp_path, form, [])
    assert read is not None
    said = read.predict({"weight": [5.0]})
    assert said is not None
    assert runtime_difference(said, Predictor(model).predict(pd.DataFrame({"weight": [5.0]}))) < 1e-12
    assert load_form(tmp_path, ServingForm(SKLEARN, ""), []) is None
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UntrustedModel, match="does not have the hash that the ledger records"):
        load_form(tmp_path, form, [])
    monkeypatch.setenv("REFIT_SERVING_FORM", "scikit-learn")
    assert load_form(tmp_path, form, []) is None


def test_a_file_reaches_for_nothing_else(tmp_path: Path) -> None:
    model = convert_model(linear_model.Ridge().fit(ROWS[["weight"]], AMOUNT), {"weight": "number"})
    proven = VerifiedDomain({"weight": "number"}, {}, frozenset())
    foreign = onnx.load_model_from_string(serialize_model(model, proven))
    foreign.opset_import.append(helper.make_opsetid("com.example", 1))
    elsewhere = onnx.load_model_from_string(serialize_model(model, proven))
    tensor = elsewhere.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, str(tmp_path / "weights"))
    for content in (foreign.SerializeToString(), elsewhere.SerializeToString()):
        with pytest.raises(UntrustedModel, match="other files or foreign operators"):
            OnnxForm(content, [])
    with pytest.raises(ModelError, match=r"damaged|cannot be read"):
        OnnxForm(b"\x08\x09 no model", [])
