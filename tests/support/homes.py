"""Homes beside the one that each test has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def elsewhere(home: Path) -> Iterator[Path]:
    """Sets another REFIT_HOME as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_HOME", str(home))
        yield home
