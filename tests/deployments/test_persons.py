"""What identifies a person is in the tables and nowhere else, and in no table any more once it is forgotten."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI

from tests.commands import refit
from tests.traces import traces

EMAIL, CUSTOMER, BROKEN = "planted-4c1d@example.org", "planted-c8e2", "planted-b7a9"
VISITS = (
    '''
"""Visits."""
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from refit import GatePolicy, MonitoringPolicy, Project

rng = np.random.default_rng(0)
x = rng.normal(size=1_200)
who = np.array(["someone"] * 1_200, dtype=object)
who[::50] = "CUSTOMER"
email = np.array(["a@example.org"] * 1_200, dtype=object)
email[::50], email[7], email[1_001] = "EMAIL", "BROKEN no address", "BROKEN no address"
at = pd.date_range("2026-01-01", periods=1_200, freq="h", tz="UTC")
ROWS = pd.DataFrame({"customer": who, "at": at, "email": email, "x": x, "y": x + 0.1 * rng.normal(size=1_200)})


def load(window):
    return ROWS[window.holds(ROWS["at"])]


def expectations():
    return [
        gxe.ExpectColumnValuesToMatchRegex(column="email", regex="@", severity="critical"),
        gxe.ExpectColumnDistinctValuesToBeInSet(column="email", value_set=["nobody"], severity="warning"),
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
    ]


project = Project(
    name="visits", kind="regression", target="y", timestamp="at", key=("customer", "at"), load=load,
    build=LinearRegression, expectations=expectations, pii=("customer", "email"),
)
'''.replace("CUSTOMER", CUSTOMER)
    .replace("EMAIL", EMAIL)
    .replace("BROKEN", BROKEN)
)
PLANTED = (EMAIL, CUSTOMER, BROKEN)


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "projects"
    directory.mkdir()
    (directory / "visits.py").write_text(VISITS)
    monkeypatch.setenv("REFIT_PROJECTS", str(directory))
    return directory


def test_persons_stay_in_the_tables_until_they_are_forgotten(projects: Path, home: Path, tmp_path: Path) -> None:
    said = list[str]()

    def run(*arguments: str, fails: bool = False) -> str:
        ran = refit(*arguments, cwd=tmp_path)
        said.append(ran.stdout + ran.stderr)
        assert (ran.returncode != 0) is fails, said[-1]
        return ran.stdout

    run("check", "visits")
    run("retrain", "visits", "--as-of", "2026-02-10", "--json")
    run("monitor", "visits", "--as-of", "2026-02-19", "--json")
    run("score", "visits", "--as-of", "2026-02-19", "--json")
    late = pd.DataFrame({"customer": [CUSTOMER], "at": [f"{BROKEN} never"], "y": [1.0]})
    late.to_csv(tmp_path / "late.csv", index=False)
    run("labels", "visits", str(tmp_path / "late.csv"), fails=True)
    run("card", "visits")
    run("quarantine", "visits", "list", "--json")
    run("doctor")
    said += asked()
    (tmp_path / "late.csv").unlink()
    assert [text for text in PLANTED if text in "".join(said)] == []
    assert traces(tmp_path, *PLANTED, without=("tables", "projects")) == []
    assert len(traces(home / "tables", *PLANTED)) > 4
    assert BROKEN in run("quarantine", "visits", "list", "--show-pii")

    forgotten = json.loads(run("forget", "visits", "--key", f"customer={CUSTOMER}", "--json"))
    assert forgotten["tables"]["visits"] == 24
    assert forgotten["versions"] == [1]
    assert traces(tmp_path, EMAIL, CUSTOMER, without=("projects",)) == []
    again = json.loads(run("reproduce", "visits", "1", "--json"))
    assert "rows of its training data were erased on " in str(again["causes"])
    assert 0 < again["max_difference"] < 0.1
    assert "rows were erased by" in run("card", "visits")
    run("monitor", "visits", "--as-of", "2026-02-19T01:00", "--json")
    assert json.loads(run("doctor", "--json"))["found"] == []


def asked() -> list[str]:
    """What a server answers to rows of the person, fit ones and others."""
    from serving.app import make_app
    from serving.limits import Limits
    from serving.service import Service

    service = Service(["visits"], Limits())
    service.start()
    answers = asyncio.run(_answers(make_app(service)))
    service.stop()
    assert [answer.status_code for answer in answers] == [200, 422, 422, 422, 422]
    return [answer.text for answer in answers]


async def _answers(app: FastAPI) -> list[httpx.Response]:
    row = {"x": 1.0, "customer": CUSTOMER, "email": EMAIL, "at": "2026-02-01T00:00:00Z"}
    label = {"key": {"customer": [CUSTOMER], "at": "2026-02-01T00:00:00Z"}, "label": 1.0}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        rows = (row, {**row, "customer": [CUSTOMER]}, {**row, "customer": {"name": EMAIL}}, {**row, "x": "much"})
        answers = [await client.post("/v1/models/visits/predict", json={"row": one}) for one in rows]
        return [*answers, await client.post("/v1/models/visits/labels", json={"labels": [label]})]
