"""`/v1/models/NAME/labels`: labels that come back, kept until a run that ingests gives them to their rows."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from fastapi import APIRouter, HTTPException, Request, Response

from refit.labels import parse_labels
from refit_serving.http.openapi import LABELS
from refit_serving.http.predict_routes import JSON, choose_format
from refit_serving.rows.json_rows import JSON_ROWS, parse_key, parse_object
from refit_serving.rows.request import BodyReader, Limits, choose_request_id, require_count
from refit_serving.traffic.service import Service
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import label_kinds, put_in
from refit_tasks.project_log import with_project

log = logging.getLogger(__name__)

PendingLabels = tuple[pa.Table, datetime, "asyncio.Future[None]"]


class LabelWriter:
    """Puts labels on disk before their request is answered; those that come meanwhile share the next commit."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, list[PendingLabels]](list)
        self._writing = dict[str, asyncio.Task[None]]()

    async def keep(self, project: str, labels: pa.Table) -> None:
        """Keeps labels.

        Args:
            project: The project's name.
            labels: Rows of key and target.

        Raises:
            HTTPException: With 503 where they could not be stored.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[project].append((labels, datetime.now(UTC), done))
        if project not in self._writing:
            self._writing[project] = asyncio.create_task(self._write(project))
        await done

    async def _write(self, project: str) -> None:
        while taken := self._waiting.pop(project, None):
            refusal = await asyncio.to_thread(_store, project, taken)
            _resolve((done for _, _, done in taken), refusal)
        del self._writing[project]


def make_label_routes(service: Service) -> APIRouter:
    """Makes the route.

    Args:
        service: Who knows which projects there are.

    Returns:
        The route.
    """
    router = APIRouter(prefix="/v1", tags=["labels"])
    inbox, desk, limits = LabelWriter(), BodyReader(service.limits), service.limits

    @router.post("/models/{name}/labels", openapi_extra=LABELS, response_class=Response, status_code=202)
    async def labels(name: str, request: Request) -> Response:
        """Bring labels of rows, by key. They are on disk when this is answered; the next run that ingests joins them.

        A later label of a key corrects an earlier one; the same once more changes nothing.
        """
        project = service.seat(name).project
        choose_format(request, {JSON: JSON_ROWS})
        async with desk.taken(request) as body:
            asked = parse_object(body)
            request_id = choose_request_id(asked.get("request_id"), request.headers.get("x-request-id", ""))
            rows = await asyncio.to_thread(_parse_labels, project, asked, limits)
            await inbox.keep(project, rows)
        service.metrics.labels.labels(project).inc(rows.num_rows)
        answer = {"project": project, "request_id": request_id, "labels": rows.num_rows}
        return Response(orjson.dumps(answer), 202, media_type=JSON)

    return router


def _parse_labels(project: str, asked: dict[str, Any], limits: Limits) -> pa.Table:
    """Reads `{"labels": [{"key": ..., "label": ...}, ...]}` as the project's table has key and target."""
    definition, given = find_project(project), asked.get("labels")
    unknown = next(iter(asked.keys() - {"labels", "request_id"}), None)
    if unknown is not None:
        raise HTTPException(422, f"the body has the key {unknown[:100]!r}: only labels, request_id are known")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise HTTPException(422, "'labels' is no list of objects: send one with 'key' and 'label' for each row")
    require_count(len(given), limits)
    odd = next((place for place, one in enumerate(given) if one.keys() != {"key", "label"}), None)
    if odd is not None:
        raise HTTPException(422, f"label {odd} has other keys than 'key' and 'label': send these two")
    kinds = label_kinds(definition)
    keys = [parse_key(one["key"], definition.key) for one in given]
    cells = {name: [key.get(name) for key in keys] for name in definition.key}
    return parse_labels(kinds, {**cells, definition.target: [one["label"] for one in given]}, definition.pii)


def _store(project: str, taken: list[PendingLabels]) -> HTTPException | None:
    try:
        put_in(project, [(labels, at) for labels, at, _ in taken])
    except Exception as fault:  # noqa: BLE001 - whatever has become of the store may pass, and the senders are told
        with_project(log, project).warning("labels could not be stored: %s", fault)
        return HTTPException(503, "the labels could not be stored: send them again in a second", {"Retry-After": "1"})
    return None


def _resolve(waiting: Iterable[asyncio.Future[None]], refusal: HTTPException | None) -> None:
    for done in waiting:
        if done.cancelled():  # its sender has gone
            continue
        if refusal:
            done.set_exception(refusal)
        else:
            done.set_result(None)
