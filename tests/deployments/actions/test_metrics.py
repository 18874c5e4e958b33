"""`refit metrics` as a process: it answers Prometheus, ends when asked to, and names the fix where it cannot listen."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from refit_tasks.ledger.record import record
from tests.support.forked_commands import REFIT, refit


@pytest.mark.slow
def test_prometheus_is_answered_until_somebody_stops_it(home: Path) -> None:
    record("rentals", "promotion", {"champion": {"generation": 1}}, datetime(2026, 3, 1, tzinfo=UTC))
    command = [REFIT, "metrics", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = json.loads(process.stdout.readline())["address"]
        with urlopen(address, timeout=30) as page:  # noqa: S310 - it is our own
            lines = page.read().decode().splitlines()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert 'refit_promotions_total{project="rentals"} 1.0' in lines
    # What stands for a champion here cannot be read: the page says so, and goes on.
    assert "refit_ledger_readable 0.0" in lines
    assert process.returncode == 0, said


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = refit("metrics", "--port", str(taken.getsockname()[1]))
    assert run.returncode == 1
    assert "cannot listen on" in run.stderr
    assert "choose another with --host and --port" in run.stderr
