"""Rows as JSON objects, and answers beside them in lists."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import HTTPException

from refit.inference.predictor import Said
from refit.inference.request_rows import received_rows
from refit_serving.rows.json_values import read_object
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked, Form, identified, require_count

_KNOWN = {"rows", "row", "keys", "key", "request_id"}


def parse(body: bytes, header_id: str, served: Served, limits: Limits) -> Asked:
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
    asked = read_object(body)
    unknown = next(iter(asked.keys() - _KNOWN), None)
    if unknown is not None:
        raise HTTPException(422, f"the body has the key {unknown[:100]!r}: only {', '.join(sorted(_KNOWN))} are known")
    rows = _rows_of(asked)
    require_count(len(rows), limits)
    if "keys" in asked or "key" in asked:
        rows = _with_keys(rows, asked["keys"] if "keys" in asked else [asked["key"]], served)
    return Asked(received_rows(served.wanted, rows), identified(asked.get("request_id"), header_id))


def render(served: Served, asked: Asked, said: Said) -> bytes:
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


JSON_ROWS = Form("application/json", parse, render)


def _rows_of(asked: dict[str, Any]) -> list[dict[str, Any]]:
    if ("rows" in asked) == ("row" in asked):
        raise HTTPException(422, "send either 'rows', a list of objects, or 'row', one object")
    rows = asked["rows"] if "rows" in asked else [asked["row"]]
    if not isinstance(rows, list):
        raise HTTPException(422, "'rows' is no list: send a list of objects")
    wrong = next((place for place, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise HTTPException(422, f"row {wrong} is no object: send an object from column to value")
    return rows


def _with_keys(rows: list[dict[str, Any]], keys: object, served: Served) -> list[dict[str, Any]]:
    """Adds what each row is known by: a value where the project's key is one column, else an object."""
    names = served.key
    if not names:
        raise HTTPException(422, f"{served.project} has no key: leave 'keys' out, or give its project file one")
    if not isinstance(keys, list) or len(keys) != len(rows):
        raise HTTPException(422, f"'keys' is no list of {len(rows)}: send one key for each row")
    return [{**row, **named(key, names)} for row, key in zip(rows, keys, strict=True)]


def named(key: object, names: tuple[str, ...]) -> dict[str, Any]:
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
