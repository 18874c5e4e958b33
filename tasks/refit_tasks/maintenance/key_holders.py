"""The tables in which a project's keys stand, and how they stand in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.casting import conform
from refit.data.families import family_of
from refit.data.rejected_rows import decode
from refit.errors import ProjectError
from refit.inference.prediction_rows import KEY
from refit.project import Project
from refit.results.erasures import Keys, meant, values_of
from refit_tasks.ingestion.label_inbox import labels_of
from refit_tasks.ingestion.quarantine import quarantine_of
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.predictions_table import predictions_of

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Holder:
    """A table that may hold rows of somebody."""

    name: str
    needed: Callable[[list[str]], list[str]]
    """Of a file's columns, those that tell whose a row is."""
    meant: Callable[[pa.Table], Mask]
    """Which rows are meant; needs those columns alone."""


def holders_of(definition: Project, keys: Keys) -> list[Holder]:
    """Names the tables that may hold rows of somebody.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        The project's own table first, then quarantine, predictions and the inbox of labels, as far as they are there.

    Raises:
        ProjectError: If a value is none that a column of the key can hold.
    """
    fields = _fields(definition, keys)
    own = Holder(definition.name, lambda _: list(keys), lambda rows: meant(rows, keys, {name: [name] for name in keys}))
    texts = (quarantine_of(definition), labels_of(definition.name))
    inside = [Holder(name, lambda _: ["row"], lambda rows: _meant_inside(rows, keys, fields)) for name in texts]
    asked = Holder(
        predictions_of(definition.name),
        lambda names: [name for key in keys for name in _columns(key, names)],
        lambda rows: meant(rows, keys, {key: _columns(key, rows.column_names) for key in keys}),
    )
    return [one for one in (own, inside[0], asked, inside[1]) if open_table(one.name)]


def _fields(definition: Project, keys: Keys) -> pa.Schema:
    """Gives the columns of the key as the project's table has them."""
    table = open_table(definition.name)
    if table is None:
        return pa.schema([pa.field(name, pa.string()) for name in keys])
    fields = [schema_of(table).field(name) for name in keys]
    for field in fields:
        if len(values_of(keys[field.name], field.type)) < len(keys[field.name]):
            raise ProjectError(  # which one is not said: it may be what identifies somebody
                f"a value that was given for {field.name} is no {family_of(field.type)}, which that column holds: "
                f"correct it; a time is written as 2026-04-01T03:00+00:00"
            )
    return pa.schema(fields)


def _columns(key: str, names: list[str]) -> list[str]:
    """Names the columns of a table of predictions that hold a column of the key; there are more where types differ."""
    return [name for name in names if name == KEY + key or name.startswith(f"{KEY}{key}:")]


def _meant_inside(rows: pa.Table, keys: Keys, fields: pa.Schema) -> Mask:
    """Looks into rows that are kept as text: at their cells as they came, and as the table would have them."""
    mask = np.zeros(rows.num_rows, np.bool_)
    for places, raw in decode(rows["row"].to_pylist()):
        columns = {f"as it came {name}": raw[name] for name in keys if name in raw.column_names}
        fitted = conform(raw, fields)[0]
        both = pa.table({**columns, **{name: fitted[name] for name in keys}})
        of = {name: [one for one in (name, f"as it came {name}") if one in both.column_names] for name in keys}
        mask[places] = meant(both, keys, of)
    return mask
