"""Labels that arrive separately from their rows: reading them, and joining them to the table by key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import cast_table
from refit.data.fingerprint import IdentityIndex, row_hashes, row_identities
from refit.data.rejected_rows import mask_value
from refit.errors import ContractViolation, DataError, suggest_name
from refit.inference.json_columns import parse_key_column
from refit.loads.csv_format import COMMAND_OPTIONS, MISSING_WORDS
from refit.project import Project


@dataclass(frozen=True, slots=True)
class Labelling:
    """The counts of one label join.

    `rows = arrived + corrected + unchanged + unknown + empty + repeated + refused`, always.
    """

    rows: int
    """Rows of the file, or labels in the inbox."""
    arrived: int
    """Labels of rows that had none."""
    corrected: int
    """Labels that replaced a different one."""
    unchanged: int
    """Labels that the table already held."""
    unknown: int
    """Labels whose key is not in the table."""
    empty: int
    """Rows without a label; they never erase one."""
    repeated: int
    """Exact repetitions of an earlier label of the file."""
    ignored: tuple[str, ...]
    """Columns of the file that are neither key nor target."""
    version: int
    """The version of the project's table afterwards."""
    refused: int = 0
    """Labels that break the contract, quarantined with their rows; a file that contains one is rejected as a whole."""

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit labels --json`."""
        return {**asdict(self), "ignored": list(self.ignored)}


class Labels:
    """Labels by key, each key once, in the column types of the table."""

    def __init__(self, rows: pa.Table, key: Sequence[str], target: str, pii: Collection[str] = ()) -> None:
        self.key, self.target, self._pii = list(key), target, pii
        filled = rows.filter(rows[target].is_valid())
        keys = row_identities(filled, self.key)
        _, first = np.unique(keys, return_index=True)
        self.rows = filled.take(pa.array(np.sort(first)))
        self.empty = rows.num_rows - filled.num_rows
        self.repeated = filled.num_rows - self.rows.num_rows
        self._index = IdentityIndex(row_identities(self.rows, self.key))
        self._require_one_label(filled, keys)

    def find(self, held: pa.Table) -> npt.NDArray[np.intp]:
        """Finds the label of each of the table's rows.

        Args:
            held: Rows of the table; the key columns are enough.

        Returns:
            Positions in `rows`, -1 for rows without a label.
        """
        return self._index.find(row_identities(held, self.key))

    def find_changed(self, held: pa.Table, at: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Marks the rows whose current label differs from the new one.

        Args:
            held: Rows of the table that have a new label.
            at: The positions of their labels, from `find`.

        Returns:
            A boolean mask over the rows.
        """
        mine = row_hashes(self.rows, [self.target])[:, 0]
        other: npt.NDArray[np.bool_] = row_hashes(held, [self.target])[:, 0] != mine[at]
        return other

    def fill_in(self, held: pa.Table) -> pa.Table:
        """Sets the labels of the table's rows.

        Args:
            held: Rows of the table.

        Returns:
            The same rows with their new labels; rows without a new label are unchanged.
        """
        at = self.find(held)
        found = self.rows[self.target].combine_chunks().take(pa.array(at, mask=at < 0))
        place = held.column_names.index(self.target)
        return held.set_column(place, held.schema.field(place), pc.coalesce(found, held[place].combine_chunks()))

    def _require_one_label(self, filled: pa.Table, keys: npt.NDArray[np.bytes_]) -> None:
        differing = np.flatnonzero(self.find_changed(filled, self._index.find(keys)))
        if len(differing):
            row = filled.slice(int(differing[0]), 1).to_pylist()[0]
            key = ", ".join(f"{name}={mask_value(self._pii, name, str(row[name]))}" for name in self.key)
            raise ContractViolation(
                f"the file has different labels for the same key ({key}; {len(differing):,} such rows): nothing was "
                f"changed; keep one label per key"
            )


def parse_labels(kinds: Mapping[str, str], cells: Mapping[str, Sequence[Any]], pii: Collection[str] = ()) -> pa.Table:
    """Parses labels from JSON columns.

    Args:
        kinds: The key columns and the target with their kinds, as `refit.inference.json_columns.kind_of` names them.
        cells: Column names to values.
        pii: The columns whose values are masked in messages.

    Returns:
        A table with these columns.

    Raises:
        DataError: If a value is missing or of the wrong kind, or one key has two different labels.
    """
    rows = pa.table({name: parse_key_column(kind, name, cells[name], pii) for name, kind in kinds.items()})
    for name in kinds:
        if rows[name].null_count:
            place = cells[name].index(None)
            raise DataError(f"column {name!r} is missing in label {place}: send only complete labels")
    *key, target = kinds
    try:
        Labels(rows, key, target, pii)
    except ContractViolation as fault:
        raise DataError(str(fault).replace("the file has", "there are", 1)) from fault
    return rows


def parse_label_file(
    definition: Project, file: str, rows: pa.Table, schema: pa.Schema
) -> tuple[Labels, tuple[str, ...]]:
    """Parses labels from a file's rows; every cell must fit the table's column exactly.

    Args:
        definition: The project; it has a key.
        file: The file's name, for messages.
        rows: All rows of the file.
        schema: The table's schema.

    Returns:
        The labels, and the ignored columns.

    Raises:
        ContractViolation: If a column is missing or duplicated, a key is missing, a cell has the wrong type, or one key
            has two different labels.
    """
    wanted = [*definition.key, definition.target]
    for name in wanted:
        _require_column(name, rows.column_names, file)
    narrow = pa.schema([schema.field(name) for name in wanted])
    fitting, faults = cast_table(rows.select(wanted), narrow)
    if faults:
        fault = faults[0]
        value = mask_value(definition.pii, fault.column, fault.value)
        raise ContractViolation(
            f"{file} has {value!r} in column {fault.column!r}, row {fault.row + 1}, but the table's type is "
            f"{narrow.field(fault.column).type} ({len(faults):,} such cells): nothing was changed; "
            f"{_find_fix(fault.value)}"
        )
    for name in definition.key:
        if fitting[name].null_count:
            raise ContractViolation(
                f"{file} has {fitting[name].null_count:,} rows without the key column {name!r}: nothing was changed; "
                f"fill it in for every label"
            )
    ignored = tuple(name for name in dict.fromkeys(rows.column_names) if name not in wanted)
    return Labels(fitting, definition.key, definition.target, definition.pii), ignored


def _find_fix(cell: str) -> str:
    if cell in MISSING_WORDS:
        return f"{COMMAND_OPTIONS.name('missing', cell)} if it means a missing cell, or correct the file"
    if cell.replace(",", "", 1).lstrip("+-").isdecimal() and "," in cell:
        return COMMAND_OPTIONS.name("decimal", ",")
    return "correct the file"


def _require_column(name: str, names: list[str], file: str) -> None:
    if names.count(name) > 1:
        raise ContractViolation(f"{file} has {names.count(name)} columns named {name!r}: keep one of them")
    if name not in names:
        raise ContractViolation(
            f"{file} has no column {name!r}, but the key and the target are required: {suggest_name(name, names)}"
        )
