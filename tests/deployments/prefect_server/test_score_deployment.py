"""The deployment `score/<project>`: there where the project file schedules it, one run at a time."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Schedule
from refit_deployments.prefect_server.plan import plan_deployments


def planned(**schedule) -> dict:
    project = Project(
        name="parcels",
        kind="regression",
        target="y",
        timestamp="at",
        load=lambda _window: pd.DataFrame(),
        build=DummyRegressor,
        schedule=Schedule(**schedule),
    )
    return {one.name: one.wanted for one in plan_deployments(project, "refit")}


def test_nothing_is_scored_by_itself_unless_asked_for() -> None:
    assert "score/parcels" not in planned(monitor="0 * * * *")


@pytest.mark.parametrize("rhythm", ["*/15 * * * *", timedelta(minutes=15)])
def test_a_scheduled_score_waits_for_the_one_before(rhythm: str | timedelta) -> None:
    wanted = planned(score=rhythm)["score/parcels"]
    assert wanted["entrypoint"] == "refit_flows.score.score"
    assert (wanted["concurrency_limit"], wanted["concurrency_options"]) == (1, {"collision_strategy": "ENQUEUE"})
    assert wanted["parameters"] == {"project": "parcels"}
    assert [one["active"] for one in wanted["schedules"]] == [True]
    form = wanted["parameter_openapi_schema"]["properties"]
    titles = ["Project", "From", "Until", "File or table", "As of", "Form of a CSV file"]
    assert [field["title"] for field in form.values()] == titles
    assert form["source"]["anyOf"][0]["maxLength"] == 2000
