"""Labels that have arrived are put into a project's table, by key, in one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.chunks import join
from refit.data.contract import Fault
from refit.data.split import span
from refit.errors import ProjectError
from refit.labels import Labels
from refit.project import Project
from refit.windows import Window
from refit_tasks.storage.delta import ROW_GROUP, read, schema_of, within, write
from refit_tasks.storage.staging import Pieces
from refit_tasks.validation.contract import contract_of, judge_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class Joined:
    """What some labels have changed in a table."""

    found: npt.NDArray[np.bool_]
    """Over the labels: whether the table holds their row."""
    arrived: int
    corrected: int
    version: int
    """The version of the table afterwards."""

    @property
    def unchanged(self) -> int:
        """How many labels were there already."""
        return int(self.found.sum()) - self.arrived - self.corrected

    @property
    def unknown(self) -> int:
        """How many labels are of rows that the table does not hold."""
        return int((~self.found).sum())


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows that would break the contract with their new labels."""

    rows: pa.Table
    """Rows of the table, labelled."""
    faults: list[Fault]


Refuse: TypeAlias = Callable[[Labels, list[Broken]], Labels]
"""Takes labels and those of their rows that break the contract; gives the labels that are left, or raises."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What the labels would change."""

    found: npt.NDArray[np.bool_]
    arrived: int
    corrected: int
    window: Window | None
    """The event times of the rows that change; `None` where none does."""


def require_key(definition: Project) -> None:
    """Insists on a key, by which labels find their rows.

    Args:
        definition: The project.

    Raises:
        ProjectError: If it has none.
    """
    if not definition.key:
        raise ProjectError(
            f"{definition.name} has no key, so nobody knows which row a label belongs to: name the columns of one in "
            f"the project file, as key=('id',)"
        )


def settle(definition: Project, table: DeltaTable, labels: Labels, area: Path, refuse: Refuse) -> tuple[Labels, Joined]:
    """Gives rows of a table their labels, in one commit; none if nothing changes.

    Args:
        definition: The project.
        table: Its table, just opened.
        labels: The labels.
        area: Scratch space.
        refuse: What becomes of labels that break the contract.

    Returns:
        The labels that were not refused, and what came of them.

    Raises:
        deltalake.exceptions.CommitFailedError: If somebody else has written since the table was opened.
    """
    change = _compare(definition, table, labels)
    if change.window is None:
        return labels, Joined(change.found, change.arrived, change.corrected, table.version())
    inside = within(definition.timestamp, change.window)
    staged = Pieces(area / f"labelled-{table.version()}-{labels.rows.num_rows}")
    for held in join(read(table, where=inside), ROW_GROUP):
        staged.add(labels.put(held))
    if broken := _broken(definition, table, labels, staged):
        return settle(definition, table, refuse(labels, broken), area, refuse)
    version = write(definition.name, table, staged, schema_of(table), inside)
    return labels, Joined(change.found, change.arrived, change.corrected, version)


def _compare(definition: Project, table: DeltaTable, labels: Labels) -> _Change:
    columns = list(dict.fromkeys([*definition.key, definition.target, definition.timestamp]))
    arrived, corrected, times = 0, 0, [np.empty(0, np.int64)]
    found = np.zeros(labels.rows.num_rows, np.bool_)
    for held in join(read(table, columns, _reach(definition, labels)), ROW_GROUP):
        at = labels.find(held)
        mine, at = held.filter(pa.array(at >= 0)), at[at >= 0]
        differ, without = labels.differ(mine, at), np.asarray(mine[definition.target].is_null())
        found[at] = True
        arrived += int((differ & without).sum())
        corrected += int((differ & ~without).sum())
        times.append(mine[definition.timestamp].cast(pa.int64()).to_numpy()[differ])
    changing = np.concatenate(times)
    return _Change(found, arrived, corrected, span(changing) if len(changing) else None)


def _reach(definition: Project, labels: Labels) -> str | None:
    """Narrows the search where the key says when: to the event times of the labels."""
    if definition.timestamp not in definition.key or not labels.rows.num_rows:
        return None
    times = labels.rows[definition.timestamp].cast(pa.int64()).to_numpy()
    return within(definition.timestamp, span(times))


def _broken(definition: Project, table: DeltaTable, labels: Labels, staged: Pieces) -> list[Broken]:
    """Judges the labels as an ingest would: by the critical rules about the target alone."""
    contract = contract_of(definition, schema_of(table), lambda: read(table))
    found = list[Broken]()
    for piece in staged:
        rows = piece.filter(pa.array(labels.find(piece) >= 0))
        faults = [one for one in judge_rows(contract, rows).faults if definition.target in one.column.split(",")]
        if faults:
            found.append(Broken(rows, faults))
    return found
