"""A server of a project with a text key, text classes, decimals and dates answers every body with 2xx or a sentence."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from refit_tasks.storage.delta import open_table, read
from tests.support.forked_commands import refit
from tests.support.serving_home import Server, entered, serving

pytestmark = [pytest.mark.xdist_group("serving"), pytest.mark.slow]

BODIES = 400
ORDERS = textwrap.dedent('''
    """Orders of a shop."""

    from decimal import Decimal

    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from refit import Project


    def load(window):
        rng, count = np.random.default_rng(0), 900
        at = pd.date_range("2026-01-01", periods=count, freq="h", tz="UTC")
        price = np.round(rng.gamma(2, 20, count), 2)
        frame = pd.DataFrame({
            "order": [f"{number:06d}" for number in range(count)],
            "at": at,
            "price": pd.array([Decimal(f"{one:.2f}") for one in price], pd.ArrowDtype(pa.decimal128(12, 2))),
            "region": rng.choice(["north", "söuth", "NA"], count),
            "opened": np.asarray((at - at[0]).days),
            "outcome": np.where(price + rng.normal(0, 15, count) > 35, "kept", "returned"),
        })
        return frame[window.holds(frame["at"])]


    def build():
        encoder = OneHotEncoder(handle_unknown="ignore")
        columns = make_column_transformer((encoder, ["region"]), remainder="passthrough")
        return make_pipeline(columns, LogisticRegression(max_iter=500))


    project = Project(
        name="orders", kind="classification", target="outcome", timestamp="at", key=("order",), load=load, build=build,
    )
''')
ODD: tuple[Any, ...] = (
    None, "", "NA", "null", "000123", "12.30", "-0", "1e400", "2026-02-30", "2026-01-05", "2026-01-05T10:00:00+01:00",
    "\u0000", "ä" * 300, "💶", 0, -1, 12.5, 10**30, -(10**30), 2**63, 1e308, True, [], {}, [1], {"a": 1}, "kept",
)  # fmt: skip
"""Values that a client in another language sends where it has a text, a decimal, a date or nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with entered(tmp_path_factory.mktemp("orders")) as directory:
        projects = directory / "projects"
        projects.mkdir()
        (projects / "orders.py").write_text(ORDERS)
        done = refit("retrain", "orders", "--as-of", "2026-02-05")
        assert "promoted" in done.stdout, done.stdout + done.stderr
        with serving(projects, "orders") as running:
            yield running


@pytest.fixture
def home(server: Server) -> Path:
    """The home of the server, for each test of this module."""
    return Path(os.environ["REFIT_HOME"])


def draw(rng: np.random.Generator, sound: Any) -> Any:
    return sound if rng.random() < 0.5 else ODD[rng.integers(len(ODD))]


def row(rng: np.random.Generator) -> dict[str, Any]:
    made = {
        "order": draw(rng, f"{rng.integers(900):06d}"),
        "price": draw(rng, float(np.round(rng.gamma(2, 20), 2))),
        "region": draw(rng, "north"),
        "opened": draw(rng, 31),
    }
    return {name: value for name, value in made.items() if rng.random() < 0.95}


def body(rng: np.random.Generator) -> tuple[str, Any]:
    """A request to one of the routes that take values."""
    if rng.random() < 0.5:
        return "predict", {"rows": [row(rng) for _ in range(rng.integers(1, 4))]}
    keys = [draw(rng, f"{rng.integers(900):06d}") for _ in range(rng.integers(1, 4))]
    keys = [{"order": key} if rng.random() < 0.5 else key for key in keys]
    return "labels", {"labels": [{"key": key, "label": draw(rng, "kept")} for key in keys]}


def test_no_value_is_a_fault_of_the_server(server: Server) -> None:
    rng, statuses = np.random.default_rng(3), dict[tuple[str, int], int]()
    with httpx.Client(timeout=60) as client:
        for _ in range(BODIES):
            route, content = body(rng)
            answer = client.post(
                f"{server.address}/v1/models/orders/{route}",
                content=json.dumps(content).encode(),
                headers={"content-type": "application/json"},
            )
            assert answer.status_code < 500, (content, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["error"], content
            statuses[route, answer.status_code] = statuses.get((route, answer.status_code), 0) + 1
    assert {(route, status) for route, status in statuses if status < 300} == {("predict", 200), ("labels", 202)}


def test_a_text_key_with_leading_zeros_is_joined(server: Server) -> None:
    with httpx.Client(timeout=60) as client:
        answer = client.post(
            f"{server.address}/v1/models/orders/labels", json={"labels": [{"key": "000012", "label": "returned"}]}
        )
    assert answer.status_code == 202, answer.text
    assert refit("labels", "orders").returncode == 0
    table = open_table("orders")
    assert table is not None
    found = {row["order"]: row["outcome"] for part in read(table, ["order", "outcome"]) for row in part.to_pylist()}
    assert found["000012"] == "returned"
