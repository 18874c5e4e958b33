"""The profile is stored with the model, and a window of a real table is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression

from refit import MonitoringPolicy, Project, Window
from refit.drift.serialization import profile_to_bytes, reference_from_bytes, reference_to_bytes
from refit.errors import ModelError
from refit.modelling.predictions import predict_once
from refit.records.drift_findings import Drift
from refit.records.references import Challenger, Champion, ComparedModel, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from refit_infra.settings import Settings
from refit_tasks.monitoring.drift import load_reference, measure_drift, profile_reference
from refit_tasks.prediction.skew import open_skew_meter
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage import snapshot_rows as streaming
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.snapshot_rows import read_chunks, to_frame
from refit_tasks.training.train import train

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS, JUDGED, TRAINED = 12_000, 9_000, 10_000
OTHER = ComparedModel("served", "another run")
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
    reference = load_reference(champion)
    assert reference is not None
    assert reference.data.rows == TRAINED
    assert reference.scores is not None
    assert reference.scores.profile.rows == TRAINED - JUDGED
    stored = reference_to_bytes(reference)
    assert len(stored) < 40_000
    assert reference_to_bytes(reference_from_bytes(stored, OTHER)) == stored
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


@pytest.fixture
def refitted(mlflow_home: Path) -> Champion:
    """A champion that fits every row it has seen exactly, on thrice the rows of the judged model; nothing changes."""
    rng = np.random.default_rng(0)
    at = pd.date_range(START, periods=HOURS, freq="h").as_unit("us")
    features = {name: rng.normal(size=HOURS) for name in ("temperature", "wind")}
    chance = 1 / (1 + np.exp(-features["temperature"]))
    late = (rng.random(HOURS) < chance).astype(int)
    write_deltalake(f"{Settings().tables}/bikes", pd.DataFrame({"at": at, **features, "rentals": late}))
    judged, served = (train.fn(boosted(), rows(0, count), name * 32) for count, name in ((600, "j"), (TRAINED, "s")))
    verdict = Verdict((Reason("floor", passed=True, value=1, limit=0, sentence="high"),))
    profile_reference.fn(boosted(), Challenger(served, 1, verdict, 1, judged), rows(700, 4_000))
    return Champion(served, 1, 1, START, judged)


def boosted() -> Project:
    build = lambda: HistGradientBoostingClassifier(max_iter=50, min_samples_leaf=2, random_state=0)  # noqa: E731
    return bikes(kind="classification", training={"window": "all"}).model_copy(update={"build": build})


def test_a_refitted_champion_is_held_against_no_other_models_predictions(refitted: Champion) -> None:
    found = measure_drift.fn(boosted(), refitted, LATER, 0)
    assert found is not None
    assert found.scored_by == ComparedModel("judged", refitted.judged.run_id)
    assert found.drifted == ()
    mixed = replace(refitted, judged=refitted.model)  # the served model would predict in the window
    with pytest.raises(ValueError, match="cannot be compared"):
        measure_drift.fn(boosted(), mixed, LATER, 0)


def test_a_scored_batch_is_compared_by_the_judged_model_as_well(refitted: Champion) -> None:
    definition, table = boosted(), open_table("bikes")
    batch = to_frame(pa.concat_tables(read_chunks(definition, rows(TRAINED, HOURS), ["at", "temperature", "wind"])))
    champion = predict_once(fetch_model(definition, refitted.model), batch[["temperature", "wind"]])
    meter = open_skew_meter(definition, refitted, START, schema_of(table))
    meter.add(pa.Table.from_pandas(batch, preserve_index=False), champion, len(batch))
    assert meter.measure(LATER) == measure_drift.fn(definition, refitted, LATER, 0)
    without = replace(refitted, judged=replace(refitted.judged, uri="runs:/0/model"))
    lost = open_skew_meter(definition, without, START, schema_of(table))
    lost.add(pa.Table.from_pandas(batch, preserve_index=False), champion, len(batch))
    assert lost.measure(LATER).scores == ()
    assert "predictions are not compared" in lost.warnings[0]


def test_a_profile_of_a_former_release_is_of_the_judged_model(refitted: Champion) -> None:
    new = load_reference(refitted)
    data = profile_to_bytes(new.data, {"domain_mean": new.domain_mean, "domain_limit": new.domain_limit})
    former = len(data).to_bytes(8, "little") + data + profile_to_bytes(new.scores.profile)
    (file,) = (Settings().home / "references").glob("*.bin")
    file.write_bytes(former)
    assert reference_to_bytes(load_reference(refitted)) == reference_to_bytes(new)


def test_without_the_judged_models_files_the_features_alone_are_compared(refitted: Champion) -> None:
    lost = replace(refitted, judged=replace(refitted.judged, uri="runs:/0/model"))
    found = measure_drift.fn(boosted(), lost, LATER, 0)
    assert [column.column for column in found.columns] == ["temperature", "wind"]
    assert (found.scores, found.scored_by) == ((), None)


def test_a_damaged_profile_is_a_sentence(champion: Champion) -> None:
    load_reference(champion)
    (file,) = (Settings().home / "references").glob("*.bin")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        load_reference(champion)
