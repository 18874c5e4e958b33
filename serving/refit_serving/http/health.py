"""Whether the server runs, whether it can answer, and what Prometheus asks for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from refit_serving.metrics.server_metrics import CONTENT_TYPE
from refit_serving.traffic.follower import Seat
from refit_serving.traffic.service import Service


def health(service: Service) -> APIRouter:
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
        return JSONResponse(_state(service), 200 if service.ready else 503)

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Give Prometheus its counters."""
        return Response(service.metrics.page(), media_type=CONTENT_TYPE)

    return router


def _beside(seat: Seat) -> dict[str, Any] | None:
    trial = seat.trial_beside(seat.served) if seat.served else None
    if trial is None and not seat.trial_trouble:
        return None
    return {
        "version": trial.served.version if trial else None,
        "role": trial.role if trial else None,
        "share": trial.share if trial else None,
        "trouble": seat.trial_trouble or None,
    }


def _state(service: Service) -> dict[str, Any]:
    projects: dict[str, Any] = {}
    for name, seat in service.follower.seats.items():
        served = seat.served
        projects[name] = {
            "version": served.version if served else None,
            "generation": served.generation if served else None,
            "trouble": seat.trouble or None,
            "challenger": _beside(seat),
        }
    return {"ready": service.ready, "projects": projects, "trouble": service.follower.trouble or None}
