"""How the columns of a batch differ from the table's, said by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import pyarrow as pa

from refit.data.families import family_of
from refit.project import Project

ALIKE = 0.6
"""How alike two names must be, from 0 to 1 as `difflib` counts, for the one to be taken for the other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a batch's columns are not the table's."""

    kind: Literal["renamed", "missing", "added", "retyped"]
    column: str
    """The table's name of the column; the batch's where it is added."""
    sentence: str
    """What happened and what to do, without capital and full stop so that several can be joined."""


def differences(expected: pa.Schema, found: pa.Schema, definition: Project) -> tuple[Difference, ...]:
    """Explains how a batch's columns differ from the table's.

    What `conform` decides cell by cell is no difference here: text or nothing where anything else is expected,
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
    renamed = _renames(missing, added)
    return (
        *(_renamed(old, new, definition) for old, new in renamed.items()),
        *(_twice(name) for name, count in Counter(found.names).items() if count > 1),
        *(_missing(field.name, definition) for field in missing if field.name not in renamed),
        *(_added(field.name) for field in added if field.name not in renamed.values()),
        *_retyped(expected, found, definition),
    )


def unfit_names(found: pa.Schema) -> Iterator[str]:
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


def named(column: str, definition: Project) -> str:
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


def _renames(missing: list[pa.Field], added: list[pa.Field]) -> dict[str, str]:
    """Pairs missing columns with added ones of their family, the most alike first, each once."""
    pairs = [
        (_likeness(old.name, new.name), old.name, new.name) for old in missing for new in added if _related(old, new)
    ]
    limit = 0 if len(missing) == len(added) == 1 else ALIKE
    renamed: dict[str, str] = {}
    for likeness, old, new in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness >= limit and old not in renamed and new not in renamed.values():
            renamed[old] = new
    return renamed


def _likeness(old: str, new: str) -> float:
    old, new = old.lower(), new.lower()
    return 1.0 if old in new or new in old else SequenceMatcher(None, old, new).ratio()


def _related(old: pa.Field, new: pa.Field) -> bool:
    return family_of(new.type) in (family_of(old.type), "nothing")


def _renamed(old: str, new: str, definition: Project) -> Difference:
    sentence = f"{named(old, definition)} seems to be called {new!r} now: rename it back in the load"
    return Difference("renamed", old, sentence)


def _missing(name: str, definition: Project) -> Difference:
    return Difference("missing", name, f"{named(name, definition)} is missing: let the load deliver it again")


def _added(name: str) -> Difference:
    fix = "leave it out in the load, or set contract.added_columns to 'ignore' or 'add'"
    return Difference("added", name, f"column {name!r} is new: {fix}")


def _twice(name: str) -> Difference:
    sentence = f"column {name!r} appears twice, as if another one were called so now: rename or leave out one of them"
    return Difference("renamed", name, sentence)


def _retyped(expected: pa.Schema, found: pa.Schema, definition: Project) -> list[Difference]:
    types = {field.name: field.type for field in expected}
    kept = [field for field in found if field.name in types]
    return [
        Difference("retyped", field.name, f"{named(field.name, definition)} {change}: turn it back in the load")
        for field in kept
        if (change := _change(types[field.name], field.type))
    ]


def _change(was: pa.DataType, now: pa.DataType) -> str:
    expected, found = family_of(was), family_of(now)
    if found in (expected, "nothing", "text"):
        return ""
    if expected == "time with a zone" and found == "time without a zone":
        return f"has lost its time zone ({was} was expected, {now} came)"
    return f"was a {expected} ({was}) and is of type {now} now"
