"""`refit serve --keys`: every address of the real server without a key, with a wrong one, and with the right one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from refit_serving.http.auth import PUBLIC_PATHS
from tests.support.serving_home import Depot, Server, serving
from tests.support.watched_project import COMMAND

pytestmark = pytest.mark.xdist_group("serving")

ROW = {"weight": 3.5, "distance": 400.0, "carrier": "swift"}


def made(file: Path, name: str) -> str:
    """Makes a key by the command."""
    command = [sys.executable, "-c", COMMAND, "serve-key", name, "--keys", str(file), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["key"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    return file, made(file, "shop")


@pytest.fixture(scope="module")
def server(depot: Depot, keys: tuple[Path, str]) -> Iterator[Server]:
    with serving(depot.projects, "parcels", "--rate", "500", REFIT_SERVE_KEYS_FILE=str(keys[0])) as running:
        yield running


def test_every_address_refuses_all_but_a_key(server: Server, keys: tuple[Path, str]) -> None:
    right = {"authorization": f"Bearer {keys[1]}"}
    described = httpx.get(f"{server.address}/openapi.json", headers=right).json()["paths"]
    asks = [(method, path) for path, operations in described.items() for method in operations]
    asks += [("get", path) for path in ("/openapi.json", "/docs", "/nowhere")]
    asks = [(method, path) for method, path in asks if path not in PUBLIC_PATHS | {"/readyz"}]
    assert len(asks) >= 10
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {keys[1]}"}):
        for method, path in asks:
            answer = httpx.request(method, server.address + path.replace("{name}", "parcels"), headers=wrong)
            assert (answer.status_code, "serve-key" in answer.json()["error"]) == (401, True), (method, path)
            assert "parcels" not in answer.text
    assert server.get("/readyz").json() == server.get("/v2/health/ready").json()
    assert "parcels" in httpx.get(f"{server.address}/readyz", headers=right).text
    assert server.ask("parcels", {"row": ROW}, **right).json()["version"] == 1
    assert httpx.get(f"{server.address}/metrics", headers=right).status_code == 200


NAMES = {
    "a path": "..%2F..%2Fetc%2Fpasswd",
    "a path of dots": "%2e%2e",
    "a hidden end": "parcels%00",
    "more headers": "parcels%0D%0Aset-cookie:%20a=b",
    "SQL": "parcels'%20OR%20'1'='1",
    "letters that look alike": "p%D0%B0rcels",
    "no UTF-8": "parcels%FF",
    "very long": "p" * 20_000,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_what_is_no_name_is_answered_in_a_short_sentence(server: Server, keys: tuple[Path, str], name: str) -> None:
    sent = {"authorization": f"Bearer {keys[1]}"}
    for path in (f"/v1/models/{name}/predict", f"/v2/models/{name}/infer", f"/v1/models/{name}/labels"):
        answer = httpx.post(server.address + path, json={"row": ROW}, headers=sent)
        assert (answer.status_code, "error" in answer.json(), len(answer.text) < 600) == (404, True, True), answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.slow
def test_a_new_key_works_at_once_and_a_revoked_one_no_more(server: Server, keys: tuple[Path, str]) -> None:
    file, first = keys
    former, second = file.read_text(), made(file, "store")

    def status(key: str, wanted: int) -> None:
        for _ in range(100):
            if (found := server.ask("parcels", {"row": ROW}, authorization=f"Bearer {key}").status_code) == wanted:
                return
            time.sleep(0.1)
        assert found == wanted

    status(second, 200)
    file.write_text(file.read_text().removeprefix(former))
    status(first, 401)
    status(second, 200)
    file.write_text(former + file.read_text())
    status(first, 200)


def test_others_are_let_in_by_key_alone(depot: Depot) -> None:
    command = [sys.executable, "-c", COMMAND, "serve", "parcels", "--host", "0.0.0.0", "--json"]  # noqa: S104
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, "refit serve-key NAME --keys FILE" in json.loads(run.stdout)["error"]) == (1, True)
