"""Tensors whose values follow the JSON as bytes: the extension of the protocol that clients use for arrays of numpy.

A header says where the JSON ends. Values are little-endian; a text is its length in four bytes and then its UTF-8.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import numpy as np
from fastapi import HTTPException, Request

from refit_serving.http.predicting import BINARY
from refit_serving.rows.json_values import read_object
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked, Form
from refit_serving.rows.tensors import TENSORS, asked_of

EXTENSION = "binary_tensor_data"
_SIZE = "binary_data_size"
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_WHOLE = {
    f"{sign}INT{8 * size}": f"<{letter}{size}" for sign, letter in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}
_TYPES = {**_FLOATS, **_WHOLE, "BOOL": "?"}
_LENGTH = struct.Struct("<I")


def binary_form(request: Request) -> Form | None:
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
    return Form(TENSORS.media_type, partial(_parse, int(given)), TENSORS.render)


def _parse(length: int, body: bytes, header_id: str, served: Served, limits: Limits) -> Asked:
    if length > len(body):
        raise HTTPException(400, f"the body is shorter than the {length:,} bytes of JSON that {BINARY} announces")
    asked = read_object(body[:length])
    return asked_of(_with_values(asked, memoryview(body)[length:]), header_id, served, limits)


def _with_values(asked: dict[str, Any], rest: memoryview) -> dict[str, Any]:
    """Puts the values where JSON would have them; what is no list of tensors is left to whoever reads those."""
    inputs = asked.get("inputs")
    tensors, filled = inputs if isinstance(inputs, list) else [], list[Any]()
    for tensor in tensors:
        size = _size_of(tensor)
        if size is not None:
            tensor, rest = {**tensor, "data": _values(tensor, rest[:size], size)}, rest[size:]  # noqa: PLW2901
        filled.append(tensor)
    if len(rest):
        raise HTTPException(400, f"{len(rest):,} bytes follow the tensors: send as many as {_SIZE} announces")
    return {**asked, "inputs": filled} if filled else asked


def _size_of(tensor: object) -> int | None:
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
    return size if type(size) is int and size >= 0 else None


def _values(tensor: dict[str, Any], given: memoryview, size: int) -> list[Any]:
    datatype, shown = tensor.get("datatype"), repr(str(tensor.get("name"))[:100])
    if len(given) < size:
        raise HTTPException(400, f"the column {shown} has fewer bytes than its {_SIZE} announces: send all of them")
    if datatype == "BYTES":
        return _texts(given, shown)
    kind = np.dtype(_TYPES.get(datatype, "V0")) if isinstance(datatype, str) else np.dtype("V0")
    if not kind.itemsize or size % kind.itemsize:
        raise HTTPException(422, f"the column {shown} has bytes that are not of its datatype: send what it says")
    values: list[Any] = np.frombuffer(given, kind).tolist()
    return values


def _texts(given: memoryview, shown: str) -> list[str]:
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
