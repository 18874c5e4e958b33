"""One request, answered by one version: the champion, or a canary that drew it; and what was said is kept."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from refit.one_line_faults import told
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked, Form
from refit_serving.traffic.canary import Trial
from refit_serving.traffic.prediction_log import PredictionLog
from refit_serving.traffic.prediction_rows import Record
from refit_serving.traffic.shadow import Shadows
from refit_serving.traffic.unheard import Heard

log = logging.getLogger(__name__)


class Answers:
    """Answers requests, from any thread."""

    def __init__(self, limits: Limits, metrics: Metrics, predictions: PredictionLog) -> None:
        self.shadows = Shadows(limits, metrics, predictions)
        self._limits, self._metrics, self._log = limits, metrics, predictions

    def give(self, served: Served, trial: Trial | None, body: bytes, header_id: str, form: Form) -> bytes:
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
        said, now = served.model.say(asked.rows), datetime.now(UTC)
        answer = form.render(served, asked, said)
        self._log.put(Record(served, asked.rows, said, asked.request_id, now, len(body)))
        self._metrics.rows.labels(served.project, served.version).inc(len(asked.rows))
        if trial and trial.role == "shadow":
            self.shadows.put(Heard(trial, form, body, asked, now))
        return answer

    def _by_canary(self, trial: Trial, body: bytes, asked: Asked, form: Form) -> bytes | None:
        served = trial.served
        try:
            own = form.parse(body, asked.request_id, served, self._limits)
            said = served.model.say(own.rows)
            answer = form.render(served, own, said)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the champion answers
            self._metrics.faults.labels(served.project, served.version).inc()
            log.warning("%s: the canary, version %d, cannot answer: %s", served.project, served.version, told(fault))
            return None
        self._log.put(Record(served, own.rows, said, own.request_id, datetime.now(UTC), len(body), trial.role))
        self._metrics.rows.labels(served.project, served.version).inc(len(own.rows))
        self._metrics.tried.labels(served.project, served.version, trial.role).inc(len(own.rows))
        return answer
