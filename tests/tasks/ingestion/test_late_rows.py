"""Rows that arrive after the look-back: a run counts them and names the command, which brings each in once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import IngestionPolicy, Project, Window
from refit.records.ledger import as_payload, from_payload
from refit.records.references import Ingestion, LateRows
from refit.results.flows import late_json
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.late_rows import find_late_rows
from refit_tasks.storage.delta import require_table
from refit_tasks.validation.contract_report import render_contract_page

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
KEYS = pytest.mark.parametrize("key", [("id",), ("id", "at"), ("code",), ()], ids=["key", "with time", "text", "none"])


def readings(hours: Any, **columns: Any) -> pd.DataFrame:
    at = START + pd.to_timedelta(hours, unit="h")
    frame = pd.DataFrame({"id": hours, "at": at, "x": np.asarray(hours) % 7 * 1.0, "y": np.asarray(hours) * 2.0})
    return frame.assign(code=[f"{hour:05d}" for hour in hours], **columns)


class Source:
    """A source whose rows arrive when a test delivers them."""

    def __init__(self, *frames: pd.DataFrame) -> None:
        self.frames = list(frames)
        self.windows: list[Window] = []

    def __call__(self, window: Window) -> Iterator[pd.DataFrame]:
        self.windows.append(window)
        yield from (frame[window.holds(frame["at"])] for frame in self.frames)


def project(source: Any, key: tuple[str, ...] = ("id",), **policies: Any) -> Project:
    roles = {"name": "meters", "kind": "regression", "target": "y", "timestamp": "at", "build": DummyRegressor}
    return Project(load=source, key=key, **roles, **policies)


def run(definition: Project, days: int, since: datetime | None = None) -> Ingestion:
    return find_late_rows.fn(definition, ingest.fn(definition, START + days * DAY, since))


EVEN, ODD = np.arange(0, 240, 2), np.arange(1, 240, 2)


@KEYS
def test_late_rows_are_counted_and_brought_in_once(key: tuple[str, ...]) -> None:
    source = Source(readings(EVEN))
    definition = project(source, key)
    assert run(definition, 10).late is None
    source.frames += [readings(ODD[:60]), readings(np.arange(240, 300))]
    seen = run(definition, 14)
    assert seen.late == LateRows(60, Window(START + HOUR, START + 119 * HOUR + timedelta(microseconds=1)))
    assert run(definition, 14).late == seen.late  # as long as nobody brings them in
    done = run(definition, 14, seen.late.window.start)
    assert (done.added, done.late) == (60, None)
    assert require_table("meters").count() == 120 + 60 + 60
    assert run(definition, 14).added == 0


def test_rows_within_the_lookback_are_not_late() -> None:
    source = Source(readings(EVEN))
    definition = project(source)
    run(definition, 10)
    source.frames.append(readings(ODD[-6:]))
    done = run(definition, 10)
    assert (done.added, done.late) == (6, None)


@KEYS
def test_a_part_of_the_late_rows_may_be_brought_in(key: tuple[str, ...]) -> None:
    source = Source(readings(EVEN))
    definition = project(source, key)
    run(definition, 10)
    source.frames.append(readings(ODD))
    part = run(definition, 10, START + 5 * DAY)
    assert part.added == 60
    assert part.late == LateRows(60, Window(START + HOUR, START + 119 * HOUR + timedelta(microseconds=1)))


def test_a_since_after_the_lookback_leaves_no_gap() -> None:
    source = Source(readings(EVEN))
    definition = project(source)
    run(definition, 10)
    source.frames.append(readings(np.arange(240, 480)))
    assert run(definition, 20, START + 18 * DAY).added == 240


@KEYS
def test_quarantined_and_superseded_rows_are_not_late(key: tuple[str, ...]) -> None:
    rows = readings(EVEN)
    rows.loc[[3, 9], "x"] = np.inf
    source = Source(rows, readings(np.array([20]), x=5.0), readings(np.arange(240, 400)))
    definition = project(source, key)
    first = run(definition, 10)
    assert first.quarantined == 2
    assert run(definition, 20).late is None


def test_corrections_of_rows_with_a_key_are_not_late() -> None:
    source = Source(readings(EVEN))
    definition = project(source)
    run(definition, 10)
    source.frames = [readings(EVEN, y=1.0), readings(np.arange(240, 300))]
    assert run(definition, 14).late is None


def test_rows_without_a_readable_time_or_key_are_not_counted() -> None:
    odd = readings(ODD[:10]).astype({"id": "float64"})
    odd.loc[[0, 1], "id"] = np.nan
    odd.loc[[2], "at"] = pd.NaT
    source = Source(readings(EVEN))
    definition = project(source)
    run(definition, 10)
    source.frames += [odd, odd]
    late = run(definition, 10).late
    assert late
    assert late.rows == 7


def test_rows_that_retention_removes_are_not_late() -> None:
    source = Source(readings(EVEN))
    definition = project(source, ingestion=IngestionPolicy(keep=6 * DAY))
    run(definition, 10)
    source.frames.append(readings(ODD[:84]))
    late = run(definition, 10).late
    assert late
    assert (late.rows, late.window.start) == (36, START + 97 * HOUR)
    assert source.windows[-1].start == START + 4 * DAY


def test_a_load_that_refuses_old_windows_only_warns() -> None:
    source = Source(readings(EVEN))

    def load(window: Window) -> Iterator[pd.DataFrame]:
        if source.windows and window.start < START:
            raise ValueError("the service keeps 30 days")
        yield from source(window)

    definition = project(load)
    run(definition, 10)
    done = run(definition, 10)
    assert done.late is None
    assert "late rows could not be looked for" in done.warnings[-1]
    assert "the service keeps 30 days" in done.warnings[-1]


def test_the_outcome_names_the_rows_and_the_command() -> None:
    late = LateRows(1, Window(datetime(2026, 1, 1, 5, 30, tzinfo=UTC), START + DAY))
    done = Ingestion("meters", Window(START, START), 3, 0, 0, 0, 0, 0, late=late)
    command = "refit ingest meters --since 2026-01-01T05:30"
    assert late.write_command("meters") == command
    assert command in render_contract_page(done)
    assert late_json(done) == {
        "rows": 1,
        "start": "2026-01-01T05:30:00+00:00",
        "end": "2026-01-02T00:00:00+00:00",
        "command": command,
    }
    assert from_payload(Ingestion, as_payload(done)) == done


def test_records_of_former_releases_know_no_late_rows() -> None:
    payload = as_payload(Ingestion("meters", Window(START, START), 3, 0, 0, 0, 0, 0))
    del payload["late"]
    assert from_payload(Ingestion, payload).late is None
