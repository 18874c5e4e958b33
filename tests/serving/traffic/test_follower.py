"""Promotions, rollbacks and ends under load: no request fails, each answer is of one version, each is logged once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pandas as pd
import pytest

from refit_tasks.catalog import find_project
from refit_tasks.registry.model_store import FILE
from refit_tasks.registry.stored_model import fetch_model
from tests.support.serving_home import FEATURES, Depot, Server, entered, logged, promote, roll_back, serving

pytestmark = pytest.mark.xdist_group("serving")

PATIENCE_SECONDS = 120
"""A busy machine is not a failure."""
THREADS = 8
UNFLUSHED_SECONDS = 4.0
"""So old an answer is logged by any means, on a busy machine too: batches are of a second."""


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One of its own, whose champions come and go."""
    with entered(tmp_path_factory.mktemp("depot")) as directory:
        made = Depot(directory, "parcels", "letters")
        made.promoted("parcels", 0.0)
        yield made


class Load:
    """Threads that ask one row after the other until they are told to stop."""

    def __init__(self, server: Server, depot: Depot) -> None:
        self.answers: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self._rows = depot.rows[FEATURES].to_dict("records")
        self._server, self._numbers, self._stopping = server, count(), threading.Event()
        self._pool = ThreadPoolExecutor(THREADS)
        self._threads = [self._pool.submit(self._ask) for _ in range(THREADS)]

    def _ask(self) -> None:
        with httpx.Client(base_url=self._server.address, timeout=60) as client:
            while not self._stopping.is_set():
                number = next(self._numbers)
                row = self._rows[number % len(self._rows)]
                try:
                    answer = client.post("/v1/models/parcels/predict", json={"row": row, "key": number})
                except httpx.HTTPError as fault:
                    self.faults.append(repr(fault))
                    return
                if answer.status_code != 200:
                    self.faults.append(answer.text)
                    return
                self.answers.append({"number": number, "at": time.monotonic(), **answer.json()})

    def answered(self, least: int) -> None:
        """Waits until so many more requests are answered."""
        until, deadline = len(self.answers) + least, time.monotonic() + PATIENCE_SECONDS
        while len(self.answers) < until and not self.faults and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> pd.DataFrame:
        self._stopping.set()
        for thread in self._threads:
            thread.result(PATIENCE_SECONDS)
        self._pool.shutdown()
        return pd.DataFrame(self.answers)


def until(server: Server, generation: int) -> None:
    """Waits until a generation answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.get("/readyz").json()["projects"]["parcels"]["generation"] != generation:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_promotions_and_a_rollback_under_load(depot: Depot) -> None:
    with serving(depot.projects, "parcels") as server:
        load, champions = Load(server, depot), {}
        load.answered(100)
        for shift in (100.0, 200.0, 300.0, None):
            champion = depot.promoted("parcels", shift) if shift else roll_back("parcels")
            champions[champion.generation] = champion
            until(server, champion.generation)
            load.answered(100)
        answers = load.stop()
        assert server.stop() == 0
    assert load.faults == []
    assert set(champions) < set(answers["generation"])

    rows = depot.rows[FEATURES].iloc[answers["number"] % len(depot.rows)]
    for generation, champion in champions.items():
        mine = (answers["generation"] == generation).to_numpy()
        assert set(answers["version"][mine]) == {champion.version}
        expected = fetch_model(find_project("parcels"), champion.model).predict_proba(rows[mine])[:, 1]
        assert [scores[0] for scores in answers["scores"][mine]] == pytest.approx(list(expected), abs=1e-12)

    written = logged("parcels")
    written = written[written["request_id"].isin(answers["request_id"])].set_index("request_id")
    assert sorted(written.index) == sorted(answers["request_id"])
    told = answers.set_index("request_id").loc[written.index]
    assert (written["generation"] == told["generation"]).all()
    assert (written["version"] == told["version"]).all()
    assert (written["key__parcel"] == told["number"]).all()
    assert list(written["score"]) == [scores[0] for scores in told["scores"]]
    asked = depot.rows.iloc[told["number"].to_numpy() % len(depot.rows)]
    assert list(written["feature__weight"]) == list(asked["weight"])
    assert list(written["feature__carrier"]) == list(asked["carrier"])
    assert set(written["source"]) == {"http"}


@pytest.mark.slow
def test_a_kill_loses_the_unflushed_rows_alone(depot: Depot) -> None:
    with serving(depot.projects, "parcels") as server:
        load = Load(server, depot)
        load.answered(100)
        time.sleep(UNFLUSHED_SECONDS)
        load.answered(50)
        killed = time.monotonic()
        server.stop(signal.SIGKILL)
        answers = load.stop()
    written = logged("parcels")["request_id"]
    mine = written[written.isin(answers["request_id"])]
    assert mine.is_unique
    lost = answers[~answers["request_id"].isin(mine)]
    assert (lost["at"] > killed - UNFLUSHED_SECONDS).all()
    assert len(mine) > 0
    unflushed = int((answers["at"] > killed - UNFLUSHED_SECONDS).sum())
    with serving(depot.projects, "parcels") as server:
        counted = server.metric('log_lost_rows_total{project="parcels"}')
    # Whose answer was on its way is counted, too.
    assert len(lost) <= counted <= unflushed + THREADS
    with serving(depot.projects, "parcels") as server:
        assert server.metric('log_lost_rows_total{project="parcels"}') == 0


@pytest.mark.slow
def test_a_version_that_fails_its_warm_up_is_not_swapped_in(depot: Depot) -> None:
    from mlflow.artifacts import download_artifacts

    broken = depot.fitted("parcels", 150.0)
    place = Path(urlsplit(download_artifacts(artifact_uri=broken.model.uri)).path)
    (place / FILE).write_bytes(b"no model")
    with serving(depot.projects, "parcels") as server:
        before = server.get("/readyz").json()["projects"]["parcels"]
        promote(broken)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (state := server.get("/readyz").json()["projects"]["parcels"])["trouble"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert state["version"] == before["version"]
        assert f"version {broken.version} failed its warm-up" in state["trouble"]
        assert server.get("/readyz").status_code == 200
        assert server.metric('champion_refused_version{project="parcels"}') == broken.version
        row = depot.rows[FEATURES].iloc[0].to_dict()
        assert server.ask("parcels", {"row": row}).json()["version"] == before["version"]

        until(server, depot.promoted("parcels", 250.0).generation)
        assert server.metric('champion_refused_version{project="parcels"}') == 0
        assert server.get("/readyz").json()["projects"]["parcels"]["trouble"] is None
        assert server.stop(signal.SIGINT) == 0
