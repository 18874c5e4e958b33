"""The memory that requests take once they are unpacked, measured before it is taken, and bounded.

A small body may unpack to gigabytes: dictionaries of Arrow, empty lists in JSON, numbers of two bytes in tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from fastapi import HTTPException

BUSY = "the server is busy: send the request again in a second"
NUMBER_BYTES = 40
"""The bytes of a number in a list: the object and its place."""
TEXT_BYTES = 72
"""The bytes of a text in a list, beside its characters."""
Reserve = Callable[[int], int]
"""Takes a number of bytes for a request, and returns it; raises `HTTPException` if there is no room."""

_TOKEN_BYTES = {b"{": 232, b"[": 88, b":": 64, b",": NUMBER_BYTES, b'"': 28}
"""The most bytes that Python takes for what begins or ends with a character of JSON."""
CHARACTER_BYTES = 4
"""The bytes of each character in a text with a single character outside the Basic Multilingual Plane."""


class MemoryBudget:
    """The memory that all requests of a process may take at a time."""

    def __init__(self, request_bytes: int, process_bytes: int) -> None:
        self._request_bytes, self._process_bytes = request_bytes, process_bytes
        self._taken = 0
        self._lock = Lock()

    @property
    def taken(self) -> int:
        """The bytes that open requests have taken."""
        return self._taken

    @contextmanager
    def open(self) -> Iterator[Reserve]:
        """Opens the account of one request, which is settled when the block ends.

        Yields:
            Takes bytes for the request, as often as needed. It raises `HTTPException`: 413 if the request takes more
            than it may, 503 while the others leave too little.
        """
        mine = 0

        def reserve(size: int) -> int:
            nonlocal mine
            if mine + size > self._request_bytes:
                raise HTTPException(
                    413,
                    f"the request takes {(mine + size) >> 20:,} MB of memory when it is unpacked, and may take "
                    f"{self._request_bytes >> 20:,}: send fewer rows at a time",
                )
            with self._lock:
                if self._taken + size > self._process_bytes:
                    raise HTTPException(503, BUSY, {"Retry-After": "1"})
                self._taken += size
            mine += size
            return size

        try:
            yield reserve
        finally:
            with self._lock:
                self._taken -= mine


def measure_json(body: bytes | memoryview) -> int:
    """Gives an upper bound of the memory that JSON takes when it is parsed.

    Args:
        body: The JSON, valid or not.

    Returns:
        Bytes.
    """
    content = bytes(body)
    return CHARACTER_BYTES * len(content) + sum(content.count(mark) * size for mark, size in _TOKEN_BYTES.items())
