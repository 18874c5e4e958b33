"""Where a table's mature rows are cut into training rows and a holdout: by time, never by chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from refit.policies import TrainingPolicy
from refit.windows import Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
"""The resolution of event times."""

Times = npt.NDArray[np.int64]
"""Event times in microseconds since 1970, UTC."""


def moment(microseconds: int) -> datetime:
    """Turns a stored event time into a time.

    Args:
        microseconds: Since 1970, UTC.

    Returns:
        The same instant.
    """
    return EPOCH + timedelta(microseconds=int(microseconds))


def microseconds(at: datetime) -> int:
    """Turns a time into a stored event time.

    Args:
        at: A time with a zone.

    Returns:
        Microseconds since 1970, UTC.
    """
    return (at - EPOCH) // TICK


def span(times: Times) -> Window:
    """Gives the smallest window that holds some event times.

    Args:
        times: At least one.

    Returns:
        From the first to just after the last.
    """
    return Window(moment(times.min()), moment(times.max()) + TICK)


def holdout_start(times: Times, policy: TrainingPolicy) -> datetime:
    """Finds where the newest share of the mature rows begins.

    Args:
        times: The event times of all mature rows, sorted; at least one.
        policy: For the share of rows, and the most rows.

    Returns:
        An event time. Rows of that very time all belong to the holdout, which is larger by them where several rows
        share one.
    """
    size = max(1, min(int(len(times) * policy.holdout_share), policy.holdout_rows))
    return moment(times[len(times) - size])


def training_window(start: datetime, holdout: datetime, delay: timedelta, policy: TrainingPolicy) -> Window:
    """Finds the event times to train on.

    Args:
        start: The earliest event time there is.
        holdout: Where the holdout begins.
        delay: The label delay: what is trained on must have been known when the holdout began.
        policy: For the span; `auto` is chosen within all of it later.

    Returns:
        The window, empty where nothing is that old.
    """
    end = max(start, holdout - delay)
    return Window(max(start, end - policy.window) if isinstance(policy.window, timedelta) else start, end)
