"""Whose rows are to be erased, and what the ledger keeps of it: hashes, counts and references, and no cell of a row."""

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
"""From columns of a project's key to values as text: a row is meant that has one of them in each of these columns."""


@dataclass(frozen=True, slots=True)
class RowsAfterErasure:
    """Rows on record of which some were erased."""

    rows: SnapshotRef
    """The rows as they were recorded."""
    erased: int
    """How many of them went."""
    left: str
    """The fingerprint of those that are left."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one erasure takes away."""

    key: str
    """A hash of the keys, salted with what only this installation knows."""
    tables: dict[str, int]
    """From each table to the rows of its newest version that go."""
    files: int
    """How many files of these tables, former versions' included, hold such rows."""
    snapshots: tuple[RowsAfterErasure, ...] = ()
    """The rows that models were trained or judged on."""
    versions: tuple[int, ...] = ()
    """Those models' versions."""
    unique: dict[str, int] = field(default_factory=dict)
    """From features to how many of their values no other row has: models may know these by name."""

    @property
    def rows(self) -> int:
        """How many rows go."""
        return sum(self.tables.values())


def parse_keys(definition: Project, texts: Iterable[str]) -> Keys:
    """Reads what a person has written behind `--key`.

    Args:
        definition: The project.
        texts: `VALUE` where the key is one column, `COLUMN=VALUE` else. Values of one column are alternatives; where
            several columns are named, a row must fit all of them.

    Returns:
        The columns with their values.

    Raises:
        ProjectError: If the project has no key, or a text names no column of it.
    """
    require_key(definition, "whose a row is")
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, value = _pair(definition, text)
        found[name] = (*found.get(name, ()), value)
    if not found:
        raise ProjectError("no key is given: name whose rows are to go, as --key C17")
    return {name: tuple(sorted(set(values))) for name, values in sorted(found.items())}


def _pair(definition: Project, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and name in definition.key:
        return name, value
    if len(definition.key) == 1:
        return definition.key[0], text
    raise ProjectError(  # the text itself may be what identifies somebody
        f"the key of {definition.name} has {len(definition.key)} columns: write --key COLUMN=VALUE, where COLUMN is "
        f"one of {', '.join(definition.key)}"
    )


def cast_values(texts: Iterable[str], kind: pa.DataType) -> pa.Array:
    """Gives values as a column holds them.

    Args:
        texts: The values as text.
        kind: The column's type.

    Returns:
        Those that the column can hold.
    """
    given = pa.table({"value": pa.array(list(texts), pa.string())})
    fitted, _ = cast_table(given, pa.schema([pa.field("value", kind)]))
    return fitted["value"].combine_chunks().drop_null()


def matches_key(rows: pa.Table, keys: Keys, columns: Mapping[str, Iterable[str]]) -> npt.NDArray[np.bool_]:
    """Tells which rows are meant.

    Args:
        rows: Rows of some table.
        keys: Whose rows are meant.
        columns: From each column of the key to the columns of these rows that may hold it.

    Returns:
        A mask over the rows.
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


def _is_text(kind: pa.DataType) -> bool:
    return family_of(kind) == "text" and not pa.types.is_binary(kind)
