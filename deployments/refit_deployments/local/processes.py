"""Child processes, each in its own session and with its own log, and the addresses of local servers."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from refit.errors import StateError

PATIENCE_SECONDS = 15.0
"""The time in which a process has to end after the signal, before it is killed."""
LEFTOVER_SECONDS = 1.0
"""The time for its own children after that; they were stopped by their parent, or will not stop at all."""
TAIL_BYTES = 4_000
LONGEST_LOG_BYTES = 20_000_000
"""A log larger than this is overwritten at the next start."""


@dataclass(slots=True)
class Child:
    """One process, which can be started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    """The signal that stops it."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Starts the process in its own session, so that Ctrl-C in the terminal reaches only the supervisor.

        Raises:
            OSError: If the process cannot be started, or its log cannot be written.
        """
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = "wb" if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES else "ab"
        with self.log.open(mode) as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self.command,
                env=dict(self.environment),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code; `None` while it runs or before it was started."""
        return self.process.poll() if self.process else None

    def stop(self) -> None:
        """Stops the process and its children; returns when none of them runs."""
        if self.process is None:
            return
        stop_processes(_alive([self.process.pid]), self.stop_signal)
        self.process.wait()

    def last_log_line(self) -> str:
        """The last line of its log that is not empty."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def stop_processes(processes: Iterable[psutil.Process], by: signal.Signals = signal.SIGTERM) -> None:
    """Stops processes and their children: by a signal first, and by SIGKILL after some seconds.

    Args:
        processes: The processes; those that have ended are skipped, even where their ids were reused.
        by: The signal.
    """
    asked = list(processes)
    family = [child for one in asked for child in _children(one)]
    for one in asked:
        _try(partial(one.send_signal, by))
    _, stubborn = psutil.wait_procs(asked, timeout=PATIENCE_SECONDS)
    _, left = psutil.wait_procs(family, timeout=LEFTOVER_SECONDS)
    for one in (*stubborn, *left):
        _try(one.kill)
    psutil.wait_procs([*stubborn, *left], timeout=PATIENCE_SECONDS)


def _alive(pids: Iterable[int]) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _try(act: Callable[[], None]) -> None:
    """Acts on a process that may have ended by itself."""
    with suppress(psutil.NoSuchProcess):
        act()


HOST = "127.0.0.1"
"""The loopback interface by default, since neither server requires a password unless one is set."""
EVERYWHERE = {"0.0.0.0": HOST, "": HOST, "::": "[::1]"}  # noqa: S104
"""The addresses that stand for all interfaces, and the loopback address that reaches a server there."""


def url_of(host: str, port: int) -> str:
    """Gives the URL by which this machine reaches a server of its own.

    Args:
        host: The address that the server listens on.
        port: Its port.

    Returns:
        The URL.

    Example:
        >>> address_of("0.0.0.0", 4200), address_of("::1", 4200)
        ('http://127.0.0.1:4200', 'http://[::1]:4200')
    """
    return f"http://{EVERYWHERE.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def require_free_port(host: str, port: int, option: str) -> None:
    """Requires that a port is free.

    Args:
        host: The address to listen on.
        port: The port.
        option: The option that sets it.

    Raises:
        StateError: If another process listens there, or this machine does not have the address.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StateError(
                f"{host} port {port} cannot be used ({error.strerror}): stop the process that uses it, or set another "
                f"port with {option}"
            ) from error
