"""Files that a person asked for: checked before the work, and written in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from refit.errors import StateError


def writable(file: Path, option: str) -> Path:
    """Finds out, before minutes of work, whether a file can be written.

    Args:
        file: Where somebody wants it.
        option: The option that names it.

    Returns:
        Its absolute path.

    Raises:
        StateError: If there is no such directory, or nothing may be written there.
    """
    file = file.expanduser().absolute()
    if file.is_dir():
        raise StateError(_complaint(file, "it is a directory", option))
    if not file.parent.is_dir():
        raise StateError(_complaint(file, f"there is no directory {file.parent}", option))
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise StateError(_complaint(file, "permission denied", option))
    return file


def save(content: bytes, file: Path, option: str) -> int:
    """Writes a file in one step, so that no reader ever finds half of it.

    Args:
        content: What it is to hold.
        file: Where to write it; a file that is there is replaced.
        option: The option that names another place.

    Returns:
        Its size in bytes.

    Raises:
        StateError: If it cannot be written there.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
            draft.write(content)
        _put(Path(draft.name), file)
    except OSError as error:
        raise StateError(_complaint(file, error.strerror or str(error), option)) from error
    return len(content)


def _put(draft: Path, file: Path) -> None:
    try:
        draft.chmod(0o644)
        draft.replace(file)
    except OSError:
        draft.unlink()
        raise


def _complaint(file: Path, reason: str, option: str) -> str:
    return f"{file} cannot be written ({reason}): give another place with `{option}`"
