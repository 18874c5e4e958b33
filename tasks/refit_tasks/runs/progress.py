"""Progress bars of long tasks, as artifacts of their run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock
from typing import cast
from uuid import UUID

from refit_tasks.presentation.markdown import artifact_key

LONG_SECONDS = 5.0
"""Shorter work has no bar."""
PAUSE_SECONDS = 1.0
"""The time between two updates."""


class ProgressBar:
    """A progress bar that appears after some seconds, and is updated at most once a second."""

    def __init__(self, project: str, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the clock.

        Args:
            project: The project's name.
            what: The kind of work, one word.
            clock: A clock in seconds.
        """
        self._key, self._about = artifact_key(project, f"{what}-progress"), f"{what} of {project}"
        self._clock = clock
        self._last = clock() + LONG_SECONDS - PAUSE_SECONDS
        self._bar: UUID | None = None
        # Updates may come from other threads, which have no run context.
        self._run = copy_context()
        self._runs = _is_inside_run()
        self._lock = Lock()

    def show(self, done: float, whole: float) -> None:
        """Updates the bar, if an update is due; does nothing outside a run.

        Args:
            done: The amount of work that is done.
            whole: The amount of work in all, in the same unit.
        """
        with self._lock:
            ended = done >= whole and self._bar is not None
            if self._runs and (ended or self._clock() - self._last >= PAUSE_SECONDS):
                self._run.run(self._move, min(100.0, 100.0 * done / max(whole, 1)), f"{done:,.0f} of {whole:,.0f}")
                self._last = self._clock()

    def _move(self, percent: float, count: str) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        about = f"{self._about}: {count}"
        if self._bar is None:
            self._bar = cast(UUID, create_progress_artifact(percent, key=self._key, description=about))
        else:
            update_progress_artifact(self._bar, percent, description=about)


def _is_inside_run() -> bool:
    """Tells whether a flow or a task is running here; where nothing has imported Prefect, none is."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return (TaskRunContext.get() or FlowRunContext.get()) is not None
