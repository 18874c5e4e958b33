"""Who gets in: holders of a key, each at his pace; without keys this machine's programs, and no page of a browser.

It stands before the application, so that no address can be forgotten. What it lets in by key,
and what it refuses, it notes.
"""

from __future__ import annotations

import time
from math import ceil

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refit_infra.loopback import is_loopback
from refit_serving.http.access import AccessLog
from refit_serving.http.api_keys import LABEL, LOOK, PREDICT, Key, Keyring
from refit_serving.http.pace import Pace

OPEN = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})
"""What anybody may ask: whether it runs and whether it can answer, and not for whom."""
DETAILED, BARE = "/readyz", "/v2/health/ready"
"""A stranger who asks the first is answered as if by the second: the first names projects."""
STRANGERS = 10.0
"""So many refused strangers are noted a second: what they cost has a bound."""

_NO_KEY = "a key is needed: send the header `Authorization: Bearer KEY`; `refit serve-key NAME` makes one"
_ELSEWHERE = "only programs on this machine are answered: start `refit serve` with --keys to let others in"


class Door:
    """An application behind a door."""

    def __init__(self, app: ASGIApp, keys: Keyring | None, per_second: float, log: AccessLog) -> None:
        self._app, self._keys, self._per_second, self._log = app, keys, per_second, log
        self._paces: dict[str, Pace] = {}
        self._strangers = Pace(STRANGERS)

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
            await (self._app if local else JSONResponse({"error": _ELSEWHERE}, 403))(scope, receive, send)
        else:
            await self._by_key(self._keys, scope, receive, send)

    async def _by_key(self, keys: Keyring, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.monotonic()
        key = keys.holder(_key_of(scope), begun)
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

    def _answering(self, key: Key, scope: Scope, now: float) -> ASGIApp:
        right = _right(scope)
        if right not in key.rights:
            return JSONResponse({"error": f"this key is not for this: `refit serve-key NAME --may {right}`"}, 403)
        wait = self._paces.setdefault(key.name, Pace(self._per_second)).wait(now)
        return _too_fast(wait) if wait else self._app

    async def _stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == DETAILED:
            scope = {**scope, "path": BARE, "raw_path": BARE.encode()}
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        now = time.monotonic()
        if not self._strangers.wait(now):
            self._log.note(None, scope, 401, 0.0)
        await JSONResponse({"error": _NO_KEY}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


def _key_of(scope: Scope) -> bytes:
    """Reads the key; an empty one, which is nobody's, where there is none or more than one."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, key = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _right(scope: Scope) -> str:
    """Names what a key must be for to ask this."""
    if scope["method"] in ("GET", "HEAD"):
        return LOOK
    return LABEL if scope["path"].rstrip("/").endswith("/labels") else PREDICT


def _is_foreign(scope: Scope) -> bool:
    """Tells a browser's page from elsewhere, which may reach this machine by a name of its own or by a form."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return any(name in (b"host", b"origin") and not is_loopback(_host(value)) for name, value in headers)


def _host(value: bytes) -> str:
    place = value.decode("latin-1").rpartition("://")[2]
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]


def _too_fast(wait: float) -> ASGIApp:
    sentence = f"there are too many requests by this key: send the next one in {wait:.3g} seconds"
    return JSONResponse({"error": sentence}, 429, {"Retry-After": str(ceil(wait))})
