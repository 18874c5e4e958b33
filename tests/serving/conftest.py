"""One home with registered versions for a whole module: making MLflow's database takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_infra.settings import QUIET
from tests.support.serving_home import Depot


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """Two projects; the first has a champion."""
    directory = tmp_path_factory.mktemp("depot")
    settings = {**QUIET, "REFIT_HOME": str(directory / "home"), "REFIT_PROJECTS": str(directory / "projects")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        Path(os.environ["REFIT_HOME"]).mkdir(mode=0o700)
        made = Depot(directory, "parcels", "letters")
        made.promoted("parcels", 0.0)
        yield made


@pytest.fixture(autouse=True)
def home(depot: Depot) -> Path:
    """The module's home in place of one for each test."""
    return Path(os.environ["REFIT_HOME"])
