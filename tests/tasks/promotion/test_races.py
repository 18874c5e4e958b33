"""Races on both databases: one winner each, no stale promotion, and the alias equals the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.postgres import ABSENT, binaries
from tests.support.races import place, race

pytestmark = pytest.mark.usefixtures("mlflow_home")

needs_postgres = pytest.mark.skipif(binaries() is None, reason=ABSENT)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=[needs_postgres, pytest.mark.slow])])
def test_of_all_that_begin_from_one_champion_one_wins(database: str, home: Path) -> None:
    with place(database, home):
        kinds = ["promote", "rollback", "approve"] * 3
        for number, ended, inconsistent in race(kinds, 4):
            assert inconsistent == (), number
            # A rollback of the very first champion has nobody to return to.
            assert ended.total() == 9
            assert ended.keys() <= {"won", "StaleChampion", "PromotionError"}
