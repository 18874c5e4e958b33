"""The log of predictions: requests leave what they were told in a bounded queue, and a thread writes it down.

The batches of one project on their way to its predictions table: in their order, each given until it is written.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from uuid import uuid4

import pyarrow as pa

from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.request import Limits
from refit_serving.traffic.delivery_counts import DeliveryCounts, count_lost_rows
from refit_serving.traffic.prediction_rows import PredictionRecord, build_table, group_records
from refit_tasks.project_log import with_project
from refit_tasks.retries import WRITE_WAIT, Backoff
from refit_tasks.storage.predictions_table import append

log = logging.getLogger(__name__)

BATCH_ROWS = 10_000
BATCH_SECONDS = 1.0
"""After so many rows or seconds a batch is written."""
FINAL_RETRY_SECONDS = 0.5


class PredictionLog:
    """Takes records from any thread, and lets none of them wait.

    A row counts as waiting until it is written: while the table cannot be written to, the queue fills up, and then rows
    are dropped and counted.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._queue: deque[PredictionRecord] = deque()
        self._outboxes: dict[str, WriteQueue] = {}
        self._changed = Condition()
        self._rows = self._bytes = self._fresh = 0
        self._end: float | None = None
        self._name = f"serve-{uuid4().hex}"
        self._receipts = dict[str, DeliveryCounts]()
        self._thread = Thread(target=self._write_down, name="refit-log", daemon=True)
        metrics.waiting.set_function(lambda: self._rows)

    def start(self) -> None:
        """Says what killed servers have lost, and begins to write.

        Raises:
            StateError: If the counts of rows have no place on disk.
        """
        for project, rows in count_lost_rows().items():
            with_project(log, project).warning("at most %d predictions were lost when a server was killed", rows)
            self._metrics.lost.labels(project).inc(rows)
        self._thread.start()

    def put(self, record: PredictionRecord) -> None:
        """Leaves a record to be written; drops and counts it where too many wait.

        Args:
            record: A request and its answer.
        """
        rows = len(record.rows)
        with self._changed:
            fits = self._rows + rows <= self._limits.log_rows and self._bytes + record.size <= self._limits.log_bytes
            if fits:
                self._queue.append(record)
                self._count(record.served.project, rows, record.size)
                self._fresh += rows
                if self._fresh >= BATCH_ROWS:
                    self._changed.notify()
        if not fits:
            self._metrics.dropped.labels(record.served.project, "full").inc(rows)

    def close(self, seconds: float) -> int:
        """Writes what waits, and ends.

        Args:
            seconds: How long that may take.

        Returns:
            How many rows could not be written.
        """
        with self._changed:
            self._end = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        for receipts in self._receipts.values():
            receipts.close()
        return self._rows

    def _write_down(self) -> None:
        while not self._is_over():
            with self._changed:
                if self._end is None and self._fresh < BATCH_ROWS:
                    self._changed.wait(BATCH_SECONDS)
                taken = self._take()
            for group in group_records(taken):
                self._pack(group)
            waiting = self._send()
            if waiting and self._end is not None:
                time.sleep(FINAL_RETRY_SECONDS)

    def _is_over(self) -> bool:
        return self._end is not None and (not self._rows or time.monotonic() > self._end)

    def _take(self) -> list[PredictionRecord]:
        """Takes about a batch from the queue; called with the lock."""
        taken, rows = list[PredictionRecord](), 0
        while self._queue and rows < BATCH_ROWS:
            taken.append(self._queue.popleft())
            rows += len(taken[-1].rows)
        self._fresh -= rows
        return taken

    def _pack(self, group: list[PredictionRecord]) -> None:
        project, size = group[0].served.project, sum(record.size for record in group)
        try:
            rows = build_table(group)
        except Exception as fault:  # noqa: BLE001 - rows and answers of any kind come here
            lost = sum(len(record.rows) for record in group)
            with_project(log, project).exception("%d predictions cannot be written as rows", lost, exc_info=fault)
            self._metrics.dropped.labels(project, "unfit").inc(lost)
            self._forget(project, lost, size)
            return
        if project not in self._outboxes:
            self._outboxes[project] = WriteQueue(project, self._name, self._metrics)
        self._outboxes[project].add(rows, size)

    def _send(self) -> bool:
        """Writes what can be written; says whether something waits for another try."""
        for project, outbox in self._outboxes.items():
            for batch in outbox.send(at_once=self._end is not None):
                self._forget(project, batch.rows.num_rows, batch.size)
        return self._rows > self._fresh

    def _forget(self, project: str, rows: int, size: int) -> None:
        with self._changed:
            self._count(project, -rows, -size)

    def _count(self, project: str, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        if project not in self._receipts:
            self._receipts[project] = DeliveryCounts(project, self._name)
        self._receipts[project].count(taken=max(rows, 0), settled=max(-rows, 0))


_PERMANENT_ERRORS = (ValueError, TypeError, LookupError, pa.ArrowNotImplementedError)
"""What a batch raises that no table takes, however often it is given."""
_HEAD = 1
"""Names the first batch of the queue, which alone is tried again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a project's predictions table."""

    name: str
    """Names these rows for ever."""
    rows: pa.Table
    size: int
    """The bytes of the requests that they come from."""


class WriteQueue:
    """Writes one batch after the other; one that fails is given again under its name, so that no row is there twice."""

    def __init__(self, project: str, writer: str, metrics: Metrics) -> None:
        self._project, self._writer, self._metrics = project, writer, metrics
        self._batches: deque[Batch] = deque()
        self._number = 0
        self._pause = Backoff(WRITE_WAIT)

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
        while self._batches and (at_once or not self._pause.holds(_HEAD)) and self._written(self._batches[0]):
            done.append(self._batches.popleft())
        return done

    def _written(self, batch: Batch) -> bool:
        rows = batch.rows.num_rows
        try:
            append(self._project, batch.rows, batch.name)
        except _PERMANENT_ERRORS as fault:
            with_project(log, self._project).exception("%d predictions cannot be stored", rows, exc_info=fault)
            self._metrics.dropped.labels(self._project, "unfit").inc(rows)
            return True
        except Exception as fault:  # noqa: BLE001 - whatever has become of the store may pass
            self._metrics.log_failures.labels(self._project).inc()
            with_project(log, self._project).warning("%d predictions could not be stored yet: %s", rows, fault)
            self._pause.begin(_HEAD)
            return False
        self._metrics.logged.labels(self._project).inc(rows)
        self._pause.end()
        return True
