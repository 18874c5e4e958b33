"""What the tests of flows share: a home with an MLflow database that is there already."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def begun(mlflow_home: Path) -> Path:
    return mlflow_home
