"""The tables that may hold rows of a key, and how to tell in each of them whose a row is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from refit.data.casting import cast_table, family_of
from refit.data.rejected_rows import decode_rows
from refit.errors import ProjectError
from refit.inference.prediction_rows import KEY_PREFIX
from refit.project import Project
from refit.results.erasures import Keys, cast_values, matches_key
from refit_tasks.ingestion.label_inbox import inbox_of
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.predictions_table import predictions_of
from refit_tasks.storage.quarantine_table import quarantine_of
from refit_tasks.storage.table_files import TableFiles

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KeyedTable:
    """A table that may hold rows of somebody."""

    name: str
    find_columns: Callable[[list[str]], list[list[str]]]
    """Of a file's columns, those that tell whose a row is: for each column of the key, those that may hold it."""
    matches_key: Callable[[pa.Table], Mask]
    """Which rows are meant; needs those columns alone, and matches none where a column of the key has none."""

    def needed(self, names: list[str]) -> list[str]:
        """Names the columns that tell whose a row is.

        Args:
            names: All columns of a file or a version.

        Returns:
            Some of them; none where a column of the key is missing, so that no row can be told.
        """
        found = self.find_columns(names)
        return [name for columns in found for name in columns] if all(found) else []


def list_tables(definition: Project, keys: Keys) -> list[KeyedTable]:
    """Names the tables that may hold rows of somebody.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        The project's own table first, then quarantine, predictions and the inbox of labels, as far as they are there.

    Raises:
        ProjectError: If a value is none that a column of the key can hold.
    """
    fields = read_key_schema(definition, keys)
    own = _keyed_by_columns(definition.name, keys, lambda key, names: [key] if key in names else [])
    texts = (quarantine_of(definition), inbox_of(definition.name))
    inside = [
        KeyedTable(name, lambda _: [["row"]], lambda rows: _match_text_rows(rows, keys, fields)) for name in texts
    ]
    asked = _keyed_by_columns(predictions_of(definition.name), keys, find_key_columns)
    return [one for one in (own, inside[0], asked, inside[1]) if open_table(one.name)]


def _keyed_by_columns(name: str, keys: Keys, find: Callable[[str, list[str]], list[str]]) -> KeyedTable:
    return KeyedTable(
        name,
        lambda names: [find(key, names) for key in keys],
        lambda rows: matches_key(rows, keys, {key: find(key, rows.column_names) for key in keys}),
    )


def read_key_schema(definition: Project, keys: Keys) -> pa.Schema:
    """Reads the columns of the key as the project's table has them.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        These columns; as text, where the newest version of the table lacks one.

    Raises:
        ProjectError: If a value is none that a column of the key can hold, in this or a former version.
    """
    table = open_table(definition.name)
    schema = schema_of(table) if table else pa.schema([])
    fields = [schema.field(name) if name in schema.names else pa.field(name, pa.string()) for name in keys]
    for field in fields:
        if _count_unfit(keys[field.name], field.type) and not _fits_former_type(definition.name, field.name, keys):
            raise ProjectError(  # which one is not said: it may be what identifies somebody
                f"a value that was given for {field.name} is no {family_of(field.type)}, which that column holds: "
                f"correct it; a time is written as 2026-04-01T03:00+00:00"
            )
    return pa.schema(fields)


def _count_unfit(values: tuple[str, ...], kind: pa.DataType) -> int:
    return len(values) - len(cast_values(values, kind))


def _fits_former_type(name: str, column: str, keys: Keys) -> bool:
    """Tells whether the column was of a type in some file of a former version that can hold all values."""
    files = TableFiles(name)
    schemas = (pq.ParquetFile(files.open(path)).schema_arrow for path in files.list_data_files())
    kinds = {schema.field(column).type for schema in schemas if column in schema.names}
    return any(not _count_unfit(keys[column], kind) for kind in kinds)


def find_key_columns(key: str, names: list[str]) -> list[str]:
    """Names the columns of a table of predictions that hold a column of the key; there are more where types differ.

    Args:
        key: The column of the key.
        names: All columns of the table.

    Returns:
        Some of these.
    """
    return [name for name in names if name == KEY_PREFIX + key or name.startswith(f"{KEY_PREFIX}{key}:")]


def _match_text_rows(rows: pa.Table, keys: Keys, fields: pa.Schema) -> Mask:
    """Looks into rows that are kept as text: at their cells as they came, and as the table would have them."""
    mask = np.zeros(rows.num_rows, np.bool_)
    for places, raw in decode_rows(rows["row"].to_pylist()):
        columns = {f"as it came {name}": raw[name] for name in keys if name in raw.column_names}
        fitted = cast_table(raw, fields)[0]
        both = pa.table({**columns, **{name: fitted[name] for name in keys}})
        of = {name: [one for one in (name, f"as it came {name}") if one in both.column_names] for name in keys}
        mask[places] = matches_key(both, keys, of)
    return mask
