"""One request from its bytes to the bytes of its answer: by one version, off the event loop, and into the log.

One request, answered by one version: the champion, or a canary that drew it; and what was said is kept.
"""

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
"""A larger body is never answered on the event loop, however quick the version."""
SHADOW_SECONDS, FLUSH_SECONDS = 10.0, 30.0
"""How long the end waits for the shadows, and then for the predictions table."""


class Service:
    """The champions of some projects, and what is needed to answer with them."""

    def __init__(self, projects: list[str], limits: Limits) -> None:
        self.limits, self.metrics = limits, Metrics()
        self.follower = Follower(projects, self.metrics)
        self.log = PredictionLog(limits, self.metrics)
        self._challengers = ChallengerFollower(self.follower.seats.values(), self.metrics)
        self._answers = RequestHandler(limits, self.metrics, self.log)
        self.lost = 0
        """How many rows were answered and could not be logged at the end."""
        self._desk = BodyReader(limits)
        # One thread each is fastest for a row: models that start threads of their own wait for each other.
        self._workers = ThreadPoolExecutor(limits.threads, "refit-answer", _limit_to_one_thread)

    def start(self) -> None:
        """Loads the champions, and begins to follow the ledger and to log."""
        _limit_to_one_thread()
        self.follower.start()
        self._challengers.start()
        self._answers.shadows.start()
        self.log.start()
        # What is there by now stays: looking through all of it for garbage would stop every request for 0.2 s.
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Ends all threads, once everything that was answered is logged."""
        self.follower.stop()
        self._challengers.stop()
        self._workers.shutdown()
        self._answers.shadows.close(SHADOW_SECONDS)
        self.lost = self.log.close(FLUSH_SECONDS)
        if self.lost:
            log.error("%d predictions could not be stored and are lost", self.lost)

    @property
    def ready(self) -> bool:
        """Whether every project has a version that answers."""
        return all(seat.served is not None for seat in self.follower.seats.values())

    def seat(self, project: str) -> ServingSlot:
        """Finds who answers for a project.

        Args:
            project: The name in the address.

        Returns:
            The seat, which may be empty.

        Raises:
            HTTPException: With 404 if that project is not served here.
        """
        if project not in self.follower.seats:
            known = ", ".join(sorted(self.follower.seats))
            raise HTTPException(404, f"{project[:100]!r} is not served here: there is {known}")
        return self.follower.seats[project]

    def served(self, project: str, version: str | None = None) -> LoadedModel:
        """Finds the version that answers for a project.

        Args:
            project: The name in the address.
            version: The version that is asked for, if one is.

        Returns:
            The version.

        Raises:
            HTTPException: With 404 for another project or version, 503 while nobody answers.
        """
        seat = self.seat(project)
        served = seat.served
        if served is None:
            raise HTTPException(503, seat.trouble or f"{project} is being loaded", {"Retry-After": "5"})
        if version is not None and version != str(served.version):
            raise HTTPException(404, f"version {served.version} of {project} answers, and no other: ask for that one")
        return served

    async def answer(self, project: str, request: Request, form: BodyFormat, version: str | None = None) -> Response:
        """Answers a request.

        Args:
            project: The name in the address.
            request: The request.
            form: How its body and the answer are written.
            version: The version that is asked for, if one is.

        Returns:
            The answer.

        Raises:
            HTTPException: If the request is refused.
            RefitError: If its rows are not what the model knows.
        """
        begun, status = time.perf_counter(), 500
        self.seat(project)
        try:
            async with self._desk.taken(request) as body:
                header = request.headers.get("x-request-id", "")
                work = partial(self._answered, project, version, body, header, form)
                answer = await self._done(work, self._is_quick(project, body))
            status = 200
            return Response(answer, media_type=form.media_type)
        except HTTPException as refused:
            status = refused.status_code
            raise
        except RefitError:
            status = 422
            raise
        finally:
            self.metrics.requests.labels(project, status).inc()
            self.metrics.seconds.labels(project).observe(time.perf_counter() - begun)

    def _is_quick(self, project: str, body: bytes) -> bool:
        seat = self.follower.seats[project]
        served, trial = seat.served, seat.trial
        quick = served is not None and served.quick and (trial is None or trial.role == "shadow" or trial.served.quick)
        return quick and len(body) <= INLINE_BYTES

    async def _done(self, work: Callable[[], bytes], quick: bool) -> bytes:
        """Does the work in a worker; what is over sooner than a worker would take it up is done at once."""
        return work() if quick else await asyncio.get_running_loop().run_in_executor(self._workers, work)

    def _answered(self, project: str, version: str | None, body: bytes, header_id: str, form: BodyFormat) -> bytes:
        """Looks the version up once, so that all of the answer is of one version."""
        served = self.served(project, version)
        # Whoever asks for the champion's version by its number is answered by it alone.
        trial = self.seat(project).trial_beside(served) if version is None else None
        return self._answers.give(served, trial, body, header_id, form)


def _limit_to_one_thread() -> None:
    threadpool_limits(1)


class RequestHandler:
    """Answers requests, from any thread."""

    def __init__(self, limits: Limits, metrics: Metrics, predictions: PredictionLog) -> None:
        self.shadows = ShadowQueue(limits, metrics, predictions)
        self._limits, self._metrics, self._log = limits, metrics, predictions

    def give(
        self, served: LoadedModel, trial: ActiveChallenger | None, body: bytes, header_id: str, form: BodyFormat
    ) -> bytes:
        """Answers a request.

        Args:
            served: The champion.
            trial: The challenger beside it, if it may see this request.
            body: The body.
            header_id: The request id of the headers.
            form: How body and answer are written.

        Returns:
            The answer, all of it of one version. A challenger that cannot answer costs time and nothing else.

        Raises:
            HTTPException: If the request is refused.
            RefitError: If its rows are not what the champion knows.
        """
        asked = form.parse(body, header_id, served, self._limits)
        if trial and trial.draws(asked):
            answer = self._by_canary(trial, body, asked, form)
            if answer is not None:
                return answer
        said, now = served.model.predict(asked.rows), datetime.now(UTC)
        answer = form.render(served, asked, said)
        self._log.put(PredictionRecord(served, asked.rows, said, asked.request_id, now, len(body)))
        self._metrics.rows.labels(served.project, served.version).inc(len(asked.rows))
        if trial and trial.role == "shadow":
            self.shadows.put(ShadowRequest(trial, form, body, asked, now))
        return answer

    def _by_canary(
        self, trial: ActiveChallenger, body: bytes, asked: PredictionRequest, form: BodyFormat
    ) -> bytes | None:
        served = trial.served
        try:
            own = form.parse(body, asked.request_id, served, self._limits)
            said = served.model.predict(own.rows)
            answer = form.render(served, own, said)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the champion answers
            self._metrics.faults.labels(served.project, served.version).inc()
            with_project(log, served.project).warning(
                "the canary, version %d, cannot answer: %s", served.version, describe_error(fault)
            )
            return None
        self._log.put(
            PredictionRecord(served, own.rows, said, own.request_id, datetime.now(UTC), len(body), trial.role)
        )
        self._metrics.rows.labels(served.project, served.version).inc(len(own.rows))
        self._metrics.tried.labels(served.project, served.version, trial.role).inc(len(own.rows))
        return answer
