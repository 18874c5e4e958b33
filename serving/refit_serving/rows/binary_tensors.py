"""The binary extension of the Open Inference Protocol: values as bytes that follow the JSON of the tensors."""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import numpy as np
from fastapi import HTTPException, Request

from refit_serving.rows.json_rows import parse_object
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import CHARACTER_BYTES, NUMBER_BYTES, TEXT_BYTES, Reserve, measure_json
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest
from refit_serving.rows.tensors import TENSORS, parse_tensors

BINARY = "inference-header-content-length"
"""The header with the length of the JSON in bytes, after which the binary values begin."""
EXTENSION = "binary_tensor_data"
"""The protocol's name for the binary extension."""

_SIZE = "binary_data_size"
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_INTEGER_CODES = {
    f"{sign}INT{8 * size}": f"<{letter}{size}" for sign, letter in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}
_NUMPY_TYPES = {**_FLOATS, **_INTEGER_CODES, "BOOL": "?"}
_LENGTH = struct.Struct("<I")


def find_binary_format(request: Request) -> BodyFormat | None:
    """Gives the format of a body with binary values.

    Args:
        request: The request.

    Returns:
        The format; `None` if the header `Inference-Header-Content-Length` is absent.

    Raises:
        HTTPException: With 400 if the header is not a number.
    """
    length = request.headers.get(BINARY)
    if length is None:
        return None
    if not length.isdecimal() or len(length) > len("1000000000"):
        raise HTTPException(400, f"the header {BINARY} is not a number: send the length of the JSON in bytes")
    return BodyFormat(TENSORS.media_type, partial(_parse_binary_request, int(length)), TENSORS.render)


def _parse_binary_request(
    length: int, body: bytes, header_id: str, model: LoadedModel, limits: Limits, reserve: Reserve
) -> PredictionRequest:
    if length > len(body):
        raise HTTPException(
            400, f"the body is shorter than the {length:,} bytes of JSON that {BINARY} announces: send all of it"
        )
    rest = memoryview(body)[length:]
    held = reserve(measure_json(body[:length]))
    content = parse_object(body[:length])
    held += reserve(_measure_values(content))
    return parse_tensors(_fill_tensors(content, rest), header_id, model, limits, held)


def _measure_values(content: dict[str, Any]) -> int:
    """Gives an upper bound of the memory that the binary values take as Python's objects."""
    inputs = content.get("inputs")
    tensors = [tensor for tensor in inputs if _binary_size(tensor)] if isinstance(inputs, list) else []
    return sum(_measure_tensor(tensor.get("datatype"), _binary_size(tensor) or 0) for tensor in tensors)


def _measure_tensor(datatype: object, size: int) -> int:
    if datatype == "BYTES":
        return (size // _LENGTH.size + 1) * TEXT_BYTES + size * CHARACTER_BYTES
    code = _NUMPY_TYPES.get(datatype) if isinstance(datatype, str) else None
    return size // np.dtype(code).itemsize * NUMBER_BYTES if code else 0


def _fill_tensors(content: dict[str, Any], rest: memoryview) -> dict[str, Any]:
    """Decodes binary values into the tensors' `data`; what is not a list of tensors is refused by `parse_tensors`."""
    inputs = content.get("inputs")
    tensors, filled = inputs if isinstance(inputs, list) else [], list[Any]()
    for tensor in tensors:
        size = _binary_size(tensor)
        if size is not None:
            tensor, rest = {**tensor, "data": _decode_values(tensor, rest[:size], size)}, rest[size:]  # noqa: PLW2901
        filled.append(tensor)
    if len(rest):
        raise HTTPException(400, f"{len(rest):,} bytes follow the tensors: send only those that {_SIZE} announces")
    return {**content, "inputs": filled} if filled else content


def _binary_size(tensor: object) -> int | None:
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
    return size if type(size) is int and size >= 0 else None


def _decode_values(tensor: dict[str, Any], data: memoryview, size: int) -> list[Any]:
    datatype, shown = tensor.get("datatype"), repr(str(tensor.get("name"))[:100])
    if len(data) < size:
        raise HTTPException(400, f"the column {shown} has fewer bytes than its {_SIZE} announces: send all of them")
    if datatype == "BYTES":
        return _decode_strings(data, shown)
    dtype = np.dtype(_NUMPY_TYPES.get(datatype, "V0")) if isinstance(datatype, str) else np.dtype("V0")
    if not dtype.itemsize or size % dtype.itemsize:
        raise HTTPException(
            422, f"the bytes of the column {shown} are not values of its datatype: send values of that datatype"
        )
    values: list[Any] = np.frombuffer(data, dtype).tolist()
    return values


def _decode_strings(data: memoryview, shown: str) -> list[str]:
    strings, at = list[str](), 0
    try:
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            start, at = at + _LENGTH.size, at + _LENGTH.size + length
            # A truncated string is shorter than its length says, and is found below.
            strings.append(str(data[start:at], "utf-8"))
    except (struct.error, UnicodeDecodeError) as fault:
        raise HTTPException(
            422, f"the column {shown} does not hold UTF-8 strings, each after its length in four bytes ({fault})"
        ) from fault
    if at > len(data):
        raise HTTPException(422, f"the column {shown} ends within a string: send as many bytes as its length announces")
    return strings
