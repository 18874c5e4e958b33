"""Batched shadow predictions for requests that the champion has already answered, in a thread with a bounded queue."""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from threading import Condition, Thread

from threadpoolctl import threadpool_limits

from refit.errors import describe_error
from refit.inference.predictor import Prediction
from refit.inference.request_rows import RequestRows, join_requests
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import MemoryBudget
from refit_serving.rows.request import MEGABYTE, BodyFormat, Limits, PredictionRequest
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.prediction_log import PredictionLog
from refit_serving.traffic.prediction_rows import PredictionRecord

log = logging.getLogger(__name__)

BATCH_ROWS, BATCH_SECONDS = 1_000, 0.5
"""A shadow predicts after this many rows or seconds, whichever comes first."""
MAX_ROWS, MAX_BYTES = 20_000, 64 * MEGABYTE
"""The most rows, and the most bytes of memory, that wait; further requests are dropped and counted."""


@dataclass(frozen=True, slots=True)
class ShadowRequest:
    """A request that the champion has answered."""

    challenger: ActiveChallenger
    body_format: BodyFormat
    body: bytes
    request: PredictionRequest
    """As it was parsed for the champion."""
    at: datetime
    """Time of the champion's prediction, UTC."""

    @property
    def model(self) -> LoadedModel:
        """The shadow's model."""
        return self.challenger.model

    @property
    def size(self) -> int:
        """The bytes of memory that the request holds: body and rows."""
        return len(self.body) + self.request.held


class ShadowQueue:
    """Accepts requests from any thread without blocking it, and has shadows predict them later."""

    def __init__(self, limits: Limits, metrics: Metrics, predictions: PredictionLog) -> None:
        self._limits, self._metrics, self._log = limits, metrics, predictions
        self._queue: deque[ShadowRequest] = deque()
        self._rows = self._bytes = 0
        self._changed = Condition()
        self._end: float | None = None
        self._problem = ""
        self._thread = Thread(target=self._predict_batches, name="refit-shadows", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def put(self, request: ShadowRequest) -> None:
        """Queues a request; drops and counts it if the queue is full.

        Args:
            request: The request.
        """
        rows, size = len(request.request.rows), request.size
        with self._changed:
            fits = self._rows + rows <= MAX_ROWS and self._bytes + size <= MAX_BYTES
            if fits:
                self._queue.append(request)
                self._rows, self._bytes = self._rows + rows, self._bytes + size
                if self._rows >= BATCH_ROWS:
                    self._changed.notify()
        if not fits:
            self._drop(request)

    def close(self, seconds: float) -> None:
        """Predicts what is queued, and ends the thread.

        Args:
            seconds: How long that may take; what is left then is dropped and counted.
        """
        with self._changed:
            self._end = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        for request in self._take(MAX_ROWS):
            self._drop(request)

    def _predict_batches(self) -> None:
        threadpool_limits(1)
        while not self._is_over():
            with self._changed:
                if self._end is None and self._rows < BATCH_ROWS:
                    self._changed.wait(BATCH_SECONDS)
            self._predict(self._take(BATCH_ROWS))

    def _is_over(self) -> bool:
        return self._end is not None and (not self._queue or time.monotonic() > self._end)

    def _take(self, most: int) -> list[ShadowRequest]:
        requests, rows = list[ShadowRequest](), 0
        with self._changed:
            while self._queue and rows < most:
                requests.append(self._queue.popleft())
                rows += len(requests[-1].request.rows)
            self._rows, self._bytes = self._rows - rows, self._bytes - sum(one.size for one in requests)
        return requests

    def _predict(self, requests: list[ShadowRequest]) -> None:
        groups = defaultdict[tuple[str, int, int], list[ShadowRequest]](list)
        for request in requests:
            model = request.model
            groups[model.project, model.version, model.generation].append(request)
        for (project, version, _), group in groups.items():
            for record in predict_shadow(group, self._limits, self._report):
                self._log.put(record)
                self._metrics.challenger_rows.labels(project, version, record.role).inc(len(record.rows))

    def _report(self, request: ShadowRequest, fault: Exception) -> None:
        model = request.model
        self._metrics.challenger_faults.labels(model.project, model.version).inc()
        problem = f"{model.project}: the shadow, version {model.version}, cannot predict: {describe_error(fault)}"
        if problem != self._problem:
            log.warning("%s", problem, extra={"project": model.project})
        self._problem = problem

    def _drop(self, request: ShadowRequest) -> None:
        self._metrics.shadow_dropped.labels(request.model.project).inc(len(request.request.rows))


def predict_shadow(
    requests: Sequence[ShadowRequest], limits: Limits, report: Callable[[ShadowRequest, Exception], None]
) -> list[PredictionRecord]:
    """Has a shadow predict requests, in one batch as far as possible.

    Args:
        requests: Requests of one challenger.
        limits: The limits of the server.
        report: Called for each request that the shadow cannot predict, with the error; the others are not affected.

    Returns:
        A record for each request that it could predict.
    """
    together = [request for request in requests if _has_all_features(request)]
    apart = [request for request in requests if not _has_all_features(request)]
    try:
        records = _predict_batch(together) if together else []
    except Exception:  # noqa: BLE001 - a stored model may raise anything; one by one shows which request it was
        records, apart = [], list(requests)
    for request in apart:
        try:
            records.append(_predict_one(request, limits))
        except Exception as fault:  # noqa: BLE001 - as above
            report(request, fault)
    return records


def _has_all_features(request: ShadowRequest) -> bool:
    """Tells whether the rows parsed for the champion have all features of the shadow."""
    cells = request.request.rows.cells
    return cells is not None and all(name in cells for name in request.model.spec.features)


def _predict_batch(requests: Sequence[ShadowRequest]) -> list[PredictionRecord]:
    model = requests[0].model
    cells = [request.request.rows.cells for request in requests]
    rows = join_requests(model.spec, [each for each in cells if each is not None]).features
    prediction = model.predictor.predict(rows)
    edges = pairwise(accumulate((len(request.request.rows) for request in requests), initial=0))
    return [
        _make_record(
            request,
            RequestRows(rows.iloc[start:stop], {}, request.request.rows.cells),
            _slice_prediction(prediction, start, stop),
        )
        for request, (start, stop) in zip(requests, edges, strict=True)
    ]


def _predict_one(request: ShadowRequest, limits: Limits) -> PredictionRecord:
    """Parses the body again, for the columns of the shadow."""
    with MemoryBudget(limits.unpacked_bytes, limits.unpacked_bytes).open() as reserve:
        parsed = request.body_format.parse(request.body, request.request.request_id, request.model, limits, reserve)
    rows = parsed.rows
    return _make_record(request, rows, request.model.predictor.predict(rows.features))


def _make_record(request: ShadowRequest, rows: RequestRows, prediction: Prediction) -> PredictionRecord:
    request_id, held = request.request.request_id, request.request.held
    return PredictionRecord(request.model, rows, prediction, request_id, request.at, held, "shadow")


def _slice_prediction(prediction: Prediction, start: int, stop: int) -> Prediction:
    probabilities = prediction.probabilities
    return Prediction(prediction.predictions[start:stop], None if probabilities is None else probabilities[start:stop])
