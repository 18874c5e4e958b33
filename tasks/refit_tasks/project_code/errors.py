"""Says in one sentence what code that is not ours, a project file's, has raised, and where."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from refit.errors import LoadFailed, RefitError, describe_error


def describe_project_error(error: BaseException, file: Path | None, pii: Collection[str] = ()) -> str:
    """Names the line of a project file that an error came from, and the error.

    Args:
        error: What was raised.
        file: The project file; `None` for a project that was not read from one.
        pii: The columns of the project that identify a person: where there are any, foreign messages are not shown.

    Returns:
        Such as `projects/bikes.py, line 12: KeyError: 'docks'`; of several lines the innermost, without a full stop.
    """
    from refit.data.rejected_rows import describe_masked_error

    line, what = _line(error, file), describe_masked_error(pii, error) if pii and _is_foreign(error) else _what(error)
    if file and str(file) in what:
        return what
    return f"{file or 'the project'}{f', line {line}' if line else ''}: {what}"


def _is_foreign(error: BaseException) -> bool:
    """Tells whether an error's words are somebody else's, or repeat somebody else's."""
    return not isinstance(error, RefitError) or (isinstance(error, LoadFailed) and error.__cause__ is not None)


def _line(error: BaseException, file: Path | None) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else None


def _what(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        faults = (f"{'.'.join(map(str, fault['loc'])) or error.title}: {fault['msg']}" for fault in error.errors())
        return f"{error.title} is not valid ({'; '.join(faults)})"
    # The file and the line are named elsewhere.
    return describe_error(type(error)(error.msg) if isinstance(error, SyntaxError) else error).rstrip(". ")
