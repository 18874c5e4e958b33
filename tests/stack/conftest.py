"""One stack for the whole session: it takes a minute to start."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from sys import executable

import pytest

from refit_deployments.production.postgres import programs
from tests.support.running_stack import Standing, standing
from tests.support.running_up import HOURLY

ABSENT = "the stack needs `apt-get install postgresql`, and what `make test-stack` installs"


@pytest.fixture(scope="session")
def stack() -> Iterator[Standing]:
    weed = Path(executable).with_name("weed").exists() or which("weed")
    if not (programs() and weed and find_spec("boto3")):
        pytest.skip(ABSENT)
    with standing(HOURLY) as running:
        yield running


@pytest.fixture(autouse=True)
def beside(stack: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test reads the same state."""
    for name, value in stack.settings.items():
        monkeypatch.setenv(name, value)
