"""Errors of project code as one sentence with file and line."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from refit.errors import LoadFailed, RefitError, describe_error


def describe_project_error(error: BaseException, file: Path | None, pii: Collection[str] = ()) -> str:
    """Describes an error and the line of the project file that it came from.

    Args:
        error: The error.
        file: The project file; `None` for a project that was not read from a file.
        pii: The columns that identify a person; if there are any, messages of foreign errors are masked.

    Returns:
        The sentence without a full stop, such as `projects/bikes.py, line 12: KeyError: 'docks'`. The line is the
        innermost one of the file.
    """
    from refit.data.rejected_rows import describe_masked_error

    line, what = _line(error, file), describe_masked_error(pii, error) if pii and _is_foreign(error) else _what(error)
    if file and str(file) in what:
        return what
    return f"{file or 'the project'}{f', line {line}' if line else ''}: {what}"


def _is_foreign(error: BaseException) -> bool:
    """Tells whether an error's message comes from other code than Refit, or quotes it."""
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
