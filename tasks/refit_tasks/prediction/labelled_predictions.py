"""What two versions said of rows that their key tells, read from the table of predictions in bounded memory.

The labels that have come for rows with given keys, from the project's table.
"""

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
"""Of more keys, those whose hashes are smallest stand for all: the same ones of either version, and twice as many
answers at most."""
PREDICTION_COLUMNS = ("prediction", "score", "scores", "classes")
CONTEXT_COLUMNS = ("version", "role", "source", "scored_at", "event_time")


@dataclass(frozen=True, slots=True)
class LoggedPredictions:
    """Answers to rows with a key."""

    keys: Identities
    rows: pa.Table
    """What was said, by whom and when."""
    named: pa.Schema
    """The columns of the key in the types in which the predictions' table holds them."""
    looked_at: float = 1.0
    """The share of all keys that these are."""

    def of(self, mask: pa.ChunkedArray) -> LoggedPredictions:
        """Picks answers; of several to one key the newest.

        Args:
            mask: Over the rows.

        Returns:
            Those, each key once, sorted by it.
        """
        at = np.flatnonzero(np.asarray(mask))
        moments = self.rows["scored_at"].cast(pa.int64()).to_numpy()[at]
        order = at[np.lexsort((moments, self.keys[at]))]
        keys = self.keys[order]
        newest = order[np.append(keys[1:] != keys[:-1], np.ones(min(1, len(keys)), bool))]
        return replace(self, keys=self.keys[newest], rows=self.rows.take(pa.array(newest)))


def read_logged_predictions(definition: Project, versions: Sequence[int], window: Window) -> LoggedPredictions | None:
    """Reads what some versions said.

    Args:
        definition: The project; it has a key.
        versions: Their numbers.
        window: When they said it.

    Returns:
        Their answers to rows whose key was sent; `None` where there are none.
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
    """Keeps the keys whose first 64 bits are a smaller number."""
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
    """Adds to answers what the project's table holds of their rows at its newest version.

    Args:
        definition: The project; it has a key.
        answers: What versions said.
        as_of: The instant looked from, UTC.

    Returns:
        The same answers. `happened_at` is the event time, missing where the table does not hold the row; `mature` says
        whether its label delay has passed; `truth` is its label, missing where it has not come or the row is not
        mature: a label that merely came early would tell its value.
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
    """Streams the key, the event time and the label; memory holds those of the rows asked for, and a piece."""
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
    """Tells for each row that is asked for where it was found, null where it was not."""
    found = np.full(count, -1)
    found[places] = np.arange(len(places))
    return pa.array(found, mask=found < 0)


def _event_time_filter(definition: Project, rows: pa.Table) -> str | None:
    """Narrows the search to the event times of the rows, where all of them are known."""
    times = rows["event_time"]
    if times.null_count or not len(times):
        return None
    return within(definition.timestamp, window_of(times.cast(pa.int64()).to_numpy()))
