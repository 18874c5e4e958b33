"""Rows as JSON objects, and answers beside them in lists.

JSON: read fast where it is valid, and once more slowly where it is not, to say what is wrong with it.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from fastapi import HTTPException

from refit.inference.predictor import Prediction
from refit.inference.request_rows import parse_rows
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

_BODY_KEYS = {"rows", "row", "keys", "key", "request_id"}


def parse_request(body: bytes, header_id: str, served: LoadedModel, limits: Limits) -> PredictionRequest:
    """Reads `{"rows": [{...}, ...]}` or `{"row": {...}}`, with `keys` or `key` and `request_id` where wanted.

    Args:
        body: The body.
        header_id: The request id of the headers.
        served: Who answers.
        limits: How much may be asked.

    Returns:
        What is asked.

    Raises:
        HTTPException: If it is no such object.
        DataError: If a column or a cell is not what the model knows.
    """
    asked = parse_object(body)
    unknown = next(iter(asked.keys() - _BODY_KEYS), None)
    if unknown is not None:
        raise HTTPException(
            422, f"the body has the key {unknown[:100]!r}: only {', '.join(sorted(_BODY_KEYS))} are known"
        )
    rows = _parse_rows(asked)
    require_count(len(rows), limits)
    if "keys" in asked or "key" in asked:
        rows = _add_keys(rows, asked["keys"] if "keys" in asked else [asked["key"]], served)
    return PredictionRequest(parse_rows(served.wanted, rows), choose_request_id(asked.get("request_id"), header_id))


def render_response(served: LoadedModel, asked: PredictionRequest, said: Prediction) -> bytes:
    """Writes the answer.

    Args:
        served: Who answered.
        asked: What was asked.
        said: What it says.

    Returns:
        One JSON object; `scores` only of two classes, `classes` and `probabilities` only of more.
    """
    answer: dict[str, Any] = {
        "project": served.project,
        "version": served.version,
        "generation": served.generation,
        "request_id": asked.request_id,
        "predictions": said.predictions.tolist(),
    }
    if said.scores is not None:
        answer["scores"] = said.scores.tolist()
    elif said.probabilities is not None:
        answer["classes"] = [str(label) for label in served.model.labels]
        answer["probabilities"] = said.probabilities.tolist()
    return orjson.dumps(answer, default=str)


JSON_ROWS = BodyFormat("application/json", parse_request, render_response)


def _parse_rows(asked: dict[str, Any]) -> list[dict[str, Any]]:
    if ("rows" in asked) == ("row" in asked):
        raise HTTPException(422, "send either 'rows', a list of objects, or 'row', one object")
    rows = asked["rows"] if "rows" in asked else [asked["row"]]
    if not isinstance(rows, list):
        raise HTTPException(422, "'rows' is no list: send a list of objects")
    wrong = next((place for place, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise HTTPException(422, f"row {wrong} is no object: send an object from column to value")
    return rows


def _add_keys(rows: list[dict[str, Any]], keys: object, served: LoadedModel) -> list[dict[str, Any]]:
    """Adds what each row is known by: a value where the project's key is one column, else an object."""
    names = served.key
    if not names:
        raise HTTPException(422, f"{served.project} has no key: leave 'keys' out, or give its project file one")
    if not isinstance(keys, list) or len(keys) != len(rows):
        raise HTTPException(422, f"'keys' is no list of {len(rows)}: send one key for each row")
    return [{**row, **parse_key(key, names)} for row, key in zip(rows, keys, strict=True)]


def parse_key(key: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Reads what a row is known by.

    Args:
        key: A value where the project's key is one column, else an object.
        names: The columns of the key.

    Returns:
        From column to value.

    Raises:
        HTTPException: If it is no such key.
    """
    if not isinstance(key, dict):
        if len(names) > 1:
            raise HTTPException(422, f"a key is no object: send one with {', '.join(names)}")
        return {names[0]: key}
    unknown = next((name for name in key if name not in names), None)
    if unknown is not None:
        raise HTTPException(422, f"a key names the column {unknown[:100]!r}: the key is {', '.join(names)}")
    return key


_NON_FINITE = (b"NaN", b"Infinity", b"infinity")
"""What Python and its like write, and JSON does not know; `infinity` is how the reader words a number like 1e999."""


def parse_object(body: bytes) -> dict[str, Any]:
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
        found = _parse_with_nan(body, fault)
    if not isinstance(found, dict):
        raise HTTPException(422, "the body is no JSON object: send one with the key 'rows'")
    return found


def _parse_with_nan(body: bytes, fault: orjson.JSONDecodeError) -> Any:  # noqa: ANN401 - JSON values are of any type
    if any(word in body for word in _NON_FINITE) or "infinity" in str(fault):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise HTTPException(400, f"the body is no valid JSON ({' '.join(str(fault).split())})") from fault
