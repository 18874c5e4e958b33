"""The labels that have come for rows with given keys, from the project's table."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.families import STORED, value_type
from refit.data.fingerprint import Index, identities
from refit.data.split import microseconds, span
from refit.monitoring.label_maturity import mature_until
from refit.project import Project
from refit_tasks.prediction.labelled_predictions import Answered
from refit_tasks.storage.delta import open_table, read, within

INSTANT = STORED["time with a zone"]


def with_labels(definition: Project, answers: Answered, as_of: datetime) -> Answered:
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
    times, truth = _looked_up(definition, Index(known), len(known), answers)
    times, truth = times.take(pa.array(back)), truth.take(pa.array(back))
    until = pa.scalar(microseconds(mature_until(as_of, definition.label_delay)), pa.int64())
    mature = pc.fill_null(pc.less(times.cast(pa.int64()), until), fill_value=False)
    truth = pc.if_else(mature, truth, pa.scalar(None, truth.type))
    columns = {"happened_at": times, "mature": mature, "truth": truth}
    rows = answers.rows
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return replace(answers, rows=rows)


def _looked_up(definition: Project, index: Index, count: int, answers: Answered) -> tuple[pa.Array, pa.Array]:
    """Streams the key, the event time and the label; memory holds those of the rows asked for, and a piece."""
    table, kind = open_table(definition.name), answers.rows["prediction"].type
    places, times, labels = [np.empty(0, np.intp)], [pa.nulls(0, INSTANT)], [pa.nulls(0, kind)]
    columns = list(dict.fromkeys([*definition.key, definition.timestamp, definition.target]))
    for part in read(table, columns, _reach(definition, answers.rows)) if table else ():
        named = part.select(list(definition.key)).cast(answers.named)
        at = index.find(identities(named, definition.key))
        mine = part.filter(pa.array(at >= 0))
        places.append(at[at >= 0])
        times.append(mine[definition.timestamp].cast(INSTANT).combine_chunks())
        label = mine[definition.target]
        labels.append(label.cast(value_type(label.type)).cast(kind, safe=False).combine_chunks())
    place = _inverse(np.concatenate(places), count)
    return pa.concat_arrays(times).take(place), pa.concat_arrays(labels).take(place)


def _inverse(places: npt.NDArray[np.intp], count: int) -> pa.Array:
    """Tells for each row that is asked for where it was found, null where it was not."""
    found = np.full(count, -1)
    found[places] = np.arange(len(places))
    return pa.array(found, mask=found < 0)


def _reach(definition: Project, rows: pa.Table) -> str | None:
    """Narrows the search to the event times of the rows, where all of them are known."""
    times = rows["event_time"]
    if times.null_count or not len(times):
        return None
    return within(definition.timestamp, span(times.cast(pa.int64()).to_numpy()))
