"""The prediction request: its rows and id, the format of its body, the bounded reading of it, and the limits."""

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
from refit_serving.rows.memory import BUSY, Reserve

MAX_ID_LENGTH = 128
MEGABYTE = 1 << 20
LEAST_UNPACKED, UNPACKED_RATIO = 192 * MEGABYTE, 24
"""A request may take so many bytes of memory when it is unpacked, or so many times the most bytes of a body."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on memory and time. Beyond them a request is refused, and a row of the log is dropped and counted."""

    body_bytes: int = 8 * MEGABYTE
    """The most bytes of one body."""
    unpacked_bytes: int = LEAST_UNPACKED
    """The most bytes of memory that one request may take when it is unpacked."""
    all_unpacked_bytes: int = 2 * LEAST_UNPACKED
    """The most bytes of memory that all requests together may take when they are unpacked."""
    rows: int = 10_000
    """The most rows of one request."""
    waiting: int = 1_000
    """The most requests in the server at a time: being read, waiting, or being answered."""
    waiting_bytes: int = 64 * MEGABYTE
    """The most bytes of the bodies of all these requests together."""
    body_seconds: float = 30.0
    """How long a body may take to arrive, in seconds."""
    connections: int = 800
    """The most open connections."""
    address_connections: int = 400
    """The most open connections of one address."""
    header_seconds: float = 10.0
    """How long the headers of a request may take to arrive, in seconds."""
    response_seconds: float = 30.0
    """How long a client may take to read its response once it has stopped reading, in seconds."""
    log_rows: int = 100_000
    """The most rows that wait to be logged."""
    log_bytes: int = 256 * MEGABYTE
    """The most bytes of memory that the rows waiting to be logged hold."""
    requests_per_second: float = 1_000.0
    """The rate limit of each API key, and its burst; without keys there is no rate limit."""
    threads: int = min(4, os.cpu_count() or 1)
    """How many worker threads predict at a time."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A parsed request."""

    rows: RequestRows
    request_id: str
    """The client's, or a generated one."""
    held: int
    """The most bytes of memory that the rows take."""
    outputs: frozenset[str] = frozenset()
    """The requested outputs; all if empty."""


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """A format of request and response bodies."""

    media_type: str
    """Content type of the response."""
    parse: Callable[[bytes, str, LoadedModel, Limits, Reserve], PredictionRequest]
    """Takes the body and the request id of the headers; raises `HTTPException` or `RefitError`."""
    render: Callable[[LoadedModel, PredictionRequest, Prediction], bytes]
    """Writes the body of the response."""


def choose_request_id(body_id: object, header_id: str) -> str:
    """Chooses the id of a request, and sets it for the log lines of this request.

    Args:
        body_id: The id in the body, `None` if there is none.
        header_id: The id in the headers, empty if there is none.

    Returns:
        The id of the body, else that of the header, else a new one.

    Raises:
        HTTPException: With 422 if it is not a string, or longer than `MAX_ID_LENGTH` characters.
    """
    chosen = header_id if body_id is None else body_id
    if not isinstance(chosen, str) or len(chosen) > MAX_ID_LENGTH:
        raise HTTPException(422, f"the request id is not a string of at most {MAX_ID_LENGTH} characters: send another")
    chosen = chosen or uuid4().hex
    REQUEST.set(chosen)
    return chosen


def require_count(rows: int, limits: Limits) -> None:
    """Checks the number of rows of a request.

    Args:
        rows: The number of rows.
        limits: The limits of the server.

    Raises:
        HTTPException: With 422 if there is no row, 413 if there are too many.
    """
    if not rows:
        raise HTTPException(422, "the request has no rows: send at least one")
    if rows > limits.rows:
        raise HTTPException(413, f"the request has {rows:,} rows: send at most {limits.rows:,} at a time")


class BodyReader:
    """Reads request bodies within bounds on their number, their size and their time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = self._bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Reads a body, which counts against the limits until the block ends.

        Args:
            request: The request.

        Yields:
            The body.

        Raises:
            HTTPException: With 413 if it is too large, 408 if it does not arrive in time, 400 if the client
                disconnects, 503 if too many requests or bytes are in the server already.
        """
        if self._requests >= self._limits.waiting:
            raise HTTPException(503, BUSY, {"Retry-After": "1"})
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
                await self._read_parts(request, parts)
        except TimeoutError as late:
            raise HTTPException(408, f"the body did not arrive within {seconds:g} seconds: send it again") from late
        except ClientDisconnect as gone:
            raise HTTPException(400, "the connection was closed before the whole body had arrived") from gone

    async def _read_parts(self, request: Request, parts: list[bytes]) -> None:
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
                raise HTTPException(503, BUSY, {"Retry-After": "1"})
            self._bytes += len(part)
            parts.append(part)
