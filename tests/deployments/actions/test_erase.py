"""What identifies a person is in the tables and nowhere else, and in no table any more once it is forgotten."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL
from starlette.types import ASGIApp

from refit_deployments.actions.data.quarantine import list_quarantine
from refit_deployments.actions.maintenance import run_doctor
from refit_deployments.actions.report import show_card
from refit_tasks.runs.audit_log import list_audit_entries
from refit_tasks.runs.identity import current_user
from tests.support.forked_commands import refit
from tests.support.text_search import traces
from tests.support.watched_project import on_the_server

EMAIL, CUSTOMER, BROKEN = "planted-4c1d@example.org", "planted-c8e2", "planted-b7a9"
VISITS = '''
"""Visits."""
import great_expectations.expectations as gxe
import pandas as pd
from sklearn.linear_model import LinearRegression

from refit import Project


def load(window):
    rows = pd.read_parquet("SOURCE")
    return rows[window.holds(rows["at"])]


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
'''
PLANTED = (EMAIL, CUSTOMER, BROKEN)


def visits() -> pd.DataFrame:
    """Every fiftieth row is of the person; two addresses are none."""
    rng, hours = np.random.default_rng(0), np.arange(1_200)
    x = rng.normal(size=1_200)
    return pd.DataFrame({
        "customer": np.where(hours % 50 == 0, CUSTOMER, "someone"),
        "at": pd.date_range("2026-01-01", periods=1_200, freq="h", tz="UTC"),
        "email": np.where(hours % 50 == 0, EMAIL, np.where(np.isin(hours, (7, 1_001)), f"{BROKEN} none", "a@b.org")),
        "x": x,
        "y": x + 0.1 * rng.normal(size=1_200),
    })  # fmt: skip


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "projects"
    directory.mkdir()
    visits().to_parquet(directory / "visits.parquet")
    (directory / "visits.py").write_text(VISITS.replace("SOURCE", str(directory / "visits.parquet")))
    monkeypatch.setenv("REFIT_PROJECTS", str(directory))
    return directory


@pytest.mark.slow
def test_persons_stay_in_the_tables_until_they_are_forgotten(
    projects: Path, prefect_server: None, mlflow_home: Path, tmp_path: Path
) -> None:
    said = list[str]()

    def run(*arguments: str, fails: bool = False) -> str:
        ran = refit(*arguments, cwd=tmp_path, **on_the_server())
        said.append(ran.stdout + ran.stderr)
        assert (ran.returncode != 0) is fails, said[-1]
        return ran.stdout

    run("check", "visits")
    run("retrain", "visits", "--as-of", "2026-02-10", "--json")
    run("monitor", "visits", "--as-of", "2026-02-19", "--json")
    run("score", "visits", "--as-of", "2026-02-19", "--json")
    late = pd.DataFrame({"customer": [CUSTOMER] * 2, "at": ["2026-02-01T00:00:00Z"] * 2, "y": [1.0, 2.0]})
    late.to_csv(tmp_path / "late.csv", index=False)
    run("labels", "visits", str(tmp_path / "late.csv"), fails=True)
    (tmp_path / "late.csv").unlink()
    shown = [show_card("visits", 1), list_quarantine("visits", 100), run_doctor("visits", dry_run=False)]
    said += [str(answer) for answer in shown] + asked()
    assert [text for text in PLANTED if text in "".join(said)] == []
    assert traces(tmp_path, *PLANTED, without=("tables", "projects")) == []
    assert traces(prefects_database(), *PLANTED) == []
    assert len(traces(mlflow_home / "tables", *PLANTED)) > 4
    assert BROKEN in str(list_quarantine("visits", 100, show_pii=True))

    forgotten = json.loads(run("forget", "visits", "--key", f"customer={CUSTOMER}", "--json"))
    assert forgotten["tables"]["visits"] == 24
    assert forgotten["versions"] == [1]
    assert traces(tmp_path, EMAIL, CUSTOMER, without=("projects",)) == []
    again = json.loads(run("reproduce", "visits", "1", "--json"))
    assert "rows of its training data were erased on " in str(again["causes"])
    assert 0 < again["max_difference"] < 0.1
    assert "rows were erased by" in show_card("visits", 1).lines[0]
    run("monitor", "visits", "--as-of", "2026-02-19T01:00", "--json")
    assert run_doctor("visits", dry_run=False).facts["findings"] == []
    done = {(deed.action, deed.who == current_user()) for deed in list_audit_entries("visits")}
    assert {("retrain", True), ("forget", True), ("labels", True), ("score", True)} <= done


def prefects_database() -> Path:
    """The directory that Prefect's server keeps its runs, logs and artifacts in."""
    return Path(PREFECT_SERVER_DATABASE_CONNECTION_URL.value().removeprefix("sqlite+aiosqlite:///")).parent


def asked() -> list[str]:
    """What a server answers to rows of the person, fit ones and others."""
    from refit_serving.http.app import make_app
    from refit_serving.http.auth import AccessLog, AuthMiddleware
    from refit_serving.rows.request import Limits
    from refit_serving.traffic.service import Service

    service = Service(["visits"], Limits())
    service.start()
    answers = asyncio.run(_answers(AuthMiddleware(make_app(service), None, 1.0, AccessLog())))
    service.stop()
    assert [answer.status_code for answer in answers] == [200, 422, 422, 422, 422]
    return [answer.text for answer in answers]


async def _answers(app: ASGIApp) -> list[httpx.Response]:
    row = {"x": 1.0, "customer": CUSTOMER, "email": EMAIL, "at": "2026-02-01T00:00:00Z"}
    label = {"key": {"customer": [CUSTOMER], "at": "2026-02-01T00:00:00Z"}, "label": 1.0}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        rows = (row, {**row, "customer": [CUSTOMER]}, {**row, "customer": {"name": EMAIL}}, {**row, "x": "much"})
        answers = [await client.post("/v1/models/visits/predict", json={"row": one}) for one in rows]
        return [*answers, await client.post("/v1/models/visits/labels", json={"labels": [label]})]
