"""A real stack for tests: PostgreSQL, an object store, MLflow, Prefect, two workers; its state and ports its own."""

from __future__ import annotations

import json
import os
import random
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from refit_deployments.production.layout import ENDPOINTS
from refit_deployments.production.object_store import DIRECTORY
from refit_infra.secrets import read_secret_files
from tests.support.running_up import Hosted, until_now
from tests.support.watched_project import Depot

PORTS = 2 * len(ENDPOINTS) + 3
"""So many ports in a row it takes, most of them for the object store."""


class Standing(Hosted):
    """A running `make stack`."""

    def __init__(self, directory: Path, depot: Depot) -> None:
        first = free_ports()
        beside = enumerate(("database-port", "port", "mlflow-port"), first + 2 * len(ENDPOINTS))
        self.ports = {"objects-port": first, **{name: port for port, name in beside}}
        super().__init__(directory / "home", depot)
        self.place = self.home / "stack"
        self.facts: dict[str, Any] = {}

    def start(self) -> subprocess.Popen[str]:
        self.port, self.mlflow_port = self.ports["port"], self.ports["mlflow-port"]
        options = [part for name, port in self.ports.items() for part in (f"--{name}", str(port))]
        return subprocess.Popen(
            [sys.executable, "-m", "refit_deployments.production", *options, "--json"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
        )

    def until_ready(self) -> list[str]:
        """Waits for it to be up, and goes on as a shell does that has read its settings."""
        assert self.process.stdout
        answer = self.process.stdout.readline()
        assert answer, (self.home.parent / "up.err").read_text()
        self.facts = json.loads(answer)
        assert "error" not in self.facts, self.facts
        self.api.auth = ("admin", (self.place / "secrets" / "prefect_password").read_text())
        return [answer]

    @property
    def settings(self) -> dict[str, str]:
        """What the file says that a shell reads, and what the files of secrets hold."""
        lines = Path(self.facts["environment"]).read_text().splitlines()
        named = dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export "))
        return {**named, **read_secret_files(named)}

    def refit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return super().refit(*arguments, **{**self.settings, **environment})

    def answer(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """Runs a command that has to end well; gives its answer."""
        run = self.refit(*arguments, "--json", **environment)
        assert run.returncode == 0, run.stdout + run.stderr
        found: dict[str, Any] = json.loads(run.stdout)
        return found


def free_ports() -> int:
    """Finds some free ports in a row, of those that no connection is given by chance; gives the first one."""
    while True:
        first = random.randrange(15_000, 32_000)  # noqa: S311 - no secret
        with suppress(OSError), ExitStack() as taken:
            for port in range(first, first + PORTS):
                taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def left_in_tmp(stack: Standing) -> list[Path]:
    """Finds what the object store at its ports has left behind."""
    first = stack.ports["objects-port"]
    held = [f"-{port}.sock" for port in range(first, first + 2 * len(ENDPOINTS))]
    return [file for file in DIRECTORY.glob("seaweedfs-*.sock") if file.name.endswith(tuple(held))]


@contextmanager
def standing(policy: str) -> Iterator[Standing]:
    """Runs a stack for a depot, and ends it with the block. PostgreSQL's own user has to reach its directory."""
    with tempfile.TemporaryDirectory(prefix="refit-stack-") as scratch:
        Path(scratch).chmod(0o755)
        depot = Depot(Path(scratch), policy)
        depot.deliver(until_now(40))
        stack = Standing(Path(scratch), depot)
        try:
            stack.until_ready()
            yield stack
        finally:
            if stack.process.poll() is None:
                stack.process.terminate()
                stack.process.wait(120)
                assert not left_in_tmp(stack), "sockets that keep another user's stack from starting"
            stack.close()


def on_the_stack(stack: Standing) -> dict[str, str]:
    """The environment of a process that does not begin as a command does."""
    return {**os.environ, **stack.settings, "OMP_NUM_THREADS": "1"}
