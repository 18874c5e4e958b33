"""API keys with names and rights, in a file that holds only their hashes and is read again when it changes.

A key has 256 random bits, so one SHA-256 protects it as well as a slow hash would protect a password.
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
"""How long a key that was removed from the file may still be accepted."""
LOOK, PREDICT, LABEL = "look", "predict", "label"
RIGHTS = (LOOK, PREDICT, LABEL)
"""The rights of a key: to read descriptions and metrics; to request predictions; to send labels, which models are
trained on."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_RIGHTS = "|".join(RIGHTS)
_LINE = re.compile(rf"({_NAME}) sha256:([0-9a-f]{{64}}) ((?:{_RIGHTS})(?:,(?:{_RIGHTS}))*)")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One line of the file."""

    name: str
    """The holder. Two keys may share a name, while one replaces the other."""
    digest: bytes
    """The SHA-256 of the key."""
    rights: frozenset[str]
    """Some of `RIGHTS`."""


class Keyring:
    """The API keys of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp, self._checked_at = _file_stamp(file), 0.0
        self._keys = read_keys(file)

    def find_key(self, secret: bytes, now: float) -> ApiKey | None:
        """Finds the key that a request was sent with, in a time that does not depend on whether there is one.

        Args:
            secret: The key as sent.
            now: Seconds of a monotonic clock.

        Returns:
            The line of the file; `None` for an unknown key.
        """
        if now - self._checked_at > RELOAD_SECONDS:
            self._checked_at = now
            self._reload()
        digest = sha256(secret).digest()
        found: ApiKey | None = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _reload(self) -> None:
        """Reads the file if it has changed. After a typo in it the previous keys stay valid, to lock nobody out."""
        stamp = _file_stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._file)
        except StateError as fault:
            log.error("the API keys cannot be reloaded, so the previous ones stay valid: %s", fault)  # noqa: TRY400
            return
        log.warning("the API keys were reloaded: the file has %d", len(self._keys))


def read_keys(file: Path) -> tuple[ApiKey, ...]:
    """Reads a file of API keys.

    Args:
        file: Lines `NAME sha256:HEX RIGHT,RIGHT`. Empty lines, and those that begin with `#`, are ignored.

    Returns:
        The keys.

    Raises:
        StateError: If the file cannot be read, is writable by everybody, or has a line that is not a key.
    """
    with translate_store_errors(str(file), "--keys"):
        text, is_open = file.read_text(errors="replace"), file.stat().st_mode & S_IWOTH
    if is_open:
        raise StateError(f"{file} is writable by everybody, who could add API keys: run `chmod o-w {file}`")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return tuple(_parse_line(file, number, line) for number, line in lines if line and not line.startswith("#"))


def add_key(file: Path, name: str, rights: Iterable[str] = RIGHTS) -> str:
    """Makes an API key and appends its hash to the file.

    Args:
        file: The file of keys; created with mode 600 if it does not exist.
        name: The holder of the key.
        rights: Some of `RIGHTS`.

    Returns:
        The key, which is stored nowhere.

    Raises:
        StateError: If the name is not valid, or the file cannot be written or is not a file of keys.
    """
    if not re.fullmatch(_NAME, name):
        raise StateError(
            f"{name[:80]!r} is not a valid name of a key: use at most 63 letters, digits, dots, dashes and underscores"
        )
    key = f"refit-{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{sha256(key.encode()).hexdigest()} {','.join(rights)}\n"
    with (
        translate_store_errors(str(file), "--keys"),
        fdopen(open_file(file, O_CREAT | O_RDWR | O_APPEND, 0o600), "rb+") as content,
    ):
        read_keys(file)
        ends_in_newline = content.read()[-1:] in (b"", b"\n")
        content.write(("" if ends_in_newline else "\n").encode() + line.encode())
    return key


def _parse_line(file: Path, number: int, line: str) -> ApiKey:
    found = _LINE.fullmatch(line)
    if found is None:  # the line itself is not shown: it may hold a key
        raise StateError(
            f"line {number} of {file} is not an API key: remove it, and make a key with `refit serve-key NAME`"
        )
    return ApiKey(found[1], bytes.fromhex(found[2]), frozenset(found[3].split(",")))


def _file_stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None  # reading the file will report why
    return status.st_mtime_ns, status.st_size, status.st_ino
