"""Columns that identify a person are no features, and no message shows a value of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyRegressor

from refit import FairnessPolicy, GatePolicy, IngestionPolicy, Project, Window
from refit.data.contract import Contract, Rule
from refit.errors import ContractViolation, DataError, LoadFailed
from refit.inference.request_rows import FeatureSpec, parse_columns
from refit.labels import Labels, parse_label_file, parse_labels
from refit_tasks.ingestion.label_file import read_label_file
from refit_tasks.ingestion.label_join import join_labels
from refit_tasks.ingestion.load import stage_load

EMAIL = "planted@example.org"
YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
ROLES: dict[str, Any] = {"name": "visits", "kind": "classification", "target": "y", "timestamp": "at"}


def visits(load: Callable[[Window], Any] = lambda _: pd.DataFrame(), **more: Any) -> Project:
    return Project(**ROLES, load=load, build=DummyRegressor, **{"pii": ("email",), "key": ("email",), **more})


def test_they_are_no_features_and_have_no_role_that_is_shown() -> None:
    assert visits(key=()).features_of(["at", "email", "x", "y"]) == ["x"]
    for named, said in (
        ({"features": ("x", "email")}, "cannot be a feature"),
        ({"pii": ("y",)}, "cannot be the target"),
        ({"pii": ("at",)}, "cannot be the timestamp"),
        ({"gate": GatePolicy(slices=("email",))}, "cannot be in gate.slices"),
        ({"gate": GatePolicy(fairness=FairnessPolicy(column="email"))}, "cannot be the column of gate.fairness"),
    ):
        with pytest.raises(ValidationError, match=said):
            visits(**named)


def test_a_table_without_such_a_column_is_refused() -> None:
    from refit.data.schema import unify_schemas

    with pytest.raises(ContractViolation, match="email"):
        unify_schemas([pa.schema([("at", pa.timestamp("us", "UTC")), ("y", pa.int64())])], visits(key=()))


def fails(_window: Window) -> pd.DataFrame:
    raise ValueError(f"could not convert string to float: '{EMAIL}'")


def from_a_file(_window: Window) -> pd.DataFrame:
    try:
        return fails(_window)
    except ValueError as error:
        raise LoadFailed(f"the file is damaged ({error}): write it again") from error


@pytest.mark.parametrize("load", [fails, from_a_file])
def test_a_load_that_fails_says_no_more_than_its_type(tmp_path: Path, load: Callable) -> None:
    with pytest.raises(LoadFailed) as failed:
        stage_load(visits(load), load, YEAR, tmp_path)
    told = "".join(traceback.format_exception(failed.value))
    assert "message hidden: it may contain a value of email" in told
    assert EMAIL not in told
    (tmp_path / "again").mkdir()
    with pytest.raises(LoadFailed, match=EMAIL):
        stage_load(visits(load, pii=()), load, YEAR, tmp_path / "again")


def test_labels_and_requests_are_refused_without_the_value(home: Path, tmp_path: Path) -> None:
    two = pa.table({"email": [EMAIL] * 2, "y": [0, 1]})
    odd = pa.table({"email": [EMAIL], "y": [1]})
    numbers = pa.schema([("email", pa.int64()), ("y", pa.int64())])
    (tmp_path / "late.csv").write_text(f"email,y\n{EMAIL},1,2\n")
    wanted = FeatureSpec({"x": "number"}, {"email": "integer"}, ("email",))
    refusals: tuple[tuple[type[Exception], Callable[[], Any]], ...] = (
        (ContractViolation, lambda: Labels(two, ["email"], "y", ("email",))),
        (ContractViolation, lambda: parse_label_file(visits(), "late.csv", odd, numbers)),
        (
            DataError,
            lambda: parse_labels({"email": "number", "y": "integer"}, {"email": [EMAIL], "y": [1]}, ("email",)),
        ),
        (DataError, lambda: parse_columns(wanted, {"x": [1.0], "email": [EMAIL]})),
        (LoadFailed, lambda: read_label_file(tmp_path / "late.csv", ("email",))),
        (LoadFailed, lambda: join_labels(visits(), tmp_path / "late.csv")),
    )
    for kind, act in refusals:
        with pytest.raises(kind) as refused:
            act()
        assert EMAIL not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(LoadFailed, match=EMAIL):
        read_label_file(tmp_path / "late.csv")


def test_what_was_measured_of_such_a_column_is_not_shown() -> None:
    about = Rule("expect_column_max_to_be_between", {"column": "email"})
    own, other = Rule("expect_no_twins", {}), Rule("expect_column_max_to_be_between", {"column": "x"})
    contract = Contract((about, own, other), "project", ("email",))
    assert [contract.mask_observed(rule, EMAIL) for rule in contract.rules] == ["***", "***", EMAIL]
    assert contract.mask_observed(Rule("expect_table_row_count_to_be_between", {}), "3") == "3"
    assert Contract((about,), "project").mask_observed(about, EMAIL) == EMAIL


def test_rows_are_kept_for_longer_than_they_may_come_again() -> None:
    with pytest.raises(ValidationError, match="each ingest reloads the last 1 day: set"):
        visits(ingestion=IngestionPolicy(keep=timedelta(hours=20)))
