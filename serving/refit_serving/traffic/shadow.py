"""The thread that asks shadows what champions have answered: later, unheard, and no more than it has time for.

What a shadow says of requests that a champion has answered: many at a time, as that costs a part of one by one.
"""

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
from refit_serving.rows.request import MEGABYTE, BodyFormat, Limits, PredictionRequest
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.prediction_log import PredictionLog
from refit_serving.traffic.prediction_rows import PredictionRecord

log = logging.getLogger(__name__)

BATCH_ROWS, BATCH_SECONDS = 1_000, 0.5
"""After so many rows or seconds a shadow is asked."""
MAX_ROWS, MAX_BYTES = 20_000, 32 * MEGABYTE
"""So much may wait; what comes then no shadow sees."""


class ShadowQueue:
    """Takes requests from any thread, and lets none of them wait."""

    def __init__(self, limits: Limits, metrics: Metrics, predictions: PredictionLog) -> None:
        self._limits, self._metrics, self._log = limits, metrics, predictions
        self._queue: deque[ShadowRequest] = deque()
        self._rows = self._bytes = 0
        self._changed = Condition()
        self._end: float | None = None
        self._trouble = ""
        self._thread = Thread(target=self._follow, name="refit-shadows", daemon=True)

    def start(self) -> None:
        """Begins to ask."""
        self._thread.start()

    def put(self, heard: ShadowRequest) -> None:
        """Leaves a request for the shadow; drops and counts it where too many wait.

        Args:
            heard: The request.
        """
        rows, size = len(heard.asked.rows), len(heard.body)
        with self._changed:
            fits = self._rows + rows <= MAX_ROWS and self._bytes + size <= MAX_BYTES
            if fits:
                self._queue.append(heard)
                self._rows, self._bytes = self._rows + rows, self._bytes + size
                if self._rows >= BATCH_ROWS:
                    self._changed.notify()
        if not fits:
            self._drop(heard)

    def close(self, seconds: float) -> None:
        """Asks what waits, and ends.

        Args:
            seconds: How long that may take; what is left then is dropped and counted.
        """
        with self._changed:
            self._end = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        for heard in self._take(MAX_ROWS):
            self._drop(heard)

    def _follow(self) -> None:
        threadpool_limits(1)
        while not self._is_over():
            with self._changed:
                if self._end is None and self._rows < BATCH_ROWS:
                    self._changed.wait(BATCH_SECONDS)
            self._ask(self._take(BATCH_ROWS))

    def _is_over(self) -> bool:
        return self._end is not None and (not self._queue or time.monotonic() > self._end)

    def _take(self, most: int) -> list[ShadowRequest]:
        taken, rows = list[ShadowRequest](), 0
        with self._changed:
            while self._queue and rows < most:
                taken.append(self._queue.popleft())
                rows += len(taken[-1].asked.rows)
            self._rows, self._bytes = self._rows - rows, self._bytes - sum(len(one.body) for one in taken)
        return taken

    def _ask(self, taken: list[ShadowRequest]) -> None:
        groups = defaultdict[tuple[str, int, int], list[ShadowRequest]](list)
        for heard in taken:
            served = heard.trial.served
            groups[served.project, served.version, served.generation].append(heard)
        for (project, version, _), group in groups.items():
            for record in predict_shadow(group, self._limits, self._failed):
                self._log.put(record)
                self._metrics.tried.labels(project, version, record.role).inc(len(record.rows))

    def _failed(self, heard: ShadowRequest, fault: Exception) -> None:
        served = heard.trial.served
        self._metrics.faults.labels(served.project, served.version).inc()
        trouble = f"{served.project}: the shadow, version {served.version}, cannot answer: {describe_error(fault)}"
        if trouble != self._trouble:
            log.warning("%s", trouble, extra={"project": served.project})
        self._trouble = trouble

    def _drop(self, heard: ShadowRequest) -> None:
        self._metrics.unheard.labels(heard.trial.served.project).inc(len(heard.asked.rows))


@dataclass(frozen=True, slots=True)
class ShadowRequest:
    """A request that a champion has answered."""

    trial: ActiveChallenger
    form: BodyFormat
    body: bytes
    asked: PredictionRequest
    """As the champion took it."""
    at: datetime
    """When it was answered, UTC."""


def predict_shadow(
    heard: Sequence[ShadowRequest], limits: Limits, failed: Callable[[ShadowRequest, Exception], None]
) -> list[PredictionRecord]:
    """Has a shadow answer.

    Args:
        heard: Requests of one trial.
        limits: How much may be asked.
        failed: Told of each request that the shadow cannot answer, and why; it spoils no other one.

    Returns:
        A record for each of the others.
    """
    together = [one for one in heard if _has_all_features(one)]
    apart = [one for one in heard if not _has_all_features(one)]
    try:
        records = _predict_batch(together) if together else []
    except Exception:  # noqa: BLE001 - a stored model may raise anything; which request it was is found one by one
        records, apart = [], list(heard)
    for one in apart:
        try:
            records.append(_predict_one(one, limits))
        except Exception as fault:  # noqa: BLE001 - as above
            failed(one, fault)
    return records


def _has_all_features(one: ShadowRequest) -> bool:
    """Whether what the champion took holds all that the shadow wants to see."""
    cells = one.asked.rows.cells
    return cells is not None and all(name in cells for name in one.trial.served.wanted.features)


def _predict_batch(heard: Sequence[ShadowRequest]) -> list[PredictionRecord]:
    served = heard[0].trial.served
    cells = [one.asked.rows.cells for one in heard]
    rows = join_requests(served.wanted, [each for each in cells if each is not None]).features
    said = served.model.predict(rows)
    edges = pairwise(accumulate((len(one.asked.rows) for one in heard), initial=0))
    return [
        _make_record(
            one,
            served,
            RequestRows(rows.iloc[start:stop], {}, one.asked.rows.cells),
            _slice_prediction(said, start, stop),
        )
        for one, (start, stop) in zip(heard, edges, strict=True)
    ]


def _predict_one(one: ShadowRequest, limits: Limits) -> PredictionRecord:
    """Reads the body once more, by the columns that the shadow wants."""
    served = one.trial.served
    rows = one.form.parse(one.body, one.asked.request_id, served, limits).rows
    return _make_record(one, served, rows, served.model.predict(rows.features))


def _make_record(one: ShadowRequest, served: LoadedModel, rows: RequestRows, said: Prediction) -> PredictionRecord:
    return PredictionRecord(served, rows, said, one.asked.request_id, one.at, len(one.body), "shadow")


def _slice_prediction(said: Prediction, start: int, stop: int) -> Prediction:
    told = said.probabilities
    return Prediction(said.predictions[start:stop], None if told is None else told[start:stop])
