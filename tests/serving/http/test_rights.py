"""Every route x {no key, no right, each right} x odd spellings: only what is allowed is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from refit_serving.http.api_keys import LABEL, LOOK, PREDICT, RIGHTS, ApiKey, Keyring, add_key
from refit_serving.http.app import make_app
from refit_serving.http.auth import DETAILED, PUBLIC_PATHS, AccessLog, AuthMiddleware
from refit_serving.rows.request import Limits
from refit_serving.traffic.service import Service

REQUIRED = {
    ("GET", "/docs"): LOOK,
    ("GET", "/openapi.json"): LOOK,
    ("GET", "/healthz"): "",
    ("GET", "/readyz"): LOOK,
    ("GET", "/metrics"): LOOK,
    ("GET", "/v2"): LOOK,
    ("GET", "/v2/health/live"): "",
    ("GET", "/v2/health/ready"): "",
    ("GET", "/v2/models/{name}"): LOOK,
    ("GET", "/v2/models/{name}/ready"): LOOK,
    ("GET", "/v2/models/{name}/versions/{version}"): LOOK,
    ("GET", "/v2/models/{name}/versions/{version}/ready"): LOOK,
    ("POST", "/v1/models/{name}/predict"): PREDICT,
    ("POST", "/v1/models/{name}/labels"): LABEL,
    ("POST", "/v2/models/{name}/infer"): PREDICT,
    ("POST", "/v2/models/{name}/versions/{version}/infer"): PREDICT,
}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post", "LABELS")


def spell_oddly(path: str) -> list[bytes]:
    """Spells a path in ways that some server somewhere reads as the same one."""
    head, _, last = path.rpartition("/")
    codes = ("0A", "0D", "0D%0A", "00", "09", "20", "85", "2F", "2f", "3B", "3F", "23", "5C", "2E", "252F", "250A")
    escaped = [f"%{code}" for code in codes]
    after = {path + mark for mark in [*escaped, *"/\\;.\n\r\0\v\x7f\xff \t", "//", "/.", "/..", ";x", "..;/"]}
    before = {mark + path for mark in ["/", "/.", "/x/..", "%2F", "\n", "/\n", "//host", "/%2e", "http://host"]}
    within = {f"{head}{mark}{last}" for mark in ["//", "/./", "/x/../", "%2F", "\\", "/\n", "/%0A", ";/", "/%2E/"]}
    letters = {f"{head}/{last.upper()}", f"{head}/%{ord(last[0]):02x}{last[1:]}", f"{head}/{last[0]}%CC%81{last[1:]}"}
    return sorted({text.encode("latin-1") for text in after | before | within | letters})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_HOME", str(tmp_path_factory.mktemp("rights")))
        yield make_app(Service([], Limits()))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def keys(file: Path) -> dict[str, bytes]:
    """A key for each right, and one with none, whose line a hand has written."""
    return {"": b"", "none": b"rightless", **{right: add_key(file, right, [right]).encode() for right in RIGHTS}}


class Rightless(Keyring):
    """A file that holds one key without any right."""

    def find_key(self, secret: bytes, now: float) -> ApiKey | None:
        return ApiKey("rightless", b"", frozenset()) if secret == b"rightless" else super().find_key(secret, now)


@pytest.fixture(scope="module")
def door(app: FastAPI, keys: dict[str, bytes], file: Path) -> Iterator[AuthMiddleware]:
    with Path("/dev/null").open("wb") as log:
        yield AuthMiddleware(app, Rightless(file), 1e9, AccessLog(log.fileno()))


async def ask(door: AuthMiddleware, method: str, raw: bytes, key: bytes) -> int:
    """Asks as uvicorn would: the raw path up to a `?`, and its decoded form."""
    sent, _, query = raw.partition(b"?")
    headers = [(b"host", b"localhost"), *([(b"authorization", b"Bearer " + key)] if key else [])]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
    scope |= {"path": unquote(sent.decode("latin-1")), "raw_path": sent, "query_string": query, "root_path": ""}
    scope |= {"headers": headers, "client": ("192.0.2.1", 1), "server": ("localhost", 80)}
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    await door(scope, receive, send)
    return found[0]


def fill(path: str) -> str:
    return path.replace("{name}", "parcels").replace("{version}", "1")


def test_each_route_of_the_application_is_in_the_table(app: FastAPI) -> None:
    found = {
        (method, context.path_format)
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ["mount"]
    }
    assert found == set(REQUIRED)


@pytest.mark.parametrize(("method", "path"), REQUIRED, ids=lambda part: part)
def test_a_route_answers_its_own_right_only(
    door: AuthMiddleware, keys: dict[str, bytes], method: str, path: str
) -> None:
    required, plain = REQUIRED[method, path], fill(path).encode()
    for right in ("", *RIGHTS, "none"):
        got = asyncio.run(ask(door, method, plain, keys[right]))
        if required in ("", right):
            assert got not in {401, 403, 405}, (right, got)
        elif right:
            assert got == 403, right
        else:
            # Strangers get the answer of /v2/health/ready there, which names no project.
            assert got == (200 if path == DETAILED else 401)


@pytest.mark.parametrize("path", sorted({path for _, path in REQUIRED}))
def test_an_odd_spelling_or_method_reaches_no_route(door: AuthMiddleware, keys: dict[str, bytes], path: str) -> None:
    plain = fill(path).encode()
    asked = list(product(("GET", "POST"), spell_oddly(fill(path))))
    asked += [(method, plain) for method in METHODS if (method, path) not in REQUIRED]
    assert len(asked) > 100

    async def ask_all() -> list[tuple[str, bytes, str, int]]:
        return [(*one, right, await ask(door, *one, key)) for one in asked for right, key in keys.items()]

    answered = [one for one in asyncio.run(ask_all()) if one[-1] not in {401, 403, 404, 405}]
    public = ("GET", plain, "") if path in PUBLIC_PATHS | {DETAILED} else ()
    assert [one for one in answered if one[:3] != public] == []


def test_a_socket_reaches_no_route(door: AuthMiddleware) -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/v1/models/parcels/labels", "headers": []}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    asyncio.run(door(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
