"""A thousand seeded batches of many kinds of keys, sources and corruptions: no row is lost, refusals change nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier

from refit import Project, Window
from refit.data.chunks import split_frame
from refit.errors import RefitError
from refit.records.references import Ingestion
from refit.sources import csv, parquet
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ledger.record import entries
from refit_tasks.storage.quarantine_table import count_quarantined
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import take_snapshot
from tests.support import corruptions
from tests.support.first_retrain import retrain_first

CLEAN_UNTIL = corruptions.START + timedelta(days=3)
UNTIL = CLEAN_UNTIL + timedelta(days=2)
Cell = Callable[[int], Any]

KEYS: dict[str, Cell] = {
    "integers": int,
    "beyond doubles": lambda one: 2**53 + one,
    "texts": "{:09d}".format,
    "decimals": lambda one: Decimal(2**53 + one),
    "identifiers": lambda one: str(UUID(int=one)),
    "floats": float,
    "bytes": lambda one: b"%09d" % one,
}
"""From a kind of key to what makes a cell of it from a number."""


@dataclass(frozen=True)
class Batch:
    """What one example is made of."""

    key: str
    columns: tuple[str, ...]
    source: str
    spoilers: tuple[str, ...]
    seed: int

    def spoilt(self) -> pd.DataFrame:
        """Gives the rows of the second load."""
        rows, draw = corruptions.clean_rows(3, 2, per_day=40), np.random.default_rng(self.seed)
        for name in self.spoilers:
            with suppress(AttributeError, LookupError, TypeError, ValueError):  # what another one left does not suit it
                rows = corruptions.FRAMES[name][0](rows, draw)
        return with_key(rows, self.key)


BATCHES = st.builds(
    Batch,
    key=st.sampled_from(sorted(KEYS)),
    columns=st.sampled_from([("order",), ("order", "placed_at"), ()]),
    source=st.sampled_from(["frame", "pieces", "table", "csv", "parquet"]),
    spoilers=st.lists(st.sampled_from(sorted({*corruptions.FRAMES} - {"long text"})), max_size=2, unique=True).map(
        tuple
    ),
    seed=st.integers(0, 10_000),
)


def with_key(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Replaces the numbers of the key by values of another kind."""
    made = [None if pd.isna(one) else KEYS[kind](int(one)) for one in rows["order"]]
    return rows.assign(order=pd.Series(made, index=rows.index, dtype=None if kind == "floats" else object))


def load_of(source: str, rows: pd.DataFrame, directory: Path) -> Callable[[Window], Any]:
    """Makes a load that delivers rows, whatever window is asked for, unless it is a file."""
    table = pa.concat_tables(split_frame(rows, 10_000)) if len(rows) else pa.Table.from_pandas(rows)
    if source == "csv":
        rows.to_csv(directory / "orders.csv", index=False)
        return csv(str(directory / "orders.csv"), timestamp="placed_at")
    if source == "parquet":
        pq.write_table(table, directory / "orders.parquet")
        return parquet(str(directory / "orders.parquet"), timestamp="placed_at")
    if source == "pieces":
        return lambda _: iter([rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]])
    return lambda _: table if source == "table" else rows


def project(batch: Batch, load: Callable[[Window], Any]) -> Project:
    return Project(
        name="orders",
        kind="classification",
        target="late",
        timestamp="placed_at",
        key=batch.columns,
        load=load,
        build=DummyClassifier,
        ingestion={"lateness": timedelta(0)},
        training={"min_rows": 10},
    )


class Homes:
    """A home with clean rows for each kind of key, keyed columns and source, made once and copied."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0

    def begin(self, batch: Batch) -> Path:
        """Puts REFIT_HOME into that state, and gives an empty directory beside it."""
        self._count += 1
        kept, home = self._directory / f"{batch.key}-{batch.columns}-{batch.source}", self._directory / "home"
        shutil.rmtree(home, ignore_errors=True)
        (files := self._directory / f"files-{self._count}").mkdir()
        os.environ["REFIT_HOME"] = str(home)
        if kept.is_dir():
            shutil.copytree(kept, home)
            return files
        rows = with_key(corruptions.clean_rows(0, 3, per_day=40), batch.key)
        done = ingest.fn(project(batch, load_of(batch.source, rows, files)), CLEAN_UNTIL)
        assert (done.rows_in, done.accepted) == (len(rows), len(rows))
        shutil.copytree(home, kept)
        return files


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Homes]:
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "home"))
    (tmp_path / "homes").mkdir()
    return Homes(tmp_path / "homes")


def stored(definition: Project) -> pd.DataFrame:
    return read_rows(definition, take_snapshot.fn(definition, UNTIL + timedelta(days=30_000)))


def attempt(definition: Project) -> Ingestion | str:
    """Gives what an ingest did, or the sentence of its refusal; any other error fails the test."""
    try:
        return ingest.fn(definition, UNTIL)
    except RefitError as refusal:
        return str(refusal)


def conserve(batch: Batch, homes: Homes) -> None:
    """Ingests a batch, and asserts what holds however it ends."""
    files, rows = homes.begin(batch), batch.spoilt()
    definition = project(batch, load_of(batch.source, rows, files))
    before = stored(definition)
    done = attempt(definition)
    if isinstance(done, str):
        assert "\n" not in done.strip()
        pd.testing.assert_frame_equal(stored(definition), before)
        assert count_quarantined(definition) == 0
        with pytest.raises(RefitError):
            retrain_first(definition, UNTIL)
        assert entries(definition.name, "verdict") + entries(definition.name, "promotion") == []
        return
    assert done.rows_in == done.accepted + done.quarantined + done.superseded
    assert batch.source in ("csv", "parquet") or done.rows_in == len(rows)
    assert count_quarantined(definition) == done.quarantined + done.superseded
    after = stored(definition)
    assert len(after) == len(before) + done.added
    assert not batch.columns or not after.duplicated(list(batch.columns)).any()


def conserve_batches(number: int, examples: int, homes: Homes) -> None:
    """Draws batches by a seed; a failure shows its batch, which is enough to repeat it."""

    @seed(number)
    @settings(max_examples=examples, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(batch=BATCHES)
    def draw(batch: Batch) -> None:
        conserve(batch, homes)

    draw()


def test_a_dozen_batches(homes: Homes) -> None:
    conserve_batches(0, 12, homes)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_a_thousand_batches(number: int, homes: Homes) -> None:
    conserve_batches(number, 125, homes)
