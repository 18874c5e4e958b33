"""Slow senders and slow readers against a real socket: they are closed in time, and others are answered throughout."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Response

from refit_serving.http.connections import HEADER_BYTES, BoundedProtocol, ConnectionCounts, group_address
from refit_serving.rows.request import Limits

LIMITS = Limits(
    connections=40, address_connections=30, header_seconds=0.5, response_seconds=0.5, body_bytes=4_096, body_seconds=1.0
)
PATIENCE_SECONDS = 30.0
LARGE = 32 << 20


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = FastAPI()
    app.get("/")(lambda: "here")
    app.post("/refuse")(lambda: Response(status_code=401))
    app.get("/large")(lambda: Response(bytes(LARGE)))
    listener = socket.create_server(("127.0.0.1", 0))
    protocol: Any = partial(BoundedProtocol, ConnectionCounts(LIMITS))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, log_config=None, ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def read_all(client: socket.socket) -> bytes:
    """Reads until the server closes the connection; a reset is an end, too."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def drip(client: socket.socket, what: bytes, deadline: float) -> bytes:
    """Sends a byte every 50 ms until the server has closed the connection."""
    client.settimeout(0.05)
    parts, place = [], 0
    while time.monotonic() < deadline:
        try:
            client.send(what[place % len(what) : place % len(what) + 1])
            place += 1
            part = client.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return b"".join(parts)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise AssertionError("the connection is still open")


def is_answered(port: int) -> bool:
    with connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return read_all(client).endswith(b'"here"')


SLOW: dict[str, tuple[bytes, bytes]] = {
    "nothing at all": (b"", b""),
    "headers without an end": (b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
    "a name without an end": (b"GET / HTTP/1.1\r\nx", b"x"),
    "empty lines": (b"", b"\r\n"),
    "half of a second request": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", b"x: y\r\n"),
    "empty lines after a request": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
    "a body that nobody reads": (b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", b"x"),
}


@pytest.mark.parametrize(("first", "then"), SLOW.values(), ids=SLOW)
def test_a_slow_sender_is_closed_and_others_are_answered(port: int, first: bytes, then: bytes) -> None:
    with connect(port) as client:
        client.sendall(first)
        if then:
            drip(client, then, time.monotonic() + PATIENCE_SECONDS)
        else:
            assert read_all(client).startswith(b"HTTP/1.1 408 ")
    assert is_answered(port)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * HEADER_BYTES,
        b"GET / HTTP/1.1\r\nx: " + b"y" * 8 * HEADER_BYTES,
        b"GET /" + b"y" * 8 * HEADER_BYTES,
    ],
    ids=["many headers", "a long header", "a long path"],
)
def test_headers_without_bound_are_refused(port: int, first: bytes) -> None:
    with connect(port) as client:
        try:
            client.sendall(first)
        except OSError:
            return  # it was closed before all was sent
        answer = read_all(client)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert is_answered(port)


def test_one_address_cannot_take_all_connections(port: int) -> None:
    clients = [connect(port) for _ in range(LIMITS.address_connections + 5)]
    statuses = [read_all(client)[:13] for client in clients]
    assert statuses.count(b"HTTP/1.1 503 ") >= 5
    assert statuses.count(b"HTTP/1.1 408 ") <= LIMITS.address_connections
    for client in clients:
        client.close()
    wait_until(lambda: is_answered(port))


@pytest.mark.slow
def test_a_client_that_does_not_read_is_closed(port: int) -> None:
    with connect(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(5 * LIMITS.response_seconds)
        assert len(read_all(client)) < LARGE
    assert is_answered(port)


def test_an_ordinary_client_keeps_its_connection(port: int) -> None:
    with connect(port) as client:
        for _ in range(4):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b'"here"'):
                answer += client.recv(65_536)
            time.sleep(0.6 * LIMITS.header_seconds)


def test_connections_are_counted_in_all_and_by_address() -> None:
    counts = ConnectionCounts(Limits(connections=3, address_connections=2))
    assert [counts.add(one) for one in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    counts.remove("a")
    assert counts.add("c")
    assert group_address(("2001:db8::1", 1)) == group_address(("2001:db8::2:1", 1)) != group_address(("2001:db9::1", 1))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
