"""Tensors whose values follow the JSON as bytes, as clients write arrays of numpy; and what is no such body."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.serving_home import FEATURES, Depot, Server, serving

pytestmark = pytest.mark.xdist_group("serving")

NUMBERS = {"weight": "<f8", "distance": "<f8"}


@pytest.fixture(scope="module")
def server(depot: Depot) -> Iterator[Server]:
    with serving(depot.projects, "parcels") as running:
        yield running


def texts(values: list[str]) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(value)) + value for value in encoded)


def written(depot: Depot, rows: int, **changed: Any) -> tuple[bytes, int]:
    some = depot.rows[FEATURES].head(rows)
    raw = {name: some[name].to_numpy().astype(kind).tobytes() for name, kind in NUMBERS.items()}
    raw["carrier"] = texts(some["carrier"].tolist())
    raw |= changed
    tensors = [
        {"name": name, "shape": [rows], "datatype": "FP64" if name in NUMBERS else "BYTES",
         "parameters": {"binary_data_size": len(values)}}
        for name, values in raw.items()
    ]  # fmt: skip
    head = json.dumps({"inputs": tensors}).encode()
    return head + b"".join(raw.values()), len(head)


def infer(server: Server, body: bytes, length: object) -> httpx.Response:
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    return httpx.post(f"{server.address}/v2/models/parcels/infer", content=body, headers=headers, timeout=60)


def test_bytes_say_the_same_as_json(server: Server, depot: Depot) -> None:
    answer = infer(server, *written(depot, 20))
    assert answer.status_code == 200, answer.text
    rows = depot.rows[FEATURES].head(20).to_dict("records")
    as_json = server.ask("parcels", {"rows": rows}).json()
    outputs = {one["name"]: one["data"] for one in answer.json()["outputs"]}
    assert outputs == {"prediction": as_json["predictions"], "score": as_json["scores"]}
    assert "binary_tensor_data" in server.get("/v2").json()["extensions"]


def test_bytes_and_lists_may_be_mixed(server: Server, depot: Depot) -> None:
    body, length = written(depot, 2)
    head = json.loads(body[:length])
    head["inputs"][0] = {"name": "weight", "shape": [2], "datatype": "FP64", "data": [1.5, 2.5]}
    rest, head_bytes = body[length + 16 :], json.dumps(head).encode()
    answer = infer(server, head_bytes + rest, len(head_bytes))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (lambda body, _: (body, "many"), 400, "not a number"),
        (lambda body, _: (body, len(body) + 1), 400, "shorter"),
        (lambda body, length: (body[:-3], length), 400, "'carrier' has fewer bytes"),
        (lambda body, length: (body + b"more", length), 400, "4 bytes follow"),
        (lambda body, length: (body.replace(b'"FP64"', b'"FP16"', 1), length), 422, "'weight'"),
        (lambda body, length: (body.replace(b'"FP64"', b'"WHAT"', 1), length), 422, "'weight'"),
        (lambda body, length: (body[:-1] + b"\xff", length), 422, "'carrier' does not hold UTF-8 strings"),
        (lambda body, length: (body[: length - 1], length - 1), 400, "not valid JSON"),
    ],
    ids=["header", "long", "cut", "rest", "other type", "no type", "no text", "no json"],
)  # fmt: skip
def test_what_is_no_such_body_is_refused(server: Server, depot: Depot, spoil: Any, status: int, words: str) -> None:
    answer = infer(server, *spoil(*written(depot, 3)))
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_nan_and_texts_that_overrun_are_refused_by_their_columns(server: Server, depot: Depot) -> None:
    answer = infer(server, *written(depot, 1, weight=np.array([np.nan]).tobytes()))
    assert (answer.status_code, "'weight'" in answer.text) == (422, True)
    answer = infer(server, *written(depot, 1, carrier=struct.pack("<I", 2**31) + b"x"))
    assert (answer.status_code, "ends within a string" in answer.text) == (422, True)
