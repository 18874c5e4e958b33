"""Real processes that are killed: forked from one that has imported everything, each in a process group of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120
TEMPORARY = "temporary"
"""The directory that stands for the system's temporary one."""
LEDGERS = ("ledger.db", "refit")
"""How the name of the ledger's database ends: embedded, and on the stack of `make stack`."""


@dataclass(frozen=True)
class Ended:
    """How a process has ended, and what it has said."""

    code: int
    """The exit code; negative, the signal that killed it."""
    answer: dict[str, Any]
    seconds: float
    boundaries: tuple[str, ...]
    """The boundaries that it has passed."""
    complaint: str


class Boundaries:
    """Counts the beginnings and ends of tasks and the commits of the ledger, and dies at one of them."""

    def __init__(self, trace: Path, fatal: int | None) -> None:
        self._trace, self._fatal, self._passed, self._committed = trace, fatal, 0, False

    def install(self) -> None:
        """Watches Prefect's tasks and SQLAlchemy's engines in this process."""
        from prefect.tasks import Task
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.pool import Pool

        plain = Task.__call__

        def counted(task: Any, *args: Any, **kwargs: Any) -> Any:
            self.reach(f"before {task.name}")
            result = plain(task, *args, **kwargs)
            self.reach(f"after {task.name}")
            return result

        Task.__call__ = counted
        event.listen(Engine, "commit", self._before_commit)
        event.listen(Pool, "checkin", self._after_commit)

    def reach(self, name: str) -> None:
        with self._trace.open("a") as trace:
            trace.write(f"{name}\n")
        if self._passed == self._fatal:
            os.killpg(0, signal.SIGKILL)
        self._passed += 1

    def _before_commit(self, connection: Any) -> None:
        if str(connection.engine.url.database).endswith(LEDGERS):
            self.reach("before a commit of the ledger")
            self._committed = True

    def _after_commit(self, *_: Any) -> None:
        if self._committed:
            self._committed = False
            self.reach("after a commit of the ledger")


def run(
    arguments: tuple[str, ...],
    place: Path,
    *,
    at_boundary: int | None = None,
    after: float | None = None,
    instead: Callable[[], None] | None = None,
) -> Ended:
    """Runs a command as `refit` would, and kills it and all of its children where that is wanted, or something else."""
    trace = place / "trace"
    trace.unlink(missing_ok=True)
    trace.touch()

    def command() -> None:
        Boundaries(trace, at_boundary).install()
        from refit_deployments.main import main

        sys.argv = ["refit", *arguments, "--json"]
        main()

    begun = time.monotonic()
    code, out, err = forked(command, place, after, instead)
    lines = out.strip().splitlines()
    passed = tuple(trace.read_text().splitlines())
    return Ended(code, json.loads(lines[-1]) if lines else {}, time.monotonic() - begun, passed, err[-2_000:])


def forked(
    work: Callable[[], None], place: Path, after: float | None = None, instead: Callable[[], None] | None = None
) -> tuple[int, str, str]:
    """Does something in a process of its own; gives its exit code and what it has written."""
    out, err = place / "out", place / "err"
    child = os.fork()
    if child == 0:
        _become(work, out, err)
    status = _wait(child, after, instead)
    return os.waitstatus_to_exitcode(status), out.read_text(), err.read_text()


def list_temporary_files(place: Path) -> list[str]:
    """Names what is left in the temporary directory that the system gives to the killed processes."""
    root = place / TEMPORARY
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) if root.is_dir() else []


def _become(work: Callable[[], None], out: Path, err: Path) -> None:
    os.setsid()
    (out.parent / TEMPORARY).mkdir(exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(out.parent / TEMPORARY), None
    for number, file in ((1, out), (2, err)):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        traceback.print_exc()
        code = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, after: float | None, instead: Callable[[], None] | None) -> int:
    """Waits for a process, and ends it and its children in time; those never outlive it."""
    begun, ended, status = time.monotonic(), 0, 0
    while not ended and time.monotonic() - begun < (PATIENCE_SECONDS if after is None else after):
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.005)
        if instead and after is not None and time.monotonic() - begun >= after:
            instead()
            after, instead = None, None
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return status if ended else os.waitpid(child, 0)[1]
