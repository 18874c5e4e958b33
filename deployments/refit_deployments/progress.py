"""The progress of a command on standard error: its current step, and the time since its start."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from refit_infra.json_logging import JsonLines, is_json_format

if TYPE_CHECKING:
    from rich.status import Status

PACKAGES = ("refit_tasks", "refit_flows", "refit_deployments")
"""The packages whose log records are shown."""


class Progress(logging.Handler):
    """Shows each log record of tasks and flows; on a terminal, a clock runs in between."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started = time.monotonic()
        self._status: Status | None = None

    def start(self, step: str, *, prefect: bool) -> None:
        """Shows the first step, before the imports of the work, which take seconds.

        Args:
            step: The step, in a few words.
            prefect: Whether the command uses Prefect.
        """
        if is_json_format():  # the console's handler shows the records
            _set_up_prefect_logging() if prefect else _log_json_lines()
            return
        self._write(step)
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status

            self._status = Status(step, console=Console(stderr=True))
            self._status.start()
        if prefect:
            _set_up_prefect_logging()  # a first set-up after this would remove our handler
        for package in PACKAGES:
            logger = logging.getLogger(package)
            logger.setLevel(logging.INFO)
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one log record.

        Args:
            record: A record of a task or a flow.
        """
        self._write(record.getMessage())

    def stop(self) -> None:
        """Stops showing progress; harmless if it never began."""
        for package in PACKAGES:
            logging.getLogger(package).removeHandler(self)
        if self._status:
            self._status.stop()
            self._status = None

    def _write(self, text: str) -> None:
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        if self._status:
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._status.update(text)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def _set_up_prefect_logging() -> None:
    from prefect.logging.configuration import ensure_logging_setup

    ensure_logging_setup()


def _log_json_lines() -> None:
    """Logs as `infra/refit_infra/logging.yml` has Prefect log, without Prefect."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
