"""Columns whose type changes: an empty one takes the type of its first values, any other one waits for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.data.type_names import name_type
from refit.errors import ContractViolation
from refit.modelling.former_types import cast_to_former_types
from refit_tasks.ingestion.column_types import set_column_type
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ledger.record import entries, verify_ledger
from refit_tasks.reporting.entry_story import describe_entry
from refit_tasks.storage.delta import read, require_table, schema_of
from refit_tasks.storage.snapshots import last_ingested

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BY = ("ada", "the new region")


def stays(first: int, last: int, **columns: Any) -> pa.Table:
    hours = np.arange(first, last)
    at = pa.array([START + timedelta(hours=int(hour)) for hour in hours], pa.timestamp("us", "UTC"))
    cells = {name: value if isinstance(value, pa.Array) else pa.array(value) for name, value in columns.items()}
    return pa.table({"id": hours, "at": at, "x": hours * 0.5, "y": hours * 2.0, **cells})


def project(*tables: pa.Table, **changes: Any) -> Project:
    def load(window: Window) -> Iterator[pa.Table]:
        for table in tables:
            times = table["at"].to_pylist()
            yield table.filter(pa.array([window.start <= time < window.end for time in times]))

    roles = {"name": "stays", "kind": "regression", "target": "y", "timestamp": "at", "key": ("id",)}
    return Project(load=load, build=DummyRegressor, **(roles | changes))


def cells(column: str) -> list[Any]:
    rows = pa.concat_tables(read(require_table("stays"), ["id", column])).sort_by("id")
    return rows[column].to_pylist()


def kind_of(column: str) -> str:
    return name_type(schema_of(require_table("stays")).field(column).type)


FIRST_VALUES = [
    (pa.array(["SPRING"] * 24), "text"),
    (pa.array(["SPRING", None] * 12).dictionary_encode(), "text"),
    (pa.array([None, 3] * 12, pa.int32()), "integer"),
    (pa.array([1.5, None] * 12), "number"),
    (pa.array([True] * 24), "boolean"),
    (pa.array([START] * 24, pa.timestamp("ms", "UTC")), "time"),
    (pa.array([date(2026, 1, 1)] * 24), "local-time"),
]


@pytest.mark.parametrize(("values", "kind"), FIRST_VALUES, ids=[str(values.type) for values, _ in FIRST_VALUES])
def test_an_empty_column_takes_the_type_of_its_first_values(values: pa.Array, kind: str) -> None:
    definition = project(stays(0, 24, coupon=pa.nulls(24)), stays(24, 48, coupon=values))
    assert ingest.fn(definition, START + DAY).added == 24
    done = ingest.fn(definition, START + 2 * DAY)
    assert (done.added, done.corrected, done.quarantined) == (24, 0, 0)
    assert kind_of("coupon") == kind
    assert cells("coupon")[:24] == [None] * 24
    assert sum(cell is not None for cell in cells("coupon")) == len(values) - values.null_count
    assert last_ingested("stays") == START + 47 * timedelta(hours=1) + timedelta(microseconds=1)
    told = [" ".join(describe_entry(entry)) for entry in entries("stays", "schema")]
    assert len(told) == (kind != "number")
    assert all(f"is a {kind} from table version 1 on" in one for one in told)
    assert verify_ledger()


def test_a_column_that_stays_empty_stays_as_it_is() -> None:
    definition = project(*(stays(day * 24, day * 24 + 24, coupon=pa.nulls(24)) for day in range(3)))
    for day in (1, 2, 3):
        ingest.fn(definition, START + day * DAY)
    assert entries("stays", "schema") == []
    assert require_table("stays").version() == 2


def test_a_target_that_was_empty_takes_its_classes_as_they_come() -> None:
    tables = (stays(0, 24, won=pa.nulls(24)), stays(24, 48, won=pa.array(["yes", "no"] * 12)))
    definition = project(*tables, target="won", kind="classification")
    ingest.fn(definition, START + DAY)
    assert ingest.fn(definition, START + 2 * DAY).added == 24
    assert kind_of("won") == "text"


def test_the_former_version_of_the_table_keeps_its_type() -> None:
    from deltalake import DeltaTable

    definition = project(stays(0, 24, coupon=pa.nulls(24)), stays(24, 48, coupon=pa.array(["A"] * 24)))
    ingest.fn(definition, START + DAY)
    ingest.fn(definition, START + 2 * DAY)
    table = require_table("stays")
    former = DeltaTable(table.table_uri, version=0)
    assert name_type(schema_of(former).field("coupon").type) == "number"
    assert sum(part.num_rows for part in read(former)) == 24


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        (pa.array([12345] * 24), pa.array(["AB-1"] * 24), "text"),
        (pa.array([1.5] * 24), pa.array([True, False] * 12), None),
        (pa.array(["7"] * 24), pa.array([8] * 24), "integer"),
        (pa.array(["1.5"] * 24), pa.array([2.5] * 24), "number"),
        (pa.array(["true"] * 24), pa.array([True] * 24), "boolean"),
        (pa.array(["2026-01-01T00:00Z"] * 24), pa.array([START] * 24), "time"),
    ],
    ids=["text after numbers", "truth values", "integers", "numbers", "booleans", "times"],
)
def test_the_error_names_the_command_that_changes_the_type(first: pa.Array, later: pa.Array, kind: str | None) -> None:
    definition = project(stays(0, 24, code=first), stays(24, 48, code=later))
    ingest.fn(definition, START + DAY)
    with pytest.raises(ContractViolation) as refused:
        ingest.fn(definition, START + 2 * DAY)
    named = re.search("`refit schema stays set code ([a-z-]+)`", str(refused.value))
    assert named, str(refused.value)
    if kind is None:  # 1.5 is no truth value
        with pytest.raises(ContractViolation, match=r"would lose values such as '1\.5'"):
            set_column_type(definition, "code", named[1], BY, START)  # type: ignore[arg-type]
        return
    assert named[1] == kind
    entry = set_column_type(definition, "code", kind, BY, START)  # type: ignore[arg-type]
    assert entry
    assert (entry.payload["who"], entry.payload["type"]) == ("ada", kind)
    done = ingest.fn(definition, START + 2 * DAY)
    assert (done.added, done.quarantined) == (24, 0)
    assert None not in cells("code")


@pytest.mark.parametrize(
    ("column", "kind", "says"),
    [
        ("cod", "text", "has no column 'cod'"),
        ("at", "text", "is the timestamp"),
        ("y", "text", "target of a regression"),
        ("code", "number", "cannot become a number, which would lose values such as 'B'"),
    ],
)
def test_a_change_that_cannot_be_is_refused(column: str, kind: Any, says: str) -> None:
    definition = project(stays(0, 24, code=pa.array(["1", "B"] * 12)))
    ingest.fn(definition, START + DAY)
    with pytest.raises(ContractViolation, match=re.escape(says)):
        set_column_type(definition, column, kind, BY, START)
    assert (require_table("stays").version(), entries("stays", "schema")) == (0, [])


def test_the_same_type_again_changes_nothing() -> None:
    definition = project(stays(0, 24, code=pa.array(["1", "B"] * 12)))
    ingest.fn(definition, START + DAY)
    assert set_column_type(definition, "code", "text", BY, START) is None
    assert require_table("stays").version() == 0


@pytest.mark.parametrize(
    ("former", "now", "values", "seen"),
    [
        (pa.float64(), pa.string(), ["SPRING", None], [0.0, 0.0]),
        (pa.float64(), pa.string(), ["12", "AB"], [12.0, np.nan]),
        (pa.string(), pa.int64(), [7, 8], ["7", "8"]),
        (pa.float64(), pa.bool_(), [True, False], [1.0, 0.0]),
        (pa.float64(), pa.float64(), [1.0, 2.0], [1.0, 2.0]),
    ],
)
def test_a_model_sees_rows_in_the_type_it_was_trained_on(
    former: pa.DataType, now: pa.DataType, values: list[Any], seen: list[Any]
) -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0], "code": values})
    schemas = (pa.schema([("x", pa.float64()), ("code", kind)]) for kind in (former, now))
    found = cast_to_former_types(rows, *schemas)
    pd.testing.assert_series_equal(found["code"], pd.Series(seen, name="code"), check_dtype=False)
    assert list(found["x"]) == [1.0, 2.0]
