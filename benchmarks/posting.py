"""A client that costs next to nothing beside the server that it asks: one connection, and no more than HTTP needs."""

from __future__ import annotations

import socket
import time

END = b"\r\n\r\n"
IDLE_SECONDS = 2.0
"""After so long a connection is made anew: a server may be about to close it."""


class Client:
    """Sends the same request again and again."""

    def __init__(self, address: str, path: str, body: bytes, media_type: str) -> None:
        """Prepares the request.

        Args:
            address: Host and port.
            path: The path.
            body: The body.
            media_type: Its content type.
        """
        host, _, port = address.partition(":")
        self._place = (host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}"
        self._request = head.encode() + END + body
        self._connection: socket.socket | None = None
        self._last = 0.0

    def __call__(self) -> None:
        """Sends it once and insists on a whole answer."""
        if self._connection is None or time.monotonic() - self._last > IDLE_SECONDS:
            self._connect()
        self._exchange()
        self._last = time.monotonic()

    def _connect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = socket.create_connection(self._place, timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exchange(self) -> None:
        assert self._connection
        self._connection.sendall(self._request)
        said = b""
        while END not in said:
            said += self._part()
        assert said.startswith(b"HTTP/1.1 200 "), said
        head, _, body = said.partition(END)
        left = next(int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        left -= len(body)
        while left > 0:
            left -= len(self._part())

    def _part(self) -> bytes:
        assert self._connection
        part = self._connection.recv(1 << 20)
        assert part, "the connection was closed"
        return part
