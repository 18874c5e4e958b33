"""The application: its routes, how it refuses, and what begins and ends with it.

The page that describes the addresses to people: all of it is in the page, and nothing is loaded from elsewhere.

Whether the server runs, whether it can answer, and what Prometheus asks for.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from html import escape
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from refit.errors import RefitError
from refit_serving.http.label_routes import make_label_routes
from refit_serving.http.predict_routes import make_inference_routes, make_prediction_routes
from refit_serving.metrics.server_metrics import CONTENT_TYPE
from refit_serving.traffic.follower import ServingSlot
from refit_serving.traffic.service import Service

log = logging.getLogger(__name__)

_DEFAULT_DETAILS = ("Not Found", "Method Not Allowed")
_SENTENCES = {
    404: "there is no such address: the page at /docs lists all of them",
    405: "this address is not asked like that: the page at /docs says how",
}
_DESCRIPTION = "The champions of Refit's projects over HTTP."


def make_app(service: Service) -> FastAPI:
    """Makes the application.

    Args:
        service: Who answers; it is started before the first request and stopped after the last.

    Returns:
        The application.
    """

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stop()

    # The pages that FastAPI has for people load scripts from elsewhere.
    app = FastAPI(
        title="Refit",
        version=version("refit-ml"),
        description=_DESCRIPTION,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
    )
    for routes in (make_prediction_routes, make_inference_routes, make_label_routes, make_health_routes):
        app.include_router(routes(service))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render_page(app.openapi()))

    _name_projects(app, sorted(service.follower.seats))
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RefitError, _handle_invalid_request)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(Exception, _handle_fault)
    return app


def _name_projects(app: FastAPI, projects: list[str]) -> None:
    """Says in the description, which FastAPI keeps once it is made, which names an address may hold."""
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "name":
                    parameter["schema"]["enum"] = projects


def _handle_http_error(_request: Request, refused: Exception) -> JSONResponse:
    assert isinstance(refused, HTTPException)  # noqa: S101 - it is registered for these
    known = _SENTENCES.get(refused.status_code) if refused.detail in _DEFAULT_DETAILS else None
    return JSONResponse({"error": known or refused.detail}, refused.status_code, refused.headers)


def _handle_invalid_request(_request: Request, refused: Exception) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(refused).split())}, 422)


def _handle_fault(request: Request, fault: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return JSONResponse({"error": "the server failed: its log says why"}, 500)


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #d5dde5; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto; }
b { display: inline-block; min-width: 3.5rem; color: #05647d; } summary { cursor: pointer; }
"""


def render_page(description: Mapping[str, Any]) -> str:
    """Writes the page.

    Args:
        description: The OpenAPI description.

    Returns:
        HTML.
    """
    about = description["info"]
    title = f"{escape(about['title'])} {escape(about['version'])}"
    sections = "".join(_render_sections(description["paths"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(about.get('description', ''))} "
        f'For programs: <a href="openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _render_sections(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
            for content, body in operation.get("requestBody", {}).get("content", {}).items():
                yield _render_details(f"Body: {content}", body.get("schema", {}))
            yield _render_details(
                "Answers", {status: _describe_response(one) for status, one in operation["responses"].items()}
            )


def _describe_response(response: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON values are of any type
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    return {"description": response["description"], **({"schema": schemas[0]} if schemas and schemas[0] else {})}


def _render_details(title: str, value: Any) -> str:  # noqa: ANN401
    shown = escape(json.dumps(value, indent=2))
    return f"<details><summary>{escape(title)}</summary><pre>{shown}</pre></details>"


def make_health_routes(service: Service) -> APIRouter:
    """Makes the routes.

    Args:
        service: Who answers.

    Returns:
        The routes.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the server runs."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "A project has no version that answers."}})
    async def readyz() -> JSONResponse:
        """Tell which version answers for each project, and why it is not another one."""
        return JSONResponse(_describe_state(service), 200 if service.ready else 503)

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Give Prometheus its counters."""
        return Response(service.metrics.page(), media_type=CONTENT_TYPE)

    return router


def _describe_challenger(seat: ServingSlot) -> dict[str, Any] | None:
    trial = seat.trial_beside(seat.served) if seat.served else None
    if trial is None and not seat.trial_trouble:
        return None
    return {
        "version": trial.served.version if trial else None,
        "role": trial.role if trial else None,
        "share": trial.share if trial else None,
        "trouble": seat.trial_trouble or None,
    }


def _describe_state(service: Service) -> dict[str, Any]:
    projects: dict[str, Any] = {}
    for name, seat in service.follower.seats.items():
        served = seat.served
        projects[name] = {
            "version": served.version if served else None,
            "generation": served.generation if served else None,
            "trouble": seat.trouble or None,
            "challenger": _describe_challenger(seat),
        }
    return {"ready": service.ready, "projects": projects, "trouble": service.follower.trouble or None}
