"""What a shadow says of requests that a champion has answered: many at a time, as that costs a part of one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise

from refit.inference.predictor import Said
from refit.inference.request_rows import Received, joined
from refit_serving.rows.limits import Limits
from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked, Form
from refit_serving.traffic.canary import Trial
from refit_serving.traffic.prediction_rows import Record


@dataclass(frozen=True, slots=True)
class Heard:
    """A request that a champion has answered."""

    trial: Trial
    form: Form
    body: bytes
    asked: Asked
    """As the champion took it."""
    at: datetime
    """When it was answered, UTC."""


def said_unheard(heard: Sequence[Heard], limits: Limits, failed: Callable[[Heard, Exception], None]) -> list[Record]:
    """Has a shadow answer.

    Args:
        heard: Requests of one trial.
        limits: How much may be asked.
        failed: Told of each request that the shadow cannot answer, and why; it spoils no other one.

    Returns:
        A record for each of the others.
    """
    together = [one for one in heard if _has_all(one)]
    apart = [one for one in heard if not _has_all(one)]
    try:
        records = _together(together) if together else []
    except Exception:  # noqa: BLE001 - a stored model may raise anything; which request it was is found one by one
        records, apart = [], list(heard)
    for one in apart:
        try:
            records.append(_alone(one, limits))
        except Exception as fault:  # noqa: BLE001 - as above
            failed(one, fault)
    return records


def _has_all(one: Heard) -> bool:
    """Whether what the champion took holds all that the shadow wants to see."""
    cells = one.asked.rows.cells
    return cells is not None and all(name in cells for name in one.trial.served.wanted.features)


def _together(heard: Sequence[Heard]) -> list[Record]:
    served = heard[0].trial.served
    cells = [one.asked.rows.cells for one in heard]
    rows = joined(served.wanted, [each for each in cells if each is not None]).features
    said = served.model.say(rows)
    edges = pairwise(accumulate((len(one.asked.rows) for one in heard), initial=0))
    return [
        _record(one, served, Received(rows.iloc[start:stop], {}, one.asked.rows.cells), _part(said, start, stop))
        for one, (start, stop) in zip(heard, edges, strict=True)
    ]


def _alone(one: Heard, limits: Limits) -> Record:
    """Reads the body once more, by the columns that the shadow wants."""
    served = one.trial.served
    rows = one.form.parse(one.body, one.asked.request_id, served, limits).rows
    return _record(one, served, rows, served.model.say(rows.features))


def _record(one: Heard, served: Served, rows: Received, said: Said) -> Record:
    return Record(served, rows, said, one.asked.request_id, one.at, len(one.body), "shadow")


def _part(said: Said, start: int, stop: int) -> Said:
    told = said.probabilities
    return Said(said.predictions[start:stop], None if told is None else told[start:stop])
