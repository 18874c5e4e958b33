"""The door to a stored model: rows as they come from outside, made into what it was fitted on, or refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from refit.errors import ModelError
from refit.inference.feature_schema import cast_features, feature_kinds, predict_rows

ROWS = pd.DataFrame(
    {
        "town": pd.array(["north", "south", None, "north"] * 50, dtype="str"),
        "size": pd.Categorical(["s", "m", "s", "m"] * 50),
        "count": np.arange(200) % 7,
        "weight": np.linspace(0, 1, 200),
        "express": np.arange(200) % 3 == 0,
        "at": pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC"),
    }
)
KINDS = feature_kinds(ROWS)
TARGET = (ROWS["count"] + 2 * ROWS["weight"] > 4).map({True: "late", False: "soon"})
FEATURES = ["town", "size", "count", "weight"]


def pipeline():
    codes = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough"),
        LogisticRegression(),
    )


def test_kinds_are_named_for_a_person():
    assert list(KINDS.values()) == ["text", "category", "integer", "number", "truth value", "time"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop(columns="weight"), "column 'weight' is missing"),
        (lambda rows: rows[[*rows.columns, "count"]], "'count' appears more than once"),
        (lambda rows: rows.assign(weight="heavy"), "'weight' holds texts, but the model was trained on numbers"),
        (lambda rows: rows.assign(weight="1.5"), "'weight' holds texts, but the model was trained on numbers"),
        (lambda rows: rows.assign(town=1), "'town' holds integers, but the model was trained on texts"),
        (
            lambda rows: rows.assign(town=["a", 1] * 100),
            "'town' holds other values, but the model was trained on texts",
        ),
        (lambda rows: rows.assign(express=2), "'express' holds integers, but the model was trained on truth values"),
        (lambda rows: rows.assign(at="today"), "'at' holds texts, but the model was trained on times with a zone"),
        (
            lambda rows: rows.assign(at=rows["at"].dt.tz_localize(None)),
            "times without a zone, but .* send times with a zone",
        ),
    ],
)
def test_the_door_refuses_what_it_cannot_make_fit(change, told):
    with pytest.raises(ModelError, match=told):
        cast_features(KINDS, change(ROWS))


def test_the_door_makes_fit_what_it_can():
    sent = ROWS.assign(
        extra=1,
        count=ROWS["count"].astype(float),
        weight=1,
        town=ROWS["town"].astype("category"),
        size=ROWS["size"].astype("str"),
        express=ROWS["express"].astype(int),
        at=ROWS["at"].dt.tz_convert("+02:00"),
    )[["extra", *reversed(ROWS.columns)]]
    got = cast_features(KINDS, sent)
    pd.testing.assert_frame_equal(got, ROWS.assign(weight=1.0))


def test_answers_do_not_depend_on_how_rows_are_written():
    model = pipeline().fit(ROWS[FEATURES], TARGET)
    kinds = feature_kinds(ROWS[FEATURES])
    sent = ROWS.assign(town=ROWS["town"].astype(object).where(ROWS["town"].notna(), None), count=ROWS["count"] * 1.0)
    for method in ("predict", "predict_proba"):
        said = predict_rows(model, kinds, sent[reversed(sent.columns)], method)
        assert (said == getattr(model, method)(ROWS[FEATURES])).all()


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT])
def test_one_row_whose_values_are_all_missing_is_taken_for_what_is_known(nothing):
    got = cast_features(KINDS, pd.DataFrame([dict.fromkeys(ROWS.columns, nothing)]))
    assert got.isna().all(axis=None)
    assert [str(dtype) for dtype in got.dtypes] == [
        *("str", "category", "float64", "float64", "float64"),
        "datetime64[us, UTC]",
    ]


@pytest.mark.parametrize("value", [np.inf, 1e300, 2.5, np.nan])
def test_a_number_that_is_no_whole_one_is_not_made_one(value):
    sent = ROWS.assign(count=[value, *[1.0] * 199])
    pd.testing.assert_series_equal(cast_features(KINDS, sent)["count"], sent["count"])
