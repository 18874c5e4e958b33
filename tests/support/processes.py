"""Code that several real processes start at the same instant."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.forked_commands import starter

Race = Callable[..., list[Any]]
"""Runs code in so many processes, and gives what they have put in `results`."""
PATIENCE_SECONDS = 300
"""On a machine that is busy with other things, a process may take a minute to begin."""


def racing_in(home: Path) -> Race:
    """Gives what runs code in several processes on a home.

    Args:
        home: Their REFIT_HOME.

    Returns:
        A function of the code, how many run it, whether each is killed, and what else the code finds by name.
    """
    context = starter()

    def run(code: str, count: int, *, killed: bool = False, **names: object) -> list[Any]:
        results, start = context.SimpleQueue(), context.Barrier(count)
        opening = f"import os; os.environ['REFIT_HOME'] = {str(home)!r}; start.wait({PATIENCE_SECONDS})\n"
        shared = {"results": results, "start": start, **names}
        processes = [
            context.Process(target=exec, args=(opening + code, {**shared, "number": number})) for number in range(count)
        ]
        for process in processes:
            process.start()
        answers = []
        for process in processes:
            process.join(PATIENCE_SECONDS)
            assert process.exitcode == (-signal.SIGKILL if killed else 0)
        while not results.empty():
            answers.append(results.get())
        results.close()
        return answers

    return run
