"""The server process: its socket, uvicorn, and a shutdown that logs every prediction that was sent."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn

from refit.errors import StateError
from refit_infra.loopback import is_loopback
from refit_serving.http.api_keys import Keyring
from refit_serving.http.app import make_app
from refit_serving.http.auth import AccessLog, AuthMiddleware
from refit_serving.http.connections import BoundedProtocol, ConnectionCounts
from refit_serving.rows.request import Limits
from refit_serving.traffic.service import Service
from refit_tasks.catalog import find_project

GRACE_SECONDS = 30
"""How long open requests may take after a signal to stop."""
BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Calls `ready` once it accepts requests, and does not raise a signal again: a shutdown is not an error."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def serve(
    projects: list[str], host: str, port: int, limits: Limits, keys: Path | None, ready: Callable[[Service, str], None]
) -> int:
    """Serves the champions of projects until SIGINT or SIGTERM.

    Args:
        projects: The projects' names.
        host: The address to listen on.
        port: The port; 0 for any free one.
        limits: The limits of requests and of the log.
        keys: The file of API keys; without one, only requests from this machine are accepted.
        ready: Called once, when requests are accepted, with the service and its URL.

    Returns:
        How many predicted rows could not be logged.

    Raises:
        ProjectError: If a project does not exist.
        StateError: If the address cannot be bound, or others could reach it without a key.
    """
    keyring = _open_keyring(host, keys)
    for project in projects:
        find_project(project)
    service = Service(projects, limits)
    config = uvicorn.Config(
        AuthMiddleware(make_app(service), keyring, limits.requests_per_second, AccessLog()),
        host=host,
        port=port,
        # uvicorn calls it with the arguments of a protocol.
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, ConnectionCounts(limits))),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    with _bind(host, port) as listener:
        service.start()
        server = _Server(config)
        server.ready = lambda: ready(service, f"http://{_format_host(host)}:{listener.getsockname()[1]}")
        server.run([listener])
    return service.lost


def _open_keyring(host: str, keys: Path | None) -> Keyring | None:
    if keys is not None:
        return Keyring(keys)
    if not is_loopback(host):
        raise StateError(
            f"other machines can reach {host or 'an empty --host'} without an API key: make one with "
            f"`refit serve-key NAME --keys FILE`, and start `refit serve` with `--keys FILE`"
        )
    return None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it, small responses wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise StateError(
            f"cannot listen on {host} port {port} ({fault.strerror or fault}): choose another with --host and --port"
        ) from fault
    return listener


def _format_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
