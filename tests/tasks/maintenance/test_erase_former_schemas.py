"""Erasure over a history whose schema changed: what a former version can tell is erased, and the rest is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import ProjectError
from refit.results.erasures import parse_keys
from refit_deployments.actions.erase import _describe
from refit_tasks.ledger.record import entries
from refit_tasks.maintenance.erase import erase_keys, find_erasure
from refit_tasks.storage.delta import RETENTION, open_table, read, uri_of, write
from tests.support.text_search import traces

AT = datetime(2026, 3, 1, tzinfo=UTC)
PERSON, CITY = "70815", "Wolkenkuckucksheim"
VISITS = Project(
    name="visits", kind="regression", target="spent", timestamp="at", key=("customer",),
    load=lambda _: pd.DataFrame(), build=DummyRegressor,
)  # fmt: skip


def rows(customers: list[object] | None, kind: pa.DataType | None = None, city: str = "Rome") -> pa.Table:
    """A row an hour, in one of the schemas that the table has had."""
    count = len(customers or [1, 2])
    cells = {
        "at": pa.array([AT + timedelta(hours=hour) for hour in range(count)], pa.timestamp("us", "UTC")),
        "city": [city] * count,
        "spent": pa.array([1.0] * count, pa.float64()),
    }
    return pa.table({**cells, **({"customer": pa.array(customers, kind)} if customers else {})})


def replace_table(content: pa.Table) -> None:
    """Gives the table another schema, as a newest version."""
    write_deltalake(uri_of("visits"), content, mode="overwrite", schema_mode="overwrite", configuration=RETENTION)


@pytest.fixture
def three_schemas(home: Path) -> Project:
    """Without the key at first, then with a number in it, then with text."""
    without = rows(None)
    write("visits", None, [without], without.schema)
    number = rows([int(PERSON), 1], pa.int64(), CITY)
    write("visits", open_table("visits"), [number], number.schema)
    replace_table(rows([PERSON, "b"], pa.string(), CITY))
    return VISITS


def test_a_person_is_erased_from_versions_of_every_schema_and_what_cannot_be_matched_is_named(
    three_schemas: Project, home: Path
) -> None:
    erasure, entry = erase_keys(three_schemas, {"customer": (PERSON,)}, "ada", "asked", AT)
    assert (erasure.tables, erasure.files, erasure.unmatched) == ({"visits": 1}, 2, {"visits": 1})
    assert entries("visits")[0].payload["unmatched"] == {"visits": 1}
    assert traces(home, PERSON) == []
    counts = [
        sum(part.num_rows for part in read(DeltaTable(uri_of("visits"), version=version))) for version in range(3)
    ]
    assert counts == [2, 3, 1]
    assert "1 files of visits, of this or a former version, lack a column of the key" in "\n".join(
        _describe(three_schemas, erasure, entry, dry_run=False)
    )


def test_a_newest_version_without_the_key_does_not_hide_former_ones(three_schemas: Project, home: Path) -> None:
    replace_table(rows(None))
    assert find_erasure(three_schemas, {"customer": (PERSON,)}).files == 2
    erasure, _ = erase_keys(three_schemas, {"customer": (PERSON,)}, "ada", "", AT)
    assert (erasure.tables, erasure.unmatched) == ({"visits": 0}, {"visits": 2})
    assert traces(home, PERSON) == []


def test_a_value_that_only_a_former_type_holds_is_looked_for(three_schemas: Project, home: Path) -> None:
    replace_table(rows([7, 8], pa.int64()))
    erase_keys(three_schemas, parse_keys(three_schemas, ["b"]), "ada", "", AT)
    assert [part["customer"].to_pylist() for part in read(DeltaTable(uri_of("visits"), version=2))] == [[PERSON]]
    replace_table(rows([7.0], pa.float64()))
    with pytest.raises(ProjectError, match="a value that was given for at is no time with a zone"):
        find_erasure(three_schemas.model_copy(update={"key": ("customer", "at")}), {"at": ("x",)})
