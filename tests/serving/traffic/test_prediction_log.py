"""The log: bounded, counted, and each row once though the table cannot be written to for a while."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from refit.inference.request_rows import parse_rows, parse_table
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.loaded_model import LoadedModel, load_champion
from refit_serving.rows.request import Limits
from refit_serving.traffic.prediction_log import PredictionLog
from refit_serving.traffic.prediction_rows import PredictionRecord
from refit_tasks.ledger.generations import current_champion
from refit_tasks.storage.predictions_table import predictions_of
from tests.support.serving_home import FEATURES, Depot, entered, logged

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One of its own, whose champions come and go."""
    with entered(tmp_path_factory.mktemp("depot")) as directory:
        made = Depot(directory, "parcels", "letters")
        made.promoted("parcels", 0.0)
        yield made


@pytest.fixture(scope="module")
def model(depot: Depot) -> LoadedModel:
    champion = current_champion("parcels")
    assert champion
    return load_champion(champion)


def record(model: LoadedModel, depot: Depot, name: str, rows: int = 1, key: int | None = None) -> PredictionRecord:
    sent = depot.rows[FEATURES].head(rows).to_dict("records")
    asked = parse_rows(model.spec, [row if key is None else {**row, "parcel": key} for row in sent])
    return PredictionRecord(model, asked, model.predictor.predict(asked.features), name, datetime.now(UTC), 100)


def value(metrics: Metrics, line: str) -> float:
    found = [one for one in metrics.render().decode().splitlines() if one.startswith(f"refit_serving_{line} ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


@pytest.mark.slow
def test_a_full_queue_drops_and_counts(model: LoadedModel, depot: Depot) -> None:
    metrics, size = Metrics(), record(model, depot, "full-0", 3).size
    log = PredictionLog(Limits(log_rows=10, log_bytes=3 * size), metrics)
    for number in range(3):
        log.put(record(model, depot, f"full-{number}", 3))
    assert value(metrics, "log_waiting_rows") == 9
    log.put(record(model, depot, "too many rows", 2))
    log.put(record(model, depot, "too many bytes", 1))
    assert value(metrics, 'log_dropped_rows_total{project="parcels",why="full"}') == 3
    log.start()
    assert log.close(30) == 0
    written = list(logged("parcels")["request_id"])
    assert [written.count(f"full-{number}") for number in range(3)] == [3, 3, 3]
    assert not {"too many rows", "too many bytes"} & set(written)
    assert value(metrics, "log_waiting_rows") == 0


def test_a_batch_that_failed_is_written_once(model: LoadedModel, depot: Depot) -> None:
    metrics = Metrics()
    table = Path(os.environ["REFIT_HOME"]) / "tables" / predictions_of("parcels")
    away = table.with_name("away")
    if table.exists():
        table.rename(away)
    table.write_text("in the way")
    log = PredictionLog(Limits(), metrics)
    log.start()
    log.put(record(model, depot, "late", 2))
    deadline = time.monotonic() + 30
    while not value(metrics, 'log_failures_total{project="parcels"}'):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    log.put(record(model, depot, "later", 1))
    table.unlink()
    if away.exists():
        away.rename(table)
    assert log.close(30) == 0
    written = list(logged("parcels")["request_id"])
    assert (written.count("late"), written.count("later")) == (2, 1)


def test_what_cannot_be_written_at_the_end_is_told(model: LoadedModel, depot: Depot) -> None:
    table = Path(os.environ["REFIT_HOME"]) / "tables" / predictions_of("parcels")
    away = table.with_name("away")
    table.rename(away)
    table.write_text("in the way")
    try:
        log = PredictionLog(Limits(), Metrics())
        log.start()
        log.put(record(model, depot, "lost", 3))
        assert log.close(1.5) == 3
    finally:
        table.unlink()
        away.rename(table)


def test_json_and_arrow_with_and_without_keys_share_a_batch(model: LoadedModel, depot: Depot) -> None:
    import pyarrow as pa

    table = pa.Table.from_pandas(depot.rows[[*FEATURES, "parcel", "sent_at"]].head(4), preserve_index=False)
    table = table.set_column(2, "carrier", table["carrier"].dictionary_encode())
    asked = parse_table(model.spec, table)
    log = PredictionLog(Limits(), Metrics())
    log.put(record(model, depot, "keyless"))
    log.put(record(model, depot, "keyed", key=2**60 + 1))
    log.put(PredictionRecord(model, asked, model.predictor.predict(asked.features), "arrow", datetime.now(UTC), 100))
    log.start()
    assert log.close(30) == 0
    written = logged("parcels").set_index("request_id")
    assert list(written.loc["arrow", "key__parcel"]) == list(depot.rows["parcel"].head(4))
    assert list(written.loc["arrow", "event_time"]) == list(depot.rows["sent_at"].head(4))
    assert not [name for name in written.columns if ":" in name], "a column changed its type"
