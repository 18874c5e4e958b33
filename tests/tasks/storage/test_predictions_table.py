"""The table of predictions: each batch once, whoever else writes, whatever columns come, and readable for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.predictions import predict_once
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.predictions_table import COMPACTION_INTERVAL, append, predictions_of
from tests.support.prediction_batches import ASKED, AT, X, held, some


def test_a_batch_is_written_once_however_often_it_is_given() -> None:
    assert [append("parcels", some(), "one"), append("parcels", some(), "one")] == [4, 0]
    assert append("parcels", some(first=4), "two") == 4
    assert [append("parcels", some(first=4), "two"), append("parcels", some(), "one")] == [0, 0]
    assert append("parcels", some().slice(0, 0), "three") == 0
    assert sorted(held()["request_id"]) == [f"request {number}" for number in range(8)]


def test_numbered_batches_leave_one_mark_and_may_be_given_again() -> None:
    assert [append("parcels", some(first=4 * n), f"server/{n}") for n in (0, 1, 1, 2, 0, 10, 9)] == [
        4,
        4,
        0,
        4,
        0,
        4,
        0,
    ]
    assert append("parcels", some(first=100), "other/0") == 4
    assert open_table(predictions_of("parcels")).transaction_version("refit-predictions/server") == 11
    assert len(held()) == 20


def test_what_was_asked_and_said_stands_in_columns_of_its_own() -> None:
    keys = pa.table({"id": pa.array([7, 8, 9, 2**62 + 1], pa.int64())})
    times = pa.array([AT - timedelta(days=day) for day in range(4)], pa.timestamp("ns", "UTC"))
    append("parcels", some(keys=keys, event_time=times, row_hash=list("abcd")), "one")
    rows = held().sort_values("request_id")
    assert list(rows["key__id"]) == [7, 8, 9, 2**62 + 1]
    assert list(rows["event_time"]) == [AT - timedelta(days=day) for day in range(4)]
    assert list(rows["feature__count"]) == [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(rows["prediction"], [1.0, 2.0, 3.0, 4.0])
    assert set(rows["role"]) == {"champion"}
    assert rows["score"].isna().all()


def test_two_classes_have_a_score_and_more_have_scores() -> None:
    two = LogisticRegression().fit(X, ["no", "no", "yes", "yes"])
    said = prediction_columns(predict_once(two, X))
    assert said["prediction"].to_pylist() == ["no", "no", "yes", "yes"]
    np.testing.assert_allclose(said["score"], two.predict_proba(X)[:, 1])
    three = LogisticRegression().fit(X, [0, 1, 2, 2])
    said = prediction_columns(predict_once(three, X))
    assert said["prediction"].type == pa.float64()
    assert said["classes"][0].as_py() == ["0", "1", "2"]
    np.testing.assert_allclose(said["scores"].to_pylist(), three.predict_proba(X))
    append("parcels", prediction_rows(ASKED, said, X), "one")
    assert len(held().iloc[0]["scores"]) == 3


@pytest.mark.parametrize(
    ("column", "shown", "where"),
    [
        (pd.Series([1.5, None, 2.0, 3.0]), [1.5, None, 2.0, 3.0], "feature__count"),
        (pd.Series([True, False, True, False]), [1.0, 0.0, 1.0, 0.0], "feature__count"),
        (pd.Series([None] * 4, dtype=object), [None] * 4, "feature__count"),
        (pd.Series(["a", "b", None, "8"], dtype="str"), ["a", "b", None, "8"], "feature__count:text"),
        (pd.Series(["a", "b", "a", "8"], dtype="category"), ["a", "b", "a", "8"], "feature__count:text"),
        (pd.Series(pd.date_range("2026-01-01", periods=4, tz="UTC")), None, "feature__count:time"),
        (pd.Series(pd.date_range("2026-01-01", periods=4)), None, "feature__count:local"),
    ],
    ids=["floats", "truth values", "nothing", "texts", "categories", "zoned times", "local times"],
)
def test_a_feature_of_another_type_is_never_coerced(column: pd.Series, shown: list | None, where: str) -> None:
    append("parcels", some(), "one")
    later = PredictionContext(version=4, generation=3, role="champion", source="http", scored_at=AT)
    append("parcels", some(X.assign(count=column), later, first=4), "two")
    rows = held().sort_values("request_id")
    assert list(rows["feature__count"][rows["version"] == 3]) == [1.0, 2.0, 3.0, 4.0]
    found = rows[where][rows["version"] == 4].astype(object)
    expected = list(column) if shown is None else shown
    assert [None if pd.isna(cell) else cell for cell in found] == expected


def test_features_come_and_go_with_versions() -> None:
    append("parcels", some(), "one")
    append("parcels", some(X.rename(columns={"count": "weight"}), first=4), "two")
    append("parcels", some(first=8), "three")
    rows = held().sort_values("request_id", key=lambda ids: ids.str.split().str[1].astype(int))
    assert rows["feature__weight"].notna().tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert rows["feature__count"].notna().tolist() == [True] * 4 + [False] * 4 + [True] * 4


@pytest.mark.slow
def test_many_small_batches_lie_in_few_files_and_few_log_entries() -> None:
    for number in range(2 * COMPACTION_INTERVAL):
        append("parcels", some(first=4 * number), f"server/{number}")
    table = open_table(predictions_of("parcels"))
    assert len(table.file_uris()) <= COMPACTION_INTERVAL
    assert sorted(held()["request_id"]) == sorted(f"request {row}" for row in range(8 * COMPACTION_INTERVAL))


def test_only_what_is_asked_for_has_statistics() -> None:
    append("parcels", some(), "one")
    names = pa.table(open_table(predictions_of("parcels")).get_add_actions(flatten=True)).column_names
    assert "max.scored_at" in names
    assert not [name for name in names if "feature__" in name]


PROGRAM = """
import os, signal, sys
os.environ["REFIT_HOME"] = sys.argv[1]
import pandas as pd
from refit_tasks.storage import predictions_table
from tests.support.prediction_batches import X, some
writer, wide = int(sys.argv[2]), sys.argv[3] == "wide"
for number in range(12):
    first = 1000 * writer + 4 * number
    features = X.assign(**{f"f{writer}_{number % 3}": 1.0}) if wide else X
    batch = f"{writer}/{number}" if writer % 2 else f"{writer} {number}"
    for _ in range(2):  # each is given twice
        predictions_table.append("parcels", some(features, first=first), batch)
"""


@pytest.mark.parametrize("columns", ["the same", pytest.param("wide", marks=pytest.mark.slow)])
def test_writers_at_the_same_time_lose_no_row_and_double_none(home: Path, columns: str) -> None:
    start = [sys.executable, "-c", PROGRAM, str(home)]
    root = Path(__file__).parents[3]
    writers = [subprocess.Popen([*start, str(number), columns], cwd=root) for number in range(4)]
    assert [writer.wait(300) for writer in writers] == [0] * 4
    expected = [f"request {1000 * writer + row}" for writer in range(4) for row in range(48)]
    assert sorted(held()["request_id"]) == sorted(expected)


KILLED = """
import os, signal, sys, time
os.environ["REFIT_HOME"] = sys.argv[1]
from refit_tasks.storage import predictions_table
from tests.support.prediction_batches import some
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
write = predictions_table.write_rows
points = {"before": die, "after": lambda *given: (write(*given), die())}
if sys.argv[3] in points:
    predictions_table.write_rows = points[sys.argv[3]]
print("ready", flush=True)
predictions_table.append("parcels", some(first=int(sys.argv[2])), "batch " + sys.argv[2])
"""


@pytest.mark.slow
def test_killed_before_and_after_the_commit_and_given_again(home: Path) -> None:
    for first in (0, 4):
        for point in ("before", "after", "never", "never"):
            command = [sys.executable, "-c", KILLED, str(home), str(first), point]
            run = subprocess.run(command, cwd=Path(__file__).parents[3], check=False, capture_output=True)
            assert run.returncode == (0 if point == "never" else -signal.SIGKILL), run.stderr
    assert Counter(held()["request_id"]) == Counter(f"request {row}" for row in range(8))


def test_two_writers_of_one_batch_write_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_tasks.storage import predictions_table

    append("parcels", some(), "first")
    write, raced = predictions_table.write_rows, []

    def overtaken(*given):
        if not raced:
            raced.append(True)
            assert append("parcels", some(first=4), "second") == 4
        return write(*given)

    monkeypatch.setattr(predictions_table, "write_rows", overtaken)
    assert append("parcels", some(first=4), "second") == 0
    assert len(held()) == 8
    assert "feature__size" in schema_of(open_table(predictions_of("parcels"))).names
