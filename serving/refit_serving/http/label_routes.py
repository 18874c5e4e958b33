"""`POST /v1/models/NAME/labels`: labels that arrive late, stored until the next ingest joins them to their rows."""

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
from refit_serving.http.api_keys import LABEL
from refit_serving.http.openapi import LABELS
from refit_serving.http.predict_routes import JSON, choose_format
from refit_serving.http.rights import AuthorizedRoute, require_right
from refit_serving.rows.json_rows import JSON_ROWS, parse_key, parse_object
from refit_serving.rows.memory import measure_json
from refit_serving.rows.request import BodyReader, Limits, choose_request_id, require_count
from refit_serving.traffic.service import Service
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import append_labels, label_column_kinds
from refit_tasks.project_log import with_project

log = logging.getLogger(__name__)

PendingLabels = tuple[pa.Table, datetime, "asyncio.Future[None]"]
"""Labels, the time of their arrival, and the future that their request waits for."""


class LabelWriter:
    """Stores labels before their requests are answered. Labels that arrive during a commit share the next one."""

    def __init__(self) -> None:
        self._pending = defaultdict[str, list[PendingLabels]](list)
        self._tasks = dict[str, asyncio.Task[None]]()

    async def write(self, project: str, labels: pa.Table) -> None:
        """Stores labels, and returns when they are on disk.

        Args:
            project: The project's name.
            labels: Rows of key and target.

        Raises:
            HTTPException: With 503 if they could not be stored.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[project].append((labels, datetime.now(UTC), done))
        if project not in self._tasks:
            self._tasks[project] = asyncio.create_task(self._commit_pending(project))
        await done

    async def _commit_pending(self, project: str) -> None:
        while pending := self._pending.pop(project, None):
            error = await asyncio.to_thread(_store, project, pending)
            _resolve((done for _, _, done in pending), error)
        del self._tasks[project]


def make_label_routes(service: Service) -> APIRouter:
    """Makes the route that takes labels.

    Args:
        service: The service.

    Returns:
        The router.
    """
    router = APIRouter(prefix="/v1", tags=["labels"], route_class=AuthorizedRoute)
    writer, reader, limits = LabelWriter(), BodyReader(service.limits), service.limits

    @router.post("/models/{name}/labels", openapi_extra=LABELS, response_class=Response, status_code=202)
    @require_right(LABEL)
    async def labels(name: str, request: Request) -> Response:
        """Send labels of rows, by key. The labels are stored when this is answered; the next ingest joins them.

        A later label of a key replaces an earlier one; sending the same label again changes nothing.
        """
        project = service.find_slot(name).project
        choose_format(request, {JSON: JSON_ROWS})
        async with reader.read(request) as body:
            with service.memory.open() as reserve:
                reserve(measure_json(body))
                content = parse_object(body)
                request_id = choose_request_id(content.get("request_id"), request.headers.get("x-request-id", ""))
                rows = await asyncio.to_thread(_parse_labels, project, content, limits)
                await writer.write(project, rows)
        service.metrics.labels.labels(project).inc(rows.num_rows)
        response = {"project": project, "request_id": request_id, "labels": rows.num_rows}
        return Response(orjson.dumps(response), 202, media_type=JSON)

    return router


def _parse_labels(project: str, content: dict[str, Any], limits: Limits) -> pa.Table:
    """Reads `{"labels": [{"key": ..., "label": ...}, ...]}` as rows of key and target in the types of the table."""
    definition, labels = find_project(project), content.get("labels")
    unknown = next(iter(content.keys() - {"labels", "request_id"}), None)
    if unknown is not None:
        raise HTTPException(
            422, f"the body has the unknown key {unknown[:100]!r}: the allowed keys are labels, request_id"
        )
    if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
        raise HTTPException(422, "'labels' is not a list of objects: send objects with 'key' and 'label'")
    require_count(len(labels), limits)
    odd = next((place for place, label in enumerate(labels) if label.keys() != {"key", "label"}), None)
    if odd is not None:
        raise HTTPException(422, f"label {odd} does not have exactly the keys 'key' and 'label': send these two")
    kinds = label_column_kinds(definition)
    keys = [parse_key(label["key"], definition.key) for label in labels]
    cells = {name: [key.get(name) for key in keys] for name in definition.key}
    return parse_labels(kinds, {**cells, definition.target: [label["label"] for label in labels]}, definition.pii)


def _store(project: str, pending: list[PendingLabels]) -> HTTPException | None:
    """Stores labels in one commit; gives the error that their requests are answered with."""
    try:
        append_labels(project, [(labels, at) for labels, at, _ in pending])
    except Exception as fault:  # noqa: BLE001 - any failure of the store may be temporary, and the clients are told
        with_project(log, project).warning("labels could not be stored: %s", fault)
        return HTTPException(503, "the labels could not be stored: send them again in a second", {"Retry-After": "1"})
    return None


def _resolve(futures: Iterable[asyncio.Future[None]], error: HTTPException | None) -> None:
    for done in futures:
        if done.cancelled():  # the client has disconnected
            continue
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)
