"""What a request asks: rows, and by which name its sender knows it.

The bytes of a request's body: as many as are allowed, within the time that is allowed, and no copy more.

What one request, and all of them together, may cost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from refit.inference.predictor import Prediction
from refit.inference.request_rows import RequestRows
from refit_infra.json_logging import REQUEST
from refit_serving.rows.loaded_model import LoadedModel

MAX_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A request that a version can answer."""

    rows: RequestRows
    request_id: str
    """The sender's, or one of ours."""
    wanted: frozenset[str] = frozenset()
    """Which outputs; all if empty."""


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """How requests and answers of one kind are written."""

    media_type: str
    """Of the answer."""
    parse: Callable[[bytes, str, LoadedModel, Limits], PredictionRequest]
    """Takes the body and the request id of the headers; raises `HTTPException` or `RefitError`."""
    render: Callable[[LoadedModel, PredictionRequest, Prediction], bytes]


def choose_request_id(given: object, header: str) -> str:
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
    if not isinstance(chosen, str) or len(chosen) > MAX_ID_LENGTH:
        raise HTTPException(422, f"the request id is no text of at most {MAX_ID_LENGTH} characters: send another one")
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


_BUSY = "the server is busy: send the request again in a second"


class BodyReader:
    """Takes requests in; what waits and is answered at a time has bounds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = self._bytes = 0

    @asynccontextmanager
    async def taken(self, request: Request) -> AsyncIterator[bytes]:
        """Reads a body, which counts as waiting until the block ends.

        Args:
            request: The request.

        Yields:
            The body.

        Raises:
            HTTPException: With 413 if it is too large, 408 if it does not arrive, 503 where too much waits already.
        """
        if self._requests >= self._limits.waiting:
            raise HTTPException(503, _BUSY, {"Retry-After": "1"})
        self._requests += 1
        parts: list[bytes] = []
        try:
            await self._read_in_time(request, parts)
            yield b"".join(parts)
        finally:
            self._requests -= 1
            self._bytes -= sum(map(len, parts))

    async def _read_in_time(self, request: Request, parts: list[bytes]) -> None:
        seconds = self._limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._read(request, parts)
        except TimeoutError as late:
            raise HTTPException(408, f"the body has not arrived within {seconds:g} seconds: send it again") from late
        except ClientDisconnect as gone:
            raise HTTPException(400, "the connection was closed before all of the body had arrived") from gone

    async def _read(self, request: Request, parts: list[bytes]) -> None:
        most = self._limits.body_bytes
        too_large = HTTPException(413, f"the body has more than {most:,} bytes: send fewer rows at a time")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            raise too_large
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_large
            if self._bytes + len(part) > self._limits.waiting_bytes:
                raise HTTPException(503, _BUSY, {"Retry-After": "1"})
            self._bytes += len(part)
            parts.append(part)


MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on memory and time; beyond them a request is refused, and a row of the log dropped and counted."""

    body_bytes: int = 8 * MEGABYTE
    """The most bytes of one body; it takes some ten times as much while it is read."""
    rows: int = 10_000
    """The most rows of one request."""
    waiting: int = 1_000
    """The most requests that are read, wait or are answered at a time."""
    waiting_bytes: int = 64 * MEGABYTE
    """The most bytes that their bodies may have together."""
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    log_rows: int = 100_000
    """The most rows that wait to be logged."""
    log_bytes: int = 64 * MEGABYTE
    """The most bytes that they may have had in their requests."""
    requests_per_second: float = 1_000.0
    """How many requests a key has in each second, and how many at once; without keys there is no such limit."""
    threads: int = min(4, os.cpu_count() or 1)
    """So many models answer at a time."""
