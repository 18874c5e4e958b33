"""Acceptance of new classes, categories and ranges: what was refused is taken in, and the ledger says who wanted it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from refit import Project, Window
from refit.data.acceptance import Acceptance
from refit.errors import ContractViolation, NotEnoughData, ProjectError
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.quarantine import replay_quarantine
from refit_tasks.ledger.record import entries, verify_ledger
from refit_tasks.reporting.entry_story import describe_entry
from refit_tasks.validation.acceptance import accept_values, read_acceptances
from refit_tasks.validation.contract import read_contract

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def orders(first: int, last: int, **columns: Any) -> pd.DataFrame:
    hours = np.arange(first, last)
    frame = pd.DataFrame({"id": hours, "at": START + pd.to_timedelta(hours, unit="h"), "price": hours % 10 * 1.0})
    frame = frame.assign(channel=np.where(hours % 2, "web", "shop"), outcome=np.where(hours % 3, "won", "lost"))
    return frame.assign(**columns)


def project(*frames: pd.DataFrame, **changes: Any) -> Project:
    def load(window: Window) -> Any:
        yield from (frame[window.holds(frame["at"])] for frame in frames)

    kind = changes.pop("kind", "classification")
    build: Callable[[], Any] = DummyClassifier if kind == "classification" else DummyRegressor
    roles = {"name": "orders", "kind": kind, "target": "outcome", "timestamp": "at", "key": ("id",), "build": build}
    return Project(load=load, **(roles | changes))


def ingest_first(definition: Project) -> None:
    ingest.fn(definition, START + 4 * DAY)


BY = ("ada", "the shop takes returns now")


def accept(definition: Project, command: str) -> Any:
    """Carries out the command that an error names."""
    words = shlex.split(command)[4:]
    low, high = (float(words[words.index(name) + 1]) if name in words else None for name in ("--min", "--max"))
    rest = [
        word
        for place, word in enumerate(words)
        if not word.startswith("--") and words[place - 1] not in ("--min", "--max")
    ]
    return accept_values(definition, rest[0], rest[1:], (low, high), BY, datetime.now(UTC))


WAYS = pytest.mark.parametrize(
    ("first", "later"),
    [
        ({}, {"outcome": "returned"}),
        ({}, {"outcome": "sent back, and paid"}),
        ({"outcome": lambda f: f["id"] % 2}, {"outcome": 2}),
        ({"outcome": lambda f: f["id"] % 2}, {"outcome": -1}),
        ({"outcome": lambda f: f["id"] % 3 == 0}, {"outcome": "won"}),
        ({}, {"price": 4_000.0}),
        ({}, {"price": -4_000.0}),
        ({}, {"price": lambda f: np.where(f["id"] % 2, -900.0, 900.5)}),
        ({}, {"price": 4_000.0, "outcome": "returned"}),
    ],
    ids=["class", "words", "number", "negative", "retyped", "above", "below", "both ways", "two columns"],
)


@WAYS
def test_the_command_in_the_error_takes_the_rows_in(first: dict[str, Any], later: dict[str, Any]) -> None:
    definition = project(orders(0, 96, **first), orders(96, 192, **later))
    ingest_first(definition)
    with pytest.raises(ContractViolation) as refused:
        ingest.fn(definition, START + 9 * DAY)
    commands = re.findall("`(refit contract [^`]*)`", str(refused.value))
    if first and later == {"outcome": "won"}:  # another type is no new class
        assert not commands
        return
    assert [accept(definition, command) for command in commands] == entries("orders", "acceptance")[::-1]
    done = ingest.fn(definition, START + 9 * DAY)
    assert (done.added, done.quarantined, done.broken) == (96, 0, ())
    assert verify_ledger()


def test_few_rows_wait_in_the_quarantine_for_the_acceptance() -> None:
    odd = orders(96, 192, outcome=lambda f: np.where(f["id"] == 100, "returned", "won"))
    definition = project(orders(0, 96), odd)
    ingest_first(definition)
    assert ingest.fn(definition, START + 9 * DAY).quarantined == 1
    accept_values(definition, "outcome", ["returned"], (None, None), BY, datetime.now(UTC))
    assert replay_quarantine(definition, START + 9 * DAY).readmitted == 1


def test_a_new_category_no_longer_warns() -> None:
    definition = project(orders(0, 96), orders(96, 192, channel="phone"))
    ingest_first(definition)
    accept_values(definition, "channel", ["phone"], (None, None), BY, datetime.now(UTC))
    assert ingest.fn(definition, START + 9 * DAY).warnings == ()


def test_what_is_accepted_adds_up_and_is_recorded_with_who_and_why() -> None:
    definition = project(orders(0, 96))
    ingest_first(definition)
    first = accept_values(definition, "outcome", ["returned"], (None, None), BY, datetime.now(UTC))
    second = accept_values(definition, "price", [], (None, 250.0), ("bob", ""), datetime.now(UTC))
    assert accept_values(definition, "outcome", ["won", "returned"], (None, None), BY, datetime.now(UTC)) is None
    assert first
    assert second
    assert read_acceptances("orders") == {"outcome": Acceptance(("returned",)), "price": Acceptance(high=250.0)}
    told = " ".join(describe_entry(first))
    assert "Accepted for column outcome by ada: the shop takes returns now." in told
    assert "New values: returned." in told
    assert "New range: up to 250." in " ".join(describe_entry(second))


def test_a_renewed_contract_keeps_what_was_accepted() -> None:
    import pyarrow as pa

    from refit.data.derived_contract import derive_contract
    from refit_tasks.validation.contract import record_contract

    definition = project(orders(0, 96))
    ingest_first(definition)
    accept_values(definition, "outcome", ["returned"], (None, None), BY, datetime.now(UTC))
    rows = pa.Table.from_pandas(orders(0, 96), preserve_index=False)
    record_contract(definition, derive_contract(definition, [rows]), datetime.now(UTC), "generation 2")
    assert len(entries("orders", "contract")) == 2
    contract = read_contract("orders")
    assert contract
    assert any("returned" in rule.kwargs.get("value_set", ()) for rule in contract.rules)


@pytest.mark.parametrize(
    ("column", "values", "bounds", "says"),
    [
        ("outcom", ["returned"], (None, None), "has no column 'outcom'"),
        ("outcome", [], (None, None), "nothing is given to accept"),
        ("outcome", [], (None, 3.0), "no rule about a range of numbers of column 'outcome'"),
        ("price", ["3"], (None, None), "no rule about a set of values of column 'price'"),
        ("price", ["dear"], (None, None), "'dear' is no value of column 'price'"),
        ("price", [], (None, float("inf")), "a range ends at a number"),
        ("at", ["2026-01-01T00:00Z"], (None, None), "no rule about a set of values of column 'at'"),
    ],
)
def test_what_cannot_be_accepted_is_refused(
    column: str, values: list[str], bounds: tuple[float | None, float | None], says: str
) -> None:
    definition = project(orders(0, 96))
    ingest_first(definition)
    with pytest.raises((ContractViolation, ProjectError), match=re.escape(says)):
        accept_values(definition, column, values, bounds, BY, datetime.now(UTC))
    assert entries("orders", "acceptance") == []


def test_before_the_first_ingest_there_is_nothing_to_accept() -> None:
    with pytest.raises(NotEnoughData, match="no table yet"):
        accept_values(project(orders(0, 96)), "outcome", ["x"], (None, None), BY, datetime.now(UTC))


def test_own_expectations_are_changed_where_they_stand() -> None:
    definition = project(orders(0, 96), expectations=list)
    ingest_first(definition)
    with pytest.raises(ProjectError, match="change them there"):
        accept_values(definition, "outcome", ["returned"], (None, None), BY, datetime.now(UTC))
