"""A real PostgreSQL for tests: Debian's binaries, a directory and a loopback port of its own, ended with the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from refit_deployments.production.postgres import is_ready, own_directory, run_program, server_command
from refit_deployments.production.postgres import programs as binaries

ABSENT = "no PostgreSQL is installed: `apt-get install postgresql` brings one"


class Postgres:
    """A database cluster; it can be killed and started again."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None, ABSENT
        self._found = found
        self._root = Path(tempfile.mkdtemp(prefix="refit-postgres-"))
        self._data = self._root / "data"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        own_directory(self._root)
        run_program(found, "initdb", "--pgdata", str(self._data), "--username=refit", "--auth=trust", "--no-sync")
        self.start()
        run_program(found, "createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=refit", "ledger")

    @property
    def url(self) -> str:
        """For REFIT_DATABASE_URL."""
        return f"postgresql+psycopg://refit@127.0.0.1:{self.port}/ledger"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = {"unix_socket_directories": str(self._root), "fsync": "off"}
        command = server_command(self._found, self._data, self.port, **options)
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
        for _ in range(300):
            if is_ready(self._found, self.port):
                return
            time.sleep(0.1)
        raise AssertionError((self._root / "log").read_text())

    def kill(self) -> None:
        """Ends the server and all its processes at once, as a crash does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the server and removes its files."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self._root, ignore_errors=True)
