"""Bounds on connections: how many there are, in all and of one address, and how long a client may keep one waiting.

uvicorn closes a connection that is idle after a response. It waits without end for headers that never become complete,
for the rest of a body that nobody reads, and for a client that does not read its response.
"""

from __future__ import annotations

from asyncio import TimerHandle
from asyncio import Transport as AsyncTransport
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refit_serving.rows.request import Limits

HEADER_BYTES = 64 << 10
"""The most bytes of the headers of a request; its chunks and trailers may take some more for each byte of the body."""
OVERHEAD = 8
"""The most bytes that are sent for one byte of a body: a chunk of one byte takes six."""
IPV6_PREFIX = 64
"""The bits of an IPv6 address that count: a client has all addresses that begin with them."""


@dataclass(slots=True)
class ConnectionCounts:
    """The open connections of a server, in all and by address."""

    limits: Limits
    _open: Counter[str] = field(default_factory=Counter)

    def add(self, address: str) -> bool:
        """Counts a connection.

        Args:
            address: From `group_address`.

        Returns:
            Whether there is room for it; if not, it is not counted.
        """
        has_room = (
            self._open.total() < self.limits.connections and self._open[address] < self.limits.address_connections
        )
        if has_room:
            self._open[address] += 1
        return has_room

    def remove(self, address: str) -> None:
        """Stops counting a connection.

        Args:
            address: As it was added.
        """
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


def group_address(client: tuple[str, int] | None) -> str:
    """Gives what the connections of one client have in common.

    Args:
        client: Address and port of the client; `None` if it has none, such as on a socket file.

    Returns:
        The IPv4 address, or the first 64 bits of the IPv6 address.

    Example:
        >>> [group_address((host, 1)) for host in ("192.0.2.7", "2001:db8:1:2:3::4", "::ffff:192.0.2.7")]
        ['192.0.2.7', '2001:db8:1:2::', '192.0.2.7']
    """
    if client is None:
        return ""
    address = ip_address(client[0].partition("%")[0])
    if address.version == 4:  # noqa: PLR2004
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ip_address(int(address) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)))


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's connection with bounds on its number, its headers, and its time."""

    def __init__(self, counts: ConnectionCounts, **arguments: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(**arguments)
        self._counts, self._limits = counts, counts.limits
        self._address: str | None = None
        self._header_timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._overhead = 0

    def connection_made(self, transport: AsyncTransport) -> None:  # type: ignore[override]
        """Accepts a connection, or answers 503 if there are too many.

        Args:
            transport: The connection.
        """
        address = group_address(cast("tuple[str, int] | None", transport.get_extra_info("peername")))
        if not self._counts.add(address):
            _refuse(transport, "503 Service Unavailable", "there are too many connections: try again in a second")
            return
        self._address = address
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timers of a connection.

        Args:
            exc: Why it was lost.
        """
        if self._address is not None:
            self._counts.remove(self._address)
            self._cancel_timers()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what the client has sent.

        Args:
            data: Bytes of requests.
        """
        if self._address is None:
            return
        self._overhead += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        is_waiting = self.cycle is None or self.cycle.response_complete
        most = HEADER_BYTES + (0 if is_waiting else OVERHEAD * self._limits.body_bytes)
        if self._overhead > most:
            self._refuse("431 Request Header Fields Too Large", f"the headers have more than {HEADER_BYTES:,} bytes")
        elif is_waiting and self._header_timer is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Begins a request; its body has a time limit of its own."""
        if self._header_timer:
            self._header_timer.cancel()
            self._header_timer = None
        self._overhead = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of a body.

        Args:
            body: The part.
        """
        self._overhead -= len(body)
        super().on_body(body)

    def pause_writing(self) -> None:
        """Begins to wait for a client that does not read."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Stops waiting for a client that reads again."""
        super().resume_writing()
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, and ends it if the client does not read the rest of its response."""
        super().timeout_keep_alive_handler()
        self._await_reader()

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_seconds, self._end_headers)

    def _await_reader(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.response_seconds, self.transport.abort)

    def _end_headers(self) -> None:
        self._header_timer = None
        sentence = f"the headers did not arrive within {self._limits.header_seconds:g} seconds: send them again"
        self._refuse("408 Request Timeout", sentence)

    def _refuse(self, status: str, sentence: str) -> None:
        if not self.transport.is_closing():
            _refuse(self.transport, status, sentence)
            self._await_reader()

    def _cancel_timers(self) -> None:
        for timer in (self._header_timer, self._write_timer):
            if timer:
                timer.cancel()


def _refuse(transport: AsyncTransport, status: str, sentence: str) -> None:
    """Answers a connection that is closed, in the form that all errors of the server have."""
    body = f'{{"error":"{sentence}"}}'
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nretry-after: 1\r\nconnection: close"
    transport.write(f"HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}".encode())
    transport.close()
