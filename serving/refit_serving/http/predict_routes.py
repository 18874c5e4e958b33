"""`/v2`: the Open Inference Protocol, which clients of KServe, MLServer and Triton speak.

`/v1`: rows in, predictions out.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from refit_serving.http.openapi import INFER, NOT_SERVED, PREDICT
from refit_serving.rows.arrow_rows import ARROW_ROWS, STREAM
from refit_serving.rows.json_rows import JSON_ROWS
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import BodyFormat
from refit_serving.rows.tensors import BINARY, DATATYPES, EXTENSION, TENSORS, find_binary_format, name_datatype
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.service import Service


def make_inference_routes(service: Service) -> APIRouter:
    """Makes the routes.

    Args:
        service: Who answers.

    Returns:
        The routes.
    """
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("")
    async def server() -> dict[str, Any]:
        """Name the server."""
        return {"name": "refit", "version": version_of("refit"), "extensions": [EXTENSION]}

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """Tell that the server runs."""
        return {"live": True}

    @router.get("/health/ready", responses={503: NOT_SERVED[503]})
    async def ready() -> JSONResponse:
        """Tell whether every project has a version that answers."""
        return JSONResponse({"live": True, "ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{name}", responses=NOT_SERVED)
    @router.get("/models/{name}/versions/{version}", responses=NOT_SERVED)
    async def model(name: str, version: str | None = None) -> dict[str, Any]:
        """Name the columns that a model takes, and what it gives."""
        served = service.served(name, version)
        return {**_describe_model(served), **_describe_challenger(service.seat(name).trial_beside(served))}

    @router.get("/models/{name}/ready", responses=NOT_SERVED)
    @router.get("/models/{name}/versions/{version}/ready", responses=NOT_SERVED)
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        """Tell whether a version answers for the project."""
        served = service.served(name, version)
        return {"name": name, "ready": True, "version": str(served.version)}

    @router.post("/models/{name}/infer", openapi_extra=INFER, response_class=Response)
    @router.post("/models/{name}/versions/{version}/infer", openapi_extra=INFER, response_class=Response)
    async def infer(name: str, request: Request, version: str | None = None) -> Response:
        """Answer tensors, one for each column and named like it; their values may follow the JSON as bytes."""
        form = find_binary_format(request) or choose_format(request, {JSON: TENSORS})
        return await service.answer(name, request, form, version)

    return router


def _describe_challenger(trial: ActiveChallenger | None) -> dict[str, Any]:
    """Names a challenger among the parameters: it is no version that can be asked for."""
    if trial is None:
        return {}
    facts = {"challenger_version": str(trial.served.version), "challenger_role": trial.role}
    return {"parameters": {**facts, "challenger_share": trial.share}}


def _describe_model(served: LoadedModel) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": DATATYPES.get(kind, "BYTES"), "shape": [-1]}
        for name, kind in served.wanted.features.items()
    ]
    outputs = [{"name": "prediction", "datatype": name_datatype(served.model.dtype_kind), "shape": [-1]}]
    if len(served.model.labels) == len(("negative", "positive")):
        outputs.append({"name": "score", "datatype": "FP64", "shape": [-1]})
    return {
        "name": served.project,
        "versions": [str(served.version)],
        "platform": "scikit-learn",
        "inputs": inputs,
        "outputs": outputs,
    }


JSON = "application/json"
_FORMATS = {JSON: JSON_ROWS, STREAM: ARROW_ROWS}


def make_prediction_routes(service: Service) -> APIRouter:
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
        return await service.answer(name, request, choose_format(request, _FORMATS))

    return router


def choose_format(request: Request, forms: dict[str, BodyFormat]) -> BodyFormat:
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
