"""`/v1`: rows in, predictions out."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from refit_serving.http.openapi import PREDICT
from refit_serving.rows.arrow_rows import ARROW_ROWS, STREAM
from refit_serving.rows.json_rows import JSON_ROWS
from refit_serving.rows.request import Form
from refit_serving.traffic.service import Service

JSON = "application/json"
BINARY = "inference-header-content-length"
"""Says, in `/v2`, where the JSON of a body ends and its bytes begin."""
_FORMS = {JSON: JSON_ROWS, STREAM: ARROW_ROWS}


def predictions(service: Service) -> APIRouter:
    """Makes the routes.

    Args:
        service: Who answers.

    Returns:
        The routes.
    """
    router = APIRouter(prefix="/v1", tags=["predictions"])

    @router.post("/models/{name}/predict", openapi_extra=PREDICT, response_class=Response)
    async def predict(name: str, request: Request) -> Response:
        """Answer rows with the champion of a project, all of them by one version."""
        return await service.answer(name, request, form_of(request, _FORMS))

    return router


def form_of(request: Request, forms: dict[str, Form]) -> Form:
    """Chooses the form of a body by its content type.

    Args:
        request: The request.
        forms: From content type to form.

    Returns:
        The form.

    Raises:
        HTTPException: With 415 for another content type.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Whoever announces bytes after the JSON has not sent what the content type says.
    if given not in forms or BINARY in request.headers:
        named = f"is {given[:100]!r}" if given else "is missing"
        raise HTTPException(415, f"the content type {named}, or not the body's own: send {' or '.join(forms)}")
    return forms[given]
