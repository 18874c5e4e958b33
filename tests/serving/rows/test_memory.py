"""Small bodies that unpack to much: what they take is bounded before it is taken, for each and for all together."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from fastapi import HTTPException

from refit.errors import DataError
from refit.inference.predictor import Predictor
from refit.inference.request_rows import FeatureSpec
from refit_serving.rows.arrow_rows import ARROW_ROWS
from refit_serving.rows.binary_tensors import find_binary_format
from refit_serving.rows.json_rows import JSON_ROWS
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import MemoryBudget, measure_json
from refit_serving.rows.request import BodyFormat, Limits
from refit_serving.rows.tensors import TENSORS
from tests.support.serving_home import arrow

MEGABYTE = 1 << 20
LIMITS = Limits(unpacked_bytes=8 * MEGABYTE, all_unpacked_bytes=12 * MEGABYTE)
TEXTS = [f"text{place}" for place in range(20)]
SPEC = FeatureSpec(dict.fromkeys(TEXTS, "text") | {"number": "number"}, {})


class Constant:
    """A model that predicts nothing."""

    classes_ = np.array([0, 1])

    def predict(self, rows: Any) -> np.ndarray:
        return np.zeros(len(rows))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return LoadedModel("parcels", 1, 1, SPEC, ("key",), "at", Predictor(Constant()))  # type: ignore[arg-type]


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(LIMITS.unpacked_bytes, LIMITS.all_unpacked_bytes)


def arrow_bomb() -> bytes:
    """Twenty dictionaries of one text of 6 kB, each named 10,000 times: 1.2 GB in 330 kB."""
    column = pa.DictionaryArray.from_arrays(np.zeros(10_000, "int8"), ["x" * 6_000])
    return arrow(pa.table({**dict.fromkeys(TEXTS, column), "number": np.zeros(10_000)}))


def binary_bomb() -> tuple[bytes, int]:
    """Numbers of one and two bytes, which Python keeps in forty."""
    count = 400_000
    tensors = [
        {"name": f"n{place}", "datatype": "INT16", "shape": [count], "parameters": {"binary_data_size": 2 * count}}
        for place in range(4)
    ]
    head = orjson.dumps({"inputs": tensors})
    return head + np.arange(count, dtype="<i2").tobytes() * 4, len(head)


class Headers:
    """A request with the header of the binary extension."""

    def __init__(self, length: int) -> None:
        self.headers = {"inference-header-content-length": str(length)}


def binary_format() -> tuple[BodyFormat, bytes]:
    body, length = binary_bomb()
    found = find_binary_format(Headers(length))  # type: ignore[arg-type]
    assert found is not None
    return found, body


BOMBS: dict[str, Callable[[], tuple[BodyFormat, bytes]]] = {
    "dictionaries in Arrow": lambda: (ARROW_ROWS, arrow_bomb()),
    "empty lists in JSON": lambda: (JSON_ROWS, b'{"rows": [' + b"[]," * 500_000 + b"[]]}"),
    "empty objects in JSON": lambda: (JSON_ROWS, b'{"rows": [' + b"{}," * 500_000 + b"{}]}"),
    "wide texts in JSON": lambda: (JSON_ROWS, '{"row": {"a": "\U0001f600'.encode() + b"x" * 3_000_000 + b'"}}'),
    "empty texts in tensors": lambda: (TENSORS, b'{"inputs": [' + b'"a",' * 500_000 + b'"a"]}'),
    "short numbers in binary tensors": binary_format,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_small_body_is_refused_before_it_becomes_large(
    make: Callable[[], tuple[BodyFormat, bytes]], model: LoadedModel, budget: MemoryBudget
) -> None:
    body_format, body = make()
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(HTTPException) as refused, budget.open() as reserve:
        body_format.parse(body, "", model, LIMITS, reserve)
    peak = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    assert (refused.value.status_code, "send fewer rows" in refused.value.detail) == (413, True)
    assert peak < LIMITS.unpacked_bytes
    assert budget.taken == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 10_000 + b"[]]",
        b"[" + b"{}," * 10_000 + b"{}]",
        b"[" + b'{"a":1.5,"b":"x"},' * 5_000 + b"{}]",
        b"[" + b"123456789," * 10_000 + b"1]",
        b"[" + b'"a\xc3\xa9",' * 10_000 + b"1]",
        '["\U0001f600'.encode() + b"x" * 100_000 + b'"]',
        b"[" * 500 + b"]" * 500,
        b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(20_000)) + b"}",
        b"[" + b",".join(b'{"%d":{"%d":[]}}' % (n, n) for n in range(5_000)) + b"]",
    ],
    ids=lambda body: body[:12].decode(errors="replace"),
)
def test_the_measure_of_json_is_never_less_than_it_takes(body: bytes) -> None:
    tracemalloc.start()
    content = orjson.loads(body)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert content is not None
    assert taken <= measure_json(body)


def test_all_requests_together_are_bounded_and_a_settled_one_makes_room(budget: MemoryBudget) -> None:
    with budget.open() as first:
        assert first(7 * MEGABYTE) == 7 * MEGABYTE
        with pytest.raises(HTTPException) as busy, budget.open() as second:
            second(6 * MEGABYTE)
        assert (busy.value.status_code, busy.value.headers) == (503, {"Retry-After": "1"})
        assert budget.taken == 7 * MEGABYTE
        with pytest.raises(HTTPException, match="413"):
            first(2 * MEGABYTE)
    with budget.open() as third:
        third(8 * MEGABYTE)
    assert budget.taken == 0


def test_ordinary_rows_fit_and_are_counted_by_what_they_hold(model: LoadedModel, budget: MemoryBudget) -> None:
    rows = [{**dict.fromkeys(TEXTS, "some text"), "number": 1.5}] * 200
    table = pa.Table.from_pylist(rows)
    for body_format, body in ((JSON_ROWS, orjson.dumps({"rows": rows})), (ARROW_ROWS, arrow(table))):
        with budget.open() as reserve:
            request = body_format.parse(body, "", model, LIMITS, reserve)
            assert request.held == budget.taken > len(body)


def test_columns_that_the_model_does_not_take_are_not_unpacked(model: LoadedModel, budget: MemoryBudget) -> None:
    column = pa.DictionaryArray.from_arrays(np.zeros(100, "int8"), ["x" * 100_000])
    plain = pa.table({**dict.fromkeys(TEXTS, pa.array(["a"] * 100)), "number": np.zeros(100), "beside": column})
    with budget.open() as reserve:
        assert len(ARROW_ROWS.parse(arrow(plain), "", model, LIMITS, reserve).rows) == 100
    doubled = pa.Table.from_arrays([column] * 2 + plain.columns[1:], ["text0", *plain.column_names])
    with pytest.raises(DataError, match="more than once"), budget.open() as reserve:
        ARROW_ROWS.parse(arrow(doubled.drop_columns([])), "", model, LIMITS, reserve)
