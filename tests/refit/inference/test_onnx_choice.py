"""The form in which a version serves: chosen by measurement, and no other rows than proven ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from refit.inference.onnx_choice import MAX_DIFFERENCE, ONNX, SKLEARN, choose_runtime, runtime_difference
from refit.inference.predictor import Prediction, VerifiedDomain, columns_of

KINDS = {"carrier": "text", "weight": "number", "items": "integer"}
PROVEN = VerifiedDomain(KINDS, {"carrier": frozenset({"swift", None})}, frozenset({"weight"}))
ROW = {"carrier": ["swift"], "weight": [1.5], "items": [2]}


@pytest.mark.parametrize(
    ("apart", "faster", "name"),
    [(0.0, 9.0, ONNX), (MAX_DIFFERENCE, 2.0, ONNX), (2 * MAX_DIFFERENCE, 9.0, SKLEARN), (0.0, 1.9, SKLEARN)],
)
def test_onnx_serves_where_it_agrees_and_is_faster(apart: float, faster: float, name: str) -> None:
    form = choose_runtime(100, apart, faster, "f" * 64)
    assert (form.name, bool(form.sha256)) == (name, name == ONNX)
    assert form.why


def test_a_class_that_differs_is_told_without_a_number() -> None:
    form = choose_runtime(100, float("inf"), 9.0, "f" * 64)
    assert (form.name, form.difference) == (SKLEARN, None)
    assert "different class" in form.why


def test_the_difference_is_a_share_of_large_numbers_and_none_of_classes() -> None:
    one, other = (Prediction(np.array(numbers), None) for numbers in ([1e6, 0.5], [1e6 + 1e-3, 0.5]))
    assert runtime_difference(one, other) == pytest.approx(1e-9, rel=1e-3)
    odds = np.array([[0.5, 0.5]])
    assert runtime_difference(
        Prediction(np.array(["a"]), odds), Prediction(np.array(["a"]), odds + 1e-3)
    ) == pytest.approx(1e-3)
    assert runtime_difference(Prediction(np.array(["a"]), odds), Prediction(np.array(["b"]), odds)) == float("inf")


@pytest.mark.parametrize(
    ("changed", "proven"),
    [
        ({}, True),
        ({"carrier": [None]}, True),
        ({"carrier": ["sure"]}, False),
        ({"carrier": ["nan"]}, False),
        ({"weight": [None]}, True),
        ({"items": [None]}, False),
        ({"items": np.array([np.nan])}, False),
    ],
)
def test_rows_beyond_what_is_proven_are_left_alone(changed: dict[str, object], proven: bool) -> None:
    tensors = PROVEN.tensors({**ROW, **changed})
    assert (tensors is not None) is proven
    if tensors:
        assert [tensor.shape for tensor in tensors.values()] == [(1, 1)] * 3


def test_a_frame_is_taken_apart_as_json_brings_it() -> None:
    frame = pd.DataFrame(
        {
            "carrier": pd.Categorical(["swift", None]),
            "weight": [1.5, np.nan],
            "items": pd.array([2, None], dtype="Int64"),
        }
    )
    columns = columns_of(frame, KINDS)
    assert columns["carrier"] == ["swift", None]
    np.testing.assert_array_equal(columns["weight"], [1.5, np.nan])
    np.testing.assert_array_equal(columns["items"], [2, np.nan])
