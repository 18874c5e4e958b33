"""What a backtest reads before a project has a table: an error of the load is the load's, not the estimator's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier

from refit import Project
from refit.errors import ContractViolation, LoadFailed
from refit_tasks.simulation.backtest import read_history_rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = datetime(2026, 5, 1, tzinfo=UTC)


def wells(load: Callable[..., object]) -> Project:
    return Project(name="wells", kind="classification", target="y", timestamp="at", load=load, build=DummyClassifier)


def fails(error: Exception) -> Callable[..., object]:
    def load(_: object) -> object:
        raise error

    return load


@pytest.mark.parametrize(
    "error",
    [KeyError("depth"), ZeroDivisionError("division by zero"), pa.ArrowInvalid("no such type"), TypeError("no number")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_load_is_not_blamed_on_the_estimator(error: Exception) -> None:
    with pytest.raises(LoadFailed, match="load fails in") as raised:
        read_history_rows(wells(fails(error)), NOW)
    assert "estimator" not in str(raised.value)


def test_pieces_of_different_types_become_those_of_the_table() -> None:
    first = pd.DataFrame({"at": [DAY], "depth": [1], "y": ["a"]})
    second = pd.DataFrame({"at": [DAY], "depth": ["2.5"], "y": [None]})
    rows = read_history_rows(wells(lambda _: iter([first, second])), NOW)
    assert list(rows["depth"]) == [1, 2.5] or rows["depth"].isna().tolist() == [False, True]
    assert rows["y"].tolist()[0] == "a"


def test_pieces_that_do_not_fit_each_other_are_named() -> None:
    first = pd.DataFrame({"at": [DAY], "depth": [1], "y": ["a"]})
    second = pd.DataFrame({"at": [DAY], "depth": [True], "y": ["b"]})
    with pytest.raises(ContractViolation, match="column 'depth' is bool and int64"):
        read_history_rows(wells(lambda _: iter([first, second])), NOW)
