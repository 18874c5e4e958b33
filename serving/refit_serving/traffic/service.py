"""The service: its slots, its threads, and the handling of one request from its bytes to the response."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from fastapi import HTTPException, Request, Response
from threadpoolctl import threadpool_limits

from refit.errors import RefitError, describe_error
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import MemoryBudget, Reserve
from refit_serving.rows.request import BodyFormat, BodyReader, Limits, PredictionRequest
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.challengers import ChallengerFollower
from refit_serving.traffic.follower import Follower, ServingSlot
from refit_serving.traffic.prediction_log import PredictionLog
from refit_serving.traffic.prediction_rows import PredictionRecord
from refit_serving.traffic.shadow import ShadowQueue, ShadowRequest
from refit_tasks.project_log import with_project

log = logging.getLogger(__name__)

INLINE_BYTES = 4_096
"""A larger body is never answered on the event loop, however fast the model."""
SHADOW_SECONDS, FLUSH_SECONDS = 10.0, 30.0
"""How long a shutdown waits for the shadows, and then for the predictions table."""


class Service:
    """The champions of some projects, and everything that serves them."""

    def __init__(self, projects: list[str], limits: Limits) -> None:
        self.limits, self.metrics = limits, Metrics()
        self.follower = Follower(projects, self.metrics)
        self.log = PredictionLog(limits, self.metrics)
        self.lost = 0
        """How many predicted rows could not be logged before the shutdown."""
        self._challengers = ChallengerFollower(self.follower.slots.values(), self.metrics)
        self.memory = MemoryBudget(limits.unpacked_bytes, limits.all_unpacked_bytes)
        self._handler = RequestHandler(limits, self.metrics, self.log, self.memory)
        self._reader = BodyReader(limits)
        # One thread for each model is fastest for a row: models with threads of their own wait for each other.
        self._workers = ThreadPoolExecutor(limits.threads, "refit-answer", _limit_to_one_thread)

    def start(self) -> None:
        """Loads the champions, and starts the threads that follow the ledger and write the log."""
        _limit_to_one_thread()
        self.follower.start()
        self._challengers.start()
        self._handler.shadows.start()
        self.log.start()
        # What is loaded now stays: a full garbage collection of it would stop every request for 0.2 s.
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Stops all threads, after everything that was predicted is logged."""
        self.follower.stop()
        self._challengers.stop()
        self._workers.shutdown()
        self._handler.shadows.close(SHADOW_SECONDS)
        self.lost = self.log.close(FLUSH_SECONDS)
        if self.lost:
            log.error("%d predictions could not be stored and are lost", self.lost)

    @property
    def ready(self) -> bool:
        """Whether every project has a model that serves."""
        return all(slot.model is not None for slot in self.follower.slots.values())

    def find_slot(self, project: str) -> ServingSlot:
        """Finds the serving slot of a project.

        Args:
            project: The name in the URL.

        Returns:
            The slot, which may be empty.

        Raises:
            HTTPException: With 404 if this server does not serve the project.
        """
        slot = self.follower.slots.get(project)
        if slot is None:
            known = ", ".join(sorted(self.follower.slots))
            raise HTTPException(404, f"project {project[:100]!r} is not served here: this server serves {known}")
        return slot

    async def predict(
        self, slot: ServingSlot, request: Request, body_format: BodyFormat, version: str | None = None
    ) -> Response:
        """Answers a request with predictions.

        Args:
            slot: The slot of the project.
            request: The request.
            body_format: The format of its body and of the response.
            version: The version in the URL, if there is one.

        Returns:
            The response.

        Raises:
            HTTPException: If the request is refused.
            RefitError: If its rows do not fit the model.
        """
        begun, status = time.perf_counter(), 500
        try:
            async with self._reader.read(request) as body:
                header_id = request.headers.get("x-request-id", "")
                work = partial(self._handler.handle, slot, version, body, header_id, body_format)
                content = await self._run(work, inline=_is_inline(slot, body))
            status = 200
            return Response(content, media_type=body_format.media_type)
        except HTTPException as refused:
            status = refused.status_code
            raise
        except RefitError:
            status = 422
            raise
        finally:
            self.metrics.requests.labels(slot.project, status).inc()
            self.metrics.seconds.labels(slot.project).observe(time.perf_counter() - begun)

    async def _run(self, work: Callable[[], bytes], *, inline: bool) -> bytes:
        return work() if inline else await asyncio.get_running_loop().run_in_executor(self._workers, work)


class RequestHandler:
    """Predicts requests with the champion or a canary, from any thread, and logs the predictions."""

    def __init__(self, limits: Limits, metrics: Metrics, predictions: PredictionLog, memory: MemoryBudget) -> None:
        self.shadows = ShadowQueue(limits, metrics, predictions)
        self._limits, self._metrics, self._log, self._memory = limits, metrics, predictions, memory

    def handle(
        self, slot: ServingSlot, version: str | None, body: bytes, header_id: str, body_format: BodyFormat
    ) -> bytes:
        """Predicts a request. A canary that fails costs time only: the champion answers.

        Args:
            slot: The slot of the project; its model is read once, so that the whole response is of one version.
            version: The version in the URL, if there is one; it is answered by the champion alone.
            body: The body.
            header_id: The request id of the headers.
            body_format: The format of body and response.

        Returns:
            The body of the response.

        Raises:
            HTTPException: If the request is refused.
            RefitError: If its rows do not fit the champion.
        """
        with self._memory.open() as reserve:
            return self._handle(slot, version, body, header_id, body_format, reserve)

    def _handle(
        self,
        slot: ServingSlot,
        version: str | None,
        body: bytes,
        header_id: str,
        body_format: BodyFormat,
        reserve: Reserve,
    ) -> bytes:
        model = require_model(slot, version)
        challenger = slot.find_challenger(model) if version is None else None
        request = body_format.parse(body, header_id, model, self._limits, reserve)
        if challenger and challenger.takes(request):
            content = self._predict_by_canary(challenger, body, request, body_format)
            if content is not None:
                return content
        prediction, now = model.predictor.predict(request.rows), datetime.now(UTC)
        content = body_format.render(model, request, prediction)
        self._log.put(PredictionRecord(model, request.rows, prediction, request.request_id, now, request.held))
        self._metrics.rows.labels(model.project, model.version).inc(len(request.rows))
        if challenger and challenger.role == "shadow":
            self.shadows.put(ShadowRequest(challenger, body_format, body, request, now))
        return content

    def _predict_by_canary(
        self, challenger: ActiveChallenger, body: bytes, request: PredictionRequest, body_format: BodyFormat
    ) -> bytes | None:
        model = challenger.model
        try:
            with self._memory.open() as reserve:
                own = body_format.parse(body, request.request_id, model, self._limits, reserve)
                prediction = model.predictor.predict(own.rows)
                content = body_format.render(model, own, prediction)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the champion answers
            self._metrics.challenger_faults.labels(model.project, model.version).inc()
            with_project(log, model.project).warning(
                "the canary, version %d, cannot predict: %s", model.version, describe_error(fault)
            )
            return None
        now, role = datetime.now(UTC), challenger.role
        self._log.put(PredictionRecord(model, own.rows, prediction, own.request_id, now, own.held, role))
        self._metrics.rows.labels(model.project, model.version).inc(len(own.rows))
        self._metrics.challenger_rows.labels(model.project, model.version, role).inc(len(own.rows))
        return content


def require_model(slot: ServingSlot, version: str | None = None) -> LoadedModel:
    """Gives the model that serves a project.

    Args:
        slot: The slot of the project.
        version: The version in the URL, if there is one.

    Returns:
        The model.

    Raises:
        HTTPException: With 503 while no model serves, 404 for a version that does not serve.
    """
    model = slot.model
    if model is None:
        raise HTTPException(503, slot.problem or f"project {slot.project!r} is being loaded", {"Retry-After": "5"})
    if version is not None and version != str(model.version):
        raise HTTPException(
            404,
            f"version {version[:20]!r} of {slot.project} does not serve: "
            f"ask for version {model.version}, or leave the version out",
        )
    return model


def _is_inline(slot: ServingSlot, body: bytes) -> bool:
    """Tells whether a request takes less time than handing it to a worker thread."""
    model, challenger = slot.model, slot.challenger
    is_fast = model is not None and model.is_fast
    is_beside_fast = challenger is None or challenger.role == "shadow" or challenger.model.is_fast
    return is_fast and is_beside_fast and len(body) <= INLINE_BYTES


def _limit_to_one_thread() -> None:
    threadpool_limits(1)
