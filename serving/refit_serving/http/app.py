"""The application: its routes, how it refuses, and what begins and ends with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from refit.errors import RefitError
from refit_serving.http.health import health
from refit_serving.http.label_routes import labelling
from refit_serving.http.page import page_of
from refit_serving.http.predict_routes import inference_protocol
from refit_serving.http.predicting import predictions
from refit_serving.traffic.service import Service

log = logging.getLogger(__name__)

_PHRASES = ("Not Found", "Method Not Allowed")
_WORDS = {
    404: "there is no such address: the page at /docs lists all of them",
    405: "this address is not asked like that: the page at /docs says how",
}
_ABOUT = "The champions of Refit's projects over HTTP."


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
        title="Refit", version=version("refit"), description=_ABOUT, lifespan=running, docs_url=None, redoc_url=None
    )
    for routes in (predictions, inference_protocol, labelling, health):
        app.include_router(routes(service))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page_of(app.openapi()))

    _name_projects(app, sorted(service.follower.seats))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RefitError, _unfit)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(Exception, _failed)
    return app


def _name_projects(app: FastAPI, projects: list[str]) -> None:
    """Says in the description, which FastAPI keeps once it is made, which names an address may hold."""
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "name":
                    parameter["schema"]["enum"] = projects


def _refused(_request: Request, refused: Exception) -> JSONResponse:
    assert isinstance(refused, HTTPException)  # noqa: S101 - it is registered for these
    known = _WORDS.get(refused.status_code) if refused.detail in _PHRASES else None
    return JSONResponse({"error": known or refused.detail}, refused.status_code, refused.headers)


def _unfit(_request: Request, refused: Exception) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(refused).split())}, 422)


def _failed(request: Request, fault: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return JSONResponse({"error": "the server failed: its log says why"}, 500)
