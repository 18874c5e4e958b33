"""Locks in files: a lock names a living process, and is free as soon as its holder is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_tasks.locks import is_held, lock_open_file, try_lock

HOLDER = """
import sys, time
from pathlib import Path
from refit_tasks.locks import lock_open_file, try_lock

file, how = Path(sys.argv[1]), sys.argv[2]
if how == "exclusive":
    with try_lock(file) as free:
        print(free, flush=True)
        time.sleep(600)
else:
    with file.open("ab") as stream:
        print(lock_open_file(stream.fileno(), shared=True), flush=True)
        time.sleep(600)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.lock"


@pytest.fixture(params=["exclusive", "shared"])
def holder(file: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file), request.param], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield request.param, process
        process.kill()


def test_a_lock_is_held_until_its_holder_is_killed(file: Path, holder: tuple[str, subprocess.Popen[str]]) -> None:
    how, process = holder
    assert is_held(file)
    with try_lock(file, seconds=0.05) as free:
        assert not free
    with file.open("ab") as stream:
        assert not lock_open_file(stream.fileno())
        assert lock_open_file(stream.fileno(), shared=True) == (how == "shared")
    process.kill()
    process.wait()
    assert not is_held(file)
    with try_lock(file) as free, file.open("ab") as stream:
        assert free
        assert is_held(file)
        assert not lock_open_file(stream.fileno(), shared=True, seconds=0.05)
    assert not is_held(file)


def test_nobody_holds_a_lock_that_is_not_there(file: Path) -> None:
    assert not is_held(file)
    assert not file.exists()


def test_a_fault_in_the_block_frees_the_lock(file: Path) -> None:
    with pytest.raises(KeyError), try_lock(file):
        raise KeyError
    assert not is_held(file)
    assert file.exists()
