"""The JSON format: rows as objects, predictions as lists; and the parsing of JSON bodies for all JSON formats."""

from __future__ import annotations

import json
from typing import Any

import orjson
from fastapi import HTTPException

from refit.inference.predictor import Prediction
from refit.inference.request_rows import parse_rows
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import Reserve, measure_json
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

_BODY_KEYS = {"rows", "row", "keys", "key", "request_id"}
_NON_FINITE = (b"NaN", b"Infinity", b"infinity")
"""What Python and others write for non-finite numbers, which JSON does not allow; `infinity` is also how orjson words
the error for a number like 1e999."""


def parse_request(
    body: bytes, header_id: str, model: LoadedModel, limits: Limits, reserve: Reserve
) -> PredictionRequest:
    """Reads `{"rows": [{...}, ...]}` or `{"row": {...}}`, with optional `keys` or `key` and `request_id`.

    Args:
        body: The body.
        header_id: The request id of the headers.
        model: The model that predicts.
        limits: The limits of the server.
        reserve: Takes the memory of the request before it is unpacked.

    Returns:
        The request.

    Raises:
        HTTPException: With 400 or 422 if the body is not such an object, 413 if it has too many rows.
        DataError: If a column or a cell does not fit the model.
    """
    held = reserve(measure_json(body))
    content = parse_object(body)
    unknown = next(iter(content.keys() - _BODY_KEYS), None)
    if unknown is not None:
        allowed = ", ".join(sorted(_BODY_KEYS))
        raise HTTPException(422, f"the body has the unknown key {unknown[:100]!r}: the allowed keys are {allowed}")
    rows = _parse_rows(content)
    require_count(len(rows), limits)
    if "keys" in content or "key" in content:
        rows = _add_keys(rows, content["keys"] if "keys" in content else [content["key"]], model)
    request_id = choose_request_id(content.get("request_id"), header_id)
    return PredictionRequest(parse_rows(model.spec, rows), request_id, held)


def render_response(model: LoadedModel, request: PredictionRequest, prediction: Prediction) -> bytes:
    """Writes predictions as JSON.

    Args:
        model: The model that predicted.
        request: The request.
        prediction: The predictions of its rows.

    Returns:
        One JSON object; `scores` for two classes only, `classes` and `probabilities` for more than two.
    """
    response: dict[str, Any] = {
        "project": model.project,
        "version": model.version,
        "generation": model.generation,
        "request_id": request.request_id,
        "predictions": prediction.predictions.tolist(),
    }
    if prediction.scores is not None:
        response["scores"] = prediction.scores.tolist()
    elif prediction.probabilities is not None:
        response["classes"] = [str(label) for label in model.predictor.labels]
        response["probabilities"] = prediction.probabilities.tolist()
    return orjson.dumps(response, default=str)


JSON_ROWS = BodyFormat("application/json", parse_request, render_response)


def parse_key(key: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Reads the key of a row.

    Args:
        key: A plain value if the project's key is one column, else an object.
        names: The columns of the project's key.

    Returns:
        From column to value.

    Raises:
        HTTPException: With 422 if it is not such a key.
    """
    if not isinstance(key, dict):
        if len(names) > 1:
            raise HTTPException(422, f"a key is not a JSON object: send an object with {', '.join(names)}")
        return {names[0]: key}
    unknown = next((name for name in key if name not in names), None)
    if unknown is not None:
        raise HTTPException(422, f"a key has the unknown column {unknown[:100]!r}: send {', '.join(names)}")
    return key


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads a JSON object with orjson, and again with the slower `json` where it holds NaN or an infinite number.

    Args:
        body: The bytes.

    Returns:
        The object. NaN and infinite numbers are kept, so that they are refused later by the name of their column.

    Raises:
        HTTPException: With 400 if it is not valid JSON, 422 if it is not an object.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        content = _parse_with_nan(body, fault)
    if not isinstance(content, dict):
        raise HTTPException(422, "the body is not a JSON object: send one as /docs describes")
    return content


def _parse_with_nan(body: bytes, fault: orjson.JSONDecodeError) -> Any:  # noqa: ANN401 - JSON values are of any type
    if any(word in body for word in _NON_FINITE) or "infinity" in str(fault):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise HTTPException(400, f"the body is not valid JSON ({' '.join(str(fault).split())})") from fault


def _parse_rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    if ("rows" in content) == ("row" in content):
        raise HTTPException(422, "send either 'rows', a list of objects, or 'row', one object")
    rows = content["rows"] if "rows" in content else [content["row"]]
    if not isinstance(rows, list):
        raise HTTPException(422, "'rows' is not a list: send a list of objects")
    wrong = next((place for place, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise HTTPException(422, f"row {wrong} is not a JSON object: send an object that maps column names to values")
    return rows


def _add_keys(rows: list[dict[str, Any]], keys: object, model: LoadedModel) -> list[dict[str, Any]]:
    """Adds the key columns to the rows."""
    names = model.key
    if not names:
        raise HTTPException(
            422, f"project {model.project!r} has no key: leave 'keys' out, or set key=(...) in its project file"
        )
    if not isinstance(keys, list) or len(keys) != len(rows):
        raise HTTPException(422, f"'keys' is not a list of {len(rows)} keys: send one key for each row")
    return [{**row, **parse_key(key, names)} for row, key in zip(rows, keys, strict=True)]
