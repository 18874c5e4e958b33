"""Logged predictions of some versions, joined by key with the labels of the project's table, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import STORED_TYPES, value_type
from refit.data.fingerprint import Identities, IdentityIndex, row_identities
from refit.data.split import to_microseconds, window_of
from refit.inference.prediction_rows import KEY_PREFIX
from refit.monitoring.label_maturity import mature_until
from refit.project import Project
from refit.windows import Window
from refit_tasks.storage.delta import open_table, read, schema_of, within
from refit_tasks.storage.predictions_table import predictions_of

if TYPE_CHECKING:
    from deltalake import DeltaTable


MAX_KEYS = 200_000
"""Above this many keys, a sample with the smallest hashes is used, the same for all versions. Memory holds at most
twice as many rows."""
PREDICTION_COLUMNS = ("prediction", "score", "scores", "classes")
CONTEXT_COLUMNS = ("version", "role", "source", "scored_at", "event_time")


@dataclass(frozen=True, slots=True)
class LoggedPredictions:
    """Predictions of rows with a key."""

    keys: Identities
    rows: pa.Table
    """The columns `PREDICTION_COLUMNS` and `CONTEXT_COLUMNS`."""
    named: pa.Schema
    """The key columns, in the types of the predictions table."""
    looked_at: float = 1.0
    """The share of all keys that were sampled, from 0 to 1."""

    def of(self, mask: pa.ChunkedArray) -> LoggedPredictions:
        """Selects predictions, the newest of each key.

        Args:
            mask: A boolean for each row.

        Returns:
            The selected predictions, each key once, sorted by key.
        """
        at = np.flatnonzero(np.asarray(mask))
        moments = self.rows["scored_at"].cast(pa.int64()).to_numpy()[at]
        order = at[np.lexsort((moments, self.keys[at]))]
        keys = self.keys[order]
        newest = order[np.append(keys[1:] != keys[:-1], np.ones(min(1, len(keys)), bool))]
        return replace(self, keys=self.keys[newest], rows=self.rows.take(pa.array(newest)))


def read_logged_predictions(definition: Project, versions: Sequence[int], window: Window) -> LoggedPredictions | None:
    """Reads the logged predictions of some versions.

    Args:
        definition: The project; it has a key.
        versions: The versions.
        window: The time of the predictions.

    Returns:
        The predictions of rows with a key; `None` if there are none.
    """
    table = open_table(predictions_of(definition.name))
    names = [KEY_PREFIX + name for name in definition.key]
    if table is None or not {*names, "prediction"} <= set(schema_of(table).names):
        return None
    columns = [name for name in (*names, *CONTEXT_COLUMNS, *PREDICTION_COLUMNS) if name in schema_of(table).names]
    days = f"scored_on >= '{window.start:%Y-%m-%d}' AND scored_on <= '{window.end:%Y-%m-%d}'"
    where = f"{days} AND version IN ({', '.join(map(str, versions))}) AND {within('scored_at', window)}"
    return _read_sample(definition, table, columns, where)


def _read_sample(definition: Project, table: DeltaTable, columns: list[str], where: str) -> LoggedPredictions | None:
    names, most = [KEY_PREFIX + name for name in definition.key], 2**64
    keys, parts = list[Identities](), list[pa.Table]()
    for part in read(table, columns, where):
        rows = part.filter(_is_complete(part, [*names, "prediction"]))
        found = row_identities(rows.select(names).rename_columns(list(definition.key)), definition.key)
        keys, parts = [*keys, found], [*parts, rows.drop_columns(names)]
        keys[-1:], parts[-1:] = _thin(keys[-1:], parts[-1:], most)
        while sum(map(len, keys)) > 2 * MAX_KEYS:
            most //= 2
            keys, parts = _thin(keys, parts, most)
    if not sum(map(len, keys)):
        return None
    held = schema_of(table)
    named = pa.schema([(name, held.field(KEY_PREFIX + name).type) for name in definition.key])
    return LoggedPredictions(np.concatenate(keys), pa.concat_tables(parts), named, most / 2**64)


def _thin(keys: list[Identities], parts: list[pa.Table], most: int) -> tuple[list[Identities], list[pa.Table]]:
    """Keeps the keys whose first 64 bits, as a number, are below `most`."""
    together = np.concatenate(keys)
    mask = together.view(np.uint64).reshape(-1, 2)[:, 0] <= np.uint64(most - 1)
    return [together[mask]], [pa.concat_tables(parts).filter(pa.array(mask))]


def _is_complete(part: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    mask = pc.is_valid(part[names[0]])
    for name in names[1:]:
        mask = pc.and_(mask, pc.is_valid(part[name]))
    return mask


INSTANT = STORED_TYPES["time with a zone"]


def join_labels(definition: Project, answers: LoggedPredictions, as_of: datetime) -> LoggedPredictions:
    """Joins predictions with the event times and labels of the project's table.

    Args:
        definition: The project; it has a key.
        answers: The predictions.
        as_of: The time of the comparison, UTC.

    Returns:
        The predictions with three more columns. `happened_at` is the event time, missing if the table does not hold the
        row; `mature` tells whether its label delay has passed; `truth` is its label, missing if it has not arrived or
        the row is not mature, since labels that arrive early are not a random sample.
    """
    known, back = np.unique(answers.keys, return_inverse=True)
    times, truth = _look_up(definition, IdentityIndex(known), len(known), answers)
    times, truth = times.take(pa.array(back)), truth.take(pa.array(back))
    until = pa.scalar(to_microseconds(mature_until(as_of, definition.label_delay)), pa.int64())
    mature = pc.fill_null(pc.less(times.cast(pa.int64()), until), fill_value=False)
    truth = pc.if_else(mature, truth, pa.scalar(None, truth.type))
    columns = {"happened_at": times, "mature": mature, "truth": truth}
    rows = answers.rows
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return replace(answers, rows=rows)


def _look_up(
    definition: Project, index: IdentityIndex, count: int, answers: LoggedPredictions
) -> tuple[pa.Array, pa.Array]:
    """Finds event time and label of each key. Memory holds those of the wanted rows, and a piece of the table."""
    table, kind = open_table(definition.name), answers.rows["prediction"].type
    places, times, labels = [np.empty(0, np.intp)], [pa.nulls(0, INSTANT)], [pa.nulls(0, kind)]
    columns = list(dict.fromkeys([*definition.key, definition.timestamp, definition.target]))
    for part in read(table, columns, _event_time_filter(definition, answers.rows)) if table else ():
        named = part.select(list(definition.key)).cast(answers.named)
        at = index.find(row_identities(named, definition.key))
        mine = part.filter(pa.array(at >= 0))
        places.append(at[at >= 0])
        times.append(mine[definition.timestamp].cast(INSTANT).combine_chunks())
        label = mine[definition.target]
        labels.append(label.cast(value_type(label.type)).cast(kind, safe=False).combine_chunks())
    place = _invert(np.concatenate(places), count)
    return pa.concat_arrays(times).take(place), pa.concat_arrays(labels).take(place)


def _invert(places: npt.NDArray[np.intp], count: int) -> pa.Array:
    """Gives the position where each wanted row was found, null where it was not."""
    found = np.full(count, -1)
    found[places] = np.arange(len(places))
    return pa.array(found, mask=found < 0)


def _event_time_filter(definition: Project, rows: pa.Table) -> str | None:
    """Restricts the search to the event times of the rows, if all of them are known."""
    times = rows["event_time"]
    if times.null_count or not len(times):
        return None
    return within(definition.timestamp, window_of(times.cast(pa.int64()).to_numpy()))
