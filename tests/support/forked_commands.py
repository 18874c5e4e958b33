"""Commands of `refit` in processes of their own, forked from one that has imported everything once.

A fresh process imports for some seconds what the one before has imported. What begins with the imports (what is not
imported, what is set before them, how the console script ends) is tested in processes that start from nothing.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from refit_infra import settings
from refit_infra.settings import Settings

PATIENCE_SECONDS = 240
REFIT = str(Path(sys.executable).with_name("refit"))
"""The console script, which begins from nothing."""


def refit(*arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in this environment and what is given beside it; waits until it has ended."""
    return run(arguments, {**os.environ, **more}, cwd or Path.cwd())


def run(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in an environment; waits until it has ended."""
    with TemporaryDirectory() as scratch:
        said = [Path(scratch) / name for name in ("out", "err")]
        command = starter().Process(target=_become, args=(arguments, environment, cwd, *said))
        command.start()
        command.join(PATIENCE_SECONDS)
        command.kill()
        command.join()
        return subprocess.CompletedProcess(arguments, command.exitcode or 0, *(file.read_text() for file in said))


@cache
def starter() -> ForkServerContext:
    """Starts the process that imports everything, with the settings of any command but for where its home is.

    There is one in a process, whatever asks for it.
    """
    nowhere = TemporaryDirectory()
    atexit.register(nowhere.cleanup)
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.support.preloaded_modules"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.library_environment(Settings(home=Path(nowhere.name))).items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _become(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path, out: Path, err: Path) -> None:
    """Makes a forked process what a fresh one would be, and runs the command in it to its end."""
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["refit", *arguments]
    from refit_deployments import main, output

    output.use_running_server = _joined(output.use_running_server)
    try:
        main.main()
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()  # noqa: SLF001 - who is forked ends without them


def _joined(join: Callable[[], None]) -> Callable[[], None]:
    """Has Prefect read the settings once a command has settled them: a fresh process imports it only then."""

    def joined() -> None:
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        join()
        refresh_global_settings_context()
        setup_logging(incremental=False)

    return joined
