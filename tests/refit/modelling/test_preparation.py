import numpy as np
import pandas as pd
import pytest
from scipy.stats import uniform
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refit.errors import ModelError
from refit.modelling.preparation import baseline_model, fill_empty_columns, fit_seeded, select_features, set_seeds

DTYPES = [
    "float64",
    "Int64",
    "boolean",
    "str",
    "object",
    "category",
    pd.CategoricalDtype(["a", "b"]),
    "datetime64[us, UTC]",
    "datetime64[ns]",
    "timedelta64[us]",
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_column_without_a_value_gets_a_constant_one(dtype):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "gone": pd.Series([None] * 3, dtype=dtype)}, index=[3, 5, 9])
    frame["gone"] = pd.Series([None] * 3, dtype=dtype, index=frame.index)
    prepared = fill_empty_columns(frame, ["gone", "x"])
    assert prepared["gone"].nunique(dropna=False) == 1
    assert prepared["gone"].notna().all()
    assert list(prepared.columns) == ["gone", "x"]
    assert frame["gone"].isna().all(), "the caller's frame is left alone"
    if dtype not in {"object", "category"}:
        assert prepared["gone"].dtype == frame["gone"].dtype


def test_other_columns_are_left_as_they_are():
    frame = pd.DataFrame({"x": [1.0, np.nan], "constant": [7, 7], "text": pd.Series(["a", None], dtype="category")})
    prepared = fill_empty_columns(frame.assign(y=1), ["text", "constant", "x"])
    pd.testing.assert_frame_equal(prepared, frame[["text", "constant", "x"]])


def test_boosting_fits_what_it_raised_on():
    frame = pd.DataFrame({"x": np.arange(50.0), "gone": np.full(50, np.nan)})
    model = HistGradientBoostingRegressor().fit(fill_empty_columns(frame, ["x", "gone"]), frame["x"])
    assert np.isfinite(model.predict(frame[["x", "gone"]])).all()


def test_a_missing_feature_is_named():
    with pytest.raises(ModelError, match="feature 'z' is not among the columns x, y"):
        select_features(pd.DataFrame({"x": [1], "y": [2]}), ["x", "z"])


def test_random_states_are_seeded_at_any_depth_where_unset():
    inner = SelectFromModel(LogisticRegression())
    pipeline = set_seeds(make_pipeline(inner, Ridge(random_state=3)), 11)
    params = pipeline.get_params(deep=True)
    assert params["selectfrommodel__estimator__random_state"] == 11
    assert params["ridge__random_state"] == 3


def test_a_seeded_boosting_predicts_the_same_twice():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=11_000)})
    target = rows["x"] + rng.normal(size=11_000)
    first, second = (set_seeds(HistGradientBoostingRegressor(max_iter=20), 5).fit(rows, target) for _ in range(2))
    assert (first.predict(rows) == second.predict(rows)).all()


def test_what_has_no_parameter_for_a_seed_draws_the_same_twice():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(80, 30)), columns=[f"x{i}" for i in range(30)])
    target = rows["x0"] + rng.normal(size=80)
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1, 3, 10, 30, 100, 300]}, cv=KFold(5, shuffle=True))
    state = np.random.get_state()[1].copy()
    searches = [clone(search) for _ in range(2)]
    for one in searches:
        fit_seeded(one, rows, target, 5)
    scores = [one.cv_results_["mean_test_score"] for one in searches]
    assert (scores[0] == scores[1]).all()
    assert (np.random.get_state()[1] == state).all()


def test_the_trivial_models_ignore_the_features():
    rows = np.zeros((4, 1))
    assert baseline_model("regression").fit(rows, [1, 2, 3, 6]).predict(rows).tolist() == [3] * 4
    classifier = baseline_model("classification").fit(rows, ["a", "b", "b", "b"])
    assert classifier.predict(rows).tolist() == ["b"] * 4
    assert classifier.predict_proba(rows)[0].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("nested", [False, True])
def test_a_search_is_replaced_by_its_best_estimator(nested: bool) -> None:
    frame = pd.DataFrame({"a": np.linspace(0, 1, 60), "b": np.linspace(1, 0, 60) ** 2})
    search = RandomizedSearchCV(Ridge(), {"alpha": uniform(0.1, 10)}, n_iter=3, cv=3)
    estimator = make_pipeline(StandardScaler(), search) if nested else search
    seed = {"randomizedsearchcv__random_state" if nested else "random_state": 5}
    expected = clone(estimator).set_params(**seed)
    model = fit_seeded(estimator, frame, frame["a"], 5)
    assert isinstance(model[-1] if nested else model, Ridge)
    np.testing.assert_array_equal(model.predict(frame), expected.fit(frame, frame["a"]).predict(frame))
