"""What a person sees while a command works: the step it is in, and how long it has taken."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from refit_infra.json_logging import is_json_format

if TYPE_CHECKING:
    from rich.status import Status

ROOMS = ("tasks", "flows", "deployments")


class Progress(logging.Handler):
    """Shows each fact that tasks and flows log, with a clock that runs on in between where there is a terminal."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started = time.monotonic()
        self._status: Status | None = None

    def start(self, doing: str) -> None:
        """Begins to show what is done, before the imports of the work, which take seconds.

        Args:
            doing: What the command does, in a few words.
        """
        if is_json_format():  # the console's own handler shows the facts then
            _set_up()
            return
        self._say(doing)
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status

            self._status = Status(doing, console=Console(stderr=True))
            self._status.start()
        _set_up()  # a first set-up after this would remove our handler
        for room in ROOMS:
            logging.getLogger(room).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one log record.

        Args:
            record: A fact that a task or a flow logged.
        """
        self._say(record.getMessage())

    def stop(self) -> None:
        """Ends the showing; harmless if it never began."""
        for room in ROOMS:
            logging.getLogger(room).removeHandler(self)
        if self._status:
            self._status.stop()
            self._status = None

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        if self._status:
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._status.update(text)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def _set_up() -> None:
    from prefect.logging.configuration import ensure_logging_setup

    ensure_logging_setup()
