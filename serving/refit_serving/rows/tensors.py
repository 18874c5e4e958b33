"""Rows as the Open Inference Protocol (V2) has them: one tensor for each column, named like it.

Tensors whose values follow the JSON as bytes: the extension of the protocol that clients use for arrays of numpy.

A header says where the JSON ends. Values are little-endian; a text is its length in four bytes and then its UTF-8.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from typing import Any

import numpy as np
import orjson
from fastapi import HTTPException, Request

from refit.inference.predictor import Prediction
from refit.inference.request_rows import parse_columns
from refit_serving.rows.json_rows import parse_object
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

BINARY = "inference-header-content-length"
"""The header that says where the JSON of a body ends and its bytes begin."""
_INTEGERS = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_FLOAT_TYPES = frozenset({"FP16", "FP32", "FP64"})
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(_FLOAT_TYPES, (int, float)),
    "BOOL": (bool, int),
    "BYTES": (str,),
}
"""The datatypes of the protocol that are taken, and what JSON has for each."""
OUTPUTS = ("prediction", "score")
DATATYPES = {"integer": "INT64", "number": "FP64", "truth value": "BOOL"}
"""For a kind of feature the datatype; texts, categories and times are BYTES."""


def parse_request(body: bytes, header_id: str, served: LoadedModel, limits: Limits) -> PredictionRequest:
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
    return parse_tensors(parse_object(body), header_id, served, limits)


def parse_tensors(asked: dict[str, Any], header_id: str, served: LoadedModel, limits: Limits) -> PredictionRequest:
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
    cells = dict(_parse_column(tensor) for tensor in inputs)
    if len(cells) < len(inputs):
        raise HTTPException(422, "two tensors have the same name: send one tensor for each column")
    counts = {name: len(values) for name, values in cells.items()}
    rows = max(counts.values(), default=0)
    require_count(rows, limits)
    short = next((name for name, count in counts.items() if count != rows), None)
    if short is not None:
        raise HTTPException(422, f"the column {short!r} has {counts[short]:,} values where others have {rows:,}")
    known = {name: values for name, values in cells.items() if name in served.wanted}
    return PredictionRequest(
        parse_columns(served.wanted, known), choose_request_id(asked.get("id"), header_id), _parse_outputs(asked)
    )


def render_response(served: LoadedModel, asked: PredictionRequest, said: Prediction) -> bytes:
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
        {"name": name, "shape": [len(values)], "datatype": name_datatype(values.dtype.kind), "data": values.tolist()}
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


TENSORS = BodyFormat("application/json", parse_request, render_response)


def name_datatype(kind: str) -> str:
    """Names the datatype of an output.

    Args:
        kind: numpy's letter for the kind of its values.

    Returns:
        The protocol's name for it.
    """
    return {"f": "FP64", "i": "INT64", "u": "UINT64", "b": "BOOL"}.get(kind, "BYTES")


def _parse_column(tensor: dict[str, Any]) -> tuple[str, list[Any]]:
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if not isinstance(name, str):
        raise HTTPException(422, "a tensor has no name: name it like its column")
    shown = repr(name[:100])
    if not isinstance(datatype, str) or datatype not in _JSON_TYPES:
        raise HTTPException(
            422, f"the column {shown} has no known datatype: send one of {', '.join(sorted(_JSON_TYPES))}"
        )
    if not isinstance(shape, list) or not _is_column_shape(shape):
        raise HTTPException(422, f"the column {shown} has no shape of one column: send [rows] or [rows, 1]")
    values = _flatten(tensor.get("data"))
    if values is None or len(values) != math.prod(shape):
        raise HTTPException(422, f"the column {shown} has other values than its shape says: send 'data' as one list")
    fitting = _JSON_TYPES[datatype]
    if not all(value is None or (isinstance(value, fitting) and _is_datatype(datatype, value)) for value in values):
        raise HTTPException(
            422, f"the column {shown} holds values that are not {datatype}: send what its datatype says"
        )
    return name, values


def _is_column_shape(shape: list[Any]) -> bool:
    if not shape or not all(type(size) is int and size >= 0 for size in shape):
        return False
    return all(size == 1 for size in shape[1:]) and len(shape) <= len(("rows", "columns"))


def _flatten(data: object) -> list[Any] | None:
    if not isinstance(data, list):
        return None
    if data and all(isinstance(one, list) and len(one) == 1 for one in data):
        return [one[0] for one in data]
    return data


def _is_datatype(datatype: str, value: Any) -> bool:  # noqa: ANN401 - JSON values are of any type
    return isinstance(value, bool) is (datatype == "BOOL") or (datatype == "BOOL" and value in (0, 1))


def _parse_outputs(asked: dict[str, Any]) -> frozenset[str]:
    outputs = asked.get("outputs")
    if outputs is None:
        return frozenset()
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise HTTPException(422, "'outputs' is no list of objects: leave it out, or name outputs")
    unknown = next((one.get("name") for one in outputs if one.get("name") not in OUTPUTS), None)
    if unknown is not None or any("name" not in one for one in outputs):
        raise HTTPException(422, f"an output is not known: there are {' and '.join(OUTPUTS)}")
    return frozenset(str(one["name"]) for one in outputs)


EXTENSION = "binary_tensor_data"
_SIZE = "binary_data_size"
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_INTEGER_CODES = {
    f"{sign}INT{8 * size}": f"<{letter}{size}" for sign, letter in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}
_NUMPY_TYPES = {**_FLOATS, **_INTEGER_CODES, "BOOL": "?"}
_LENGTH = struct.Struct("<I")


def find_binary_format(request: Request) -> BodyFormat | None:
    """Chooses the form of a body that is JSON and then bytes.

    Args:
        request: The request.

    Returns:
        The form; `None` where the header does not announce it.

    Raises:
        HTTPException: With 400 if the header is no number.
    """
    given = request.headers.get(BINARY)
    if given is None:
        return None
    if not given.isdecimal() or len(given) > len("1000000000"):
        raise HTTPException(400, f"the header {BINARY} is no number: send the length of the JSON in bytes")
    return BodyFormat(TENSORS.media_type, partial(_parse_binary_request, int(given)), TENSORS.render)


def _parse_binary_request(
    length: int, body: bytes, header_id: str, served: LoadedModel, limits: Limits
) -> PredictionRequest:
    if length > len(body):
        raise HTTPException(400, f"the body is shorter than the {length:,} bytes of JSON that {BINARY} announces")
    asked = parse_object(body[:length])
    return parse_tensors(_fill_tensors(asked, memoryview(body)[length:]), header_id, served, limits)


def _fill_tensors(asked: dict[str, Any], rest: memoryview) -> dict[str, Any]:
    """Puts the values where JSON would have them; what is no list of tensors is left to whoever reads those."""
    inputs = asked.get("inputs")
    tensors, filled = inputs if isinstance(inputs, list) else [], list[Any]()
    for tensor in tensors:
        size = _binary_size(tensor)
        if size is not None:
            tensor, rest = {**tensor, "data": _decode_values(tensor, rest[:size], size)}, rest[size:]  # noqa: PLW2901
        filled.append(tensor)
    if len(rest):
        raise HTTPException(400, f"{len(rest):,} bytes follow the tensors: send as many as {_SIZE} announces")
    return {**asked, "inputs": filled} if filled else asked


def _binary_size(tensor: object) -> int | None:
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
    return size if type(size) is int and size >= 0 else None


def _decode_values(tensor: dict[str, Any], given: memoryview, size: int) -> list[Any]:
    datatype, shown = tensor.get("datatype"), repr(str(tensor.get("name"))[:100])
    if len(given) < size:
        raise HTTPException(400, f"the column {shown} has fewer bytes than its {_SIZE} announces: send all of them")
    if datatype == "BYTES":
        return _decode_strings(given, shown)
    kind = np.dtype(_NUMPY_TYPES.get(datatype, "V0")) if isinstance(datatype, str) else np.dtype("V0")
    if not kind.itemsize or size % kind.itemsize:
        raise HTTPException(422, f"the column {shown} has bytes that are not of its datatype: send what it says")
    values: list[Any] = np.frombuffer(given, kind).tolist()
    return values


def _decode_strings(given: memoryview, shown: str) -> list[str]:
    texts, at = list[str](), 0
    try:
        while at < len(given):
            (length,) = _LENGTH.unpack_from(given, at)
            start, at = at + _LENGTH.size, at + _LENGTH.size + length
            # A text that is cut off is shorter than it says, and so is found below.
            texts.append(str(given[start:at], "utf-8"))
    except (struct.error, UnicodeDecodeError) as fault:
        raise HTTPException(422, f"the column {shown} holds no texts in UTF-8 after their lengths ({fault})") from fault
    if at > len(given):
        raise HTTPException(422, f"the column {shown} ends within a text: send as many bytes as its length says")
    return texts
