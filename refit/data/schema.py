"""The schema of a project's table: made once from the first batch, then held against every later one.

`unify` makes it, `differences` compares columns with it, `conform` fits cells into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from refit.data.casting import conform
from refit.data.differences import Difference, differences, named, unfit_names
from refit.data.families import STORED, Family, family_of, value_type
from refit.errors import ContractViolation
from refit.project import Project

__all__ = ["CATEGORY", "Difference", "conform", "differences", "unfit_names", "unify"]

CATEGORY = {b"refit.dtype": b"category"}
"""The field metadata of a column that was a category in the first batch; it is stored as its plain values."""


def unify(schemas: Iterable[pa.Schema], definition: Project) -> pa.Schema:
    """Makes one table schema for all the pieces of a first batch.

    Whole numbers stay `int64` only where every piece has whole numbers. Text beside another family yields to it,
    since one bad cell turns a whole piece's column into text; `conform` then faults the cells that do not fit.
    A column without any value becomes text. Times keep microseconds.

    Args:
        schemas: One schema per piece, in the order of the load. The first one says which columns there are, and the
            later ones are held to it by the project's `added_columns` policy.
        definition: The project, for its roles and its policy.

    Returns:
        The table's schema, its columns in the order in which they first appear.

    Raises:
        ContractViolation: If a role has no column or one of an unfit type, if pieces have different columns, or if
            a column's types cannot become one or cannot be held by a table.
    """
    pieces = [schema for schema in schemas if schema.names]
    types = _types(pieces, widen=definition.contract.added_columns == "add")
    problems = [
        *_misnamed(pieces, definition),
        *(f"{named(name, definition)} is missing" for name in _required(definition) if name not in types),
        *(problem for name, kinds in types.items() if (problem := _unfit(name, kinds, definition))),
    ]
    if problems:
        sentences = "; ".join(dict.fromkeys(problems))
        raise ContractViolation(f"the rows of {definition.name!r} do not fit the project file: {sentences}")
    return pa.schema([_field(name, kinds, definition) for name, kinds in types.items()])


def _types(pieces: Sequence[pa.Schema], *, widen: bool) -> dict[str, list[pa.DataType]]:
    """Collects the types of each column over the pieces; of the first piece's columns only, unless `widen`."""
    names = [name for piece in (pieces if widen else pieces[:1]) for name in piece.names]
    return {
        name: [piece.field(i).type for piece in pieces for i in piece.get_all_field_indices(name)] for name in names
    }


def _required(definition: Project) -> list[str]:
    roles = [definition.timestamp, definition.target, *definition.key, *definition.pii, *(definition.features or ())]
    return list(dict.fromkeys(roles))


def _misnamed(pieces: Sequence[pa.Schema], definition: Project) -> list[str]:
    """Says which columns appear twice in a piece, and in which ones the pieces differ."""
    refused = (
        {"renamed", "missing", "added"} if definition.contract.added_columns == "refuse" else {"renamed", "missing"}
    )
    return [
        difference.sentence
        for piece in pieces
        for difference in differences(pieces[0], piece, definition)
        if difference.kind in refused
    ]


def _family(kinds: Iterable[pa.DataType]) -> set[Family]:
    """Gives the families of a column's types after text and nothing have yielded to the others."""
    families = {family_of(kind) for kind in kinds} - {"nothing"}
    return families - {"text"} or families or {"nothing"}


def _unfit(name: str, kinds: Sequence[pa.DataType], definition: Project) -> str:
    """Says why a column of these types cannot be stored or cannot have its role; nothing where it can."""
    families, subject = _family(kinds), f"{named(name, definition)} is {' and '.join(sorted({str(k) for k in kinds}))}"
    weak = {"text", "nothing"}
    if "unknown" in families:
        return f"{subject}, which a table cannot hold: turn it into numbers, texts or times, or leave it out"
    if len(families) > 1:
        return f"{subject} in different pieces: let the load give it one type"
    if name == definition.timestamp and families == {"time without a zone"}:
        return f"{subject} and has no time zone: give it one, for example with .dt.tz_localize('UTC')"
    if name == definition.timestamp and not families <= {"time with a zone", *weak}:
        return f"{subject} and so is no time: turn it into one, for example with pd.to_datetime(..., utc=True)"
    if name == definition.target and definition.kind == "regression" and not families <= {"number", *weak}:
        return f"{subject}, but regression needs numbers: convert it, or set kind='classification'"
    return ""


def _field(name: str, kinds: Sequence[pa.DataType], definition: Project) -> pa.Field:
    (family,) = _family(kinds)
    if name == definition.timestamp:
        family = "time with a zone"
    elif name == definition.target and definition.kind == "regression":
        family = "number"
    filled = [value_type(kind) for kind in kinds if family_of(kind) != "nothing"]
    whole = family == "number" and filled and all(pa.types.is_integer(kind) for kind in filled)
    category = any(pa.types.is_dictionary(kind) for kind in kinds)
    return pa.field(name, pa.int64() if whole else STORED[family], metadata=CATEGORY if category else None)
