"""Changes of a column's type in a project's table: by the first values of an empty column, or by a person.

Each is one commit that rewrites the table, and one ledger entry of the kind `schema`. Former versions of the table, on
which models were trained, keep the former type.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from refit.data.chunks import merge_tables
from refit.data.column_types import cast_stored, change_type, find_first_types
from refit.data.type_names import TYPES, TypeName, name_type
from refit.errors import ContractViolation
from refit.project import Project
from refit.records.ledger import Entry, as_payload
from refit_tasks.ledger.record import record
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import ROW_GROUP, open_table, read, require_table, retry_on_conflict, rewrite, schema_of
from refit_tasks.storage.staging import SpilledTables, staging_area

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TypeChange:
    """The payload of a ledger entry of the kind `schema`."""

    column: str
    former: str
    """The former type, by its name on the command line."""
    type: str
    """The new type."""
    version: int
    """The first version of the table with the new type."""
    who: str
    why: str


BY_INGEST = "refit ingest"
"""Who changed the type of a column that was empty so far."""


def adopt_first_types(
    definition: Project, table: DeltaTable | None, schemas: list[pa.Schema], at: datetime
) -> DeltaTable | None:
    """Gives a column that was empty so far the type of its first values.

    Args:
        definition: The project.
        table: The project's table; `None` before the first ingest.
        schemas: The schemas of the pieces of a batch.
        at: The end of the ingest, UTC.

    Returns:
        The table, opened again if a type was changed.
    """
    fields = tuple(_find_first_values(definition, table, schemas)) if table else ()
    for field in fields:
        _change_type(definition, field, (BY_INGEST, "the first values of a column that was empty so far"), at)
    return open_table(definition.name) if fields else table


def expect_schema(definition: Project, table: DeltaTable | None, schemas: list[pa.Schema]) -> pa.Schema | None:
    """Gives the schema that an ingest of a batch expects, without changing the table.

    Args:
        definition: The project.
        table: The project's table; `None` before the first ingest.
        schemas: The schemas of the pieces of the batch.

    Returns:
        The table's schema, in which a column that is empty so far has the type of its first values; `None` without a
        table.
    """
    if table is None:
        return None
    schema = schema_of(table)
    for field in _find_first_values(definition, table, schemas):
        schema = change_type(schema, field)
    return schema


def _find_first_values(definition: Project, table: DeltaTable, schemas: list[pa.Schema]) -> list[pa.Field]:
    first = find_first_types(schema_of(table), schemas, definition)
    return [field for name, field in first.items() if _is_empty(table, name)]


def _is_empty(table: DeltaTable, column: str) -> bool:
    return all(part.column(0).null_count == part.num_rows for part in read(table, [column]))


def set_column_type(
    definition: Project, column: str, kind: TypeName, by: tuple[str, str], at: datetime
) -> Entry | None:
    """Changes the type of a column, if the table's values can be cast without loss.

    Args:
        definition: The project.
        column: The column.
        kind: The new type.
        by: Who changes it, and why.
        at: The time of the entry, UTC.

    Returns:
        The entry; `None` if the column has that type.

    Raises:
        ContractViolation: If there is no such column, its role needs another type, or a value does not fit.
    """
    schema = schema_of(require_table(definition.name))
    if column not in schema.names:
        raise ContractViolation(
            f"the table of {definition.name} has no column {column!r}: its columns are {', '.join(schema.names)}"
        )
    if column == definition.timestamp and kind != "time":
        raise ContractViolation(f"column {column!r} is the timestamp of {definition.name}: it stays a time")
    if column == definition.target and definition.kind == "regression" and kind not in ("number", "integer"):
        raise ContractViolation(f"column {column!r} is the target of a regression: set it to number or integer")
    if schema.field(column).type == TYPES[kind]:
        return None
    return _change_type(definition, pa.field(column, TYPES[kind]), by, at)


def _change_type(definition: Project, field: pa.Field, by: tuple[str, str], at: datetime) -> Entry:
    former = name_type(schema_of(require_table(definition.name)).field(field.name).type)
    with staging_area(definition.name) as area:

        def step() -> int:
            table = require_table(definition.name)
            schema = change_type(schema_of(table), field)
            rows = SpilledTables(area / f"cast-{table.version()}")
            for part in _cast_rows(definition, table, schema, field.name):
                rows.add(part)
            return rewrite(table, rows, schema)

        version = retry_on_conflict(step, definition.name)
    made = TypeChange(field.name, former, name_type(field.type), version, *by)
    with_project(log, definition.name).info("column %s was a %s and is a %s now", field.name, former, made.type)
    return record(definition.name, "schema", as_payload(made), at, once=f"version {version}")


def _cast_rows(definition: Project, table: DeltaTable, schema: pa.Schema, column: str) -> Iterator[pa.Table]:
    for part in merge_tables(read(table), ROW_GROUP):
        rows, faults = cast_stored(part, schema)
        if faults:
            value = "***" if column in definition.pii else repr(faults[0].value)
            kind = name_type(schema.field(column).type)
            raise ContractViolation(
                f"column {column!r} cannot become a {kind}, which would lose values such as {value}: set it to a type "
                f"that holds them all"
            )
        yield rows
