"""The ledger's entries and the hash chain that ties each of them to all before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from refit.errors import StateError
from refit.windows import as_utc

EntryKind = Literal[
    "contract",
    "verdict",
    "promotion",
    "decision",
    "retrain",
    "rollback",
    "approval",
    "alias",
    "archive",
    "notice",
    "erasure",
]

GENESIS = "0" * 64
"""What stands for the hash before the first entry's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger; it is never changed."""

    id: int
    """Counts the entries of all projects, from 1 and without a gap."""
    project: str
    kind: EntryKind
    at: datetime
    """When what it records happened, UTC."""
    payload: dict[str, Any]
    """What it records, as JSON values."""
    previous: str
    """The hash of the entry before it."""
    hash: str
    """Its own hash, by `chain_hash`."""
    once: str | None = None
    """Names what must not be recorded twice."""


def canonical_json(value: object) -> str:
    """Writes JSON values in the one form that is stored and hashed.

    Args:
        value: JSON values.

    Returns:
        ASCII text with sorted keys and no spaces.

    Raises:
        ValueError: If a number is NaN or infinite; `as_payload` writes those as text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chain_hash(
    previous: str, project: str, kind: str, at: datetime, payload: dict[str, Any], once: str | None = None
) -> str:
    """Hashes an entry together with the hash of the entry before it.

    Args:
        previous: The hash of the entry before, `GENESIS` for the first.
        project: The project's name.
        kind: What the entry records.
        at: When that happened; any time zone.
        payload: The record itself.
        once: Names what must not be recorded twice.

    Returns:
        SHA-256 over the canonical JSON list of the six, or of the five where `once` is `None`; 64 hex digits.
    """
    hashed = [previous, project, kind, as_utc(at).isoformat(), payload, *([] if once is None else [once])]
    return hashlib.sha256(canonical_json(hashed).encode()).hexdigest()


def find_broken_entry(entries: Iterable[Entry], after: tuple[int, str] = (0, GENESIS)) -> int | None:
    """Follows the hash chain from its first entry.

    A changed, inserted or removed entry breaks it; entries cut off at the end leave no trace in the chain itself.

    Args:
        entries: All entries, oldest first.
        after: The id and the hash of the entry before them, where older ones were archived.

    Returns:
        The id of the first entry that does not follow from those before it, `None` where the chain holds.
    """
    (last, previous), unhashed = after, True
    for count, entry in enumerate(entries, start=last + 1):
        expected = _hash(entry, entry.once)
        # The hashes of the first ledgers did not cover `once`; no such entry follows one whose hash does.
        unhashed = unhashed and (entry.once is None or entry.hash != expected)
        if entry.hash != expected and unhashed:
            expected = _hash(entry, None)
        if (entry.id, entry.previous, entry.hash) != (count, previous, expected):
            return entry.id
        previous = entry.hash
    return None


def _hash(entry: Entry, once: str | None) -> str:
    return chain_hash(entry.previous, entry.project, entry.kind, entry.at, entry.payload, once)


def as_payload(value: object) -> Any:  # noqa: ANN401 - JSON values are of any type
    """Turns a value type into JSON values from which `from_payload` gives it back.

    Args:
        value: A dataclass, a pydantic model, or a container of such.

    Returns:
        JSON values; NaN and the infinities become the texts `"NaN"`, `"Infinity"` and `"-Infinity"`.
    """
    return json.loads(to_json(value, inf_nan_mode="strings"))


def from_payload(kind: type[T], payload: object) -> T:
    """Gives back a value that `as_payload` has turned into JSON values.

    Args:
        kind: Its type.
        payload: The JSON values.

    Returns:
        A value equal to the former one.

    Raises:
        StateError: If they are of no such value, as where another version of Refit has written them.
    """
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # a class is hashable
    try:
        return adapter.validate_python(payload)
    except ValidationError as fault:
        mistake = fault.errors()[0]
        place = ".".join(map(str, mistake["loc"]))
        raise StateError(
            f"an entry of the ledger holds no {kind.__name__} ({place}: {mistake['msg']}): "
            f"read it with the version of Refit that wrote it, or begin anew in another REFIT_HOME"
        ) from fault


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    # Building one takes milliseconds, and a storm of triggers reads hundreds of payloads.
    return TypeAdapter(kind)
