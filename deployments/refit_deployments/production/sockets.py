"""The sockets by which the object store's parts find one another: files whose names SeaweedFS lets nobody choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from refit.errors import StateError
from refit_deployments.production.layout import DOORS, Places

DIRECTORY = Path("/tmp")  # noqa: S108 - SeaweedFS's choice
"""Where it puts them, for all users of the machine."""


def clear_sockets(places: Places) -> None:
    """Removes those that an object store has left: it does not itself, and another user's cannot start beside them.

    Args:
        places: The store's ports, at which nothing listens now.

    Raises:
        StateError: If one is another user's, who is the only one that can remove it.
    """
    for file in _sockets_of(places):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{file}, which another user's object store has left, keeps this one from starting ({error.strerror}): "
                "have its owner or root remove it, or take other ports by "
                "`.venv/bin/python -m refit_deployments.production --objects-port N`"
            ) from error


def _sockets_of(places: Places) -> Iterator[Path]:
    yield DIRECTORY / f"seaweedfs-s3-{places.door('s3')}.sock"
    yield DIRECTORY / f"seaweedfs-filer-{places.door('filer')}.sock"
    for door in DOORS:
        yield DIRECTORY / f"seaweedfs-{door}-grpc-{places.door(door, inner=True)}.sock"
