"""The champion is scored on mature rows it has not seen, at the table's version of now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.linear_model import LogisticRegression

from refit import Project, Window
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_infra.settings import Settings
from refit_tasks.monitoring.performance import measure_performance, read_promotion_scores
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.model_store import log_model
from refit_tasks.registry.tracking import open_run

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TRAIN = Window(START, START + 20 * DAY)

pytestmark = pytest.mark.usefixtures("mlflow_home")


def project() -> Project:
    return Project(
        name="bikes", kind="classification", target="busy", timestamp="at", key=("id",), features=("a",),
        load=lambda _window: pd.DataFrame(), build=LogisticRegression, label_delay=10 * DAY,
    )  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    """Sixty days, seen from their end; half of the immature labels, the positive ones, have come early."""
    rng = np.random.default_rng(0)
    count = 60 * 48
    frame = pd.DataFrame({"at": pd.date_range(START, periods=count, freq="30min").as_unit("us"), "id": range(count)})
    frame["a"] = rng.normal(size=count)
    frame["busy"] = (frame["a"] + rng.normal(size=count) > 0).astype("Int64")
    late = (frame["at"] > START + 50 * DAY) & (frame["busy"] == 0)
    frame["busy"] = frame["busy"].mask(late)
    write_deltalake(f"{Settings().tables}/bikes", frame)
    return frame


@pytest.fixture
def champion(frame) -> Champion:
    seen = frame[TRAIN.holds(frame["at"])]
    model = LogisticRegression().fit(seen[["a"]], seen["busy"].astype(int))
    client = open_mlflow()
    with open_run(client, require_experiment(client, "bikes"), "run", {}) as run:
        uri = log_model(run, project(), model, seen[["a"]].head())
        return Champion(
            ModelRef("bikes", run.id, uri, SnapshotRef("bikes", 0, TRAIN, len(seen), "f", labelled=True), "key"),
            version=1, generation=1, since=START,
        )  # fmt: skip


def test_early_labels_do_not_count(champion, frame) -> None:
    found = measure_performance.fn(project(), champion, START + 60 * DAY, 7 * DAY)
    assert found.window.end == START + 50 * DAY + timedelta(microseconds=1)
    assert (found.metric, found.rows, found.coverage) == ("roc_auc", 337 - 1, 1.0)
    assert found.interval[0] < found.current < found.interval[1]
    assert found.current == pytest.approx(0.83, abs=0.06)
    assert found.estimate.value == pytest.approx(0.83, abs=0.06)
    assert (found.reference, found.dropped, found.withheld) == (None, False, None)


def test_rows_that_the_champion_has_seen_do_not_count(champion) -> None:
    assert measure_performance.fn(project(), champion, START + 29 * DAY, 7 * DAY) is None
    few = measure_performance.fn(project(), champion, START + 31 * DAY, 7 * DAY)
    assert few.window.start >= TRAIN.end
    assert "have a label, at least 100" in few.withheld


def test_without_a_table_there_is_nothing(champion) -> None:
    unknown = project().model_copy(update={"name": "nobody"})
    assert measure_performance.fn(unknown, champion, START + 60 * DAY, 7 * DAY) is None


def test_baselines_are_what_champions_were_promoted_with(judge) -> None:
    challenger = judge()
    promote.fn(challenger, None, START)
    judge("other", promote=False)
    ((metric, evaluation),) = read_promotion_scores("rentals")
    assert (metric, evaluation.value) == ("neg_mean_absolute_error", -1.3)
