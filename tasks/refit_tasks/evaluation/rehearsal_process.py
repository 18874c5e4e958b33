"""The process of the room in which models rehearse: started when it is first needed, ended with its owner."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from dataclasses import asdict
from threading import Lock

from refit_tasks.evaluation.sandbox_worker import Orders

_START = "from refit_tasks.evaluation.sandbox_worker import serve; serve()"


class Room:
    """One process for all rehearsals of this one, which take turns."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The process, where it has been started."""
        return self._process.pid if self._process else None

    def rehearse(self, orders: Orders) -> int | None:
        """Has a model rehearse in a fresh process of the room.

        Args:
            orders: What to rehearse.

        Returns:
            The exit code of the fresh process; `None` where the room itself died. The next rehearsal starts another.
        """
        with self._lock:
            process = self._open()
            line = _told(process, json.dumps(asdict(orders)) + "\n")
            if not line:
                self._process = None
                process.kill()
                process.communicate()
            return int(line) if line else None

    def close(self) -> None:
        """Ends the process by closing what it reads from."""
        if self._process and self._owner == os.getpid():
            self._process.communicate()
            self._process = None

    def _open(self) -> subprocess.Popen[str]:
        # A process that was forked from one with a room shares its pipes, and must not use them.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, and words of ours
                [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._owner = os.getpid()
        return self._process


def _told(process: subprocess.Popen[str], line: str) -> str:
    """Sends one line and gives the one that comes back; nothing where the process is gone."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


ROOM = Room()
"""The room of this process."""
atexit.register(ROOM.close)
