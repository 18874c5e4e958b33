"""Real tables, three retrains each, through project files of at most 40 lines."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from refit.results.flows import RetrainOutcome
from tests.support.paths import REAL_PROJECTS

DATES = {
    "bike_sharing": ("2011-10-01", "2012-04-01", "2012-10-01"),
    "bank_marketing": ("2009-06-01", "2009-12-01", "2010-06-01"),
}


def test_project_files_are_short() -> None:
    assert all(len(path.read_text().splitlines()) <= 40 for path in REAL_PROJECTS.glob("*.py"))


@pytest.fixture
def projects(prefect_server: None, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project files of the real tables."""
    monkeypatch.setenv("REFIT_REAL_DATA", str(real_data))
    monkeypatch.setenv("REFIT_PROJECTS", str(REAL_PROJECTS))


def retrained(name: str, *dates: str) -> list[RetrainOutcome]:
    """Runs a retrain as of each date; no row of these tables breaks the contract."""
    from refit_flows.retrain import retrain

    outcomes = [retrain(name, as_of=datetime.fromisoformat(date).replace(tzinfo=UTC)) for date in dates]
    for outcome in outcomes:
        assert outcome.ingestion.rows_in == outcome.ingestion.accepted + outcome.ingestion.quarantined
        assert outcome.ingestion.quarantined == 0
    return outcomes


@pytest.mark.usefixtures("projects")
def test_a_real_table_has_a_first_champion() -> None:
    (first,) = retrained("bike_sharing", DATES["bike_sharing"][0])
    assert (first.challenger.version, first.generation, first.compared_with) == (1, 1, None)
    assert first.promotion is not None
    assert first.snapshot.rows > 5_000


@pytest.mark.slow
@pytest.mark.usefixtures("projects")
@pytest.mark.parametrize("name", DATES)
def test_three_retrains(name: str) -> None:
    outcomes = retrained(name, *DATES[name])
    assert [outcome.challenger.version for outcome in outcomes] == [1, 2, 3]
    assert outcomes[0].promotion is not None
    for before, after in pairwise(outcomes):
        assert after.generation == before.generation + (after.promotion is not None)
        assert after.snapshot.rows > before.snapshot.rows
        assert after.compared_with is not None
