"""How the addresses are described: what OpenAPI says of bodies that are read as bytes."""

from __future__ import annotations

from typing import Any

from refit_serving.rows.arrow_rows import STREAM

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
_ROW: dict[str, Any] = {
    "type": "object",
    "description": "From column to value; null where a value is missing. The key and the timestamp may be there, too.",
}
_KEY: dict[str, Any] = {"description": "What the row is known by: a value, or an object from key column to value."}
_REQUEST_ID: dict[str, Any] = {"type": "string", "maxLength": 128}
_PREDICT: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "required": ["rows"],
            "additionalProperties": False,
            "properties": {
                "rows": {"type": "array", "items": _ROW, "minItems": 1},
                "keys": {"type": "array", "items": _KEY},
                "request_id": _REQUEST_ID,
            },
        },
        {
            "type": "object",
            "required": ["row"],
            "additionalProperties": False,
            "properties": {"row": _ROW, "key": _KEY, "request_id": _REQUEST_ID},
        },
    ]
}
_PREDICT_RESPONSE: dict[str, Any] = {
    "type": "object",
    "required": ["project", "version", "generation", "request_id", "predictions"],
    "properties": {
        "project": _TEXT,
        "version": {"type": "integer"},
        "generation": {"type": "integer"},
        "request_id": _TEXT,
        "predictions": {"type": "array", "items": {}},
        "scores": {**_NUMBERS, "description": "Of two classes: the probability of the positive one."},
        "classes": {"type": "array", "items": _TEXT},
        "probabilities": {"type": "array", "items": _NUMBERS},
    },
}
_TENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": _TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": _TEXT,
        "data": {"type": "array", "items": {}},
    },
}
_INFER: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _REQUEST_ID,
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}}},
    },
}
_INFER_RESPONSE: dict[str, Any] = {
    "type": "object",
    "required": ["model_name", "model_version", "id", "outputs"],
    "properties": {
        "model_name": _TEXT,
        "model_version": _TEXT,
        "id": _TEXT,
        "parameters": {"type": "object"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_LABELS: dict[str, Any] = {
    "type": "object",
    "required": ["labels"],
    "additionalProperties": False,
    "properties": {
        "labels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["key", "label"],
                "additionalProperties": False,
                "properties": {"key": _KEY, "label": {"description": "What turned out to be true."}},
            },
        },
        "request_id": _REQUEST_ID,
    },
}
_LABELS_RESPONSE: dict[str, Any] = {
    "type": "object",
    "required": ["project", "request_id", "labels"],
    "properties": {"project": _TEXT, "request_id": _TEXT, "labels": {"type": "integer"}},
}
_ERROR: dict[str, Any] = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}
_ERRORS = {
    "400": "The body cannot be read.",
    "404": "No such project is served here, or another version.",
    "408": "The body has not arrived in time.",
    "413": "The body is too large, or has too many rows.",
    "415": "The content type is not one of those above.",
    "422": "A column or a value is not what the model knows; the sentence names it.",
    "503": "Nobody answers yet, or the server is busy.",
}


def _describe(
    body: dict[str, Any],
    answer: dict[str, Any],
    *,
    arrow: bool = False,
    good: tuple[str, str] = ("200", "The answer of one version."),
) -> dict[str, Any]:
    binary = {STREAM: {"schema": {"type": "string", "format": "binary"}}} if arrow else {}
    refused = {"application/json": {"schema": _ERROR}}
    answered = {"application/json": {"schema": answer}, **binary}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}, **binary}},
        "responses": {
            good[0]: {"description": good[1], "content": answered},
            **{status: {"description": why, "content": refused} for status, why in _ERRORS.items()},
        },
    }


PREDICT = _describe(_PREDICT, _PREDICT_RESPONSE, arrow=True)
INFER = _describe(_INFER, _INFER_RESPONSE)
LABELS = _describe(
    _LABELS, _LABELS_RESPONSE, good=("202", "The labels are on disk; the next run that ingests joins them.")
)
NOT_SERVED: dict[int | str, dict[str, Any]] = {
    404: {"description": _ERRORS["404"], "content": {"application/json": {"schema": _ERROR}}},
    503: {"description": _ERRORS["503"], "content": {"application/json": {"schema": _ERROR}}},
}
