"""Processes that a command starts, watches and ends: each in a session of its own, with a log of its own.

Where the servers of `refit up` listen, and how this machine reaches them.
"""

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
"""How long a process may take to end by itself."""
LEFTOVER_SECONDS = 1.0
"""How long what it has started may take after that: it was told to end by its parent, or will not end at all."""
TAIL_BYTES = 4_000
LONGEST_LOG_BYTES = 20_000_000
"""A log that has grown beyond this begins anew at the next start."""


@dataclass(slots=True)
class Child:
    """One process, and how to start it again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    asked_by: signal.Signals = signal.SIGTERM
    """The signal by which it is asked to end."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Starts it, in a session of its own: a Ctrl-C in the terminal reaches whoever watches it, and not the process.

        Raises:
            OSError: If it cannot be started, or its log cannot be written.
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
        """How it ended; `None` while it runs or before it was started."""
        return self.process.poll() if self.process else None

    def stop(self) -> None:
        """Ends it and all that it has started; returns when none of them runs."""
        if self.process is None:
            return
        end(_alive([self.process.pid]), self.asked_by)
        self.process.wait()

    def last_words(self) -> str:
        """The last line of its log that says anything."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def end(processes: Iterable[psutil.Process], by: signal.Signals = signal.SIGTERM) -> None:
    """Ends processes and all that they have started: asked first, killed after a while.

    Args:
        processes: The processes; those that have ended meanwhile are passed over, also where their ids were given
            again.
        by: The signal by which they are asked.
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
    """Does what may come too late: the process has ended by itself."""
    with suppress(psutil.NoSuchProcess):
        act()


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
