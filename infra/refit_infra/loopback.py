"""Loopback addresses, which only this machine can reach; on any other address a server has to authenticate requests."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Tells whether only this machine can reach an address.

    Args:
        host: A host name, or an IPv4 or IPv6 address without brackets.

    Returns:
        True for `localhost` and loopback addresses; False for every other name, since others may control what it
        resolves to.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", "ml.example.org")]
        [True, True, True, False, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
