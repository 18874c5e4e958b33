"""How far a long task is: a bar on the page of its run, for work whose whole is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext

from refit_tasks.presentation.markdown import artifact_key

LONG_SECONDS = 5.0
"""Work that takes less has no bar: it would be done before anybody has seen it."""
PAUSE_SECONDS = 1.0
"""Between two updates: nobody looks more often."""


class ProgressBar:
    """A bar that appears once the work has taken some seconds, and moves once a second at most."""

    def __init__(self, project: str, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to count the seconds.

        Args:
            project: The project's name.
            what: What is done, in a word.
            clock: Counts seconds.
        """
        self._key, self._about = artifact_key(project, f"{what}-progress"), f"{what} of {project}"
        self._clock = clock
        self._last = clock() + LONG_SECONDS - PAUSE_SECONDS
        self._bar: UUID | None = None
        # The work may tell of itself from other threads, which do not know what run they belong to.
        self._run = copy_context()
        self._runs = (TaskRunContext.get() or FlowRunContext.get()) is not None
        self._alone = Lock()

    def show(self, done: float, whole: float) -> None:
        """Moves the bar, if it is time; outside of a run there is none.

        Args:
            done: How much is done.
            whole: How much there is to do.
        """
        with self._alone:
            ended = done >= whole and self._bar is not None
            if self._runs and (ended or self._clock() - self._last >= PAUSE_SECONDS):
                self._run.run(self._move, min(100.0, 100.0 * done / max(whole, 1)), f"{done:,.0f} of {whole:,.0f}")
                self._last = self._clock()

    def _move(self, percent: float, count: str) -> None:
        about = f"{self._about}: {count}"
        if self._bar is None:
            self._bar = cast(UUID, create_progress_artifact(percent, key=self._key, description=about))
        else:
            update_progress_artifact(self._bar, percent, description=about)
