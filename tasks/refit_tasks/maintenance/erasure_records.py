"""Records of erasures: ledger entries, unfinished erasures, and the salted hashes of keys."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from refit.project import Project
from refit.records.ledger import Entry, as_payload, canonical_json
from refit.results.erasures import Erasure, Keys, cast_values
from refit.results.maintenance import Finding
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.record import record
from refit_tasks.maintenance.keyed_tables import read_key_schema


def hash_keys(project: str, keys: Keys) -> str:
    """Hashes keys so that nobody can try out which ones they are without a file that stays in `REFIT_HOME`.

    Args:
        project: The project's name.
        keys: Whose rows.

    Returns:
        64 hexadecimal digits, the same for the same keys.

    Raises:
        StateError: If the salt cannot be read or made.
    """
    said = canonical_json([project, {name: list(values) for name, values in keys.items()}])
    return hmac.new(_salt(), said.encode(), hashlib.sha256).hexdigest()


def hash_values(definition: Project, keys: Keys) -> dict[str, tuple[str, ...]]:
    """Hashes each value of keys, as `hash_keys` does with all, so that an erasure can be repeated after a restore.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        For each column of the key, the hashes of its values.

    Raises:
        StateError: If the salt cannot be read or made.
    """
    schema = read_key_schema(definition, keys)
    texts = {name: [_as_cell_text(value, schema.field(name).type) for value in values] for name, values in keys.items()}
    return {name: tuple(hash_value(definition.name, name, text) for text in found) for name, found in texts.items()}


def hash_value(project: str, column: str, text: str) -> str:
    """Hashes one value of a key column.

    Args:
        project: The project's name.
        column: The column.
        text: The value, as Arrow writes a cell of the column's type as text.

    Returns:
        64 hexadecimal digits.

    Raises:
        StateError: If the salt cannot be read or made.
    """
    return hmac.new(_salt(), canonical_json([project, column, text]).encode(), hashlib.sha256).hexdigest()


def require_salt() -> None:
    """Makes the salt unless there is one: a backup without it could not tell whose rows were erased later.

    Raises:
        StateError: If the salt cannot be read or made.
    """
    _salt()


def has_salt() -> bool:
    """Tells whether there is a salt, without which no recorded hash can be compared.

    Returns:
        Whether there is one.
    """
    return (_directory() / "salt").exists()


def _as_cell_text(value: str, kind: pa.DataType) -> str:
    fitted = cast_values([value], kind)
    return str(fitted.cast(pa.string())[0].as_py()) if len(fitted) else value


def begin_erasure(erasure: Erasure, project: str, facts: dict[str, Any], at: datetime) -> Entry:
    """Records an erasure before anything is erased, so that no row is ever missing without an entry that says why.

    One of the same keys that was killed is gone on with: its entry stands, and no second one is made.

    Args:
        erasure: What is going to be erased.
        project: The project's name.
        facts: Who asked for it, and why.
        at: When, UTC.

    Returns:
        The entry.
    """
    file = _file(project, erasure.key)
    if not file.exists():
        plan = {"once": secrets.token_hex(16), "at": at.isoformat(), "payload": {**as_payload(erasure), **facts}}
        _write_once(file, json.dumps(plan))
    plan = json.loads(file.read_text())
    return record(project, "erasure", plan["payload"], datetime.fromisoformat(plan["at"]), once=plan["once"])


def is_begun(project: str, key: str) -> bool:
    """Tells whether an erasure was begun and never ended.

    Args:
        project: The project's name.
        key: The hash of its keys.

    Returns:
        Whether there is one.
    """
    return _file(project, key).exists()


def end_erasure(project: str, key: str) -> None:
    """Forgets that an erasure is under way.

    Args:
        project: The project's name.
        key: The hash of its keys.
    """
    _file(project, key).unlink()


def find_unfinished(project: str | None) -> Iterator[Finding]:
    """Finds erasures that were killed; only who knows the key can go on with one.

    Args:
        project: Only this project's; all, if `None`.

    Yields:
        What was found.
    """
    for file in sorted(_directory().glob("*.json")):
        name, _, key = file.stem.rpartition("-")
        if project in (None, name):
            sentence = f"an erasure of rows of {name} was begun and not ended: run the same `refit forget {name}` again"
            yield Finding("erasure", f"{name} {key[:12]}", "left", sentence)


def _salt() -> bytes:
    file = Settings().home / "erasures" / "salt"
    if not file.exists():
        _write_once(file, secrets.token_hex(32))
    with translate_store_errors(str(file), "REFIT_HOME"):
        return file.read_bytes()


def _write_once(file: Path, text: str) -> None:
    """Writes a file for its owner's eyes only, whole or not at all; the first one of two stands."""
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        finally:
            draft.unlink()


def _file(project: str, key: str) -> Path:
    return _directory() / f"{project}-{key}.json"


def _directory() -> Path:
    return Settings().home / "erasures"
