"""What a request asks: rows, and by which name its sender knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from fastapi import HTTPException

from refit.inference.predictor import Said
from refit.inference.request_rows import Received
from refit_infra.json_logging import REQUEST
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served

LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a version can answer."""

    rows: Received
    request_id: str
    """The sender's, or one of ours."""
    wanted: frozenset[str] = frozenset()
    """Which outputs; all if empty."""


@dataclass(frozen=True, slots=True)
class Form:
    """How requests and answers of one kind are written."""

    media_type: str
    """Of the answer."""
    parse: Callable[[bytes, str, Served, Limits], Asked]
    """Takes the body and the request id of the headers; raises `HTTPException` or `RefitError`."""
    render: Callable[[Served, Asked, Said], bytes]


def identified(given: object, header: str) -> str:
    """Chooses the name of a request.

    Args:
        given: The one in the body, if any.
        header: The one in the header, empty if none.

    Returns:
        That of the body, else that of the header, else a new one.

    Raises:
        HTTPException: If it is no text, or a long one.
    """
    chosen = header if given is None else given
    if not isinstance(chosen, str) or len(chosen) > LONGEST_ID:
        raise HTTPException(422, f"the request id is no text of at most {LONGEST_ID} characters: send another one")
    chosen = chosen or uuid4().hex
    REQUEST.set(chosen)
    return chosen


def require_count(rows: int, limits: Limits) -> None:
    """Insists on a number of rows that can be answered at once.

    Args:
        rows: How many there are.
        limits: How many there may be.

    Raises:
        HTTPException: If there is none, or too many.
    """
    if not rows:
        raise HTTPException(422, "there are no rows: send at least one")
    if rows > limits.rows:
        raise HTTPException(413, f"there are {rows:,} rows: send at most {limits.rows:,} at a time")
