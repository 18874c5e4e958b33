"""Where the servers of `refit up` listen, and how this machine reaches them."""

from __future__ import annotations

import socket

from refit.errors import StateError

HOST = "127.0.0.1"
"""The loopback interface alone, by default: neither server asks who is there unless it is told to."""
EVERYWHERE = {"0.0.0.0": HOST, "": HOST, "::": "[::1]"}  # noqa: S104
"""Addresses that are those of all interfaces, and where this machine reaches what listens there."""


def address_of(host: str, port: int) -> str:
    """Gives the address by which this machine reaches a server of its own.

    Args:
        host: What the server listens at.
        port: Its port.

    Returns:
        An URL.

    Example:
        >>> address_of("0.0.0.0", 4200), address_of("::1", 4200)
        ('http://127.0.0.1:4200', 'http://[::1]:4200')
    """
    return f"http://{EVERYWHERE.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def insist_free(host: str, port: int, option: str) -> None:
    """Makes sure that a port can be had.

    Args:
        host: The address to listen at.
        port: The port.
        option: The option that names it.

    Raises:
        StateError: If something listens there, or this machine has no such address.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StateError(
                f"{host} port {port} cannot be used ({error.strerror}): stop what listens there, or name another one "
                f"by {option}"
            ) from error
