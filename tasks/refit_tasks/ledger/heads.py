"""Heads of the ledger that are kept elsewhere, and their comparison with the ledger.

A head is the id and the hash of an entry. The hash covers all entries before it, so a head that the account of the
ledger's database cannot write shows that the newest entries were removed, or that the chain was written anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from refit.errors import LedgerBroken, StateError
from refit.records.ledger import GENESIS
from refit_tasks.ledger.archives import read_archives
from refit_tasks.ledger.database import ledger, reading

HEAD = "refit.ledger_head"
"""The tag of a version in MLflow with the newest ledger entry at its verdict or promotion: id, colon, hash."""


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """An entry that the ledger had at some time."""

    id: int
    """The entry's number."""
    hash: str
    """The entry's hash, 64 hexadecimal digits."""
    place: str
    """Where it is kept, for messages."""

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"


def find_head(place: str = "the ledger") -> LedgerHead | None:
    """Finds the newest entry.

    Args:
        place: Where the head is going to be kept.

    Returns:
        Its head; `None` if the ledger is empty.
    """
    with reading() as connection:
        newest = connection.execute(select(ledger.c.id, ledger.c.hash).order_by(ledger.c.id.desc()).limit(1)).first()
    return LedgerHead(newest.id, newest.hash, place) if newest else None


def parse_head(text: str, place: str) -> LedgerHead | None:
    """Parses the text of a head.

    Args:
        text: The id, a colon, and the hash.
        place: Where it is kept.

    Returns:
        The head; `None` if the text is none.
    """
    number, _, digest = text.strip().partition(":")
    return LedgerHead(int(number), digest, place) if number.isdecimal() and len(digest) == len(GENESIS) else None


def read_heads(file: Path) -> list[LedgerHead]:
    """Reads the heads of a file: an export of the ledger, or what `refit ledger verify --json` has printed.

    Args:
        file: The file.

    Returns:
        The heads, at least one.

    Raises:
        StateError: If it cannot be read, or has no head.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise StateError(f"{file} cannot be read: name a file that `refit ledger export` has written") from fault
    found = [head for line in lines if line.strip() for head in _read_line(line, str(file))]
    if not found:
        raise StateError(f"{file} has no entry of a ledger: name a file that `refit ledger export` has written")
    return found


def _read_line(line: str, place: str) -> Iterator[LedgerHead]:
    try:
        said: Any = json.loads(line)
    except ValueError as fault:
        raise StateError(f"{place} is no export of a ledger: name a file that `refit ledger export` wrote") from fault
    said = said.get("head", said) if isinstance(said, Mapping) else {}
    if isinstance(said, Mapping) and isinstance(said.get("id"), int) and isinstance(said.get("hash"), str):
        yield LedgerHead(said["id"], said["hash"], place)


def compare_heads(heads: Iterable[LedgerHead]) -> int:
    """Compares heads that are kept elsewhere with the ledger and its archives.

    Args:
        heads: The heads.

    Returns:
        The number of heads, which all agree.

    Raises:
        LedgerBroken: If the ledger does not have one of the entries, or has another one in its place.
    """
    wanted = sorted(heads, key=lambda head: head.id)
    with reading() as connection:
        hashes, newest = _read_hashes(connection, {head.id for head in wanted}), _read_newest_id(connection)
    for head in wanted:
        if head.id > newest:
            raise LedgerBroken(
                f"the ledger ends with entry {newest}, but {head.place} knows entry {head.id}: its newest entries were "
                f"removed; restore a backup that has them"
            )
        if hashes.get(head.id) != head.hash:
            raise LedgerBroken(
                f"entry {head.id} of the ledger is not the one that {head.place} knows: the ledger was written anew up "
                f"to there, or it is another ledger; compare an export, and restore a backup"
            )
    return len(wanted)


def _read_hashes(connection: Connection, numbers: set[int]) -> dict[int, str]:
    """Reads the hashes of entries, of the archives as well if some are older than the database's first."""
    rows = connection.execute(select(ledger.c.id, ledger.c.hash))
    found = {row.id: row.hash for row in rows if row.id in numbers}
    if numbers - set(found):
        archives = read_archives(connection)
        found |= {one.id: one.hash for entries in archives for one in entries if one.id in numbers}
    return found


def _read_newest_id(connection: Connection) -> int:
    return connection.execute(select(ledger.c.id).order_by(ledger.c.id.desc()).limit(1)).scalar_one_or_none() or 0
