"""Ends at once, in one sentence, where there is no browser."""

from __future__ import annotations

import pytest

from tests.support.browser import MISSING, find_chromium


def pytest_configure() -> None:
    if not find_chromium():
        pytest.exit(MISSING, returncode=1)
