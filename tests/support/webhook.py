"""A service that people are told through: a small HTTP server, and Prefect blocks that point to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0P-SECRET-TOKEN"  # noqa: S105 - no one's secret


class Webhook:
    """What was sent to it, and how it answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.answering = threading.Event()
        self.answering.set()

    @property
    def subjects(self) -> list[str]:
        return [body["subject"] for body in self.bodies]

    def save_block(self, name: str) -> str:
        """Keeps a block on the Prefect server that sends here; gives its name in a project file."""
        from prefect.blocks.notifications import CustomWebhookNotificationBlock

        block = CustomWebhookNotificationBlock(
            name=name,
            url=f"http://127.0.0.1:{self.port}/hooks/{SECRET}",
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        )
        block.save(name, overwrite=True)
        return f"custom-webhook/{name}"


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Runs the server, on a port of its own; nobody listens there afterwards."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.answering.wait(60)
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            hook.answering.set()
            server.shutdown()
            thread.join()
