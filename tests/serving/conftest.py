"""One home with registered versions for all modules that only read it: making MLflow's database takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving_home import Depot, entered


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    """Two projects; the first has a champion, which stays."""
    with entered(tmp_path_factory.mktemp("shared")) as directory:
        made = Depot(directory, "parcels", "letters")
        made.promoted("parcels", 0.0)
    return made


@pytest.fixture(scope="module")
def depot(shared: Depot) -> Iterator[Depot]:
    """The shared one; a module whose champions come and go has one of its own."""
    with entered(shared.directory):
        yield shared


@pytest.fixture(autouse=True)
def home(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The depot's home for a test of a depot."""
    if "depot" not in request.fixturenames:
        return home
    depot: Depot = request.getfixturevalue("depot")
    monkeypatch.setenv("REFIT_HOME", str(depot.home))
    return depot.home
