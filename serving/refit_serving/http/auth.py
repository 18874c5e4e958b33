"""Who gets in: holders of a key, each at his pace; without keys this machine's programs, and no page of a browser.

It stands before the application, so that no address can be forgotten. What it lets in by key,
and what it refuses, it notes.

How fast one asker may go on: so many requests at once, and as many in each second after that.

The access log: one line of JSON for each request, of who asked for what; no header and no body is in it.

The lines are written without the logging of Python, which takes longer than the answer of a quick model.
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
from refit_serving.http.api_keys import LABEL, LOOK, PREDICT, ApiKey, Keyring

PUBLIC_PATHS = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})
"""What anybody may ask: whether it runs and whether it can answer, and not for whom."""
DETAILED, BARE = "/readyz", "/v2/health/ready"
"""A stranger who asks the first is answered as if by the second: the first names projects."""
LOGGED_REJECTIONS_PER_SECOND = 10.0
"""So many refused strangers are noted a second: what they cost has a bound."""

_KEY_REQUIRED = "a key is needed: send the header `Authorization: Bearer KEY`; `refit serve-key NAME` makes one"
_LOOPBACK_ONLY = "only programs on this machine are answered: start `refit serve` with --keys to let others in"


class AuthMiddleware:
    """An application behind a door."""

    def __init__(self, app: ASGIApp, keys: Keyring | None, per_second: float, log: AccessLog) -> None:
        self._app, self._keys, self._per_second, self._log = app, keys, per_second, log
        self._paces: dict[str, TokenBucket] = {}
        self._strangers = TokenBucket(LOGGED_REJECTIONS_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers in the application's place.

        Args:
            scope: What is asked.
            receive: Gives the body.
            send: Takes the answer.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._keys is None:
            local = not _is_foreign(scope)
            await (self._app if local else JSONResponse({"error": _LOOPBACK_ONLY}, 403))(scope, receive, send)
        else:
            await self._by_key(self._keys, scope, receive, send)

    async def _by_key(self, keys: Keyring, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.monotonic()
        key = keys.holder(_read_key(scope), begun)
        if key is None:
            await self._stranger(scope, receive, send)
            return
        answering = self._answering(key, scope, begun)
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await answering(scope, receive, noting)
        finally:
            self._log.note(key.name, scope, status, time.monotonic() - begun)

    def _answering(self, key: ApiKey, scope: Scope, now: float) -> ASGIApp:
        right = _required_right(scope)
        if right not in key.rights:
            return JSONResponse({"error": f"this key is not for this: `refit serve-key NAME --may {right}`"}, 403)
        wait = self._paces.setdefault(key.name, TokenBucket(self._per_second)).wait(now)
        return _reject_rate(wait) if wait else self._app

    async def _stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == DETAILED:
            scope = {**scope, "path": BARE, "raw_path": BARE.encode()}
        if scope["path"] in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        now = time.monotonic()
        if not self._strangers.wait(now):
            self._log.note(None, scope, 401, 0.0)
        await JSONResponse({"error": _KEY_REQUIRED}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


def _read_key(scope: Scope) -> bytes:
    """Reads the key; an empty one, which is nobody's, where there is none or more than one."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, key = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _required_right(scope: Scope) -> str:
    """Names what a key must be for to ask this."""
    if scope["method"] in ("GET", "HEAD"):
        return LOOK
    return LABEL if scope["path"].rstrip("/").endswith("/labels") else PREDICT


def _is_foreign(scope: Scope) -> bool:
    """Tells a browser's page from elsewhere, which may reach this machine by a name of its own or by a form."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return any(name in (b"host", b"origin") and not is_loopback(_host_of(value)) for name, value in headers)


def _host_of(value: bytes) -> str:
    place = value.decode("latin-1").rpartition("://")[2]
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]


def _reject_rate(wait: float) -> ASGIApp:
    sentence = f"there are too many requests by this key: send the next one in {wait:.3g} seconds"
    return JSONResponse({"error": sentence}, 429, {"Retry-After": str(ceil(wait))})


@dataclass(slots=True)
class TokenBucket:
    """A bucket of tokens: it is full at first, a request takes one, and time fills it again."""

    per_second: float
    _left: float = field(default=-1.0, init=False)
    _at: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Takes a token.

        Args:
            now: A clock that never goes back, in seconds.

        Returns:
            0 if there was one, else the seconds until there will be.

        Example:
            >>> pace = Pace(per_second=2)
            >>> [pace.wait(now) for now in (0.0, 0.0, 0.0, 0.25, 0.5)]
            [0.0, 0.0, 0.5, 0.25, 0.0]
        """
        full = max(1.0, self.per_second)
        grown = full if self._left < 0 else self._left + (now - self._at) * self.per_second
        self._left, self._at = min(full, grown), now
        if self._left < 1.0:
            return (1.0 - self._left) / self.per_second
        self._left -= 1.0
        return 0.0


log = logging.getLogger(__name__)

STANDARD_ERROR = 2
MAX_PATH_LENGTH = 200
"""The most characters of an address."""


class AccessLog:
    """Where the lines go."""

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._failed = False

    def note(self, key: str | None, scope: Scope, status: int, seconds: float) -> None:
        """Writes a line; where that fails, who is asked goes on answering.

        Args:
            key: The name of the key; `None` for a stranger.
            scope: What was asked.
            status: How it was answered.
            seconds: How long that took.
        """
        client = scope.get("client")
        facts = {
            "at": time.time(),
            "key": key,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:MAX_PATH_LENGTH],
            "status": status,
            "ms": round(1_000 * seconds, 3),
        }
        try:
            os.write(self._descriptor, orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as fault:
            if not self._failed:
                log.error("the access log cannot be written (%s): requests go unnoted", fault)  # noqa: TRY400
            self._failed = True
