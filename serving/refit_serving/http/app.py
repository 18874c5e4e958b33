"""The FastAPI application: its routers, health routes, error responses, and the `/docs` page.

The page is one self-contained file, unlike FastAPI's own, which load scripts from the internet.
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
from refit_serving.http.api_keys import LOOK
from refit_serving.http.label_routes import make_label_routes
from refit_serving.http.predict_routes import make_inference_routes, make_prediction_routes
from refit_serving.http.rights import AuthorizedRoute, require_right
from refit_serving.metrics.server_metrics import CONTENT_TYPE
from refit_serving.traffic.follower import ServingSlot
from refit_serving.traffic.service import Service

log = logging.getLogger(__name__)

_DEFAULT_DETAILS = ("Not Found", "Method Not Allowed")
_SENTENCES = {
    404: "there is no such path: /docs lists all of them",
    405: "this method is not allowed for this path: /docs lists the methods of each",
}
_DESCRIPTION = "Predictions of the champions of Refit's projects."
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #d5dde5; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto; }
b { display: inline-block; min-width: 3.5rem; color: #05647d; } summary { cursor: pointer; }
"""


def make_app(service: Service) -> FastAPI:
    """Makes the application.

    Args:
        service: The service that predicts. The caller starts it; the application stops it after the last request.

    Returns:
        The application.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stop()

    # FastAPI's own pages load scripts from the internet.
    app = FastAPI(
        title="Refit",
        version=version("refit-ml"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.route_class = AuthorizedRoute
    for make_routes in (make_prediction_routes, make_inference_routes, make_label_routes, make_health_routes):
        app.include_router(make_routes(service))

    @app.get("/openapi.json", include_in_schema=False)
    @require_right(LOOK)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    @require_right(LOOK)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render_page(app.openapi()))

    _list_projects(app, sorted(service.follower.slots))
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RefitError, _handle_invalid_request)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(Exception, _handle_fault)
    return app


def make_health_routes(service: Service) -> APIRouter:
    """Makes the routes for health, readiness and metrics.

    Args:
        service: The service that predicts.

    Returns:
        The router.
    """
    router = APIRouter(tags=["health"], route_class=AuthorizedRoute)

    @router.get("/healthz")
    @require_right()
    async def healthz() -> dict[str, str]:
        """Check that the server is running."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "A project has no model that serves."}})
    @require_right(LOOK)
    async def readyz() -> JSONResponse:
        """Describe which version serves for each project, and what keeps another one from serving."""
        return JSONResponse(_describe_state(service), 200 if service.ready else 503)

    @router.get("/metrics", response_class=Response)
    @require_right(LOOK)
    async def metrics() -> Response:
        """Export metrics in Prometheus' text format."""
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)

    return router


def render_page(description: Mapping[str, Any]) -> str:
    """Renders the `/docs` page.

    Args:
        description: The OpenAPI description.

    Returns:
        Self-contained HTML.
    """
    info = description["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    sections = "".join(_render_sections(description["paths"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(info.get('description', ''))} "
        f'For programs: <a href="openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _list_projects(app: FastAPI, projects: list[str]) -> None:
    """Lists the projects as values of the path parameter `name`, in the description that FastAPI caches."""
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "name":
                    parameter["schema"]["enum"] = projects


def _handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    sentence = _SENTENCES.get(error.status_code) if error.detail in _DEFAULT_DETAILS else None
    return JSONResponse({"error": sentence or error.detail}, error.status_code, error.headers)


def _handle_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(error).split())}, 422)


def _handle_fault(request: Request, fault: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return JSONResponse({"error": "the server failed to answer this request: see its log"}, 500)


def _render_sections(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
            for content, body in operation.get("requestBody", {}).get("content", {}).items():
                yield _render_details(f"Body: {content}", body.get("schema", {}))
            responses = {status: _describe_response(one) for status, one in operation["responses"].items()}
            yield _render_details("Responses", responses)


def _describe_response(response: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON values are of any type
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    return {"description": response["description"], **({"schema": schemas[0]} if schemas and schemas[0] else {})}


def _render_details(title: str, value: Any) -> str:  # noqa: ANN401 - JSON values are of any type
    content = escape(json.dumps(value, indent=2))
    return f"<details><summary>{escape(title)}</summary><pre>{content}</pre></details>"


def _describe_state(service: Service) -> dict[str, Any]:
    projects: dict[str, Any] = {}
    for name, slot in service.follower.slots.items():
        model = slot.model
        projects[name] = {
            "version": model.version if model else None,
            "generation": model.generation if model else None,
            "trouble": slot.problem or None,
            "challenger": _describe_challenger(slot),
        }
    return {"ready": service.ready, "projects": projects, "trouble": service.follower.problem or None}


def _describe_challenger(slot: ServingSlot) -> dict[str, Any] | None:
    challenger = slot.find_challenger(slot.model) if slot.model else None
    if challenger is None and not slot.challenger_problem:
        return None
    return {
        "version": challenger.model.version if challenger else None,
        "role": challenger.role if challenger else None,
        "share": challenger.share if challenger else None,
        "trouble": slot.challenger_problem or None,
    }
