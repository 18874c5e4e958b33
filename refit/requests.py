"""The load of a project whose production rows are the requests to its server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from refit.errors import LoadFailed
from refit.project import Frame, Rows
from refit.windows import Window, format_window


@dataclass(frozen=True, slots=True)
class Requests:
    """A load of the rows that `refit serve` received, without labels; labels are joined by key.

    Only a run of Refit knows where the requests are stored, so discovery replaces this object with the load that reads
    them.
    """

    history: Callable[[Window], Rows] | None
    """A load of labelled rows from before the server existed; rows that it returns later are ingested, too."""

    def __call__(self, window: Window) -> Iterator[Frame]:
        """Always fails: discovery has not replaced this object.

        Args:
            window: The requested event times.

        Raises:
            LoadFailed: Always.
        """
        raise LoadFailed(
            f"the requests of {format_window(window)} can only be loaded in a run of Refit: run a command with the "
            f"project's name, such as `refit retrain NAME`"
        )


def requests(history: Callable[[Window], Rows] | None = None) -> Requests:
    """Uses the requests to `refit serve` as the project's rows, in place of a data source.

    Features are stored as the model received them; the key and the event time, where the request had them. A request
    without an event time gets the time of its prediction. A request without its key is left out, since no label could
    be joined to it. Of several requests with the same key, the last one is used.

    Args:
        history: A load of labelled rows from before the server existed, such as `refit.sources.parquet(...)`.

    Returns:
        A load for a project file.
    """
    return Requests(history)
