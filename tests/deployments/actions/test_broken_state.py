"""A disk that is full, a home that cannot be written, a database that is locked: one sentence, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.forked_commands import refit
from tests.support.watched_project import on_the_server

pytestmark = pytest.mark.usefixtures("prefect_server")


def retrain(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    where = {"REFIT_HOME": str(home), **on_the_server(), **environment}
    return refit("retrain", "bike_demand", "--as-of", "2026-02-01", **where)


def complaint(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("refit: ")]
    return line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a given size; giving another size resizes it."""
    directory = tmp_path / "disk"
    directory.mkdir()

    def sized(size: str) -> Path:
        options = f"size={size}" + (",remount" if os.path.ismount(directory) else "")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=False)
        if mounted.returncode:
            pytest.skip("only root can mount a small file system")
        return directory / "home"

    yield sized
    subprocess.run(["umount", "--lazy", directory], check=False)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(small_disk: Callable[[str], Path]) -> None:
    home = small_disk("400k")
    assert "space" in complaint(retrain(home))
    home = small_disk("200m")
    run = retrain(home)
    assert run.returncode == 0, run.stderr
    assert "version 1 promoted" in run.stdout


def test_a_home_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid() == 0 and subprocess.run(["chattr", "+i", closed], check=False).returncode:
        pytest.skip("nothing is read-only to root here")
    try:
        said = complaint(retrain(closed / "home"))
    finally:
        subprocess.run(["chattr", "-i", closed], check=False)
        closed.chmod(0o700)
    assert str(closed) in said
    assert "REFIT_HOME" in said


@pytest.mark.slow
def test_a_locked_ledger(home: Path) -> None:
    from refit_tasks.ledger.record import entries

    assert entries() == []
    before = (home / "ledger.db").read_bytes()
    holder = sqlite3.connect(home / "ledger.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    impatient = f"sqlite:///{home / 'ledger.db'}?timeout=1"
    said = complaint(retrain(home, REFIT_DATABASE_URL=impatient))
    holder.rollback()
    holder.close()
    assert "locked" in said
    assert (home / "ledger.db").read_bytes() == before
    run = retrain(home)
    assert run.returncode == 0, run.stderr
