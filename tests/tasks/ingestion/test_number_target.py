"""A regression whose target is text is refused before a table is made, by an ingest and by a backtest alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import ContractViolation
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.simulation.backtest import read_history_rows
from refit_tasks.storage.delta import open_table

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
UNTIL = JUNE + timedelta(days=2)


def kiln(targets: list[Any]) -> Project:
    at = [JUNE + timedelta(hours=n) for n in range(len(targets))]
    frame = pd.DataFrame({"at": at, "x": range(len(targets)), "heat": targets})
    return Project(
        name="kiln", kind="regression", target="heat", timestamp="at", load=lambda _: frame, build=DummyRegressor
    )


@pytest.mark.parametrize("read", [ingest.fn, read_history_rows], ids=["ingest", "backtest"])
@pytest.mark.parametrize("targets", [["low", "high"], ["900 C", None], ["1,5", "2,5"]], ids=["words", "unit", "comma"])
def test_text_targets_are_named_with_the_way_out(read: Callable[..., object], targets: list[Any]) -> None:
    sentence = f"'heat' .the target. of kiln holds text such as '{targets[0]}', but regression needs numbers: convert"
    with pytest.raises(ContractViolation, match=sentence):
        read(kiln(targets * 10), UNTIL)
    assert open_table("kiln") is None


@pytest.mark.parametrize("targets", [["900", "950.5"], [900, None], ["900", None, "1e3"]])
def test_texts_that_are_numbers_are_taken(targets: list[Any]) -> None:
    assert ingest.fn(kiln(targets * 10), UNTIL).accepted == 10 * len(targets)
