"""API-key authentication, per-key rate limiting and the access log, as middleware before every route.

Without keys, only requests to a loopback host are accepted, and cross-origin browser requests are rejected.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from math import ceil

import orjson
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refit_infra.loopback import is_loopback
from refit_serving.http.api_keys import RIGHTS, ApiKey, Keyring
from refit_serving.http.rights import GRANTED, METHODS, is_plain_path

log = logging.getLogger(__name__)

PUBLIC_PATHS = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})
"""Paths that need no key: they tell whether the server runs and is ready, and name no project."""
DETAILED, BARE = "/readyz", "/v2/health/ready"
"""The first names projects, so without a key it is answered like the second."""
LOGGED_REJECTIONS_PER_SECOND = 10.0
"""Further rejected requests are not logged, so that a flood of them cannot fill the log."""
STANDARD_ERROR = 2
POLICY_VIOLATION = 1008
"""The code that closes a WebSocket; there is no route for one."""
MAX_PATH_LENGTH = 200
"""Characters of a path in the access log."""

_KEY_REQUIRED = "an API key is required: send `Authorization: Bearer KEY`, with a key made by `refit serve-key NAME`"
_NO_PATH = "there is no such path: /docs lists all of them, and none has an escaped character or an empty part"
_NO_METHOD = f"this method is not allowed for any path: the methods are {', '.join(sorted(METHODS))}"
_LOOPBACK_ONLY = "only requests from this machine are accepted: start `refit serve` with --keys to accept others"


class AuthMiddleware:
    """An ASGI application that passes only authorised requests to another."""

    def __init__(self, app: ASGIApp, keys: Keyring | None, per_second: float, log: AccessLog) -> None:
        self._app, self._keys, self._per_second, self._log = app, keys, per_second, log
        self._buckets: dict[str, TokenBucket] = {}
        self._rejections = TokenBucket(LOGGED_REJECTIONS_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or rejects it.

        Args:
            scope: The ASGI scope of the request.
            receive: Gives the body.
            send: Takes the response.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        elif self._keys is None:
            app = JSONResponse({"error": _LOOPBACK_ONLY}, 403) if _is_foreign(scope) else self._find_app(scope)
            await app({**scope, GRANTED: frozenset(RIGHTS)}, receive, send)
        else:
            await self._authenticate(self._keys, scope, receive, send)

    async def _authenticate(self, keys: Keyring, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.monotonic()
        key = keys.find_key(_read_key(scope), begun)
        if key is None:
            await self._reject_unauthenticated(scope, receive, send)
            return
        app, scope = self._limit_rate(key, scope, begun), {**scope, GRANTED: key.rights}
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, send_and_note)
        finally:
            self._log.write(key.name, scope, status, time.monotonic() - begun)

    def _limit_rate(self, key: ApiKey, scope: Scope, now: float) -> ASGIApp:
        """Gives the application, or a response that rejects the request."""
        wait = self._buckets.setdefault(key.name, TokenBucket(self._per_second)).take(now)
        return _reject_rate(wait) if wait else self._find_app(scope)

    def _find_app(self, scope: Scope) -> ASGIApp:
        """Gives the application, or a response to a method or a spelling of a path that no route has."""
        if scope["method"] not in METHODS:
            return JSONResponse({"error": _NO_METHOD}, 405, {"Allow": ", ".join(sorted(METHODS))})
        return self._app if is_plain_path(scope) else JSONResponse({"error": _NO_PATH}, 404)

    async def _reject_unauthenticated(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rejects a request without a valid key, unless its path is public."""
        is_plain = is_plain_path(scope)
        if is_plain and scope["path"] == DETAILED:
            scope = {**scope, "path": BARE, "raw_path": BARE.encode()}
        if is_plain and scope["path"] in PUBLIC_PATHS:
            await self._find_app(scope)(scope, receive, send)
            return
        if not self._rejections.take(time.monotonic()):
            self._log.write(None, scope, 401, 0.0)
        await JSONResponse({"error": _KEY_REQUIRED}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


@dataclass(slots=True)
class TokenBucket:
    """A rate limit with bursts: a full bucket holds the requests of one second, and refills with time."""

    per_second: float
    """Requests per second."""
    _tokens: float = field(default=-1.0, init=False)
    _at: float = field(default=0.0, init=False)

    def take(self, now: float) -> float:
        """Takes a token.

        Args:
            now: Seconds of a monotonic clock.

        Returns:
            0 if there was a token, else the seconds until there will be one.

        Example:
            >>> bucket = TokenBucket(per_second=2)
            >>> [bucket.take(now) for now in (0.0, 0.0, 0.0, 0.25, 0.5)]
            [0.0, 0.0, 0.5, 0.25, 0.0]
        """
        full = max(1.0, self.per_second)
        refilled = full if self._tokens < 0 else self._tokens + (now - self._at) * self.per_second
        self._tokens, self._at = min(full, refilled), now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.per_second
        self._tokens -= 1.0
        return 0.0


class AccessLog:
    """The access log: one line of JSON for each request, without headers and bodies.

    It is written without Python's logging, which takes longer than the prediction of a fast model.
    """

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._has_failed = False

    def write(self, key: str | None, scope: Scope, status: int, seconds: float) -> None:
        """Writes a line. If that fails, the request is answered all the same.

        Args:
            key: The name of the API key; `None` without a valid one.
            scope: The ASGI scope of the request.
            status: The HTTP status of the response.
            seconds: How long the response took.
        """
        client = scope.get("client")
        line = {
            "at": time.time(),
            "key": key,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:MAX_PATH_LENGTH],
            "status": status,
            "ms": round(1_000 * seconds, 3),
        }
        try:
            os.write(self._descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as fault:
            if not self._has_failed:
                log.error("the access log cannot be written (%s): requests are not logged", fault)  # noqa: TRY400
            self._has_failed = True


def _read_key(scope: Scope) -> bytes:
    """Reads the key of a request; empty, which is no valid key, if there is none or more than one."""
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, key = headers[0].partition(b" ") if len(headers) == 1 else (b"", b"", b"")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _is_foreign(scope: Scope) -> bool:
    """Tells whether a web page from elsewhere sent a request, by DNS rebinding (`Host`) or by a form (`Origin`)."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return any(name in (b"host", b"origin") and not is_loopback(_host_of(value)) for name, value in headers)


def _host_of(value: bytes) -> str:
    authority = value.decode("latin-1").rpartition("://")[2]
    return authority[1:].partition("]")[0] if authority.startswith("[") else authority.partition(":")[0]


def _reject_rate(wait: float) -> ASGIApp:
    error = f"this API key has exceeded its rate limit: send the next request in {wait:.3g} seconds"
    return JSONResponse({"error": error}, 429, {"Retry-After": str(ceil(wait))})
