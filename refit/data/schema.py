"""The schema of a project's table: derived from the first batch, then compared with every later one.

`unify_schemas` derives it and `compare_schemas` names the differences of a batch.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import pyarrow as pa

from refit.data.casting import STORED_TYPES, Family, family_of, former_family, is_whole, value_type
from refit.data.type_names import suggest_type
from refit.errors import ContractViolation
from refit.project import Project

CATEGORY = {b"refit.dtype": b"category"}
"""The field metadata of a column that was a category in the first batch; it is stored as its plain values."""
RENAME_SIMILARITY = 0.6
"""The similarity of two names, from 0 to 1 as `difflib` computes it, from which one is taken for a renaming of the
other."""


def unify_schemas(schemas: Iterable[pa.Schema], definition: Project) -> pa.Schema:
    """Derives the table's schema from all pieces of a first batch.

    A column is `int64` only if it holds whole numbers in every piece: integers, or decimals without decimal places.
    Text next to another family yields to it, since one bad cell turns a whole piece's column into text; `cast_table`
    then reports the cells that do not fit. A column without any value becomes a number. Times have microseconds.

    Args:
        schemas: One schema per piece, in the order of the load. The first one determines the columns; the later ones
            are compared with it under the project's `added_columns` policy.
        definition: The project, for its roles and its policy.

    Returns:
        The table's schema, with its columns in the order of their first appearance.

    Raises:
        ContractViolation: If a role has no column or one of an unsuitable type, if pieces have different columns, or if
            a column's types cannot be unified or cannot be stored.
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


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """One difference between a batch's columns and the table's."""

    kind: Literal["renamed", "missing", "added", "retyped"]
    column: str
    """The column's name in the table; in the batch if it is added."""
    sentence: str
    """The difference and its fix, without capital and full stop so that several can be joined."""


def compare_schemas(expected: pa.Schema, found: pa.Schema, definition: Project) -> tuple[SchemaDifference, ...]:
    """Compares a batch's columns with the table's.

    Differences that `cast_table` handles cell by cell are not listed: text or nothing in place of another family,
    integers in place of other numbers, categories in place of texts, another unit of time.

    Args:
        expected: The table's schema.
        found: The schema of the batch, or of a piece of it.
        definition: The project, for the roles of the columns.

    Returns:
        The differences, in the order renamed, missing, added, retyped; added columns are always listed, whatever the
        project's policy.
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
    """Finds column names that a table cannot distinguish or cannot use; storage ignores the case of letters.

    Args:
        found: The schema of a piece.

    Yields:
        The problem with a column's name and its fix.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in found.names:
        alike[name.lower()].append(name)
    fix = "rename or drop one of them in the load"
    for names in (names for names in alike.values() if len(names) > 1):
        different = sorted(set(names))
        if len(different) < len(names):
            twice = next(name for name in different if names.count(name) > 1)
            yield f"column {twice!r} appears twice: {fix}"
        else:
            yield f"columns {' and '.join(map(repr, different))} differ only in upper and lower case: {fix}"
    for name in found.names:
        if not name or name.startswith("_refit_"):
            yield f"a column cannot be named {name!r}: rename it in the load"


def describe_column(column: str, definition: Project) -> str:
    """Describes a column and its role for a sentence.

    Args:
        column: The column.
        definition: The project, for the roles.

    Returns:
        For example `column 'y' (the target)`.
    """
    roles = dict.fromkeys(definition.key, " (part of the key)")
    roles |= {definition.target: " (the target)", definition.timestamp: " (the timestamp)"}
    return f"column {column!r}{roles.get(column, '')}"


def _types(pieces: Sequence[pa.Schema], *, widen: bool) -> dict[str, list[pa.DataType]]:
    """Collects the types of each column over the pieces; only of the first piece's columns, unless `widen`."""
    names = [name for piece in (pieces if widen else pieces[:1]) for name in piece.names]
    return {
        name: [piece.field(i).type for piece in pieces for i in piece.get_all_field_indices(name)] for name in names
    }


def _required(definition: Project) -> list[str]:
    roles = [definition.timestamp, definition.target, *definition.key, *definition.pii, *(definition.features or ())]
    return list(dict.fromkeys(roles))


def _find_column_problems(pieces: Sequence[pa.Schema], definition: Project) -> list[str]:
    """Lists the duplicated columns of the pieces and the columns in which they differ."""
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
    """Returns the families of a column's types, without text and nothing if there are others."""
    families = {family_of(kind) for kind in kinds} - {"nothing"}
    return families - {"text"} or families or {"nothing"}


def _find_type_problem(name: str, kinds: Sequence[pa.DataType], definition: Project) -> str:
    """Explains why a column cannot be stored or cannot have its role; empty if it can."""
    families, subject = (
        _families(kinds),
        f"{describe_column(name, definition)} is {' and '.join(sorted({str(k) for k in kinds}))}",
    )
    weak = {"text", "nothing"}
    if "unknown" in families:
        return f"{subject}, which a table cannot store: convert it to numbers, texts or times, or drop it"
    if len(families) > 1:
        return f"{subject} in different pieces: return it with one type from the load"
    if name == definition.timestamp and families == {"time without a zone"}:
        return f"{subject} and has no time zone: add one, for example with .dt.tz_localize('UTC')"
    if name == definition.timestamp and not families <= {"time with a zone", *weak}:
        return f"{subject}, not a time: convert it, for example with pd.to_datetime(..., utc=True)"
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
    whole = family == "number" and filled and all(is_whole(kind) for kind in filled)
    category = any(pa.types.is_dictionary(kind) for kind in kinds)
    return pa.field(name, pa.int64() if whole else STORED_TYPES[family], metadata=CATEGORY if category else None)


def _pair_renamed(missing: list[pa.Field], added: list[pa.Field]) -> dict[str, str]:
    """Pairs missing columns with added ones of their family, the most similar first, each once."""
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
    sentence = f"{describe_column(old, definition)} seems to be renamed to {new!r}: rename it back in the load"
    return SchemaDifference("renamed", old, sentence)


def _missing(name: str, definition: Project) -> SchemaDifference:
    return SchemaDifference(
        "missing", name, f"{describe_column(name, definition)} is missing: return it from the load again"
    )


def _added(name: str) -> SchemaDifference:
    fix = "drop it in the load, or set contract.added_columns to 'ignore' or 'add'"
    return SchemaDifference("added", name, f"column {name!r} is new: {fix}")


def _duplicated(name: str) -> SchemaDifference:
    sentence = f"column {name!r} appears twice, perhaps because another one was renamed: rename or drop one of them"
    return SchemaDifference("renamed", name, sentence)


def _retyped(expected: pa.Schema, found: pa.Schema, definition: Project) -> list[SchemaDifference]:
    types = {field.name: field.type for field in expected}
    former = {field.name: former_family(field) for field in expected}
    kept = [field for field in found if field.name in types and family_of(field.type) != former[field.name]]
    return [
        SchemaDifference(
            "retyped",
            field.name,
            f"{describe_column(field.name, definition)} {change}: convert it back in the load"
            f"{_suggest_retyping(definition, field)}",
        )
        for field in kept
        if (change := _describe_type_change(types[field.name], field.type))
    ]


def _suggest_retyping(definition: Project, field: pa.Field) -> str:
    if field.name == definition.timestamp or family_of(field.type) == "unknown":
        return ""
    command = ["refit", "schema", definition.name, "set", field.name, suggest_type(field.type)]
    return f", or change the table with `{shlex.join(command)}`"


def _describe_type_change(was: pa.DataType, now: pa.DataType) -> str:
    expected, found = family_of(was), family_of(now)
    if found in (expected, "nothing", "text"):
        return ""
    if expected == "time with a zone" and found == "time without a zone":
        return f"has lost its time zone (expected {was}, got {now})"
    return f"was a {expected} ({was}) and has the type {now} now"
