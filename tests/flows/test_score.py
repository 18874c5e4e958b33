"""Scoring from end to end, on a real Prefect server, real Delta tables, a real ledger and a real MLflow store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from refit.errors import ContractViolation, NotEnoughData, ProjectError, UnusableTime
from refit.results.score import ScoreOutcome
from refit_tasks.storage.delta import open_table, read
from tests.support.flow_runs import newest_runs, page_of, run_of
from tests.support.watched_project import A_DAY, START, Depot, refit, rows_of

DAY = timedelta(days=1)


def score(day: float, **asked: Any) -> ScoreOutcome:
    from refit_flows.score import score as flow

    return flow("parcels", as_of=START + day * DAY, **asked)


def counts(outcome: ScoreOutcome) -> tuple[int, int, int, int]:
    rows = outcome.as_json()["rows"]
    return rows["in"], rows["scored"], rows["quarantined"], rows["already"]


def predictions() -> pd.DataFrame:
    import pyarrow as pa

    return pa.concat_tables(read(open_table("parcels__predictions"))).to_pandas()


def test_what_is_new_is_scored_once_and_looks_like_the_training(depot: Depot) -> None:
    from refit_tasks.registry.stored_model import fetch_model

    with pytest.raises(NotEnoughData, match="refit retrain parcels"):
        score(40)
    champion = depot.retrain(40).promotion
    first = score(45)
    since = champion.model.trained_on.window.end - START
    expected = sum(DAY * number / A_DAY >= since for number in range(45 * A_DAY))
    assert counts(first) == (expected, expected, 0, 0)
    assert counts(score(45)) == (A_DAY, 0, 0, A_DAY), "a day back for what comes late"
    assert counts(score(47)) == (3 * A_DAY, 2 * A_DAY, 0, A_DAY)
    assert counts(score(47, start=START + 43 * DAY, end=START + 44 * DAY)) == (A_DAY, 0, 0, A_DAY)

    rows = predictions().sort_values("key__parcel")
    assert list(rows["key__parcel"]) == list(range(47 * A_DAY - len(rows), 47 * A_DAY))
    given = rows_of(80).head(47 * A_DAY).tail(len(rows))
    said = fetch_model(depot_project(), champion.model).predict_proba(given[["weight", "distance"]])[:, 1]
    assert rows["score"].to_numpy() == pytest.approx(said)
    assert list(rows["feature__distance"]) == list(given["distance"])
    assert list(rows["event_time"]) == list(given["sent_at"])
    assert {*rows["version"], *rows["generation"], *rows["role"], *rows["source"]} == {1, "champion", "batch"}

    facts = first.as_json()
    assert facts["champion"] == {"version": 1, "generation": 1}
    assert (facts["shadow"], facts["source"], facts["skew"]["share"]) == (None, "load", 0.0)
    run = run_of(first.run_id)
    assert run.state.message == f"{expected:,} rows scored by version 1"
    shown = page_of(run)["parcels-score"].data
    assert "data:image/png;base64," in shown
    assert "0 of 2 feature columns drifted" in shown


def depot_project() -> Any:
    from refit_tasks.catalog import find_project

    return find_project("parcels")


def test_skew_between_training_and_serving_is_found(trained: Depot, tmp_path: Path) -> None:
    rows = rows_of(80).tail(10 * A_DAY).drop(columns="late")
    file = tmp_path / "heavy.csv"
    rows.assign(weight=rows["weight"] * 3).to_csv(file, index=False)
    outcome = score(40, source=str(file))
    assert counts(outcome) == (10 * A_DAY, 10 * A_DAY, 0, 0)
    skew = outcome.as_json()["skew"]
    assert skew["columns"]["weight"]["drifted"]
    assert not skew["columns"]["distance"]["drifted"]
    assert skew["share"] == 0.5
    run = run_of(outcome.run_id)
    assert run.name == f"parcels: {file}"
    assert "differ from the training" in run.state.message
    assert "| weight |" in page_of(run)["parcels-score"].data


@pytest.mark.slow
def test_a_challenger_that_is_fit_and_waits_is_heard_beside_the_champion(depot: Depot) -> None:
    from refit_deployments.actions.predictions import compare_versions
    from refit_deployments.actions.status import show_status
    from refit_tasks.promotion.approve import find_pending_version as waiting_for
    from refit_tasks.promotion.approve import record_approval

    depot.retrain(30)
    text = (depot.projects / "parcels.py").read_text()
    approving = text.replace("build=build,", 'build=build, gate=GatePolicy(promotion="approve"),')
    (depot.projects / "parcels.py").write_text(approving)
    waiting = depot.retrain(40, force=True)
    assert waiting.pending, waiting.challenger.verdict
    both = score(45, start=START + 41 * DAY)
    assert both.as_json()["shadow"] == {"version": 2, "scored": 4 * A_DAY, "already": 0}
    rows = predictions()
    assert rows.groupby(["role", "version"]).size().to_dict() == {("champion", 1): 1200, ("shadow", 2): 1200}
    scores = rows.pivot_table(index="key__parcel", columns="role", values="score")
    assert (scores["champion"] - scores["shadow"]).abs().max() > 1e-6
    depot.monitor(47)
    shown = [page["parcels-challenger"].data for page in map(page_of, newest_runs(3)) if "parcels-challenger" in page]
    assert "version 2 shadows: it has not predicted any rows yet" in shown[0], "nothing later than its instant is seen"
    compared = compare_versions("parcels", None, None)
    shadow = compared.facts["comparisons"]["shadow"]
    assert (shadow["answered"], shadow["mature"], shadow["labelled"]) == (1200, 1200, 1200)
    assert shadow["interval"][0] <= shadow["difference"] <= shadow["interval"][1]
    assert compared.lines[0].startswith("parcels: version 2 shadows: as a shadow ")
    told = show_status("parcels")
    assert told.facts["projects"]["parcels"]["challenger"]["comparisons"]["shadow"] == shadow
    assert "; version 2 shadows: as a shadow " in told.lines[0]
    assert waiting_for("parcels", 2)
    record_approval("parcels", 2, approved=False, who="Ada", why="no", at=START + 46 * DAY)
    assert score(45, start=START + 41 * DAY).shadow is None


def test_what_is_refused_is_refused_in_words(trained: Depot, tmp_path: Path) -> None:
    with pytest.raises(UnusableTime, match="is empty"):
        score(45, start=START + 44 * DAY, end=START + 43 * DAY)
    with pytest.raises(UnusableTime, match="future"):
        score(45, start=START + 43 * DAY, end=START + 46 * DAY)
    with pytest.raises(ProjectError, match="scored as a whole"):
        score(45, start=START + 43 * DAY, source=str(tmp_path / "rows.csv"))
    rows = rows_of(80).head(1000)
    rows.loc[:200, "distance"] = 1e9
    rows.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ContractViolation, match="quarantine_limit"):
        score(45, source=str(tmp_path / "bad.parquet"))
    assert open_table("parcels__predictions") is None


@pytest.mark.slow
def test_the_command_answers_in_json(trained: Depot, tmp_path: Path) -> None:
    rows = rows_of(80)
    rows.loc[rows["parcel"] == 13_000, "distance"] = 1e9
    file = tmp_path / "parcels of tomorrow.parquet"
    rows.tail(80 * A_DAY - 12_900).drop(columns="late").to_parquet(file)
    run, facts = refit("score", "parcels", "--file", str(file))
    assert run.returncode == 0, run.stderr
    assert facts["rows"] == {"in": 11_100, "scored": 11_099, "quarantined": 1, "already": 0}
    assert facts["source"] == str(file)
    assert set(facts) >= {"project", "run_id", "as_of", "window", "champion", "shadow", "skew", "seconds"}
    _, facts = refit("score", "parcels", "--file", str(file))
    assert facts["rows"] == {"in": 11_100, "scored": 0, "quarantined": 1, "already": 11_099}
    run, facts = refit("score", "parcels", "--file", str(file), "--table", "elsewhere")
    assert (run.returncode, facts["kind"]) == (1, "ProjectError")
