"""The load of a project whose production rows are what its server was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from refit.errors import LoadFailed
from refit.project import Frame, Rows
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class Requests:
    """Rows that `refit serve` was asked about, without labels; those come back by key.

    Only a run of Refit knows where they lie: discovery puts the load in its place that reads them.
    """

    history: Callable[[Window], Rows] | None
    """Gives the rows of before there was a server; those it also gives later are kept, too."""

    def __call__(self, window: Window) -> Iterator[Frame]:
        """Refuses to be called.

        Args:
            window: The event times asked for.

        Raises:
            LoadFailed: Always.
        """
        raise LoadFailed(
            f"the requests of {window} can be read by a run of Refit alone: find the project by its name first"
        )


def requests(history: Callable[[Window], Rows] | None = None) -> Requests:
    """Takes what `refit serve` was asked for the project's rows, in the place of a source of one's own.

    Features are as the version saw them; the key and the event time as far as the requests had them. A request without
    an event time happened when it was answered. One without its key is left out, since no label would find it, and of
    several with the same key the last one counts.

    Args:
        history: A load of labelled rows from before there was a server, such as `refit.sources.parquet(...)`.

    Returns:
        A load for a project file.
    """
    return Requests(history)
