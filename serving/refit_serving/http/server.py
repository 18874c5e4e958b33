"""The process: a socket, uvicorn on it, and an end in which nothing that was answered is lost."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from refit.errors import StateError
from refit_infra.loopback import is_loopback
from refit_serving.http.api_keys import Keyring
from refit_serving.http.app import make_app
from refit_serving.http.auth import AccessLog, AuthMiddleware
from refit_serving.rows.request import Limits
from refit_serving.traffic.service import Service
from refit_tasks.catalog import find_project

GRACE_SECONDS = 30
"""How long requests that are being answered have, once somebody asks to stop."""
BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Tells when it answers, and ends after a signal without raising it again: to be asked to stop is no fault."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        former = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def serve(
    projects: list[str], host: str, port: int, limits: Limits, keys: Path | None, ready: Callable[[Service, str], None]
) -> int:
    """Answers until somebody asks to stop.

    Args:
        projects: The projects' names.
        host: The address to listen at.
        port: The port; 0 for any that is free.
        limits: What requests may cost.
        keys: The file of the keys that open the door; without one, only this machine's programs are answered.
        ready: Called once, when requests are answered, with the service and its address.

    Returns:
        How many answered rows could not be logged.

    Raises:
        ProjectError: If there is no such project.
        StateError: If the port is taken, or others could reach it without a key.
    """
    keyring = _keyring(host, keys)
    for project in projects:
        find_project(project)
    service = Service(projects, limits)
    config = uvicorn.Config(
        AuthMiddleware(make_app(service), keyring, limits.requests_per_second, AccessLog()),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    with _bind(host, port) as listening:
        service.start()
        server = _Server(config)
        server.ready = lambda: ready(service, f"http://{_format_host(host)}:{listening.getsockname()[1]}")
        server.run([listening])
    return service.lost


def _keyring(host: str, keys: Path | None) -> Keyring | None:
    if keys is not None:
        return Keyring(keys)
    if not is_loopback(host):
        raise StateError(
            f"others can reach {host or 'an empty --host'}, and nobody would ask them for a key: make one by "
            f"`refit serve-key NAME --keys FILE`, and start with `--keys FILE`"
        )
    return None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only on sockets that name their protocol; others wait 40 ms for the client.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as fault:
        listening.close()
        raise StateError(
            f"{host} port {port} cannot be listened at ({fault.strerror or fault}): name another by --host and --port"
        ) from fault
    return listening


def _format_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
