"""The door of the server: who gets in by which key, how fast, and what is noted of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from refit.errors import StateError
from refit_serving.http.api_keys import LABEL, LOOK, PREDICT, Keyring, add_key, read_keys
from refit_serving.http.auth import AccessLog, AuthMiddleware
from refit_serving.http.rights import AuthorizedRoute, require_right
from refit_serving.http.server import serve


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.router.route_class = AuthorizedRoute
    app.get("/healthz")(require_right()(lambda: "runs"))
    app.get("/readyz")(require_right(LOOK)(lambda: "parcels is ready"))
    app.get("/v2/health/ready")(require_right()(lambda: "ready"))
    app.post("/v1/predict")(require_right(PREDICT)(lambda: "late"))
    app.post("/v1/labels")(require_right(LABEL)(lambda: "kept"))
    return app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def behind(app: FastAPI, file: Path, tmp_path: Path) -> Iterator[Callable[..., AuthMiddleware]]:
    """Puts the application behind a door, with the keys of the file unless told otherwise."""
    with (tmp_path / "access").open("wb") as log:

        def put(per_second: float = 1_000, *, keyless: bool = False) -> AuthMiddleware:
            return AuthMiddleware(app, None if keyless else Keyring(file), per_second, AccessLog(log.fileno()))

        yield put


@pytest.fixture
def noted(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Reads what was noted of who asked."""
    return lambda: [json.loads(line) for line in (tmp_path / "access").read_text().splitlines()]


Behind = Callable[..., AuthMiddleware]
Noted = Callable[[], list[dict[str, Any]]]
BASE = "http://127.0.0.1:8000"


class Client:
    """Asks an application in this process."""

    def __init__(self, behind: AuthMiddleware) -> None:
        self._behind = behind

    def get(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask("GET", path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask("POST", path, **options))

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._behind), base_url=BASE) as client:
            return await client.request(method, path, **options)


def asked(door: AuthMiddleware, authorization: str | None = None) -> int:
    headers = {} if authorization is None else {"authorization": authorization}
    return Client(door).post("/v1/predict", headers=headers).status_code


def test_a_key_is_kept_as_its_hash_and_a_second_one_leaves_the_first(file: Path) -> None:
    first, second = add_key(file, "shop"), add_key(file, "shop")
    text = file.read_text()
    assert first not in text
    assert second not in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert [key.name for key in read_keys(file)] == ["shop", "shop"]
    assert {Keyring(file).find_key(key.encode(), 0.0).name for key in (first, second)} == {"shop"}


def test_a_file_without_an_end_of_line_is_gone_on_with(file: Path) -> None:
    first = add_key(file, "shop")
    file.write_text("# of the shop\n\n" + file.read_text().strip())
    second = add_key(file, "store")
    keyring = Keyring(file)
    assert [keyring.find_key(key.encode(), 0.0).name for key in (first, second)] == ["shop", "store"]


def test_what_is_no_key_is_named_by_its_line_alone(file: Path) -> None:
    key = add_key(file, "shop")
    file.write_text(file.read_text() + f"shop {key}\n")
    with pytest.raises(StateError, match="line 2 of") as fault:
        read_keys(file)
    assert key not in str(fault.value)
    before = file.read_text()
    with pytest.raises(StateError):
        add_key(file, "store")
    assert file.read_text() == before


@pytest.mark.parametrize(
    "name", ["", "a b", "a\nb sha256:" + "0" * 64 + " look", "../shop", "x" * 64, "sh\x00op", "shöp"]
)
def test_a_name_that_would_be_another_line_is_refused(file: Path, name: str) -> None:
    with pytest.raises(StateError, match="not a valid name of a key"):
        add_key(file, name)
    assert not file.exists()


def test_a_file_that_anybody_may_write_to_opens_no_door(file: Path) -> None:
    add_key(file, "shop")
    file.chmod(0o666)
    with pytest.raises(StateError, match="chmod o-w"):
        read_keys(file)


def test_a_host_that_others_reach_needs_keys() -> None:
    from refit_serving.rows.request import Limits

    for host in ("0.0.0.0", "::", "", "192.0.2.7", "ml.example.org"):  # noqa: S104
        with pytest.raises(StateError, match="serve-key NAME"):
            serve(["parcels"], host, 0, Limits(), None, lambda _service, _address: None)


WRONG = {
    "none": None,
    "empty": "",
    "no scheme": "{key}",
    "another scheme": "Basic {key}",
    "cut off": "Bearer {cut}",
    "longer": "Bearer {key}x",
    "somebody's": "Bearer refit-0000000000000000000000000000000000000000000",
    "its hash": "Bearer {hash}",
    "two": "Bearer {key}, Bearer {key}",
    "very long": "Bearer " + "x" * 30_000,
}


@pytest.mark.parametrize("authorization", WRONG.values(), ids=WRONG)
def test_all_but_a_key_is_refused(behind: Behind, file: Path, authorization: str | None) -> None:
    key = add_key(file, "shop")
    digest = file.read_text().partition(":")[2].split()[0]
    sent = authorization and authorization.format(key=key, cut=key[:-1], hash=digest)
    door = behind()
    assert asked(door, sent) == 401
    assert asked(door, f"Bearer {key}") == asked(door, f"bearer {key}") == 200


def test_two_headers_are_no_key(behind: Behind, file: Path) -> None:
    bearer = f"Bearer {add_key(file, 'shop')}"
    client = Client(behind())
    both = [("authorization", "Bearer x"), ("authorization", bearer)]
    assert client.post("/v1/predict", headers=both).status_code == 401


def test_strangers_are_told_whether_it_can_answer_and_not_for_whom(behind: Behind, file: Path) -> None:
    key = add_key(file, "shop")
    client = Client(behind())
    assert [client.get(path).json() for path in ("/healthz", "/v2/health/ready", "/readyz")] == [
        "runs",
        "ready",
        "ready",
    ]
    assert client.get("/readyz", headers={"authorization": f"Bearer {key}"}).json() == "parcels is ready"
    beside = ("/healthz/", "/%2Fhealthz", "/metrics", "/docs", "/openapi.json", "/HEALTHZ")
    assert {client.get(path).status_code for path in beside} == {401}


def test_keys_come_and_go_while_it_runs_and_a_slip_locks_nobody_out(file: Path) -> None:
    first = add_key(file, "shop")
    keyring = Keyring(file)
    assert holder(keyring, first, 10.0) == "shop"

    kept, second = file.read_text(), add_key(file, "store")
    assert holder(keyring, second, 12.0) == "store"
    file.write_text(file.read_text().removeprefix(kept))
    assert [holder(keyring, key, 14.0) for key in (first, second)] == [None, "store"]

    for broken in ("store sha256:12\n", None):
        file.write_text(broken) if broken else file.unlink()
        assert holder(keyring, second, 20.0 + (broken is None) * 2) == "store"
    file.write_text("")
    assert holder(keyring, second, 30.0) is None


def holder(keyring: Keyring, key: str, now: float) -> str | None:
    found = keyring.find_key(key.encode(), now)
    return found.name if found else None


@pytest.mark.parametrize(
    ("right", "answers"), [("look", [200, 403, 403]), ("predict", [403, 200, 403]), ("label", [403, 403, 200])]
)
def test_a_key_is_for_what_it_was_made_for(behind: Behind, file: Path, right: str, answers: list[int]) -> None:
    sent = {"authorization": f"Bearer {add_key(file, 'shop', [right])}"}
    client = Client(behind())
    asked = [
        client.get("/readyz", headers=sent),
        *(client.post(path, headers=sent) for path in ("/v1/predict", "/v1/labels")),
    ]
    assert [one.status_code for one in asked] == answers


def test_each_key_has_a_pace_of_its_own(behind: Behind, file: Path) -> None:
    bearers = [f"Bearer {add_key(file, name)}" for name in ("shop", "store")]
    door = behind(0.01)
    assert [asked(door, bearers[0]) for _ in range(3)] == [200, 429, 429]
    assert asked(door, bearers[1]) == 200
    late = Client(door).post("/v1/predict", headers={"authorization": bearers[0]})
    assert 0 < int(late.headers["retry-after"]) <= 100


def test_who_did_what_is_noted_and_never_with_the_key(behind: Behind, file: Path, noted: Noted) -> None:
    key = add_key(file, "shop")
    client = Client(behind())
    client.post("/v1/predict", headers={"authorization": f"Bearer {key}"}, content=b"a secret row")
    client.get("/v1/a%0A%22b", headers={"authorization": "Bearer a guess"})
    did, stranger = noted()
    assert (did["key"], did["method"], did["path"], did["status"]) == ("shop", "POST", "/v1/predict", 200)
    assert (stranger["key"], stranger["path"], stranger["status"]) == (None, '/v1/a\n"b', 401)
    assert set(did) == {"at", "key", "client", "method", "path", "status", "ms"}


def test_a_flood_of_strangers_is_refused_and_noted_with_a_bound(behind: Behind, file: Path, noted: Noted) -> None:
    add_key(file, "shop")
    client = Client(behind())
    assert {client.get("/metrics").status_code for _ in range(100)} == {401}
    assert len(noted()) < 50


FOREIGN = {
    "a name that leads here": {"host": "evil.example.org"},
    "a form of a page elsewhere": {"origin": "https://evil.example.org"},
    "a page without an origin": {"origin": "null"},
    "a name that begins like ours": {"host": "127.0.0.1.evil.example.org:8000"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_without_keys_a_page_in_a_browser_reaches_nothing(behind: Behind, headers: dict[str, str]) -> None:
    client = Client(behind(keyless=True))
    assert client.post("/v1/predict", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:1"])
def test_without_keys_programs_on_this_machine_are_answered(behind: Behind, host: str) -> None:
    client = Client(behind(0.01, keyless=True))
    assert {client.post("/v1/predict", headers={"host": host}).status_code for _ in range(3)} == {200}
    assert client.post("/v1/predict", headers={"origin": "http://localhost:3000"}).status_code == 200
