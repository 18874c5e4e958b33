"""A batch that is killed at any moment and run again leaves each prediction once; equal and corrected rows, files."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from refit.errors import ContractViolation, LoadFailed, NotEnoughData
from refit.results.score import EVERYTHING, ScoreRequest
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.quarantine import replay_quarantine
from refit_tasks.prediction import write_predictions as scored_commit
from refit_tasks.prediction.score import score_rows
from refit_tasks.registry.model_store import save_model
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.predictions_table import append, scored_until
from refit_tasks.storage.quarantine_table import list_quarantined
from tests.support.prediction_batches import held, some
from tests.support.scored_parcels import AT, ROWS, START, definition, loading, rows_of, score, serving, sought


@pytest.fixture
def ingested(mlflow_home: Path) -> Path:
    ingest.fn(definition(), START + timedelta(seconds=1000))
    return mlflow_home


PROGRAM = """
import os, random, signal, sys
from pathlib import Path
import deltalake, great_expectations, mlflow, skops.io
from refit_tasks.ingestion import quarantine
from refit_tasks.prediction import score as scoring, write_predictions
from tests.support.killed_work import after, attempt, before
from tests.support.scored_parcels import definition, score, sought

home, key = Path(os.environ["REFIT_HOME"]), (("id",) if sys.argv[1] else ())

def work():
    done = score(home, sought(), definition(key))
    print(done.rows_in, done.quarantined, done.champion.scored, done.champion.already, flush=True)

points = [
    before(scoring, "load_and_validate"), before(quarantine, "write"), after(quarantine, "write"),
    after(scoring.ScoringBatch, "score"), before(write_predictions, "write_rows"),
]
deaths = [attempt(work, point) for point in points]
moments = random.Random(sys.argv[1])
for number in range(5):
    attempt(work, kill_after=moments.uniform(0.2, 1.5))
attempt(work, after(write_predictions, "write_rows"))
attempt(work)
attempt(work)
print(deaths.count(signal.SIGKILL))
"""


@pytest.mark.slow
@pytest.mark.parametrize("key", ["key", ""], ids=["key", "no key"])
def test_killed_at_any_moment_then_run_again(ingested: Path, key: str) -> None:
    command = [sys.executable, "-c", PROGRAM, key]
    run = subprocess.run(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], text=True, check=True)
    *_, last, again, deaths = run.stdout.splitlines()
    assert int(deaths) == 5
    assert last == again == "10000 100 0 9900"
    rows = held()
    assert Counter(rows["role"]) == {"champion": 9900, "shadow": 9900}
    for role, factor in (("champion", 2), ("shadow", 3)):
        mine = rows[rows["role"] == role].sort_values("event_time")
        np.testing.assert_allclose(mine["prediction"], mine["feature__x"] * factor, atol=1e-6)
        assert list(mine["feature__x"]) == [number * 0.5 for number in range(ROWS) if number % 100 != 7]
    assert len(list_quarantined(definition(), 1000)) == 100
    assert scored_until("parcels") == START + timedelta(seconds=ROWS - 1, microseconds=1)


def test_a_row_is_scored_once_by_each_version_and_again_where_it_was_corrected(ingested: Path) -> None:
    first = score(ingested, sought(2000), shadow=False)
    assert (first.champion.scored, first.shadow) == (1980, None)
    second = score(ingested, sought(3000))
    assert (second.champion.scored, second.champion.already) == (990, 1980)
    assert (second.shadow.scored, second.shadow.already) == (2970, 0)
    corrected = loading(rows_of(2000).assign(x=lambda rows: rows["x"] + 1))
    assert score(ingested, sought(2000), corrected, shadow=False).champion.scored == 2000
    relabelled = loading(rows_of(2000).assign(x=lambda rows: rows["x"] + 1, y=5.0))
    assert score(ingested, sought(2000), relabelled, shadow=False).champion.already == 2000


def test_two_runs_at_the_same_time_score_each_row_once(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, raced = scored_commit.write_rows, []

    def overtaken(*given):
        if not raced:
            raced.append("begun")
            raced.append(score(ingested, sought(2000, start=500)))
            append("parcels", some(), "a server's")
        return write(*given)

    score(ingested, sought(100))
    append("parcels", some(), "what a server has said before, so that the columns stay the same")
    monkeypatch.setattr(scored_commit, "write_rows", overtaken)
    done = score(ingested, sought(1000))
    assert raced[1].champion.scored == 1485
    assert (done.champion.scored, done.champion.already, done.shadow.already) == (396, 594, 594)
    rows = held()
    assert Counter(rows["role"][rows["source"] == "batch"]) == {"champion": 1980, "shadow": 1980}
    assert rows["row_hash"][rows["role"] == "shadow"].is_unique


def test_equal_rows_without_a_key_are_as_many_as_they_are(ingested: Path) -> None:
    twice = loading(pd.concat([rows_of(1000)] * 2), definition(key=()))
    assert score(ingested, sought(1000), twice).champion.scored == 2000
    thrice = loading(pd.concat([rows_of(1000)] * 3), definition(key=()))
    done = score(ingested, sought(1000), thrice)
    assert (done.champion.scored, done.champion.already) == (1000, 2000)


def test_the_mark_moves_only_where_nothing_is_left_out(ingested: Path) -> None:
    score(ingested, sought(2000))
    assert scored_until("parcels") == START + timedelta(seconds=1999, microseconds=1)
    score(ingested, sought(6000, start=5000))
    assert scored_until("parcels") == START + timedelta(seconds=1999, microseconds=1)
    score(ingested, sought(3000, start=1000))
    assert scored_until("parcels") == START + timedelta(seconds=2999, microseconds=1)
    score(ingested, sought(500))
    assert scored_until("parcels") == START + timedelta(seconds=2999, microseconds=1)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "delta"])
def test_a_file_needs_no_label_and_its_bad_rows_are_never_replayed(ingested: Path, tmp_path: Path, suffix: str) -> None:
    rows = rows_of(500).drop(columns="y").assign(at=lambda frame: frame["at"] + timedelta(days=9000), more="z")
    rows.loc[3, "x"] = np.inf
    rows["at"] = rows["at"].astype("datetime64[us, UTC]")
    place = tmp_path / f"rows [1].{suffix}"
    if suffix == "delta":
        from deltalake import write_deltalake

        place = tmp_path / "rows"
        write_deltalake(str(place), rows)
    else:
        rows.to_csv(place, index=False) if suffix == "csv" else rows.to_parquet(place)
    what = ScoreRequest("table" if suffix == "delta" else "file", str(place), EVERYTHING, AT)
    done = score(ingested, what)
    assert (done.rows_in, done.quarantined, done.champion.scored, done.shadow.scored) == (500, 1, 499, 499)
    assert score(ingested, what).champion.already == 499
    bad = [row for row in list_quarantined(definition(), 100) if str(place) in str(row)]
    assert [[reason["rule"] for reason in row.reasons] for row in bad] == [["infinite", "not_loaded"]]
    assert replay_quarantine(definition(), AT).readmitted == 0
    assert scored_until("parcels") is None


def test_what_cannot_be_scored_is_refused_and_nothing_is_written(ingested: Path, tmp_path: Path) -> None:
    lost = ScoreRequest("file", str(tmp_path / "nowhere.csv"), EVERYTHING, AT)
    with pytest.raises(LoadFailed, match="does not exist"):
        score(ingested, lost)
    file = tmp_path / "rows.parquet"
    what = replace(lost, place=str(file))
    rows_of(100).rename(columns={"x": "z"}).to_parquet(file)
    with pytest.raises(ContractViolation, match="column 'x'"):
        score(ingested, what)
    rows_of(100).assign(x=np.inf).to_parquet(file)
    with pytest.raises(ContractViolation, match="quarantine_limit"):
        score(ingested, what)
    assert open_table("parcels__predictions") is None
    assert not [row for row in list_quarantined(definition(), 1000) if str(file) in str(row)]


def test_without_a_table_nothing_can_be_scored(mlflow_home: Path) -> None:
    with pytest.raises(NotEnoughData, match="refit retrain parcels"):
        score(mlflow_home, sought())


def test_a_contract_asks_for_no_target(ingested: Path, tmp_path: Path) -> None:
    from great_expectations import expectations as gx

    def contract():
        return [
            gx.ExpectColumnValuesToNotBeNull(column="y"),
            gx.ExpectColumnPairValuesAToBeGreaterThanB(column_A="y", column_B="x"),
            gx.ExpectColumnValuesToBeBetween(column="x", max_value=200),
            gx.ExpectTableColumnCountToEqual(value=4),
            gx.ExpectTableRowCountToBeBetween(min_value=10),
        ]

    strict = definition(contract={"quarantine_limit": 0.5}).model_copy(update={"expectations": contract})
    unlabelled = rows_of(500).assign(y=np.nan)
    done = score(ingested, sought(500), loading(unlabelled, strict))
    assert (done.quarantined, done.champion.scored) == (99, 401)
    with pytest.raises(ContractViolation, match="row_count"):
        score(ingested, sought(500), loading(unlabelled.head(9), strict))


def test_a_shadow_that_cannot_answer_is_silent(ingested: Path) -> None:
    champion, challenger = serving(ingested)
    gone = replace(challenger, model=replace(challenger.model, uri=str(ingested / "gone")))
    done = score_rows.fn(definition(), sought(2000), champion, gone, AT, "run")
    assert (done.champion.scored, done.shadow) == (1980, None)
    assert "version 2, cannot be loaded" in done.warnings[0]
    rows = pd.DataFrame({"x": [1.0, 2.0], "other": [1.0, 2.0]})
    save_model(LinearRegression().fit(rows, rows["x"]), ingested / "wide")
    wide = replace(challenger, model=replace(challenger.model, uri=str(ingested / "wide")))
    done = score_rows.fn(definition(), sought(3000), champion, wide, AT, "run")
    assert (done.champion.scored, done.shadow) == (990, None)
    assert "version 2, cannot" in done.warnings[0]
    assert "'other'" in done.warnings[0]
