"""The access log: one line of JSON for each request, of who asked for what; no header and no body is in it.

The lines are written without the logging of Python, which takes longer than the answer of a quick model.
"""

from __future__ import annotations

import logging
import os
import time

import orjson
from starlette.types import Scope

log = logging.getLogger(__name__)

STANDARD_ERROR = 2
LONGEST = 200
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
            "path": scope["path"][:LONGEST],
            "status": status,
            "ms": round(1_000 * seconds, 3),
        }
        try:
            os.write(self._descriptor, orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as fault:
            if not self._failed:
                log.error("the access log cannot be written (%s): requests go unnoted", fault)  # noqa: TRY400
            self._failed = True
