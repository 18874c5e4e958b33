"""A check judges rows as an ingest does, and loads the newest ones twice: what it passes, the next ingest takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from great_expectations.expectations import ExpectColumnMaxToBeBetween, ExpectColumnValuesToBeBetween
from sklearn.dummy import DummyRegressor
from sklearn.tree import DecisionTreeRegressor

from refit import Project, Window
from refit.errors import ContractViolation
from refit.sources import csv
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.project_check.check import Check, check
from refit_tasks.storage.quarantine_table import count_quarantined, list_quarantined

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 600
Load = Callable[[Window], Any]


def readings() -> pd.DataFrame:
    """Hourly readings of a meter until the time of the check."""
    draw = np.random.default_rng(3)
    at = pd.date_range(end=AS_OF - timedelta(hours=1), periods=HOURS, freq="1h")
    heat = draw.normal(20, 3, HOURS)
    return pd.DataFrame({"meter": np.arange(HOURS), "at": at, "heat": heat, "flow": heat * 2 + draw.normal(size=HOURS)})


def project(load: Load, **changes: Any) -> Project:
    given = {"name": "meters", "kind": "regression", "target": "flow", "timestamp": "at", "key": ("meter",)}
    return Project(**{**given, "load": load, "build": lambda: DecisionTreeRegressor(max_depth=2), **changes})


def cut(rows: pd.DataFrame, window: Window) -> pd.DataFrame:
    return rows[window.holds(rows["at"])]


def checked(definition: Project) -> dict[str, Check]:
    return {result.name: result for result in check(definition, AS_OF)}


def failed(definition: Project) -> list[str]:
    return [name for name, one in checked(definition).items() if not one.passed and "skipped" not in one.sentence]


def lagging(window: Window) -> pd.DataFrame:
    rows = cut(readings(), window)
    return rows.assign(before=rows["heat"].shift(12))


def lagging_well(window: Window) -> pd.DataFrame:
    rows = readings()
    return cut(rows.assign(before=rows["heat"].shift(12)), window)


def standardized(window: Window) -> pd.DataFrame:
    rows = cut(readings(), window)
    return rows.assign(heat=(rows["heat"] - rows["heat"].mean()) / rows["heat"].std())


def rounded_otherwise(window: Window) -> pd.DataFrame:
    rows = cut(readings(), window)
    return rows.assign(heat=rows["heat"] * (1 + 1e-13 * len(rows)))


def test_all_steps_tell_how_long_they_took() -> None:
    results = checked(project(lambda window: cut(readings(), window)))
    assert [one.sentence for one in results.values() if not one.passed] == []
    assert all(one.seconds > 0 for one in results.values())
    assert "in a fresh process" in results["serve"].sentence or "a fresh process gives" in results["serve"].sentence


@pytest.mark.parametrize("load", [lagging, standardized])
@pytest.mark.parametrize("key", [("meter",), ()])
def test_values_that_depend_on_the_window_are_found(load: Load, key: tuple[str, ...]) -> None:
    column = "before" if load is lagging else "heat"
    found = checked(project(load, key=key))["overlap"]
    assert not found.passed
    assert f"{column!r} in " in found.sentence
    assert "each ingest would overwrite good values" in found.sentence
    ingest.fn(project(load, key=("meter",)), AS_OF - timedelta(hours=2))
    assert ingest.fn(project(load, key=("meter",)), AS_OF).corrected > 0


@pytest.mark.parametrize("load", [lagging_well, rounded_otherwise, lambda window: cut(readings(), window)])
def test_values_that_do_not_depend_on_it_pass(load: Load) -> None:
    assert checked(project(load))["overlap"].passed


def test_a_label_that_a_second_load_lacks_is_no_change() -> None:
    def load(window: Window) -> pd.DataFrame:
        rows = cut(readings(), window)
        return rows if window.length > timedelta(days=30) else rows.assign(flow=np.nan)

    assert checked(project(load))["overlap"].passed


def test_rows_outside_the_window_are_found() -> None:
    definition = project(lambda _: readings())
    found = checked(definition)["overlap"]
    assert "576 of 600 rows with event times outside of it: return only the rows for which" in found.sentence
    ingest.fn(definition, AS_OF)
    with pytest.raises(ContractViolation, match="outside_window"):
        ingest.fn(definition, AS_OF)


def test_rows_that_do_not_come_back_are_found() -> None:
    def load(window: Window) -> pd.DataFrame:
        return cut(readings(), Window(window.start + timedelta(days=2), max(window.end, window.start + timedelta(3))))

    assert "does not return 24 rows" in checked(project(load))["overlap"].sentence


def test_nothing_is_compared_where_nothing_is_loaded_twice() -> None:
    found = checked(project(lagging, ingestion={"lateness": timedelta(0)}))["overlap"]
    assert found.passed
    assert "begins after the newest row" in found.sentence


def test_changed_values_of_a_person_are_masked() -> None:
    def load(window: Window) -> pd.DataFrame:
        rows = cut(readings(), window)
        return rows.assign(email=[f"ada{len(rows)}@example.org"] * len(rows))

    found = checked(project(load, pii=("email",)))["overlap"]
    assert "'email' in 24 rows" in found.sentence
    assert "@" not in found.sentence


def broken(column: str, value: object, every: int) -> Load:
    def load(window: Window) -> pd.DataFrame:
        rows = readings()
        cells = rows[column].astype(object)
        cells[::every] = value
        return rows.assign(**{column: cells})[window.holds(rows["at"])]

    return load


def between(column: str, low: float, high: float) -> Callable[[], list[Any]]:
    return lambda: [ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "infinities": ({"load": broken("heat", float("inf"), 10)}, r"10.0% of the rows .*infinite on 'heat': 'inf'"),
    "unreadable times": ({"load": broken("at", "31/12/25 4pm", 4)}, r"type on 'at': '31/12/25 4pm'"),
    "own rules": ({"expectations": between("heat", 20, 99)}, r"expect_column_values_to_be_between on 'heat'"),
    "own rules about the batch": (
        {"expectations": lambda: [ExpectColumnMaxToBeBetween(column="heat", max_value=1)]},
        r"expect_column_max_to_be_between",
    ),
    "repeated keys": (
        {"load": lambda w: cut(readings().assign(meter=lambda f: f["meter"] // 3), w)},
        "tell rows apart",
    ),
    "few rows": ({"contract": {"min_rows": 700}}, "only 600 rows are accepted, but contract.min_rows is 700"),
    "old rows": ({"contract": {"freshness": timedelta(minutes=30)}}, "contract.freshness is 30 minutes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_an_ingest_refuses_are_refused_in_the_same_words(name: str) -> None:
    changes, sentence = REFUSED[name]
    definition = project(**{"load": lambda window: cut(readings(), window), **changes})
    found = checked(definition)["contract"]
    assert not found.passed
    with pytest.raises(ContractViolation) as refusal:
        ingest.fn(definition, AS_OF)
    assert found.sentence.removeprefix("the project: ").startswith(str(refusal.value))
    assert pd.Series([found.sentence]).str.contains(sentence).all(), found.sentence


def test_unreadable_times_of_a_file_are_shown_and_quarantined_as_they_stand(tmp_path: Path) -> None:
    rows = readings()
    rows.assign(at=[str(one) if one.hour else f"{one:%d/%m/%y} at night" for one in rows["at"]]).to_csv(
        tmp_path / "a.csv", index=False
    )
    definition = project(csv(tmp_path / "a.csv", "at"))
    found = checked(definition)["contract"]
    assert "25 would be quarantined (type on 'at': '04/02/26 at night')" in found.sentence
    done = ingest.fn(definition, AS_OF)
    assert (done.rows_in, done.accepted, done.quarantined) == (600, 575, 25)
    assert all(" at night" in rejected.row for rejected in list_quarantined(definition, 100))
    again = ingest.fn(definition, AS_OF)
    assert (again.added, count_quarantined(definition)) == (0, 25)


def test_a_few_bad_rows_are_counted_and_shown_and_nothing_is_quarantined() -> None:
    definition = project(broken("heat", float("inf"), 100))
    found = checked(definition)["contract"]
    assert found.passed
    assert "594 rows are accepted, 6 would be quarantined (infinite on 'heat': 'inf')" in found.sentence
    assert count_quarantined(definition) == 0


@pytest.mark.parametrize(
    ("changes", "step", "sentence"),
    [
        ({"training": {"min_rows": 500}}, "split", "480 mature rows to train on where training.min_rows asks for 500"),
        ({"gate": {"min_rows": 150}}, "split", "120 mature rows to judge on where gate.min_rows asks for 150"),
        ({"label_delay": timedelta(days=30)}, "split", "none of 600 rows has a label in 'flow' that is known at"),
        ({"gate": {"budgets": {"latency_ms": 1e-6}}}, "serve", "over the budget of 1e-06 ms"),
        ({"gate": {"budgets": {"size_mb": 1e-6}}}, "serve", "over the budget of 1e-06 MB"),
    ],
)
def test_policies_that_a_retrain_could_not_keep_are_found(changes: dict[str, Any], step: str, sentence: str) -> None:
    found = checked(project(lambda window: cut(readings(), window), **changes))[step]
    assert not found.passed
    assert sentence in found.sentence


def test_the_gate_is_told_and_not_decisive() -> None:
    found = checked(project(lambda window: cut(readings(), window), build=DummyRegressor))["predict"]
    assert found.passed
    assert "the gate would reject this model: " in found.sentence


def test_a_recorded_contract_and_a_table_are_compared_with() -> None:
    ingest.fn(project(lambda window: cut(readings(), window)), AS_OF)
    renamed = checked(project(lambda window: cut(readings(), window).rename(columns={"heat": "warmth"})))["columns"]
    assert "'heat'" in renamed.sentence
    assert not renamed.passed
    moved = checked(project(lambda window: cut(readings().assign(heat=lambda f: f["heat"] * 1_000), window)))
    assert "the recorded contract" not in moved["contract"].sentence
    assert not moved["contract"].passed
