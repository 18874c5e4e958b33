"""The ledger's entries, the hash chain that links each to its predecessors, and their payloads as JSON."""

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
    "acceptance",
    "schema",
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
"""The kinds of ledger entries."""
GENESIS = "0" * 64
"""The previous hash of the first entry."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger; it is never changed."""

    id: int
    """The entry's number among all projects, from 1 without gaps."""
    project: str
    kind: EntryKind
    at: datetime
    """When the recorded event happened, UTC."""
    payload: dict[str, Any]
    """The record, as JSON values."""
    previous: str
    """The hash of the previous entry."""
    hash: str
    """Its own hash, from `chain_hash`."""
    once: str | None = None
    """An idempotency key: no two entries have the same one."""


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
    """Hashes an entry together with the hash of the previous entry.

    Args:
        previous: The hash of the previous entry, `GENESIS` for the first.
        project: The project's name.
        kind: The kind of the entry.
        at: When the recorded event happened; any time zone.
        payload: The record.
        once: The idempotency key.

    Returns:
        SHA-256 over the canonical JSON list of the six, or of the five if `once` is `None`; 64 hex digits.
    """
    hashed = [previous, project, kind, as_utc(at).isoformat(), payload, *([] if once is None else [once])]
    return hashlib.sha256(canonical_json(hashed).encode()).hexdigest()


def find_broken_entry(entries: Iterable[Entry], after: tuple[int, str] = (0, GENESIS)) -> int | None:
    """Checks the hash chain from its first entry.

    A changed, inserted or removed entry breaks it; entries removed at the end leave no trace in the chain itself.

    Args:
        entries: All entries, oldest first.
        after: The id and the hash of the entry before them, if older ones were archived.

    Returns:
        The id of the first entry that does not follow from its predecessors, `None` if the chain is intact.
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


def as_payload(value: object) -> Any:  # noqa: ANN401 - JSON values are of any type
    """Converts a value to JSON values that `from_payload` converts back.

    Args:
        value: A dataclass, a pydantic model, or a container of them.

    Returns:
        JSON values; NaN and the infinities become the texts `"NaN"`, `"Infinity"` and `"-Infinity"`.
    """
    return json.loads(to_json(value, inf_nan_mode="strings"))


def from_payload(kind: type[T], payload: object) -> T:
    """Converts the JSON values of `as_payload` back to a value.

    Args:
        kind: Its type.
        payload: The JSON values.

    Returns:
        A value equal to the original.

    Raises:
        StateError: If they are not such a value, for example because another version of Refit has written them.
    """
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # a class is hashable
    try:
        return adapter.validate_python(payload)
    except ValidationError as fault:
        mistake = fault.errors()[0]
        place = ".".join(map(str, mistake["loc"]))
        raise StateError(
            f"a ledger entry is not a valid {kind.__name__} ({place}: {mistake['msg']}): "
            f"read it with the version of Refit that wrote it, or start with another REFIT_HOME"
        ) from fault


def _hash(entry: Entry, once: str | None) -> str:
    return chain_hash(entry.previous, entry.project, entry.kind, entry.at, entry.payload, once)


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    # Building one takes milliseconds, and a decision may read hundreds of payloads.
    return TypeAdapter(kind)
