"""The schema of a project's table: made once from the first batch, then held against every later one.

`unify_schemas` makes it and `compare_schemas` compares a batch with it.

How the columns of a batch differ from the table's, said by name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import pyarrow as pa

from refit.data.casting import STORED_TYPES, Family, family_of, value_type
from refit.errors import ContractViolation
from refit.project import Project

CATEGORY = {b"refit.dtype": b"category"}
"""The field metadata of a column that was a category in the first batch; it is stored as its plain values."""


def unify_schemas(schemas: Iterable[pa.Schema], definition: Project) -> pa.Schema:
    """Makes one table schema for all the pieces of a first batch.

    Whole numbers stay `int64` only where every piece has whole numbers. Text beside another family yields to it,
    since one bad cell turns a whole piece's column into text; `cast_table` then faults the cells that do not fit.
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
        *_find_column_problems(pieces, definition),
        *(f"{describe_column(name, definition)} is missing" for name in _required(definition) if name not in types),
        *(problem for name, kinds in types.items() if (problem := _find_type_problem(name, kinds, definition))),
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


def _find_column_problems(pieces: Sequence[pa.Schema], definition: Project) -> list[str]:
    """Says which columns appear twice in a piece, and in which ones the pieces differ."""
    refused = (
        {"renamed", "missing", "added"} if definition.contract.added_columns == "refuse" else {"renamed", "missing"}
    )
    return [
        difference.sentence
        for piece in pieces
        for difference in compare_schemas(pieces[0], piece, definition)
        if difference.kind in refused
    ]


def _families(kinds: Iterable[pa.DataType]) -> set[Family]:
    """Gives the families of a column's types after text and nothing have yielded to the others."""
    families = {family_of(kind) for kind in kinds} - {"nothing"}
    return families - {"text"} or families or {"nothing"}


def _find_type_problem(name: str, kinds: Sequence[pa.DataType], definition: Project) -> str:
    """Says why a column of these types cannot be stored or cannot have its role; nothing where it can."""
    families, subject = (
        _families(kinds),
        f"{describe_column(name, definition)} is {' and '.join(sorted({str(k) for k in kinds}))}",
    )
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
    (family,) = _families(kinds)
    if name == definition.timestamp:
        family = "time with a zone"
    elif name == definition.target and definition.kind == "regression":
        family = "number"
    filled = [value_type(kind) for kind in kinds if family_of(kind) != "nothing"]
    whole = family == "number" and filled and all(pa.types.is_integer(kind) for kind in filled)
    category = any(pa.types.is_dictionary(kind) for kind in kinds)
    return pa.field(name, pa.int64() if whole else STORED_TYPES[family], metadata=CATEGORY if category else None)


RENAME_SIMILARITY = 0.6
"""How alike two names must be, from 0 to 1 as `difflib` counts, for the one to be taken for the other."""


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """One way in which a batch's columns are not the table's."""

    kind: Literal["renamed", "missing", "added", "retyped"]
    column: str
    """The table's name of the column; the batch's where it is added."""
    sentence: str
    """What happened and what to do, without capital and full stop so that several can be joined."""


def compare_schemas(expected: pa.Schema, found: pa.Schema, definition: Project) -> tuple[SchemaDifference, ...]:
    """Explains how a batch's columns differ from the table's.

    What `cast_table` decides cell by cell is no difference here: text or nothing where anything else is expected,
    whole numbers where others are, categories where texts are, another unit of time.

    Args:
        expected: The table's schema.
        found: The schema of the batch, or of a piece of it.
        definition: The project, for the roles of the columns.

    Returns:
        The differences, in the order renamed, missing, added, retyped; an added column is listed whatever the
        project's policy says about added columns.
    """
    missing = [field for field in expected if field.name not in found.names]
    added = [field for field in found if field.name not in expected.names]
    renamed = _pair_renamed(missing, added)
    return (
        *(_renamed(old, new, definition) for old, new in renamed.items()),
        *(_duplicated(name) for name, count in Counter(found.names).items() if count > 1),
        *(_missing(field.name, definition) for field in missing if field.name not in renamed),
        *(_added(field.name) for field in added if field.name not in renamed.values()),
        *_retyped(expected, found, definition),
    )


def find_invalid_names(found: pa.Schema) -> Iterator[str]:
    """Finds names that a table cannot tell apart or cannot use; storage does not mind the case of letters.

    Args:
        found: The schema of a piece.

    Yields:
        What is wrong with a column's name and what to do.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in found.names:
        alike[name.lower()].append(name)
    fix = "rename or leave out one of them in the load"
    for names in (names for names in alike.values() if len(names) > 1):
        different = sorted(set(names))
        if len(different) < len(names):
            twice = next(name for name in different if names.count(name) > 1)
            yield f"column {twice!r} appears twice: {fix}"
        else:
            yield f"columns {' and '.join(map(repr, different))} differ in the case of letters only: {fix}"
    for name in found.names:
        if not name or name.startswith("_refit_"):
            yield f"a column cannot be called {name!r}: rename it in the load"


def describe_column(column: str, definition: Project) -> str:
    """Names a column together with its role, for a sentence.

    Args:
        column: The column.
        definition: The project, for the roles.

    Returns:
        For example `column 'y' (the target)`.
    """
    roles = dict.fromkeys(definition.key, " (part of the key)")
    roles |= {definition.target: " (the target)", definition.timestamp: " (the timestamp)"}
    return f"column {column!r}{roles.get(column, '')}"


def _pair_renamed(missing: list[pa.Field], added: list[pa.Field]) -> dict[str, str]:
    """Pairs missing columns with added ones of their family, the most alike first, each once."""
    pairs = [
        (_similarity(old.name, new.name), old.name, new.name)
        for old in missing
        for new in added
        if _is_compatible(old, new)
    ]
    limit = 0 if len(missing) == len(added) == 1 else RENAME_SIMILARITY
    renamed: dict[str, str] = {}
    for likeness, old, new in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness >= limit and old not in renamed and new not in renamed.values():
            renamed[old] = new
    return renamed


def _similarity(old: str, new: str) -> float:
    old, new = old.lower(), new.lower()
    return 1.0 if old in new or new in old else SequenceMatcher(None, old, new).ratio()


def _is_compatible(old: pa.Field, new: pa.Field) -> bool:
    return family_of(new.type) in (family_of(old.type), "nothing")


def _renamed(old: str, new: str, definition: Project) -> SchemaDifference:
    sentence = f"{describe_column(old, definition)} seems to be called {new!r} now: rename it back in the load"
    return SchemaDifference("renamed", old, sentence)


def _missing(name: str, definition: Project) -> SchemaDifference:
    return SchemaDifference(
        "missing", name, f"{describe_column(name, definition)} is missing: let the load deliver it again"
    )


def _added(name: str) -> SchemaDifference:
    fix = "leave it out in the load, or set contract.added_columns to 'ignore' or 'add'"
    return SchemaDifference("added", name, f"column {name!r} is new: {fix}")


def _duplicated(name: str) -> SchemaDifference:
    sentence = f"column {name!r} appears twice, as if another one were called so now: rename or leave out one of them"
    return SchemaDifference("renamed", name, sentence)


def _retyped(expected: pa.Schema, found: pa.Schema, definition: Project) -> list[SchemaDifference]:
    types = {field.name: field.type for field in expected}
    kept = [field for field in found if field.name in types]
    return [
        SchemaDifference(
            "retyped", field.name, f"{describe_column(field.name, definition)} {change}: turn it back in the load"
        )
        for field in kept
        if (change := _describe_type_change(types[field.name], field.type))
    ]


def _describe_type_change(was: pa.DataType, now: pa.DataType) -> str:
    expected, found = family_of(was), family_of(now)
    if found in (expected, "nothing", "text"):
        return ""
    if expected == "time with a zone" and found == "time without a zone":
        return f"has lost its time zone ({was} was expected, {now} came)"
    return f"was a {expected} ({was}) and is of type {now} now"
