"""A table or a ledger that is gone while the other is there stops a run before it changes anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import StateError
from refit_flows.monitor import monitor
from refit_flows.retrain import retrain
from refit_tasks.decision import matching_state
from refit_tasks.decision.matching_state import require_matching_state
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ledger.record import entries
from refit_tasks.storage.delta import open_table

DAWN = datetime(2026, 3, 1, tzinfo=UTC)


def lake() -> Project:
    at = [DAWN + timedelta(hours=n) for n in range(300)]
    frame = pd.DataFrame({"id": range(300), "at": at, "x": np.arange(300.0), "y": np.arange(300.0)})
    return Project(
        name="lake", kind="regression", target="y", timestamp="at", key=("id",), build=DummyRegressor,
        load=lambda window: frame[window.holds(frame["at"])],
    )  # fmt: skip


def names(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if "tables" in path.parts}


def test_neither_and_both_are_sound() -> None:
    require_matching_state(lake())
    ingest.fn(lake(), DAWN + timedelta(days=20))
    require_matching_state(lake())


def test_a_ledger_that_is_gone_is_named(home: Path) -> None:
    ingest.fn(lake(), DAWN + timedelta(days=20))
    for file in home.glob("ledger.db*"):
        file.unlink()
    before = names(home)
    for _ in range(2):  # the first try makes an empty ledger
        with pytest.raises(StateError, match=r"the ledger \(sqlite.* has no entry of lake, though its table is at"):
            require_matching_state(lake())
    assert names(home) == before
    assert entries() == []


def test_a_table_that_is_gone_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest.fn(lake(), DAWN + timedelta(days=20))
    monkeypatch.setattr(matching_state, "current_champion", lambda _: object())
    require_matching_state(lake())
    shutil.rmtree(home / "tables" / "lake")
    with pytest.raises(StateError, match=r"the table of lake is gone from .*tables/lake, though the ledger has a"):
        require_matching_state(lake())
    assert open_table("lake") is None


@pytest.mark.parametrize("flow", [retrain, monitor], ids=["retrain", "monitor"])
def test_the_flows_look_at_it_before_they_record_anything(
    flow: Callable[..., object], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = flow.fn.__module__
    ingest.fn(lake(), DAWN + timedelta(days=20))
    for file in home.glob("ledger.db*"):
        file.unlink()
    monkeypatch.setattr(f"{module}.find_project", lambda _: lake())
    body = flow.fn
    while hasattr(body, "__wrapped__"):
        body = body.__wrapped__
    with pytest.raises(StateError, match="has no entry of lake"):
        body("lake", as_of=DAWN + timedelta(days=20))
    assert entries() == []
