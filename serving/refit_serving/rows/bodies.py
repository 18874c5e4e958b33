"""The bytes of a request's body: as many as are allowed, within the time that is allowed, and no copy more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from refit_serving.rows.limits import Limits

_BUSY = "the server is busy: send the request again in a second"


class Desk:
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
