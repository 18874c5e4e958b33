"""Who may ask: keys with names. A file keeps the hashes alone, and is read again when it changes.

A key is 256 random bits, so that one SHA-256 keeps it as safe as a slow hash would keep a password.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from os import O_APPEND, O_CREAT, O_RDWR, fdopen
from os import open as open_file
from pathlib import Path
from stat import S_IWOTH

from refit.errors import StateError
from refit_tasks.errors import translate_store_errors

log = logging.getLogger(__name__)

RELOAD_SECONDS = 1.0
"""How long a key that was taken out of the file may still open the door."""

LOOK, PREDICT, LABEL = "look", "predict", "label"
RIGHTS = (LOOK, PREDICT, LABEL)
"""What a key may be for: descriptions and metrics; predictions; labels, which models will learn from."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_RIGHTS = "|".join(RIGHTS)
_LINE = re.compile(rf"({_NAME}) sha256:([0-9a-f]{{64}}) ((?:{_RIGHTS})(?:,(?:{_RIGHTS}))*)")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One line of the file."""

    name: str
    """Who holds it; two keys may have one name, while one of them takes the other's place."""
    digest: bytes
    """The SHA-256 of the key."""
    rights: frozenset[str]
    """Some of `RIGHTS`."""


class Keyring:
    """The keys of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp, self._looked = _file_stamp(file), 0.0
        self._keys = read_keys(file)

    def holder(self, key: bytes, now: float) -> ApiKey | None:
        """Finds out whose key somebody has sent; it takes as long for a wrong one.

        Args:
            key: The key.
            now: A clock that never goes back, in seconds.

        Returns:
            The line of the file; `None` if it is nobody's.
        """
        if now - self._looked > RELOAD_SECONDS:
            self._looked = now
            self._look()
        digest = sha256(key).digest()
        found: ApiKey | None = None
        for one in self._keys:
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found

    def _look(self) -> None:
        """Reads a file that has changed; one that cannot be read changes nothing, so that a slip locks nobody out."""
        stamp = _file_stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._file)
        except StateError as fault:
            log.error("the former keys stay: %s", fault)  # noqa: TRY400 - the sentence says all
            return
        log.warning("the keys were read again: there are %d", len(self._keys))


def read_keys(file: Path) -> tuple[ApiKey, ...]:
    """Reads the file.

    Args:
        file: Lines `NAME sha256:HEX RIGHT,RIGHT`; empty ones, and those that begin with `#`, are passed over.

    Returns:
        The keys.

    Raises:
        StateError: If it cannot be read, anybody may write to it, or a line is no key.
    """
    with translate_store_errors(str(file), "--keys"):
        text, anybody = file.read_text(errors="replace"), file.stat().st_mode & S_IWOTH
    if anybody:
        raise StateError(f"anybody may write to {file}, and so let anybody in: `chmod o-w {file}`")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return tuple(_parse_line(file, number, line) for number, line in lines if line and not line.startswith("#"))


def add_key(file: Path, name: str, rights: Iterable[str] = RIGHTS) -> str:
    """Makes a key and writes its hash to the file.

    Args:
        file: Where; made for its owner's eyes only if it is not there.
        name: Who will hold it.
        rights: What it will be for.

    Returns:
        The key, which is kept nowhere.

    Raises:
        StateError: If the name is none, or the file cannot be written or is not one of keys.
    """
    if not re.fullmatch(_NAME, name):
        raise StateError(f"{name[:80]!r} is no name of a key: use at most 63 letters, digits, dots, dashes")
    key = f"refit-{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{sha256(key.encode()).hexdigest()} {','.join(rights)}\n"
    with (
        translate_store_errors(str(file), "--keys"),
        fdopen(open_file(file, O_CREAT | O_RDWR | O_APPEND, 0o600), "rb+") as kept,
    ):
        read_keys(file)
        whole = kept.read()[-1:] in (b"", b"\n")
        kept.write(("" if whole else "\n").encode() + line.encode())
    return key


def _parse_line(file: Path, number: int, line: str) -> ApiKey:
    found = _LINE.fullmatch(line)
    if found is None:  # what stands there is not shown: it may be a key
        raise StateError(f"line {number} of {file} is no key: take it out, and `refit serve-key NAME` makes one")
    return ApiKey(found[1], bytes.fromhex(found[2]), frozenset(found[3].split(",")))


def _file_stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # reading it says why
    return found.st_mtime_ns, found.st_size, found.st_ino
