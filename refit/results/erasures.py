"""The erasure of rows by key: which rows match, and what the ledger keeps of it, which is no cell of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import cast_table, family_of
from refit.errors import ProjectError
from refit.project import Project, require_key
from refit.records.references import SnapshotRef

Keys: TypeAlias = Mapping[str, tuple[str, ...]]
"""Key columns and values as text: a row matches if it has one of the values in each of the columns."""


@dataclass(frozen=True, slots=True)
class RowsAfterErasure:
    """Recorded rows of which some were erased."""

    rows: SnapshotRef
    """The rows as they were recorded."""
    erased: int
    """The number of erased rows."""
    left: str
    """The fingerprint of the remaining rows."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The extent of one erasure."""

    key: str
    """A hash of the keys, salted with a secret of this installation."""
    tables: dict[str, int]
    """The number of erased rows of each table's newest version."""
    files: int
    """The number of files of these tables, including former versions, that contain such rows."""
    snapshots: tuple[RowsAfterErasure, ...] = ()
    """The affected rows that models were trained or evaluated on."""
    versions: tuple[int, ...] = ()
    """The versions of those models."""
    unique: dict[str, int] = field(default_factory=dict)
    """For each feature, the number of its values that occur in no other row: models may have memorized them."""
    unmatched: dict[str, int] = field(default_factory=dict)
    """For each table, the number of its files, including former versions, that lack a column of the key, so that their
    rows cannot be matched."""
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For each column of the key, salted hashes of its values, by which the erasure can be repeated after a restore."""

    @property
    def rows(self) -> int:
        """The number of erased rows."""
        return sum(self.tables.values())


def parse_keys(definition: Project, texts: Iterable[str]) -> Keys:
    """Parses the values of `--key`.

    Args:
        definition: The project.
        texts: `VALUE` if the key is one column, else `COLUMN=VALUE`. Values of one column are alternatives; if several
            columns are named, a row must match all of them.

    Returns:
        The columns and their values.

    Raises:
        ProjectError: If the project has no key, or a text names no key column.
    """
    require_key(definition, "rows to erase cannot be identified")
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, value = _pair(definition, text)
        found[name] = (*found.get(name, ()), value)
    if not found:
        raise ProjectError("no key is given: name the rows to erase, such as --key C17")
    return {name: tuple(sorted(set(values))) for name, values in sorted(found.items())}


def cast_values(texts: Iterable[str], kind: pa.DataType) -> pa.Array:
    """Casts values to a column's type.

    Args:
        texts: The values as text.
        kind: The column's type.

    Returns:
        The values that the column can hold.
    """
    values = pa.table({"value": pa.array(list(texts), pa.string())})
    fitted, _ = cast_table(values, pa.schema([pa.field("value", kind)]))
    return fitted["value"].combine_chunks().drop_null()


def matches_key(rows: pa.Table, keys: Keys, columns: Mapping[str, Iterable[str]]) -> npt.NDArray[np.bool_]:
    """Marks the rows that match the keys.

    Args:
        rows: Rows of any table.
        keys: The keys to match.
        columns: For each key column, the columns of these rows that may hold it.

    Returns:
        A boolean mask over the rows.
    """
    mask = np.ones(rows.num_rows, np.bool_)
    for name, texts in keys.items():
        here = np.zeros(rows.num_rows, np.bool_)
        for column in columns[name]:
            cells = rows[column].cast(pa.string()) if _is_text(rows[column].type) else rows[column]
            if family_of(cells.type) not in ("nothing", "unknown") and not pa.types.is_binary(cells.type):
                here |= np.asarray(pc.is_in(cells, value_set=cast_values(texts, cells.type)), np.bool_)
        mask &= here
    return mask


def _pair(definition: Project, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and name in definition.key:
        return name, value
    if len(definition.key) == 1:
        return definition.key[0], text
    raise ProjectError(  # the text itself may identify a person
        f"the key of {definition.name} has {len(definition.key)} columns: write --key COLUMN=VALUE, where COLUMN is "
        f"one of {', '.join(definition.key)}"
    )


def _is_text(kind: pa.DataType) -> bool:
    return family_of(kind) == "text" and not pa.types.is_binary(kind)
