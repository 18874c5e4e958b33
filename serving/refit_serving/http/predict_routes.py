"""Prediction routes: `POST /v1/models/NAME/predict`, and `/v2`, the Open Inference Protocol of KServe and Triton."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from refit_serving.http.api_keys import LOOK, PREDICT
from refit_serving.http.openapi import INFER, NOT_SERVED
from refit_serving.http.openapi import PREDICT as PREDICTION
from refit_serving.http.rights import AuthorizedRoute, require_right
from refit_serving.rows.arrow_rows import ARROW_ROWS, STREAM
from refit_serving.rows.binary_tensors import BINARY, EXTENSION, find_binary_format
from refit_serving.rows.json_rows import JSON_ROWS
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import BodyFormat
from refit_serving.rows.tensors import DATATYPES, TENSORS, name_datatype
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.service import Service, require_model

JSON = "application/json"
_FORMATS = {JSON: JSON_ROWS, STREAM: ARROW_ROWS}


def make_prediction_routes(service: Service) -> APIRouter:
    """Makes the routes of `/v1`, whose bodies are JSON rows or Arrow streams.

    Args:
        service: The service that predicts.

    Returns:
        The router.
    """
    router = APIRouter(prefix="/v1", tags=["predictions"], route_class=AuthorizedRoute)

    @router.post("/models/{name}/predict", openapi_extra=PREDICTION, response_class=Response)
    @require_right(PREDICT)
    async def predict(name: str, request: Request) -> Response:
        """Predict rows with the champion of a project, all of them by one version."""
        return await service.predict(service.find_slot(name), request, choose_format(request, _FORMATS))

    return router


def make_inference_routes(service: Service) -> APIRouter:
    """Makes the routes of `/v2`, the Open Inference Protocol.

    Args:
        service: The service that predicts.

    Returns:
        The router.
    """
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=AuthorizedRoute)

    @router.get("")
    @require_right(LOOK)
    async def server() -> dict[str, Any]:
        """Describe the server: its name, version and protocol extensions."""
        return {"name": "refit", "version": version_of("refit-ml"), "extensions": [EXTENSION]}

    @router.get("/health/live")
    @require_right()
    async def live() -> dict[str, bool]:
        """Check that the server is running."""
        return {"live": True}

    @router.get("/health/ready", responses={503: NOT_SERVED[503]})
    @require_right()
    async def ready() -> JSONResponse:
        """Check that every project has a model that serves."""
        return JSONResponse({"live": True, "ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{name}", responses=NOT_SERVED)
    @router.get("/models/{name}/versions/{version}", responses=NOT_SERVED)
    @require_right(LOOK)
    async def model(name: str, version: str | None = None) -> dict[str, Any]:
        """Describe the model of a project: its input columns and its outputs."""
        slot = service.find_slot(name)
        champion = require_model(slot, version)
        return {**_describe_model(champion), **_describe_challenger(slot.find_challenger(champion))}

    @router.get("/models/{name}/ready", responses=NOT_SERVED)
    @router.get("/models/{name}/versions/{version}/ready", responses=NOT_SERVED)
    @require_right(LOOK)
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        """Check that a model serves for the project."""
        champion = require_model(service.find_slot(name), version)
        return {"name": name, "ready": True, "version": str(champion.version)}

    @router.post("/models/{name}/infer", openapi_extra=INFER, response_class=Response)
    @router.post("/models/{name}/versions/{version}/infer", openapi_extra=INFER, response_class=Response)
    @require_right(PREDICT)
    async def infer(name: str, request: Request, version: str | None = None) -> Response:
        """Predict tensors, one for each column and named like it. Their values may follow the JSON as binary data."""
        slot = service.find_slot(name)
        body_format = find_binary_format(request) or choose_format(request, {JSON: TENSORS})
        return await service.predict(slot, request, body_format, version)

    return router


def choose_format(request: Request, formats: dict[str, BodyFormat]) -> BodyFormat:
    """Chooses the format of a body by its content type.

    Args:
        request: The request.
        formats: From content type to format.

    Returns:
        The format.

    Raises:
        HTTPException: With 415 for another content type, or for binary values where the format has none.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = " or ".join(formats)
    if sent not in formats:
        problem = f"the content type {sent[:100]!r} is not supported" if sent else "the content type is missing"
        raise HTTPException(415, f"{problem}: send {expected}")
    if BINARY in request.headers:
        raise HTTPException(415, f"the header {BINARY} is not supported here: send a body that is {expected} only")
    return formats[sent]


def _describe_challenger(challenger: ActiveChallenger | None) -> dict[str, Any]:
    """Describes a challenger by parameters, since it is not a version that clients can ask for."""
    if challenger is None:
        return {}
    facts = {"challenger_version": str(challenger.model.version), "challenger_role": challenger.role}
    return {"parameters": {**facts, "challenger_share": challenger.share}}


def _describe_model(model: LoadedModel) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": DATATYPES.get(kind, "BYTES"), "shape": [-1]}
        for name, kind in model.spec.features.items()
    ]
    predictor = model.predictor
    outputs = [{"name": "prediction", "datatype": name_datatype(predictor.dtype_kind), "shape": [-1]}]
    if len(predictor.labels) == len(("negative", "positive")):
        outputs.append({"name": "score", "datatype": "FP64", "shape": [-1]})
    return {
        "name": model.project,
        "versions": [str(model.version)],
        "platform": "scikit-learn",
        "inputs": inputs,
        "outputs": outputs,
    }
