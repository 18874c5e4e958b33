"""A challenger beside the champion: unheard or for a share of the requests, and never at the champion's cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pandas as pd
import pyarrow as pa
import pytest

from refit_serving.rows.arrow_rows import STREAM
from refit_serving.traffic.canary import in_traffic_share
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.prediction.compare import compare_challenger
from refit_tasks.registry.model_store import FILE
from refit_tasks.registry.stored_model import fetch_model
from tests.support.serving_home import FEATURES, PROJECT, Depot, Server, arrow, entered, logged, serving

pytestmark = pytest.mark.xdist_group("serving")

NEW = {"weight": 3.5, "distance": 400.0, "carrier": "new"}
"""A row with a carrier that a challenger refuses which was fitted with `handle_unknown="error"`."""


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One of its own, whose champions come and go."""
    with entered(tmp_path_factory.mktemp("depot")) as directory:
        made = Depot(directory, "parcels", "letters")
        made.promoted("parcels", 0.0)
        yield made


@pytest.fixture(autouse=True)
def _settled(depot: Depot) -> Iterator[None]:
    """Refuses what a test leaves waiting."""
    yield
    from refit_tasks.registry.challengers import find_pending

    for waiting in find_pending("parcels"):
        answered(waiting.version, approved=False)


def answered(version: int, *, approved: bool) -> None:
    from refit_tasks.promotion.approve import record_approval

    record_approval.fn("parcels", version, approved=approved, who="Ada", why="", at=datetime.now(UTC))


def policy(depot: Depot, serving_policy: str, unknown: str = "ignore") -> None:
    """Has the project ask for approval, and says what its challengers do."""
    text = PROJECT.replace("NAME", "parcels").replace('"ignore"', f'"{unknown}"')
    text = text.replace("import Project", "import GatePolicy, Project, ServingPolicy")
    text = text.replace(
        "build=build,", f'build=build, gate=GatePolicy(promotion="approve"), serving=ServingPolicy({serving_policy}),'
    )
    (depot.projects / "parcels.py").write_text(text)


def beside(server: Server) -> Any:
    return server.get("/readyz").json()["projects"]["parcels"]["challenger"]


def until(server: Server, wanted: Callable[[Any], bool]) -> Any:
    """Waits until what stands beside the champion is as wanted."""
    deadline = time.monotonic() + 30
    while not wanted(beside(server)):
        assert time.monotonic() < deadline, beside(server)
        time.sleep(0.05)
    return beside(server)


def told(server: Server) -> dict[str, Any]:
    return server.get("/readyz").json()["projects"]["parcels"]


def scores(depot: Depot, challenger: Any, rows: pd.DataFrame) -> list[float]:
    return list(fetch_model(find_project("parcels"), challenger.model).predict_proba(rows[FEATURES])[:, 1])


@pytest.mark.slow
def test_a_shadow_answers_every_row_once_and_unheard(depot: Depot) -> None:
    policy(depot, 'challenger="shadow"', unknown="error")
    challenger = depot.fitted("parcels", 110.0)
    rows = depot.rows[FEATURES].head(300)
    sent = rows.to_dict("records")
    with serving(depot.projects, "parcels") as server:
        found = until(server, lambda one: one and one["version"] == challenger.version)
        assert (found["role"], found["share"], found["trouble"]) == ("shadow", 0.0, None)
        champion = told(server)["version"]
        singly = [server.ask("parcels", {"row": row, "key": n}).json() for n, row in enumerate(sent[:60])]
        refused = [server.ask("parcels", {"row": NEW, "key": 1000 + n}) for n in range(3)]
        many = server.ask("parcels", {"rows": sent[60:200], "keys": list(range(60, 200))}).json()
        keyed = rows.iloc[200:].assign(parcel=range(200, 300))
        answer = server.ask("parcels", arrow(pa.Table.from_pandas(keyed, preserve_index=False)), content_type=STREAM)
        assert {one["version"] for one in (*singly, many)} == {champion}
        assert [(one.status_code, one.json()["version"]) for one in refused] == [(200, champion)] * 3
        assert answer.status_code == 200
        model = server.get("/v2/models/parcels").json()
        assert model["versions"] == [str(champion)]
        assert model["parameters"]["challenger_version"] == str(challenger.version)
        assert server.get(f"/v2/models/parcels/versions/{challenger.version}/ready").status_code == 404
        assert server.metric('challenger_version{project="parcels"}') == challenger.version
        metric = f'challenger_faults_total{{project="parcels",version="{challenger.version}"}}'
        deadline = time.monotonic() + 30
        while server.metric(metric) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.metric(metric) == 3
        assert server.stop() == 0
    written = logged("parcels")
    mine = written[written["version"] == challenger.version]
    assert set(mine["role"]) == {"shadow"}
    assert sorted(mine["key__parcel"]) == list(range(300)), "each row once, but for those that it refused"
    assert set(mine["generation"]) == set(written.loc[written["version"] == champion, "generation"])
    by_key = mine.set_index("key__parcel")["score"].sort_index()
    assert list(by_key) == pytest.approx(scores(depot, challenger, rows), abs=1e-12)
    of_champion = written[(written["role"] == "champion") & (written["version"] == champion)]
    ids = of_champion.set_index("key__parcel")["request_id"]
    assert (mine.set_index("key__parcel")["request_id"] == ids.loc[mine["key__parcel"]]).all()
    found = compare_challenger(find_project("parcels"), current_champion("parcels"), datetime.now(UTC))
    assert found is not None
    assert [(met.role, met.metric, met.answered, met.labelled) for met in found.met] == [
        ("shadow", "roc_auc", 300, 300)
    ]


@pytest.mark.slow
def test_a_canary_answers_its_share_of_the_keys_and_no_other(depot: Depot) -> None:
    policy(depot, 'challenger="canary", share=0.3', unknown="error")
    challenger = depot.fitted("parcels", 120.0)
    rows = depot.rows[FEATURES].to_dict("records")
    with serving(depot.projects, "parcels") as server, httpx.Client(base_url=server.address) as client:
        found = until(server, lambda one: one and one["version"] == challenger.version)
        assert (found["role"], found["share"]) == ("canary", 0.3)
        champion = told(server)["version"]

        def version_of(key: int, body: dict[str, Any]) -> int:
            answer = client.post("/v1/models/parcels/predict", json=body)
            assert answer.status_code == 200, answer.text
            return int(answer.json()["version"])

        keys = range(10_000, 10_500)
        once = [version_of(key, {"row": rows[key % 900], "key": key}) for key in keys]
        expected = [in_traffic_share(f"parcels {challenger.version}", str(key), 0.3) for key in keys]
        assert once == [challenger.version if mine else champion for mine in expected]
        assert abs(sum(expected) / 500 - 0.3) < 3.3 * (0.3 * 0.7 / 500) ** 0.5
        assert [version_of(key, {"row": rows[0], "key": key}) for key in keys[:50]] == once[:50], "whoever asks again"
        pairs = [version_of(key, {"rows": rows[:2], "keys": [key, 7]}) for key in keys[:50]]
        assert pairs == once[:50], "all rows of a request go where the first goes"
        whole = [
            client.post("/v1/models/parcels/predict", json={"row": rows[0], "request_id": f"r{n}"}) for n in range(50)
        ]
        assert [one.json()["version"] == challenger.version for one in whole] == [
            in_traffic_share(f"parcels {challenger.version}", f"r{n}", 0.3) for n in range(50)
        ]
        mine = next(key for key, is_mine in zip(keys, expected, strict=True) if is_mine)
        assert version_of(mine, {"row": NEW, "key": mine}) == champion, "what it cannot answer the champion does"
        assert server.metric(f'challenger_faults_total{{project="parcels",version="{challenger.version}"}}') == 1
        tensors = [
            {"name": name, "shape": [1], "datatype": "BYTES" if name == "carrier" else "FP64", "data": [rows[0][name]]}
            for name in FEATURES
        ]
        asked = {"inputs": [*tensors, {"name": "parcel", "shape": [1], "datatype": "INT64", "data": [mine]}]}
        drawn_one = client.post("/v2/models/parcels/infer", json=asked).json()
        assert drawn_one["model_version"] == str(challenger.version)
        named = client.post(f"/v2/models/parcels/versions/{champion}/infer", json=asked).json()
        assert named["model_version"] == str(champion)
        assert server.stop() == 0
    written = logged("parcels")
    written = written[written["key__parcel"].between(10_000, 10_499) & ~written["request_id"].isna()]
    first = written.sort_values("scored_at").drop_duplicates("key__parcel").sort_values("key__parcel")
    assert list(first["version"]) == once
    assert list(first["role"]) == ["canary" if each == challenger.version else "champion" for each in once]
    assert first["generation"].nunique() == 1


@pytest.mark.slow
def test_the_seat_beside_follows_the_ledger(depot: Depot) -> None:
    policy(depot, "")
    with serving(depot.projects, "parcels") as server:
        assert beside(server) is None
        first = depot.fitted("parcels", 130.0)
        until(server, lambda one: one and one["version"] == first.version)
        second = depot.fitted("parcels", 140.0)
        until(server, lambda one: one and one["version"] == second.version)
        answered(second.version, approved=False)
        until(server, lambda one: one and one["version"] == first.version)

        before = told(server)
        answered(first.version, approved=True)
        until(server, lambda one: one is None)
        deadline = time.monotonic() + 20
        while told(server)["version"] != first.version:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert told(server)["generation"] == before["generation"] + 1
        assert server.stop() == 0


@pytest.mark.slow
def test_a_challenger_that_fails_its_warm_up_leaves_the_champion_alone(depot: Depot) -> None:
    from mlflow.artifacts import download_artifacts

    policy(depot, 'challenger="canary", share=0.5')
    broken = depot.fitted("parcels", 170.0)
    place = Path(urlsplit(download_artifacts(artifact_uri=broken.model.uri)).path)
    (place / FILE).write_bytes(b"no model")
    with serving(depot.projects, "parcels") as server:
        found = until(server, lambda one: one is not None)
        assert found["version"] is None
        assert "the champion answers alone" in found["trouble"]
        assert server.get("/readyz").status_code == 200
        row = depot.rows[FEATURES].iloc[0].to_dict()
        versions = {server.ask("parcels", {"row": row, "key": key}).json()["version"] for key in range(30)}
        assert versions == {told(server)["version"]}
        assert server.metric('challenger_version{project="parcels"}') == 0
        answered(broken.version, approved=False)
        until(server, lambda one: one is None)
        assert server.stop() == 0
