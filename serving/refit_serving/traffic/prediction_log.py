"""The prediction log: a bounded queue that requests fill without waiting, and a thread that writes it in batches."""

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
"""A batch is written after this many rows or seconds, whichever comes first."""
FINAL_RETRY_SECONDS = 0.5
"""The pause between tries while the log is closed."""
_PERMANENT_ERRORS = (ValueError, TypeError, LookupError, pa.ArrowNotImplementedError)
"""Errors of a batch that no table accepts, however often it is tried."""
_FIRST_BATCH = 1
"""The backoff's key for the first batch of a queue, the only one that is tried."""


class PredictionLog:
    """Accepts records from any thread without blocking it.

    A row counts as waiting until it is written: while the table cannot be written, the queue fills up, and further rows
    are dropped and counted.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._queue: deque[PredictionRecord] = deque()
        self._write_queues: dict[str, WriteQueue] = {}
        self._changed = Condition()
        self._rows = self._bytes = self._fresh = 0
        self._end: float | None = None
        self._name = f"serve-{uuid4().hex}"
        self._counts = dict[str, DeliveryCounts]()
        self._thread = Thread(target=self._write_batches, name="refit-log", daemon=True)
        metrics.waiting.set_function(lambda: self._rows)

    def start(self) -> None:
        """Reports the losses of killed servers, and starts the thread.

        Raises:
            StateError: If the delivery counts cannot be stored under `REFIT_HOME`.
        """
        for project, rows in count_lost_rows().items():
            with_project(log, project).warning("at most %d predictions were lost when a server was killed", rows)
            self._metrics.lost.labels(project).inc(rows)
        self._thread.start()

    def put(self, record: PredictionRecord) -> None:
        """Queues a record; drops and counts it if the queue is full.

        Args:
            record: A request and its prediction.
        """
        rows = len(record.rows)
        with self._changed:
            fits = self._rows + rows <= self._limits.log_rows and self._bytes + record.size <= self._limits.log_bytes
            if fits:
                self._queue.append(record)
                self._count(record.model.project, rows, record.size)
                self._fresh += rows
                if self._fresh >= BATCH_ROWS:
                    self._changed.notify()
        if not fits:
            self._metrics.dropped.labels(record.model.project, "full").inc(rows)

    def close(self, seconds: float) -> int:
        """Writes what is queued, and ends the thread.

        Args:
            seconds: How long that may take.

        Returns:
            How many rows could not be written.
        """
        with self._changed:
            self._end = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        for counts in self._counts.values():
            counts.close()
        return self._rows

    def _write_batches(self) -> None:
        while not self._is_over():
            with self._changed:
                if self._end is None and self._fresh < BATCH_ROWS:
                    self._changed.wait(BATCH_SECONDS)
                records = self._take()
            for group in group_records(records):
                self._add_batch(group)
            is_waiting = self._flush()
            if is_waiting and self._end is not None:
                time.sleep(FINAL_RETRY_SECONDS)

    def _is_over(self) -> bool:
        return self._end is not None and (not self._rows or time.monotonic() > self._end)

    def _take(self) -> list[PredictionRecord]:
        """Takes about a batch from the queue. The caller holds the lock."""
        records, rows = list[PredictionRecord](), 0
        while self._queue and rows < BATCH_ROWS:
            records.append(self._queue.popleft())
            rows += len(records[-1].rows)
        self._fresh -= rows
        return records

    def _add_batch(self, group: list[PredictionRecord]) -> None:
        project, size = group[0].model.project, sum(record.size for record in group)
        try:
            rows = build_table(group)
        except Exception as fault:  # noqa: BLE001 - rows and predictions of any kind come here
            lost = sum(len(record.rows) for record in group)
            with_project(log, project).exception("%d predictions cannot be built into table rows", lost, exc_info=fault)
            self._metrics.dropped.labels(project, "unfit").inc(lost)
            self._settle(project, lost, size)
            return
        if project not in self._write_queues:
            self._write_queues[project] = WriteQueue(project, self._name, self._metrics)
        self._write_queues[project].add(rows, size)

    def _flush(self) -> bool:
        """Writes what can be written; tells whether a batch waits for another try."""
        for project, queue in self._write_queues.items():
            for batch in queue.flush(at_once=self._end is not None):
                self._settle(project, batch.rows.num_rows, batch.size)
        return self._rows > self._fresh

    def _settle(self, project: str, rows: int, size: int) -> None:
        with self._changed:
            self._count(project, -rows, -size)

    def _count(self, project: str, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        if project not in self._counts:
            self._counts[project] = DeliveryCounts(project, self._name)
        self._counts[project].count(accepted=max(rows, 0), settled=max(-rows, 0))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a project's predictions table."""

    name: str
    """A unique name, by which the table recognises a batch that it has already."""
    rows: pa.Table
    size: int
    """The bytes of memory that the rows held when they were queued."""


class WriteQueue:
    """Ordered write queue of one project's predictions. A batch that fails is retried under its name until written."""

    def __init__(self, project: str, writer: str, metrics: Metrics) -> None:
        self._project, self._writer, self._metrics = project, writer, metrics
        self._batches: deque[Batch] = deque()
        self._number = 0
        self._backoff = Backoff(WRITE_WAIT)

    def add(self, rows: pa.Table, size: int) -> None:
        """Adds a batch.

        Args:
            rows: Rows of the predictions table.
            size: The bytes of memory that they held when they were queued.
        """
        self._batches.append(Batch(f"{self._writer}/{self._number}", rows, size))
        self._number += 1

    def flush(self, *, at_once: bool) -> list[Batch]:
        """Writes the batches in order, until one fails.

        Args:
            at_once: Whether a batch that failed is tried again before its wait is over.

        Returns:
            The batches that left the queue: written, or dropped because no table accepts them.
        """
        done = list[Batch]()
        while (
            self._batches and (at_once or not self._backoff.is_waiting(_FIRST_BATCH)) and self._write(self._batches[0])
        ):
            done.append(self._batches.popleft())
        return done

    def _write(self, batch: Batch) -> bool:
        rows = batch.rows.num_rows
        try:
            append(self._project, batch.rows, batch.name)
        except _PERMANENT_ERRORS as fault:
            with_project(log, self._project).exception(
                "%d predictions cannot be stored and are dropped", rows, exc_info=fault
            )
            self._metrics.dropped.labels(self._project, "unfit").inc(rows)
            return True
        except Exception as fault:  # noqa: BLE001 - any other failure of the store may be temporary
            self._metrics.log_failures.labels(self._project).inc()
            with_project(log, self._project).warning(
                "%d predictions could not be stored and are retried: %s", rows, fault
            )
            self._backoff.fail(_FIRST_BATCH)
            return False
        self._metrics.logged.labels(self._project).inc(rows)
        self._backoff.reset()
        return True
