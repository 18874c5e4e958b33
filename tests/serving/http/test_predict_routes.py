"""What the server answers: rows in three forms, refusals in one sentence, and who answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest

from refit_serving.rows.arrow_rows import STREAM
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.registry.stored_model import fetch_model
from tests.support.serving_home import FEATURES, Depot, Server, arrow, serving

pytestmark = pytest.mark.xdist_group("serving")

ROW = {"weight": 3.5, "distance": 400.0, "carrier": "swift"}
MOST_BYTES, MOST_ROWS = 100_000, 50


@pytest.fixture(scope="module")
def server(depot: Depot) -> Iterator[Server]:
    limits = ("--max-body", "0.1", "--max-rows", str(MOST_ROWS))
    with serving(depot.projects, "parcels", "letters", *limits) as running:
        yield running


def scores_of(depot: Depot, rows: int) -> list[float]:
    champion = current_champion("parcels")
    assert champion
    model = fetch_model(find_project("parcels"), champion.model)
    return list(model.predict_proba(depot.rows[FEATURES].head(rows))[:, 1])


def test_json_arrow_and_tensors_say_the_same(server: Server, depot: Depot) -> None:
    rows = depot.rows[FEATURES].head(20)
    records = rows.to_dict("records")
    as_json = server.ask("parcels", {"rows": records, "request_id": "mine"}).json()
    assert as_json["version"] == as_json["generation"] == 1
    assert as_json["request_id"] == "mine"
    assert as_json["scores"] == pytest.approx(scores_of(depot, 20), abs=1e-12)

    answer = server.ask("parcels", arrow(pa.Table.from_pandas(rows)), content_type=STREAM)
    with pa.ipc.open_stream(answer.content) as stream:
        as_arrow = stream.read_all()
    assert as_arrow["score"].to_pylist() == as_json["scores"]
    assert as_arrow["prediction"].to_pylist() == as_json["predictions"]
    assert as_arrow.schema.metadata[b"version"] == b"1"

    datatypes = {"weight": "FP64", "distance": "FP64", "carrier": "BYTES"}
    inputs = [
        {"name": name, "shape": [20, 1], "datatype": datatypes[name], "data": rows[name].tolist()} for name in FEATURES
    ]
    asked = {"id": "x", "inputs": inputs, "outputs": [{"name": "score"}]}
    as_tensors = httpx.post(f"{server.address}/v2/models/parcels/infer", json=asked).json()
    assert (as_tensors["id"], as_tensors["model_version"]) == ("x", "1")
    assert as_tensors["outputs"] == [{"name": "score", "shape": [20], "datatype": "FP64", "data": as_json["scores"]}]

    alone = [server.ask("parcels", {"row": record}).json()["scores"][0] for record in records[:5]]
    assert alone == pytest.approx(as_json["scores"][:5], abs=1e-12)


def test_the_protocol_describes_the_model(server: Server) -> None:
    model = server.get("/v2/models/parcels").json()
    assert model["inputs"][0] == {"name": "weight", "datatype": "FP64", "shape": [-1]}
    assert [tensor["name"] for tensor in model["outputs"]] == ["prediction", "score"]
    assert server.get("/v2").json()["name"] == "refit"
    assert server.get("/v2").json()["name"] == "refit"
    assert server.get("/v2/models/parcels/versions/1/ready").json()["ready"]
    assert server.get("/v2/models/parcels/versions/7/ready").status_code == 404
    assert server.get("/v2/health/live").json() == {"live": True}


def test_a_project_without_a_champion_says_so(server: Server) -> None:
    ready = server.get("/readyz")
    assert ready.status_code == server.get("/v2/health/ready").status_code == 503
    assert "refit retrain letters" in ready.json()["projects"]["letters"]["trouble"]
    refused = server.ask("letters", {"row": ROW})
    assert refused.status_code == 503
    assert "no champion" in refused.json()["error"]


def test_the_page_and_the_description_are_there_and_load_nothing(server: Server) -> None:
    page = server.get("/docs").text
    assert "/v1/models/{name}/predict" in page
    assert "http" not in page.partition("</style>")[2].replace("HTTP", "")
    described = server.get("/openapi.json").json()["paths"]["/v1/models/{name}/predict"]["post"]
    assert STREAM in described["requestBody"]["content"]
    assert server.get("/healthz").json() == {"status": "ok"}


NESTED = b'{"row":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"
BAD: dict[str, tuple[Any, int, str]] = {
    "missing column": ({"row": {"weight": 1, "distance": 2}}, 422, "'carrier' is missing"),
    "missing in one row": ({"rows": [ROW, {"weight": 1, "distance": 2}]}, 422, "'carrier' is missing in row 1"),
    "text for a number": ({"row": ROW | {"weight": "3.5"}}, 422, "'weight' holds \"3.5\""),
    "number for a text": ({"row": ROW | {"carrier": 7}}, 422, "'carrier' holds 7"),
    "list for a number": ({"row": ROW | {"weight": [1]}}, 422, "'weight' holds a list"),
    "object for a text": ({"row": ROW | {"carrier": {}}}, 422, "'carrier' holds an object"),
    "NaN": (b'{"row": {"weight": NaN, "distance": 1, "carrier": "a"}}', 422, "'weight' holds NaN"),
    "Infinity": (b'{"row": {"weight": 1, "distance": -Infinity, "carrier": "a"}}', 422, "'distance' holds -Infinity"),
    "beyond a double": (b'{"row": {"weight": 1e999, "distance": 1, "carrier": "a"}}', 422, "'weight' holds Infinity"),
    "huge number": ({"row": ROW | {"weight": 10**400}}, 422, "'weight' holds"),
    "a gap that the model cannot take": ({"row": ROW | {"weight": None}}, 422, "missing in column 'weight'"),
    "a key that is not whole": ({"row": ROW | {"parcel": 1.5}}, 422, "'parcel' holds"),
    "a time without a zone": ({"row": ROW | {"sent_at": "2026-01-01"}}, 422, "'sent_at' holds"),
    "keys of another number": ({"rows": [ROW], "keys": [1, 2]}, 422, "'keys'"),
    "key of other columns": ({"row": ROW, "key": {"sender": 1}}, 422, "'sender'"),
    "request id": ({"row": ROW, "request_id": 7}, 422, "request id"),
    "no rows": ({"rows": []}, 422, "no rows"),
    "rows and row": ({"rows": [ROW], "row": ROW}, 422, "either 'rows'"),
    "unknown key": ({"row": ROW, "raw": 1}, 422, "'raw'"),
    "row is a list": ({"rows": [[1, 2, 3]]}, 422, "row 0 is not a JSON object"),
    "no object": (b"[]", 422, "not a JSON object"),
    "no JSON": (b"weight=1", 400, "not valid JSON"),
    "no UTF-8": (b'{"row": "\xff"}', 400, "not valid JSON"),
    "empty": (b"", 400, "not valid JSON"),
    "deeply nested": (NESTED, 400, "depth"),
    "deeply nested with NaN": (NESTED.replace(b"1", b"NaN"), 400, "not valid JSON"),
    "too many rows": ({"rows": [ROW] * (MOST_ROWS + 1)}, 413, "51 rows"),
    "too large": (b" " * 200_000, 413, "bytes"),
}


@pytest.mark.parametrize(("body", "status", "words"), BAD.values(), ids=BAD)
def test_bad_json_is_refused_in_a_sentence(server: Server, body: Any, status: int, words: str) -> None:
    answer = server.ask("parcels", body)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert "\n" not in answer.json()["error"]


TABLE = pa.table({name: [value] for name, value in ROW.items()})
BAD_ARROW: dict[str, tuple[bytes, int, str]] = {
    "no stream": (b"PK\3\4" * 10, 400, "Arrow IPC"),
    "empty": (b"", 400, "Arrow IPC"),
    "cut off": (arrow(TABLE)[:-300], 400, "Arrow IPC"),
    "compressed": (arrow(TABLE, compression="zstd"), 400, "compressed"),
    "no rows": (arrow(TABLE.slice(0, 0)), 422, "no rows"),
    "too many rows": (arrow(TABLE.take(pa.array([0] * 60))), 413, "60 rows"),
    "missing column": (arrow(TABLE.drop_columns(["weight"])), 422, "'weight' is missing"),
    "twice": (arrow(TABLE.append_column("weight", TABLE["weight"])), 422, "'weight' appears more than once"),
    "NaN": (arrow(TABLE.set_column(0, "weight", pa.array([float("nan")]))), 422, "'weight' holds NaN"),
    "text": (arrow(TABLE.set_column(0, "weight", pa.array(["1"]))), 422, "'weight' holds texts"),
    "list": (arrow(TABLE.set_column(0, "weight", pa.array([[1.0]]))), 422, "'weight' has the Arrow type list"),
    "date": (
        arrow(TABLE.set_column(0, "weight", pa.array([1], pa.date32()))),
        422,
        "'weight' has the Arrow type date",
    ),
    "view": (
        arrow(TABLE.set_column(2, "carrier", pa.array(["a"], pa.string_view()))),
        422,
        "'carrier' has the Arrow type",
    ),
    "not whole": (arrow(TABLE.append_column("parcel", pa.array([0.5]))), 422, "'parcel' holds"),
}


@pytest.mark.parametrize(("body", "status", "words"), BAD_ARROW.values(), ids=BAD_ARROW)
def test_bad_arrow_is_refused_in_a_sentence(server: Server, body: bytes, status: int, words: str) -> None:
    answer = server.ask("parcels", body, content_type=STREAM)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def weights(**changed: Any) -> dict[str, Any]:
    return {"name": "weight", "datatype": "FP64", "shape": [1], "data": [1.5], **changed}


TENSORS: dict[str, tuple[Any, str]] = {
    "no inputs": ({}, "'inputs'"),
    "no tensor": ({"inputs": [1]}, "'inputs'"),
    "no name": ({"inputs": [{}]}, "no name"),
    "datatype": ({"inputs": [{"name": "weight", "datatype": "FP7"}]}, "'weight' has no supported datatype"),
    "shape": (
        {"inputs": [{"name": "weight", "datatype": "FP64", "shape": [2, 2], "data": []}]},
        "'weight' does not have the shape",
    ),
    "data": (
        {"inputs": [{"name": "weight", "datatype": "FP64", "shape": [2], "data": [1]}]},
        "'data' of the column 'weight' does not match",
    ),
    "values": (
        {"inputs": [{"name": "weight", "datatype": "INT8", "shape": [1], "data": ["a"]}]},
        "'weight' holds values",
    ),
    "missing": (
        {"inputs": [{"name": "weight", "datatype": "FP64", "shape": [1], "data": [1]}]},
        "'distance' is missing",
    ),
    "output": ({"inputs": [], "outputs": [{"name": []}]}, "no rows"),
}


@pytest.mark.parametrize(("body", "words"), TENSORS.values(), ids=TENSORS)
def test_bad_tensors_are_refused_in_a_sentence(server: Server, body: Any, words: str) -> None:
    answer = httpx.post(f"{server.address}/v2/models/parcels/infer", json=body)
    assert (answer.status_code, words in answer.json()["error"]) == (422, True), answer.text


def test_other_addresses_types_and_lengths_are_refused(server: Server) -> None:
    assert server.ask("parcels", {"row": ROW}, content_type="text/csv").status_code == 415
    assert server.ask("parcels", {"row": ROW}, inference_header_content_length="7").status_code == 415
    unknown = server.ask("nobody", {"row": ROW})
    assert (unknown.status_code, "parcels" in unknown.json()["error"]) == (404, True)
    assert server.get("/v1/models/parcels/predict").status_code == 405
    chunks = (b" " * 10_000 for _ in range(50))
    kind = {"content-type": "application/json"}
    streamed = httpx.post(f"{server.address}/v1/models/parcels/predict", content=chunks, headers=kind)
    assert streamed.status_code == 413


def test_nothing_that_was_refused_was_a_fault_of_the_server(server: Server) -> None:
    page = server.get("/metrics").text
    assert 'status="422"' in page
    assert 'status="500"' not in page
    assert "nobody" not in page
