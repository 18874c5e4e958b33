"""Rows as the Open Inference Protocol (V2) has them: one tensor for each column, named like it."""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import HTTPException

from refit.inference.predictor import Said
from refit.inference.request_rows import received_cells
from refit_serving.rows.json_values import read_object
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked, Form, identified, require_count

_WHOLE = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_REAL = frozenset({"FP16", "FP32", "FP64"})
_TAKEN: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_WHOLE, (int,)),
    **dict.fromkeys(_REAL, (int, float)),
    "BOOL": (bool, int),
    "BYTES": (str,),
}
"""The datatypes of the protocol that are taken, and what JSON has for each."""
OUTPUTS = ("prediction", "score")
DATATYPES = {"integer": "INT64", "number": "FP64", "truth value": "BOOL"}
"""For a kind of feature the datatype; texts, categories and times are BYTES."""


def parse(body: bytes, header_id: str, served: Served, limits: Limits) -> Asked:
    """Reads an inference request.

    Args:
        body: The body.
        header_id: The request id of the headers.
        served: Who answers.
        limits: How much may be asked.

    Returns:
        What is asked.

    Raises:
        HTTPException: If it is no such request.
        DataError: If a column or a cell is not what the model knows.
    """
    return asked_of(read_object(body), header_id, served, limits)


def asked_of(asked: dict[str, Any], header_id: str, served: Served, limits: Limits) -> Asked:
    """Reads an inference request that is an object already.

    Args:
        asked: The object.
        header_id: The request id of the headers.
        served: Who answers.
        limits: How much may be asked.

    Returns:
        What is asked.

    Raises:
        HTTPException: If it is no such request.
        DataError: If a column or a cell is not what the model knows.
    """
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(tensor, dict) for tensor in inputs):
        raise HTTPException(422, "'inputs' is no list of tensors: send one tensor for each column")
    cells = dict(_column(tensor) for tensor in inputs)
    if len(cells) < len(inputs):
        raise HTTPException(422, "two tensors have the same name: send one tensor for each column")
    counts = {name: len(values) for name, values in cells.items()}
    rows = max(counts.values(), default=0)
    require_count(rows, limits)
    short = next((name for name, count in counts.items() if count != rows), None)
    if short is not None:
        raise HTTPException(422, f"the column {short!r} has {counts[short]:,} values where others have {rows:,}")
    known = {name: values for name, values in cells.items() if name in served.wanted}
    return Asked(received_cells(served.wanted, known), identified(asked.get("id"), header_id), _outputs(asked))


def render(served: Served, asked: Asked, said: Said) -> bytes:
    """Writes an inference response.

    Args:
        served: Who answered.
        asked: What was asked.
        said: What it says.

    Returns:
        The outputs `prediction` and, of two classes, `score`.
    """
    given = {"prediction": said.predictions, "score": said.scores}
    outputs = [
        {"name": name, "shape": [len(values)], "datatype": datatype_of(values.dtype.kind), "data": values.tolist()}
        for name, values in given.items()
        if values is not None and name in (asked.wanted or OUTPUTS)
    ]
    answer = {
        "model_name": served.project,
        "model_version": str(served.version),
        "id": asked.request_id,
        "parameters": {"generation": served.generation},
        "outputs": outputs,
    }
    return orjson.dumps(answer, default=str)


TENSORS = Form("application/json", parse, render)


def datatype_of(kind: str) -> str:
    """Names the datatype of an output.

    Args:
        kind: numpy's letter for the kind of its values.

    Returns:
        The protocol's name for it.
    """
    return {"f": "FP64", "i": "INT64", "u": "UINT64", "b": "BOOL"}.get(kind, "BYTES")


def _column(tensor: dict[str, Any]) -> tuple[str, list[Any]]:
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if not isinstance(name, str):
        raise HTTPException(422, "a tensor has no name: name it like its column")
    shown = repr(name[:100])
    if not isinstance(datatype, str) or datatype not in _TAKEN:
        raise HTTPException(422, f"the column {shown} has no known datatype: send one of {', '.join(sorted(_TAKEN))}")
    if not isinstance(shape, list) or not _is_shape(shape):
        raise HTTPException(422, f"the column {shown} has no shape of one column: send [rows] or [rows, 1]")
    values = _flat(tensor.get("data"))
    if values is None or len(values) != math.prod(shape):
        raise HTTPException(422, f"the column {shown} has other values than its shape says: send 'data' as one list")
    fitting = _TAKEN[datatype]
    if not all(value is None or (isinstance(value, fitting) and _fits(datatype, value)) for value in values):
        raise HTTPException(
            422, f"the column {shown} holds values that are not {datatype}: send what its datatype says"
        )
    return name, values


def _is_shape(shape: list[Any]) -> bool:
    if not shape or not all(type(size) is int and size >= 0 for size in shape):
        return False
    return all(size == 1 for size in shape[1:]) and len(shape) <= len(("rows", "columns"))


def _flat(data: object) -> list[Any] | None:
    if not isinstance(data, list):
        return None
    if data and all(isinstance(one, list) and len(one) == 1 for one in data):
        return [one[0] for one in data]
    return data


def _fits(datatype: str, value: Any) -> bool:  # noqa: ANN401 - JSON values are of any type
    return isinstance(value, bool) is (datatype == "BOOL") or (datatype == "BOOL" and value in (0, 1))


def _outputs(asked: dict[str, Any]) -> frozenset[str]:
    outputs = asked.get("outputs")
    if outputs is None:
        return frozenset()
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise HTTPException(422, "'outputs' is no list of objects: leave it out, or name outputs")
    unknown = next((one.get("name") for one in outputs if one.get("name") not in OUTPUTS), None)
    if unknown is not None or any("name" not in one for one in outputs):
        raise HTTPException(422, f"an output is not known: there are {' and '.join(OUTPUTS)}")
    return frozenset(str(one["name"]) for one in outputs)
