"""JSON: read fast where it is valid, and once more slowly where it is not, to say what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import orjson
from fastapi import HTTPException

_NUMBERS = (b"NaN", b"Infinity", b"infinity")
"""What Python and its like write, and JSON does not know; `infinity` is how the reader words a number like 1e999."""


def read_object(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        body: The bytes.

    Returns:
        The object. A NaN or an infinite number is read as such, so that it is refused with its column's name.

    Raises:
        HTTPException: If it is no JSON, or no object.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        found = _read_again(body, fault)
    if not isinstance(found, dict):
        raise HTTPException(422, "the body is no JSON object: send one with the key 'rows'")
    return found


def _read_again(body: bytes, fault: orjson.JSONDecodeError) -> Any:  # noqa: ANN401 - JSON values are of any type
    if any(word in body for word in _NUMBERS) or "infinity" in str(fault):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise HTTPException(400, f"the body is no valid JSON ({' '.join(str(fault).split())})") from fault
