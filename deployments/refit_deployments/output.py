"""The output of a command: lines for people or one JSON object, and one sentence for an error.

How an exception becomes one sentence that names the fix.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from refit.errors import MAX_CHARACTERS, describe_error
from refit_deployments.local_instance import use_running_server
from refit_deployments.progress import Progress
from refit_infra.json_logging import format_error, is_json_format
from refit_infra.settings import Settings, apply_environment

SAFE_PATH = "PYTHONSAFEPATH"
"""If set, a child process imports nothing from its working directory, which may contain a user's `queue.py`."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command, for programs and for people."""

    facts: dict[str, Any]
    """JSON values, printed with `--json`."""
    lines: list[str] = field(default_factory=list)
    """The lines printed without `--json`."""
    exit_code: int = 0


class Output:
    """The output of one command, as lines or as JSON."""

    def __init__(self, as_json: bool, write: Callable[[str], None], progress: Progress, *, prefect: bool) -> None:
        self._as_json = as_json
        self._write = write
        self._progress = progress
        self._prefect = prefect

    def show_result(self, result: Result) -> None:
        """Prints a result, and ends the command if its exit code is not 0.

        Args:
            result: The result of the command.

        Raises:
            SystemExit: If the result has an exit code.
        """
        self._progress.stop()
        self._write(json.dumps(result.facts, allow_nan=False) if self._as_json else "\n".join(result.lines))
        if result.exit_code:
            raise SystemExit(result.exit_code)

    def show_message(self, text: str) -> None:
        """Prints a line beside the result; with `--json` nothing is printed.

        Args:
            text: One line.
        """
        self._progress.stop()
        if not self._as_json:
            self._write(text)

    def show_progress(self, step: str) -> None:
        """Shows progress again, after a result that did not end the command.

        Args:
            step: The current step, in a few words.
        """
        self._progress.start(step, prefect=self._prefect)

    def show_error(self, error: BaseException) -> None:
        """Prints an error as one sentence.

        Args:
            error: The exception that the command raised.
        """
        self._progress.stop()
        sentence = describe_failure(error)
        if self._as_json:
            self._write(json.dumps({"error": sentence, "kind": type(error).__name__}))
        sys.stderr.write(f"{format_error(sentence) if is_json_format() else f'refit: {sentence}'}\n")


@contextmanager
def command_output(as_json: bool, debug: bool, step: str = "", *, prefect: bool = True) -> Iterator[Output]:
    """Prepares the environment of a command, and turns its exceptions into sentences.

    What the command needs is imported inside the block, after the environment is set.

    Args:
        as_json: Whether to print one JSON object and nothing else.
        debug: Whether an exception shows its traceback.
        step: The first step, for a command that may take seconds; it is shown at once.
        prefect: Whether the command uses Prefect, whose logging is then set up before the first step.

    Yields:
        The output.

    Raises:
        SystemExit: With code 1 after an exception, unless `debug` lets it pass.
    """
    progress = Progress()
    with _standard_output(as_json) as write:
        output = Output(as_json, write, progress, prefect=prefect)
        try:
            apply_environment(Settings())
            os.environ.setdefault(SAFE_PATH, "1")
            use_running_server()
            if step:
                progress.start(step, prefect=prefect)
            yield output
        except (Exception, KeyboardInterrupt) as error:
            output.show_error(error)
            if debug:
                raise
            raise SystemExit(1) from None
        finally:
            progress.stop()


@contextmanager
def _standard_output(alone: bool) -> Iterator[Callable[[str], None]]:
    """Gives the writer of standard output; with `alone`, everything else written there goes to standard error.

    The prints of a project file or a library must not mix with the one JSON object.
    """
    if sys.stdout is None:  # closed by the caller: the next file that is opened must not take its place
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stdout.flush()
    kept = os.dup(1)

    def write(text: str) -> None:
        try:
            sys.stdout.flush()
            with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
        except OSError as error:
            _redirect_to_null(1, kept)
            sys.stderr.write(f"refit: the command has ended, but its result cannot be written ({error.strerror})\n")
            raise SystemExit(1) from None

    try:
        if alone:
            os.dup2(2, 1)
        yield write
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _redirect_to_null(*descriptors: int) -> None:
    """Discards what is still buffered for these descriptors, so that no later flush fails."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


_DISK_FULL = ("No space left on device", "database or disk is full")
"""The messages of engines that report a full disk by an exception of their own."""

_PARAMETER_ERROR = "ParameterTypeError"
"""Prefect's exception for a flow parameter outside its limits; by name, since importing it takes seconds."""

_STATUS_ERROR = "PrefectHTTPStatusError"
"""Prefect's exception for a refused request; status 401 is about the password."""

_MLFLOW_SCHEMA = "Detected out-of-date database schema"
"""MLflow's message for a database of another version; it has no exception of its own."""
_REPORT = "run it again with --debug, and report the traceback"
_MISTAKES = (LookupError, ArithmeticError, TypeError, ValueError, AttributeError, AssertionError)
"""Exceptions that no state of a disk, a network or a service explains."""
_MLFLOW_SERVER = "its operator has to back it up and run `mlflow db upgrade`"


def describe_failure(error: BaseException) -> str:
    """Describes in one sentence what went wrong and how to fix it.

    Args:
        error: The exception that a command raised.

    Returns:
        The sentence; for an unknown exception its message, and how to see the traceback.
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted: run the same command again to continue"
    for cause in _causes(error):
        if known := _describe_known(cause):
            return " ".join(known.split())
    if isinstance(error, _MISTAKES):
        return _describe_mistake(error)
    return f"{describe_error(error)} (--debug shows the traceback)"


def _describe_mistake(error: BaseException) -> str:
    """Describes an error of Refit's own code or of a library that it calls, with the place in Refit, for a report."""
    said = " ".join(str(error).split())[:MAX_CHARACTERS]
    reason = f"there is no {said}" if isinstance(error, LookupError) else said or "no reason is given"
    frames = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(module, line) for module, line in frames if module.startswith("refit") and module != __name__]
    place = f" in {own[-1][0]}, line {own[-1][1]}" if own else ""
    return f"Refit has met an error that it does not expect{place} ({reason}): {_REPORT}"


def _describe_known(cause: BaseException) -> str | None:
    from refit.errors import RefitError

    if isinstance(cause, ValidationError) and cause.title == Settings.__name__:
        return _describe_setting(cause)
    if isinstance(cause, RefitError):
        return str(cause)
    return _describe_library_error(cause)


def _describe_library_error(cause: BaseException) -> str | None:
    from refit_tasks.errors import describe_store_fault

    if type(cause).__name__ == _PARAMETER_ERROR:
        return f"a parameter is not valid: {str(cause).partition(':')[2].strip().removeprefix('- ')}"
    if type(cause).__name__ == _STATUS_ERROR and "'401 Unauthorized'" in str(cause):
        return "the Prefect server rejects the password: set PREFECT_API_AUTH_STRING to its NAME:PASSWORD"
    if _MLFLOW_SCHEMA in str(cause):
        return f"the MLflow database is of another MLflow version: {_mlflow_upgrade()}"
    if any(words in str(cause) for words in _DISK_FULL):
        return "REFIT_HOME has no space left: free some on its disk and run again"
    fault = describe_store_fault(cause, "REFIT_HOME")
    return f"{getattr(cause, 'filename', None) or 'REFIT_HOME'} {fault}" if fault else None


def _describe_setting(fault: ValidationError) -> str:
    """Describes the first wrong environment variable, without its value, which may hold a password."""
    first = fault.errors(include_input=False, include_url=False)[0]
    name, said = str(first["loc"][0]), first["msg"]
    if said.startswith("Value error, "):
        return said.removeprefix("Value error, ")
    variable = name if name.isupper() else f"REFIT_{name.upper()}"
    return f"{variable} is not valid ({said[:1].lower()}{said[1:]}): correct it, or remove it from the environment"


def _mlflow_upgrade() -> str:
    database = Settings().mlflow_database
    if not database:
        return _MLFLOW_SERVER
    return f"install that version, or run `refit backup DIRECTORY`, then `mlflow db upgrade sqlite:///{database}`"


def _causes(error: BaseException) -> list[BaseException]:
    """Lists the exception and its causes, the outermost first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain
