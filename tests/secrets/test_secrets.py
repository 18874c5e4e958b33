"""`refit up` with passwords: whoever has none is refused, its own parts have them, and nobody writes one down.

The tests tell one story, in their order: the servers start once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import forked_commands as commands
from tests.support.password_protected import HOST, LEDGER, MLFLOW, PREFECT, SHOP, Guarded, basic, guarded, statuses
from tests.support.postgres import ABSENT, binaries
from tests.support.running_up import wait_for

pytestmark = pytest.mark.skipif(binaries() is None, reason=ABSENT)
WRONG = ({}, basic("refit", "wrong"), basic("admin", PREFECT), {"authorization": f"Bearer {PREFECT}"})
SOCKETS = (
    "events/in",
    "events/out",
    "logs/out",
    "task_runs/subscriptions/scheduled",
    "work_pools/refit/workers/connect",
)


PLAIN = str.maketrans("<>", "xx")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("guarded")) as place:
        yield place


def test_prefect_refuses_whoever_has_no_password(place: Guarded) -> None:
    described = httpx.get(f"{place.prefect}/openapi.json", timeout=120).json()["paths"]
    asks = [(method.upper(), f"/api{path}") for path, operations in described.items() for method in operations]
    asks = [(method, path) for method, path in asks if path not in ("/api/health", "/api/ready")]
    assert len(asks) > 100
    for headers in WRONG:
        some = asks if not headers else asks[::25]
        assert set(statuses(place.prefect, some, headers).values()) == {401}, headers
    known = statuses(place.prefect, [("GET", "/api/admin/version")], basic("refit", PREFECT))
    assert list(known.values()) == [200]
    elsewhere = httpx.options(
        f"{place.prefect}/api/flows/filter",
        headers={"origin": "https://evil.example.org", "access-control-request-method": "POST"},
    )
    assert "access-control-allow-origin" not in elsewhere.headers


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("token", [None, "refit:wrong"])
def test_prefect_closes_a_socket_without_the_password(place: Guarded, path: str, token: str | None) -> None:
    with connect(f"ws://{HOST}:{place.port}/api/{path}", subprotocols=["prefect"]) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


def test_mlflow_refuses_whoever_has_no_password(place: Guarded) -> None:
    from mlflow.server.handlers import get_endpoints

    asks = [
        (method, path.replace("<", "").replace(">", "")) for path, _, methods in get_endpoints() for method in methods
    ]
    asks += [("GET", path) for path in ("/", "/signup", "/graphql", "/get-artifact", "/metrics", "/version")]
    asks += [("POST", path) for path in ("/v1/traces", "/api/2.0/mlflow/users/create", "/gateway/x/invocations")]
    asks = [(method, path) for method, path in asks if not path.endswith("/server-info")]
    assert len(asks) > 100
    for headers in ({}, basic("admin", "wrong-but-long-enough"), basic("admin", PREFECT), basic("", "")):
        some = asks if not headers else asks[::50]
        refused = statuses(place.mlflow, some, headers)
        assert {ask for ask, status in refused.items() if status != 401} == set(), headers
    search = [("GET", "/api/2.0/mlflow/registered-models/search")]
    assert list(statuses(place.mlflow, search, basic("admin", MLFLOW)).values()) == [200]


def test_its_own_parts_are_let_in_and_a_run_writes_no_secret_down(place: Guarded) -> None:
    place.plant_block()
    started = place.refit("retrain", "parcels", "--remote", "--as-of", "2026-02-01", "--json")
    run_id = json.loads(started.stdout)["run_id"]

    def state() -> str:
        found = httpx.get(f"{place.prefect}/api/flow_runs/{run_id}", headers=basic("refit", PREFECT), timeout=60)
        return found.json()["state"]["type"]

    wait_for(lambda: state() == "COMPLETED")
    for command in (("monitor", "parcels", "--as-of", "2026-02-05"), ("score", "parcels")):
        assert place.refit(*command).returncode == 0, command
    through = {"MLFLOW_TRACKING_URI": place.mlflow.replace("://", f"://admin:{quote(MLFLOW)}@")}
    assert place.refit("doctor", **through).returncode == 0
    assert place.found() == set()


def wrong(place: Guarded) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """What fails, each by a command and settings of its own."""
    status, doctor, retrain = ("status",), ("doctor",), ("retrain", "parcels", "--force", "--as-of", "2026-02-03")
    slip = f"postgresql+psycopg://keeper:{LEDGER}@{LEDGER}@127.0.0.1:9/ledger"
    down = place.ledger.replace(f":{place.database.port}/", ":9/")
    nobody = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": SHOP}
    return {
        "the ledger's password": (status, {"REFIT_DATABASE_URL": place.url("keeper", SHOP)}),
        "the ledger is down": (status, {"REFIT_DATABASE_URL": down}),
        "the ledger's URL": (status, {"REFIT_DATABASE_URL": slip}),
        "no URL": (status, {"REFIT_DATABASE_URL": LEDGER}),
        "the shop's password": (retrain, {"SHOP_URL": place.url("seller", LEDGER)}),
        "Prefect's password": (("deploy", "--dry-run"), {"PREFECT_API_AUTH_STRING": f"refit:{SHOP}"}),
        "MLflow is down": (doctor, {"MLFLOW_TRACKING_URI": f"http://admin:{quote(SHOP)}@{HOST}:9"}),
        "MLflow's password": (doctor, {"MLFLOW_TRACKING_URI": place.mlflow, **nobody}),
    }


def test_faults_and_their_tracebacks_name_no_secret(place: Guarded) -> None:
    for name, (command, settings) in wrong(place).items():
        run = place.refit(*command, "--debug", **settings)
        assert (run.returncode, "Traceback" in run.stderr) == (1, True), name
    assert place.found() == set()


def test_the_search_would_find_one(place: Guarded) -> None:
    assert len(list(place.home.rglob("*"))) > 50
    assert any(b"parcels" in file.read_bytes() for file in place.home.rglob("prefect.db*"))
    for text in (LEDGER, LEDGER.replace("&", "%26"), basic("refit", PREFECT)["authorization"]):
        assert place.found(planted=f"x{text}x"), text


@pytest.mark.parametrize("missing", ["PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_AUTH_ADMIN_PASSWORD"])
@pytest.mark.parametrize("given", [None, "refit:short", "short"])
def test_where_others_can_reach_it_no_server_starts_without_a_password(
    missing: str, given: str | None, tmp_path: Path
) -> None:
    passwords = {"PREFECT_SERVER_API_AUTH_STRING": f"refit:{PREFECT}", "MLFLOW_AUTH_ADMIN_PASSWORD": MLFLOW}
    settings = {**os.environ, **passwords, missing: given or ""}
    run = commands.run(("up", "--host", "0.0.0.0", "--json"), settings, tmp_path)  # noqa: S104
    assert (run.returncode, missing in json.loads(run.stdout)["error"]) == (1, True)
    assert not list(Path(os.environ["REFIT_HOME"]).glob("*.db"))
