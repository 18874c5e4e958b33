"""What a command prints: facts for people, or one JSON object; and one sentence for a fault.

How a fault becomes one sentence that names the fix.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from refit.errors import describe_error
from refit_deployments.local_instance import join
from refit_deployments.progress import Progress
from refit_infra.json_logging import format_error, is_json_format
from refit_infra.settings import Settings, apply_environment

SAFE_PATH = "PYTHONSAFEPATH"
"""Set, a child process imports nothing from the directory that it starts in, where a user's `queue.py` may lie."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: the same facts twice, for programs and for people."""

    facts: dict[str, Any]
    """JSON values; printed by `--json`."""
    lines: list[str] = field(default_factory=list)
    """What a person reads."""
    exit_code: int = 0


class Output:
    """Where a command shows its answer."""

    def __init__(self, as_json: bool, write: Callable[[str], None], progress: Progress) -> None:
        self._as_json = as_json
        self._write = write
        self._progress = progress

    def show(self, answer: Result) -> None:
        """Prints an answer, and ends the command with its exit code if that is not 0.

        Args:
            answer: What the command found.

        Raises:
            SystemExit: If the answer says so.
        """
        self._progress.stop()
        self._write(json.dumps(answer.facts, allow_nan=False) if self._as_json else "\n".join(answer.lines))
        if answer.exit_code:
            raise SystemExit(answer.exit_code)

    def say(self, text: str) -> None:
        """Tells a person something beside the answer; a program that reads JSON is told nothing.

        Args:
            text: One line.
        """
        self._progress.stop()
        if not self._as_json:
            self._write(text)

    def go_on(self, doing: str) -> None:
        """Shows progress again, after an answer that did not end the command.

        Args:
            doing: What it does now, in a few words.
        """
        self._progress.start(doing)

    def complain(self, fault: BaseException) -> None:
        """Says in one sentence what went wrong.

        Args:
            fault: What the command raised.
        """
        self._progress.stop()
        if self._as_json:
            self._write(json.dumps({"error": sentence(fault), "kind": type(fault).__name__}))
        sys.stderr.write(f"{format_error(sentence(fault)) if is_json_format() else f'refit: {sentence(fault)}'}\n")


@contextmanager
def command_output(as_json: bool, debug: bool, doing: str = "") -> Iterator[Output]:
    """Settles the environment around a command; what the command needs is imported inside the block.

    Args:
        as_json: Whether to print one JSON object and nothing else.
        debug: Whether a fault shows its traceback.
        doing: What the command does, where it may take seconds; shown at once.

    Yields:
        Where to show the answer.

    Raises:
        SystemExit: With code 1 after a fault, unless `debug` lets that pass.
    """
    progress = Progress()
    with _standard_output(as_json) as write:
        output = Output(as_json, write, progress)
        try:
            apply_environment(Settings())
            os.environ.setdefault(SAFE_PATH, "1")
            join()
            if doing:
                progress.start(doing)
            yield output
        except (Exception, KeyboardInterrupt) as fault:
            output.complain(fault)
            if debug:
                raise
            raise SystemExit(1) from None
        finally:
            progress.stop()


@contextmanager
def _standard_output(alone: bool) -> Iterator[Callable[[str], None]]:
    """Gives what writes to standard output; with `alone`, all else that is written there goes to standard error.

    A project's own prints and those of libraries must not stand beside the one JSON object.
    """
    if sys.stdout is None:  # closed by whoever started us: the next file that is opened must not become it
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stdout.flush()
    kept = os.dup(1)

    def write(text: str) -> None:
        try:
            sys.stdout.flush()
            with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
        except OSError as error:
            _discard(1, kept)
            sys.stderr.write(f"refit: the command has ended, but its answer could not be written ({error.strerror})\n")
            raise SystemExit(1) from None

    try:
        if alone:
            os.dup2(2, 1)
        yield write
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _discard(*descriptors: int) -> None:
    """Lets what is still to be written there vanish, so that no flush fails over it later."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


_FULL = ("No space left on device", "database or disk is full")
"""How engines that have errors of their own report a full disk."""

_REFUSED = "ParameterTypeError"
"""What Prefect raises where a flow is called with a value outside its limits; named, since its import takes seconds."""

_UNKNOWN_HERE = "PrefectHTTPStatusError"
"""What Prefect raises where its server refuses; a 401 is about the password."""

_OTHER_MLFLOW = "Detected out-of-date database schema"
"""How MLflow reports a database of another version; it has no error of its own for that."""
_THEIRS = "whoever runs the server has to back it up and to run `mlflow db upgrade`"


def sentence(fault: BaseException) -> str:
    """Says what went wrong and what to do about it.

    Args:
        fault: What a command raised.

    Returns:
        One sentence; for what nobody foresaw, the type and the message, and how to see the traceback.
    """
    if isinstance(fault, KeyboardInterrupt):
        return "stopped by you: run the same command again to go on"
    for cause in _causes(fault):
        if known := _known(cause):
            return " ".join(known.split())
    return f"{describe_error(fault)} (--debug shows where)"


def _known(cause: BaseException) -> str | None:
    from refit.errors import RefitError
    from refit_infra.settings import Settings
    from refit_tasks.errors import fault_of

    if isinstance(cause, RefitError):
        return str(cause)
    if type(cause).__name__ == _REFUSED:
        return f"what was asked for cannot be: {str(cause).partition(':')[2].strip().removeprefix('- ')}"
    if type(cause).__name__ == _UNKNOWN_HERE and "'401 Unauthorized'" in str(cause):
        return "the Prefect server asks for another password: set PREFECT_API_AUTH_STRING to its NAME:PASSWORD"
    if _OTHER_MLFLOW in str(cause):
        database = Settings().mlflow_database
        way = (
            f"install that one, or run `refit backup DIRECTORY`, then `mlflow db upgrade sqlite:///{database}`"
            if database
            else _THEIRS
        )
        return f"MLflow's database is of another version of MLflow: {way}"
    if any(words in str(cause) for words in _FULL):
        return "REFIT_HOME has no space left: free some on its disk and run again"
    fault = fault_of(cause, "REFIT_HOME")
    return f"{getattr(cause, 'filename', None) or 'REFIT_HOME'} {fault}" if fault else None


def _causes(fault: BaseException) -> list[BaseException]:
    """The fault and what led to it, the outermost first."""
    chain: list[BaseException] = []
    link: BaseException | None = fault
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain
