"""MLflow's alias, moved by hand: recorded once a move, told from races and crashes, adopted where that is allowed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from refit import GatePolicy, Project
from refit.records.references import Challenger, Champion
from refit_tasks.ledger.generations import champion_at, current_champion
from refit_tasks.ledger.record import entries, verify_ledger
from refit_tasks.promotion import champion as finding
from refit_tasks.promotion.approve import record_approval
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.alias import GENERATION, follow_ledger
from refit_tasks.registry.mlflow_client import open_mlflow

AT = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)

FIND = """
from refit import Project
from refit_tasks.promotion.champion import find_champion
from tests.support.races import rentals
definition = rentals().model_copy(update={"name": "rentals"})
results.put(find_champion.fn(definition).version)
"""


def move(version: int) -> None:
    open_mlflow().set_registered_model_alias("rentals", "champion", str(version))


def alias() -> int:
    return int(open_mlflow().get_model_version_by_alias("rentals", "champion").version)


def moves() -> list[tuple[int, str]]:
    return [(one.payload["found"], one.payload["action"]) for one in reversed(entries(kind="alias"))]


@pytest.fixture
def first(judge) -> Champion:
    return promote.fn(judge("a"), None, AT)


@pytest.fixture
def second(judge, first: Champion) -> Challenger:
    """Version 2, which a verdict allows over the first."""
    return judge("b", over=first)


def adopting(rentals: Project, **policy: str) -> Project:
    return rentals.model_copy(update={"gate": GatePolicy(moved_alias="adopt", **policy)})


def test_a_crash_between_record_and_alias_leaves_one_entry_and_the_next_move_another(
    first: Champion, second: Challenger, rentals: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(2)
    with monkeypatch.context() as patch:
        patch.setattr(finding, "follow_ledger", lambda _project: None)  # killed before it
        find_champion.fn(rentals)
    assert (alias(), moves()) == (2, [(2, "restored")])
    for _ in range(2):
        assert find_champion.fn(rentals) == first
    assert (alias(), moves()) == (1, [(2, "restored")])
    move(2)
    assert find_champion.fn(rentals) == first
    assert (alias(), moves()) == (1, [(2, "restored")] * 2)
    verify_ledger()


def test_of_six_processes_that_find_a_moved_alias_one_records_it(first: Champion, second: Challenger, race) -> None:
    move(2)
    assert race(FIND, 6) == [1] * 6
    assert (alias(), moves()) == (1, [(2, "restored")])


def test_a_promotion_meanwhile_is_not_taken_for_a_move(
    first: Champion, second: Challenger, rentals: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = promote.fn(second, first, AT + DAY)
    monkeypatch.setattr(finding, "current_champion", lambda _project: first)  # as read just before the promotion
    assert find_champion.fn(adopting(rentals)) == newer
    assert (alias(), moves()) == (2, [])


def test_an_adopted_version_is_promoted_no_second_time(first: Champion, second: Challenger, rentals: Project) -> None:
    move(2)
    adopted = find_champion.fn(adopting(rentals))
    assert (adopted.version, adopted.generation, moves()) == (2, 2, [(2, "adopted")])
    assert promote.fn(second, first, AT + DAY) == adopted
    move(1)
    back = find_champion.fn(adopting(rentals))
    assert (back.version, back.generation, alias()) == (1, 3, 1)
    assert [one.payload.get("by") for one in entries(kind="promotion")] == ["alias", "alias", None]
    verify_ledger()


def test_what_a_person_has_to_approve_is_adopted_only_then(mlflow_home, judge, rentals: Project) -> None:
    asking = adopting(rentals, promotion="approve")
    rentals.__dict__["gate"] = asking.gate  # what the verdicts record
    judge("a")
    first = record_approval.fn("rentals", 1, approved=True, who="Ada", why="", at=AT)
    judge("b", over=first)
    move(2)
    assert find_champion.fn(asking) == first
    assert (alias(), moves()) == (1, [(2, "restored")])
    record_approval.fn("rentals", 2, approved=False, who="Ada", why="", at=AT)
    move(2)
    assert find_champion.fn(asking) == current_champion("rentals") == first
    assert moves() == [(2, "restored")] * 2


def test_nobody_serves_before_the_one_whose_place_it_takes(first: Champion, second: Challenger) -> None:
    """A retrain gives the time it began: another may have been promoted while it ran."""
    late = promote.fn(second, first, AT - DAY)
    assert late.since == first.since
    assert champion_at("rentals", AT - DAY) is None
    assert champion_at("rentals", AT) == late


def test_another_process_may_be_first_to_tag_the_champion(first: Champion, home: Path) -> None:
    def tagged_by_another(_c: object, _cursor: object, statement: str, values: Any, *_rest: object) -> None:
        if "INSERT INTO model_version_tags" not in statement or raced:
            return
        raced.append(values)
        with closing(sqlite3.connect(home / "mlflow.db")) as other, other:
            other.execute(statement, values)

    raced: list[Any] = []
    open_mlflow().delete_model_version_tag("rentals", "1", GENERATION)
    event.listen(Engine, "before_cursor_execute", tagged_by_another)
    try:
        assert follow_ledger("rentals") == first
    finally:
        event.remove(Engine, "before_cursor_execute", tagged_by_another)
    assert len(raced) == 1
    assert open_mlflow().get_model_version("rentals", "1").tags[GENERATION] == "1"
