"""Labels over HTTP: on disk before they are answered, refused with the column's name, joined by key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from refit_deployments.actions.predictions import join_label_inbox
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import inbox_of, join_waiting_labels, read_inbox
from refit_tasks.storage.delta import open_table, read
from tests.support.serving_home import Depot, Server, serving

pytestmark = pytest.mark.xdist_group("serving")

CLIENT = httpx.Client(timeout=60, verify=False)  # noqa: S501 - plain HTTP


@pytest.fixture(scope="module")
def server(depot: Depot) -> Any:
    with serving(depot.projects, "parcels") as running, CLIENT:
        yield running


def post(server: Server, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    return CLIENT.post(f"{server.address}/v1/models/parcels/labels", content=content, headers=sent)


def held() -> list[dict[str, Any]]:
    inbox = open_table(inbox_of("parcels"))
    return [json.loads(row) for row in read_inbox(inbox)["row"].to_pylist()] if inbox else []


def test_labels_are_on_disk_when_they_are_answered(server: Server, depot: Depot) -> None:
    parcel = depot.rows["parcel"].iloc[0].item()
    answer = post(server, {"labels": [{"key": parcel, "label": 1}], "request_id": "mine"})
    assert answer.status_code == 202
    assert answer.json() == {"project": "parcels", "request_id": "mine", "labels": 1}
    assert held() == [{"parcel": parcel, "late": 1}]
    assert server.metric('labels_total{project="parcels"}') == 1


def test_the_next_run_that_ingests_joins_them(server: Server, depot: Depot) -> None:
    keys, late = depot.rows["parcel"].iloc[:3].tolist(), 1 - depot.rows["late"].iloc[:3].astype(int)
    labels = [{"key": {"parcel": key}, "label": int(label)} for key, label in zip(keys, late, strict=True)]
    assert post(server, {"labels": labels}).status_code == 202
    join_waiting_labels.fn(find_project("parcels"), datetime.now(UTC))
    table = open_table("parcels")
    assert table is not None
    found = {row["parcel"]: row["late"] for part in read(table, ["parcel", "late"]) for row in part.to_pylist()}
    assert [found[key] for key in keys] == late.tolist()
    assert held() == []


def test_the_command_without_a_file_joins_them_too(server: Server, depot: Depot) -> None:
    key = depot.rows["parcel"].iloc[5].item()
    post(server, {"labels": [{"key": key, "label": 1}, {"key": 10**9, "label": 1}]})
    done = join_label_inbox("parcels")
    assert (done.facts["rows"], done.facts["unknown"]) == (2, 1)
    assert "1 rows have a key that is not in the table" in done.lines[1]
    assert join_label_inbox("letters").lines == ["letters: the label inbox is empty"]


def test_many_senders_at_once_lose_no_label(server: Server, depot: Depot) -> None:
    keys = depot.rows["parcel"].iloc[:200].tolist()
    before = len(held())
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda key: post(server, {"labels": [{"key": key, "label": 0}]}), keys))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(row["parcel"] for row in held()[before:]) == sorted(keys)
    inbox = open_table(inbox_of("parcels"))
    assert inbox is not None
    assert inbox.version() < len(keys), "those that wait share a commit"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "valid JSON"),
        ([], 422, "JSON object"),
        ({"labels": []}, 422, "no rows"),
        ({"labels": [1]}, 422, "list of objects"),
        ({"labels": [{"key": 1}]}, 422, "label 0"),
        ({"labels": [{"key": 1, "label": 1}], "rows": []}, 422, "'rows'"),
        ({"labels": [{"key": 1, "label": None}]}, 422, "'late' is missing in label 0"),
        ({"labels": [{"key": None, "label": 1}]}, 422, "'parcel' is missing in label 0"),
        ({"labels": [{"key": "x", "label": 1}]}, 422, "'parcel'"),
        ({"labels": [{"key": 1, "label": "late"}]}, 422, "'late'"),
        (b'{"labels": [{"key": 1, "label": NaN}]}', 422, "'late'"),
        ({"labels": [{"key": {"box": 1}, "label": 1}]}, 422, "'box'"),
        ({"labels": [{"key": 1, "label": 1}, {"key": 1, "label": 0}]}, 422, "different labels"),
        ({"labels": [{"key": 1, "label": 1}] * 10_001}, 413, "10,001 rows"),
        ({"labels": [{"key": 1, "label": 1}], "request_id": "x" * 200}, 422, "request id"),
    ],
)
def test_what_is_no_label_is_refused_with_a_sentence(server: Server, body: Any, status: int, words: str) -> None:
    before = held()
    answer = post(server, body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert held() == before


def test_other_content_and_other_projects_are_refused(server: Server) -> None:
    label = {"labels": [{"key": 1, "label": 1}]}
    assert post(server, label, **{"content-type": "text/csv"}).status_code == 415
    asked = httpx.post(f"{server.address}/v1/models/nobody/labels", json=label, timeout=60)
    assert asked.status_code == 404
    described = server.get("/openapi.json").json()["paths"]["/v1/models/{name}/labels"]["post"]
    assert set(described["responses"]) >= {"202", "413", "415", "422", "503"}


def test_a_store_that_takes_nothing_is_a_503_and_the_server_goes_on(server: Server, home: Path) -> None:
    tables = home / "tables"
    away = home / "elsewhere"
    inbox = next(tables.glob("parcels__labels"))
    inbox.rename(away)
    (tables / "parcels__labels").write_text("a file where a table should be")
    answer = post(server, {"labels": [{"key": 1, "label": 1}]})
    (tables / "parcels__labels").unlink()
    away.rename(inbox)
    assert answer.status_code == 503
    assert "send them again" in answer.json()["error"]
    assert post(server, {"labels": [{"key": 1, "label": 1}]}).status_code == 202
