"""OpenAPI descriptions of the request and response bodies, which the routes read and write as bytes."""

from __future__ import annotations

from typing import Any

from refit_serving.rows.arrow_rows import STREAM

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
_ROW: dict[str, Any] = {
    "type": "object",
    "description": "Maps column names to values; null for a missing value. Key columns and timestamp are optional.",
}
_KEY: dict[str, Any] = {
    "description": "The key of the row: its value if the key is one column, or an object of key columns and values."
}
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
        "scores": {**_NUMBERS, "description": "For two classes: the probability of the positive class."},
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
                "properties": {"key": _KEY, "label": {"description": "The true value of the target."}},
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
    "400": "The body cannot be parsed.",
    "404": "The project or the version is not served here.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large, or has too many rows.",
    "415": "The content type is not one of those listed for the body.",
    "422": "A column or a value does not fit the model; the error names it.",
    "503": "No model is loaded yet, or the server is busy.",
}


def _describe(
    body: dict[str, Any],
    response: dict[str, Any],
    *,
    arrow: bool = False,
    success: tuple[str, str] = ("200", "The predictions, all of one model version."),
) -> dict[str, Any]:
    binary = {STREAM: {"schema": {"type": "string", "format": "binary"}}} if arrow else {}
    error = {"application/json": {"schema": _ERROR}}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}, **binary}},
        "responses": {
            success[0]: {
                "description": success[1],
                "content": {"application/json": {"schema": response}, **binary},
            },
            **{status: {"description": why, "content": error} for status, why in _ERRORS.items()},
        },
    }


PREDICT = _describe(_PREDICT, _PREDICT_RESPONSE, arrow=True)
INFER = _describe(_INFER, _INFER_RESPONSE)
LABELS = _describe(
    _LABELS, _LABELS_RESPONSE, success=("202", "The labels are stored; the next ingest joins them to their rows.")
)
NOT_SERVED: dict[int | str, dict[str, Any]] = {
    404: {"description": _ERRORS["404"], "content": {"application/json": {"schema": _ERROR}}},
    503: {"description": _ERRORS["503"], "content": {"application/json": {"schema": _ERROR}}},
}
