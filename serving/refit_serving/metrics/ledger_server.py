"""The process that answers Prometheus about flows: one page, asked for by GET, and nothing behind it but the ledger."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Event

from prometheus_client import CollectorRegistry, start_http_server

from refit.errors import StateError
from refit_serving.metrics.ledger_metrics import LedgerCollector

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve_metrics(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answers until somebody asks to stop.

    Args:
        host: The address to listen at.
        port: The port; 0 for any that is free.
        ready: Called once, when the ledger is added up and requests are answered, with the address of the page.

    Raises:
        StateError: If the port is taken.
    """
    registry, stopping = CollectorRegistry(), Event()
    collector = LedgerCollector()
    registry.register(collector)
    list(collector.collect())  # a long ledger takes seconds the first time: no scrape should wait for it
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as fault:
        raise StateError(
            f"{host} port {port} cannot be listened at ({fault.strerror or fault}): name another by --host and --port"
        ) from fault
    former = {number: signal.signal(number, lambda *_: stopping.set()) for number in SIGNALS}
    try:
        ready(f"http://{host}:{server.server_port}/metrics")
        stopping.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        server.shutdown()
        server.server_close()
        thread.join()
