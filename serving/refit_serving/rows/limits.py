"""What one request, and all of them together, may cost."""

from __future__ import annotations

import os
from dataclasses import dataclass

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on memory and time; beyond them a request is refused, and a row of the log dropped and counted."""

    body_bytes: int = 8 * MEGABYTE
    """The most bytes of one body; it takes some ten times as much while it is read."""
    rows: int = 10_000
    """The most rows of one request."""
    waiting: int = 1_000
    """The most requests that are read, wait or are answered at a time."""
    waiting_bytes: int = 64 * MEGABYTE
    """The most bytes that their bodies may have together."""
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    log_rows: int = 100_000
    """The most rows that wait to be logged."""
    log_bytes: int = 64 * MEGABYTE
    """The most bytes that they may have had in their requests."""
    requests_per_second: float = 1_000.0
    """How many requests a key has in each second, and how many at once; without keys there is no such limit."""
    threads: int = min(4, os.cpu_count() or 1)
    """So many models answer at a time."""
