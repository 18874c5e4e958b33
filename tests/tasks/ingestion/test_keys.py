"""Keys never lose a digit: rows stay apart, or the load is refused with the column's name and the way out."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import ContractViolation
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.quarantine_table import count_quarantined

ROWS = 400
UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
BEYOND = range(2**53 + 101, 2**53 + 101 + ROWS)


def project(ids: pa.Array, **columns: object) -> Project:
    """A project whose load gives one row for each id."""
    hours = np.datetime64("2026-01-01", "us") + np.arange(len(ids)) * np.timedelta64(1, "h")
    times = pa.array(hours, pa.timestamp("us", "UTC"))
    table = pa.table({"id": ids, "at": times, "x": np.arange(len(ids)), "y": np.arange(len(ids)) / 2, **columns})
    return Project(
        name="keys",
        kind="regression",
        target="y",
        timestamp="at",
        key=("id",),
        load=lambda window: table.filter(pc.greater_equal(table["at"], pa.scalar(window.start, table["at"].type))),
        build=DummyRegressor,
    )


EXACT = {
    "integers": pa.array(BEYOND, pa.int64()),
    "unsigned": pa.array(BEYOND, pa.uint64()),
    "decimals": pa.array(map(Decimal, BEYOND), pa.decimal128(38, 0)),
    "wide decimals": pa.array(map(Decimal, BEYOND), pa.decimal256(60, 0)),
    "texts": pa.array(map("{:024d}".format, BEYOND), pa.string()),
    "large texts": pa.array(map("{:024d}".format, BEYOND), pa.large_string()),
    "categories": pa.array(map("{:024d}".format, BEYOND), pa.string()).dictionary_encode(),
    "bytes": pa.array([f"{one:024d}".encode() for one in BEYOND], pa.binary()),
    "identifiers": pa.array([UUID(int=one).bytes for one in BEYOND], pa.uuid()),
    "floats that came from gaps": pa.array(np.arange(ROWS, dtype="float64")),
}


@pytest.mark.parametrize("name", EXACT)
def test_rows_stay_apart_and_keep_their_key(name: str) -> None:
    definition = project(EXACT[name])
    done = ingest.fn(definition, UNTIL)
    assert (done.accepted, done.quarantined, done.superseded) == (ROWS, 0, 0)
    kept = open_table("keys").to_pyarrow_table()["id"]
    expected = [UUID(int=one) for one in BEYOND] if name == "identifiers" else EXACT[name].to_pylist()
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in expected]
    assert [str(one) for one in kept.to_pylist()] == texts
    again = ingest.fn(definition, UNTIL)
    assert (again.added, again.corrected) == (0, 0)


REFUSED = {
    "floats": (pa.array(np.array(BEYOND, "float64")), r"ids beyond 2\*\*53 in a float column .*: read them as text"),
    "unsigned beyond": (pa.array(range(2**63, 2**63 + ROWS), pa.uint64()), r"beyond 64 bits .*: read them as text"),
    "decimals beyond": (
        pa.array([Decimal(2**64 + one) for one in range(ROWS)], pa.decimal128(38, 0)),
        r"too_large on 'id' .*: read them as text",
    ),
    "lists": (pa.array([[one] for one in range(ROWS)]), r"column 'id' \(part of the key\) is list.*convert it"),
    "repeated": (pa.array(np.arange(ROWS) // 2), r"50\.0% of the rows .*the key id does not tell rows apart"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_is_not_exact_is_refused_by_name(name: str) -> None:
    ids, sentence = REFUSED[name]
    definition = project(ids)
    with pytest.raises(ContractViolation, match=sentence):
        ingest.fn(definition, UNTIL)
    assert open_table("keys") is None
    assert count_quarantined(definition) == 0


def test_the_same_rows_twice_are_superseded_and_counted() -> None:
    once = project(pa.array(range(ROWS)))
    twice = {"load": lambda window: pa.concat_tables([once.load(window), once.load(window)])}
    done = ingest.fn(once.model_copy(update=twice), UNTIL)
    assert (done.rows_in, done.accepted, done.quarantined, done.superseded) == (2 * ROWS, ROWS, 0, ROWS)
    assert done.left_out == f"0 quarantined, {ROWS} superseded"
