"""The batches of one project on their way to its predictions table: in their order, each given until it is written."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass

import pyarrow as pa

from refit_serving.metrics.server_metrics import Metrics
from refit_tasks.storage.predictions_table import append

log = logging.getLogger(__name__)

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0
"""How long a batch that could not be written waits for another try: twice as long each time."""
_UNWRITABLE = (ValueError, TypeError, LookupError, pa.ArrowNotImplementedError)
"""What a batch raises that no table takes, however often it is given."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a project's predictions table."""

    name: str
    """Names these rows for ever."""
    rows: pa.Table
    size: int
    """The bytes of the requests that they come from."""


class Outbox:
    """Writes one batch after the other; one that fails is given again under its name, so that no row is there twice."""

    def __init__(self, project: str, writer: str, metrics: Metrics) -> None:
        self._project, self._writer, self._metrics = project, writer, metrics
        self._batches: deque[Batch] = deque()
        self._number = 0
        self._again_at, self._pause = 0.0, FIRST_SECONDS

    def add(self, rows: pa.Table, size: int) -> None:
        """Takes rows to be written.

        Args:
            rows: Rows of the predictions table.
            size: The bytes of the requests that they come from.
        """
        self._batches.append(Batch(f"{self._writer}/{self._number}", rows, size))
        self._number += 1

    def send(self, *, at_once: bool) -> list[Batch]:
        """Writes what can be written.

        Args:
            at_once: Whether a batch that has failed is given again although its time has not come.

        Returns:
            The batches that wait no more: written, or of a kind that no table takes.
        """
        done = list[Batch]()
        while self._batches and (at_once or time.monotonic() >= self._again_at) and self._written(self._batches[0]):
            done.append(self._batches.popleft())
        return done

    def _written(self, batch: Batch) -> bool:
        rows = batch.rows.num_rows
        try:
            append(self._project, batch.rows, batch.name)
        except _UNWRITABLE as fault:
            log.exception("%s: %d predictions cannot be stored", self._project, rows, exc_info=fault)
            self._metrics.dropped.labels(self._project, "unfit").inc(rows)
            return True
        except Exception as fault:  # noqa: BLE001 - whatever has become of the store may pass
            self._metrics.log_failures.labels(self._project).inc()
            log.warning("%s: %d predictions could not be stored yet: %s", self._project, rows, fault)
            self._again_at, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_SECONDS)
            return False
        self._metrics.logged.labels(self._project).inc(rows)
        self._pause = FIRST_SECONDS
        return True
