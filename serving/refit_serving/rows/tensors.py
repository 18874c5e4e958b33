"""The tensor format of the Open Inference Protocol (V2): one tensor for each column, named like it.

Values are lists in the JSON or, by the protocol's binary extension, bytes after it: a header gives the length of the
JSON, numbers are little-endian, and a string is its length in four bytes followed by its UTF-8.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import HTTPException

from refit.inference.predictor import Prediction
from refit.inference.request_rows import parse_columns
from refit_serving.rows.json_rows import parse_object
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import Reserve, measure_json
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

OUTPUTS = ("prediction", "score")
DATATYPES = {"integer": "INT64", "number": "FP64", "truth value": "BOOL"}
"""From the kind of a feature to its datatype; strings, categories and times are BYTES."""

_INTEGERS = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_FLOAT_TYPES = frozenset({"FP16", "FP32", "FP64"})
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(_FLOAT_TYPES, (int, float)),
    "BOOL": (bool, int),
    "BYTES": (str,),
}
"""The supported datatypes of the protocol, and the Python types that JSON gives for each."""


def parse_request(
    body: bytes, header_id: str, model: LoadedModel, limits: Limits, reserve: Reserve
) -> PredictionRequest:
    """Reads an inference request whose values are JSON lists.

    Args:
        body: The body.
        header_id: The request id of the headers.
        model: The model that predicts.
        limits: The limits of the server.
        reserve: Takes the memory of the request before it is unpacked.

    Returns:
        The request.

    Raises:
        HTTPException: With 400, 413 or 422 if it is not a valid inference request.
        DataError: If a column or a cell does not fit the model.
    """
    held = reserve(measure_json(body))
    return parse_tensors(parse_object(body), header_id, model, limits, held)


def parse_tensors(
    content: dict[str, Any], header_id: str, model: LoadedModel, limits: Limits, held: int
) -> PredictionRequest:
    """Reads an inference request from its decoded JSON.

    Args:
        content: The JSON object.
        header_id: The request id of the headers.
        model: The model that predicts.
        limits: The limits of the server.
        held: The bytes of memory that its values take.

    Returns:
        The request.

    Raises:
        HTTPException: With 413 or 422 if it is not a valid inference request.
        DataError: If a column or a cell does not fit the model.
    """
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(tensor, dict) for tensor in inputs):
        raise HTTPException(422, "'inputs' is not a list of tensors: send one tensor for each column")
    cells = dict(_parse_column(tensor) for tensor in inputs)
    if len(cells) < len(inputs):
        raise HTTPException(422, "two tensors have the same name: send one tensor for each column")
    counts = {name: len(values) for name, values in cells.items()}
    rows = max(counts.values(), default=0)
    require_count(rows, limits)
    short = next((name for name, count in counts.items() if count != rows), None)
    if short is not None:
        raise HTTPException(
            422,
            f"the column {short!r} has {counts[short]:,} values and others have {rows:,}: "
            f"send as many values for each column",
        )
    known = {name: values for name, values in cells.items() if name in model.spec}
    request_id = choose_request_id(content.get("id"), header_id)
    return PredictionRequest(parse_columns(model.spec, known), request_id, held, _parse_outputs(content))


def render_response(model: LoadedModel, request: PredictionRequest, prediction: Prediction) -> bytes:
    """Writes an inference response.

    Args:
        model: The model that predicted.
        request: The request.
        prediction: The predictions of its rows.

    Returns:
        The JSON of the response, with the output `prediction` and, for two classes, `score`.
    """
    columns = {"prediction": prediction.predictions, "score": prediction.scores}
    outputs = [
        {"name": name, "shape": [len(values)], "datatype": name_datatype(values.dtype.kind), "data": values.tolist()}
        for name, values in columns.items()
        if values is not None and name in (request.outputs or OUTPUTS)
    ]
    response = {
        "model_name": model.project,
        "model_version": str(model.version),
        "id": request.request_id,
        "parameters": {"generation": model.generation},
        "outputs": outputs,
    }
    return orjson.dumps(response, default=str)


TENSORS = BodyFormat("application/json", parse_request, render_response)


def name_datatype(kind: str) -> str:
    """Names the datatype of an output.

    Args:
        kind: numpy's letter for the kind of its values.

    Returns:
        The protocol's name, such as `FP64`.
    """
    return {"f": "FP64", "i": "INT64", "u": "UINT64", "b": "BOOL"}.get(kind, "BYTES")


def _parse_column(tensor: dict[str, Any]) -> tuple[str, list[Any]]:
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if not isinstance(name, str):
        raise HTTPException(422, "a tensor has no name: send the name of its column")
    shown = repr(name[:100])
    if not isinstance(datatype, str) or datatype not in _JSON_TYPES:
        supported = ", ".join(sorted(_JSON_TYPES))
        raise HTTPException(422, f"the column {shown} has no supported datatype: send one of {supported}")
    if not isinstance(shape, list) or not _is_column_shape(shape):
        raise HTTPException(422, f"the column {shown} does not have the shape of one column: send [rows] or [rows, 1]")
    values = _flatten(tensor.get("data"))
    if values is None or len(values) != math.prod(shape):
        raise HTTPException(
            422, f"the 'data' of the column {shown} does not match its shape: send one list with a value for each row"
        )
    types = _JSON_TYPES[datatype]
    if not all(value is None or (isinstance(value, types) and _is_datatype(datatype, value)) for value in values):
        raise HTTPException(
            422, f"the column {shown} holds values that are not {datatype}: send values of its datatype"
        )
    return name, values


def _is_column_shape(shape: list[Any]) -> bool:
    if not shape or not all(type(size) is int and size >= 0 for size in shape):
        return False
    return all(size == 1 for size in shape[1:]) and len(shape) <= len(("rows", "columns"))


def _flatten(data: object) -> list[Any] | None:
    if not isinstance(data, list):
        return None
    if data and all(isinstance(value, list) and len(value) == 1 for value in data):
        return [value[0] for value in data]
    return data


def _is_datatype(datatype: str, value: Any) -> bool:  # noqa: ANN401 - JSON values are of any type
    return isinstance(value, bool) is (datatype == "BOOL") or (datatype == "BOOL" and value in (0, 1))


def _parse_outputs(content: dict[str, Any]) -> frozenset[str]:
    outputs = content.get("outputs")
    if outputs is None:
        return frozenset()
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise HTTPException(422, "'outputs' is not a list of objects: leave it out, or send [{\"name\": ...}]")
    unknown = next((output.get("name") for output in outputs if output.get("name") not in OUTPUTS), None)
    if unknown is not None or any("name" not in output for output in outputs):
        raise HTTPException(422, f"an output has no known name: send {' or '.join(OUTPUTS)}")
    return frozenset(str(output["name"]) for output in outputs)
