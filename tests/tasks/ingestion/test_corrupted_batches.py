"""A hundred spoilt batches: no row is lost or doubled, nothing but a sentence is raised, the state stays whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from refit import Project, Window
from refit.errors import RefitError
from refit.project import Rows
from refit.records.references import Ingestion
from refit.sources import csv, parquet
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.storage.quarantine_table import list_quarantined
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import take_snapshot
from tests.support import corruptions

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
CLEAN_DAYS, BAD_DAYS = 5, 3
CLEAN_UNTIL = corruptions.START + timedelta(days=CLEAN_DAYS)
BAD_UNTIL = CLEAN_UNTIL + timedelta(days=BAD_DAYS)


def project(load: Callable[[Window], Rows]) -> Project:
    return Project(
        name="orders",
        kind="classification",
        target="late",
        timestamp="placed_at",
        key=("order",),
        load=load,
        build=DummyClassifier,
        ingestion={"lateness": timedelta(0)},
    )


class Source:
    """Delivers everything at first, as a bad day has it, and then only what it is asked for or cannot place in time."""

    def __init__(self, pieces: list[pd.DataFrame]) -> None:
        self._pieces = pieces
        self._asked = False

    def __call__(self, window: Window) -> Iterator[pd.DataFrame]:
        for piece in self._pieces:
            times = pd.to_datetime(piece["placed_at"], utc=True, errors="coerce")
            yield piece[times.isna() | window.holds(times)] if self._asked else piece
        self._asked = True


def ingest_clean() -> pd.DataFrame:
    rows = corruptions.clean_rows(0, CLEAN_DAYS)
    done = ingest.fn(project(lambda _: rows), CLEAN_UNTIL)
    assert (done.rows_in, done.quarantined) == (len(rows), 0)
    return rows


def table() -> pd.DataFrame:
    definition = project(lambda _: [])
    return read_rows(definition, take_snapshot.fn(definition, BAD_UNTIL))


def attempt(definition: Project) -> Ingestion | str:
    """Gives what an ingest did, or the sentence with which it refused; anything else that is raised fails the test."""
    try:
        return ingest.fn(definition, BAD_UNTIL)
    except RefitError as refusal:
        return str(refusal)


def outcome_of(definition: Project, delivered: int | None) -> str:
    """Ingests a spoilt batch and checks what must hold however it ends."""
    before, rejected_before = table(), len(list_quarantined(definition, 10_000))
    done = attempt(definition)
    if isinstance(done, str):
        assert "\n" not in done.strip()
        pd.testing.assert_frame_equal(table(), before)
        assert len(list_quarantined(definition, 10_000)) == rejected_before
        return "refused"
    after, rejected = table(), len(list_quarantined(definition, 10_000))
    assert done.rows_in == done.accepted + done.quarantined + done.superseded
    assert delivered is None or done.rows_in == delivered
    assert len(after) == len(before) + done.added
    assert not after["order"].duplicated().any()
    assert rejected == rejected_before + done.quarantined + done.superseded
    again = ingest.fn(definition, BAD_UNTIL)
    assert again.added == 0
    assert len(table()) == len(after)
    assert len(list_quarantined(definition, 10_000)) == rejected
    return "nothing" if done.rows_in == 0 else "quarantined" if done.quarantined or done.superseded else "accepted"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", corruptions.FRAMES)
def test_spoilt_frame(name: str, seed: int) -> None:
    spoil, allowed = corruptions.FRAMES[name]
    ingest_clean()
    rows = spoil(corruptions.clean_rows(CLEAN_DAYS, BAD_DAYS), np.random.default_rng(seed))
    pieces = [rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]]
    assert outcome_of(project(Source(pieces)), len(rows)) in allowed


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", corruptions.FILES)
def test_spoilt_file(name: str, seed: int, tmp_path: Path) -> None:
    suffix, spoil, allowed = corruptions.FILES[name]
    ingest_clean()
    path = tmp_path / f"orders.{suffix}"
    spoil(corruptions.clean_rows(CLEAN_DAYS, BAD_DAYS), np.random.default_rng(seed), path)
    source = csv if suffix == "csv" else parquet
    assert outcome_of(project(source(str(path), timestamp="placed_at")), None) in allowed
