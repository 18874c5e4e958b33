"""The profile is stored with the model, and a window of a real table is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.linear_model import LinearRegression

from refit import MonitoringPolicy, Project, Window
from refit.drift.serialization import reference_from_bytes, reference_to_bytes
from refit.errors import ModelError
from refit.records.drift_findings import Drift
from refit.records.references import Challenger, Champion, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from refit_infra.settings import Settings
from refit_tasks.monitoring.drift import load_reference, measure_drift, profile_reference
from refit_tasks.storage import snapshot_rows as streaming
from refit_tasks.training.train import train

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS, JUDGED, TRAINED = 12_000, 9_000, 10_000
LATER = Window(START + timedelta(hours=TRAINED), START + timedelta(hours=HOURS))

pytestmark = pytest.mark.usefixtures("mlflow_home")


def bikes(**changes: object) -> Project:
    said = {"kind": "regression", "target": "rentals", "features": ("temperature", "wind"), **changes}
    return Project(name="bikes", timestamp="at", load=pd.DataFrame, build=LinearRegression, **said)


@pytest.fixture(params=[0.0, 1.0], ids=["unchanged", "warmer"])
def shift(request: pytest.FixtureRequest, mlflow_home: Path) -> float:
    """Writes a row an hour; after the training window it is warmer by this many standard deviations."""
    rng = np.random.default_rng(0)
    temperature = rng.normal(size=HOURS) + np.where(np.arange(HOURS) < TRAINED, 0.0, request.param)
    at = pd.date_range(START, periods=HOURS, freq="h").as_unit("us")
    frame = pd.DataFrame({"at": at, "temperature": temperature, "wind": rng.normal(size=HOURS), "unused": "x"})
    write_deltalake(f"{Settings().tables}/bikes", frame.assign(rentals=3 * temperature + rng.normal(size=HOURS)))
    return request.param


def rows(first: int, last: int) -> SnapshotRef:
    window = Window(START + timedelta(hours=first), START + timedelta(hours=last))
    return SnapshotRef("bikes", 0, window, last - first, "f" * 32, labelled=True)


@pytest.fixture
def champion(shift: float) -> Champion:
    model = train.fn(bikes(training={"window": "all"}), rows(0, TRAINED), "k" * 32)
    judged = replace(model, trained_on=rows(0, JUDGED))
    verdict = Verdict((Reason("floor", passed=True, value=1, limit=0, sentence="high"),))
    profile_reference.fn(bikes(), Challenger(model, 1, verdict, 1, judged), rows(JUDGED, TRAINED))
    return Champion(model, 1, 1, START, judged)


def measured(champion: Champion, window: Window = LATER, **changes: object) -> Drift | None:
    return measure_drift.fn(bikes(**changes), champion, window, 0)


def test_what_has_changed_is_found_in_the_column_and_in_the_scores(champion: Champion, shift: float) -> None:
    found = measured(champion)
    assert found is not None
    assert (found.rows, found.window, found.calibrated) == (2_000, LATER, True)
    assert [column.column for column in found.columns] == ["temperature", "wind"]
    assert [score.column for score in found.scores] == ["prediction"]
    assert found.drifted == (("temperature", "prediction") if shift else ())


def test_the_profile_is_small_and_cached_and_made_once(champion: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = load_reference(champion.model)
    assert reference is not None
    assert reference.data.rows == TRAINED
    assert reference.scores is not None
    assert reference.scores.rows == TRAINED - JUDGED
    stored = reference_to_bytes(reference)
    assert len(stored) < 40_000
    assert reference_to_bytes(reference_from_bytes(stored)) == stored
    assert [file.read_bytes() for file in (Settings().home / "references").glob("*.bin")] == [stored]
    found = measured(champion)
    monkeypatch.setattr("refit_tasks.monitoring.drift.open_mlflow", None)  # it is not asked any more
    assert measured(champion) == found


def test_the_parts_do_not_matter(champion: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(champion)
    monkeypatch.setattr(streaming, "CHUNK_ROWS", 300)
    assert measured(champion) == whole


def test_nothing_is_measured_without_rows_policy_or_profile(champion: Champion) -> None:
    assert measured(champion, Window(LATER.start, LATER.start + timedelta(hours=150))) is None
    assert measured(champion, Window(LATER.end, LATER.end)) is None
    assert measured(champion, monitoring=MonitoringPolicy(drift=None)) is None
    bare: Callable[..., Champion] = lambda: replace(  # noqa: E731
        champion, model=train.fn(bikes(training={"window": "all"}), rows(0, TRAINED), "other")
    )
    assert measured(bare()) is None


def test_a_damaged_profile_is_a_sentence(champion: Champion) -> None:
    load_reference(champion.model)
    (file,) = (Settings().home / "references").glob("*.bin")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        load_reference(champion.model)
