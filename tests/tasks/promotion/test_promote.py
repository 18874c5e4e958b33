import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refit import Project
from refit.errors import PromotionError, StaleChampion, StateError
from refit.records.references import Challenger, Champion
from refit.records.verdicts import Reason, Verdict
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, latest, verify_ledger
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.register import find_verdict, is_settled

AT = datetime(2026, 3, 2, tzinfo=UTC)

PROMOTE = """
import signal
from datetime import UTC, datetime
from refit.errors import StaleChampion
from refit_tasks.promotion import promote
if killed_before_alias:
    promote.follow_ledger = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
try:
    champion = promote.promote.fn(challengers[number], over, datetime(2026, 3, 2, tzinfo=UTC))
    results.put(champion.version)
except StaleChampion as error:
    results.put(str(error))
"""


def alias(name: str = "champion") -> int:
    return int(open_mlflow().get_model_version_by_alias("rentals", name).version)


def test_the_first_champion_and_its_successor(judge, rentals: Project) -> None:
    assert find_champion.fn(rentals) is None
    first = promote.fn(judge("a"), None, AT)
    second = promote.fn(judge("b", over=first), first, AT + timedelta(days=1))

    assert (first.version, first.generation, first.since) == (1, 1, AT)
    assert (second.version, second.generation) == (2, 2)
    assert find_champion.fn(rentals) == current_champion("rentals") == second
    assert alias() == 2
    promotion = latest("rentals", "promotion")
    assert promotion.payload["former"]["version"] == 1
    assert promotion.payload["verdict_id"] == find_verdict(rentals, "b").verdict_id
    assert verify_ledger() == 4


def test_promoting_again_through_the_same_verdict_changes_nothing(judge, rentals: Project) -> None:
    challenger = judge()
    first = promote.fn(challenger, None, AT)
    assert promote.fn(challenger, None, AT + timedelta(days=1)) == first
    assert len(entries(kind="promotion")) == 1


def test_a_rejected_challenger_cannot_be_promoted(judge) -> None:
    with pytest.raises(PromotionError, match=r"its verdict is to reject: the error is 1\.3"):
        promote.fn(judge(promote=False), None, AT)
    assert current_champion("rentals") is None


@pytest.mark.parametrize(
    "forgery",
    [
        {"version": 7},
        {"verdict_id": 99},
        {"verdict": Verdict((Reason("floor", passed=True, value=None, limit=None, sentence="forged"),))},
    ],
    ids=lambda forgery: next(iter(forgery)),
)
def test_what_the_ledger_has_not_judged_cannot_be_promoted(judge, forgery) -> None:
    challenger = replace(judge(promote="verdict" not in forgery), **forgery)
    with pytest.raises(PromotionError, match="does not record its verdict"):
        promote.fn(challenger, None, AT)
    assert current_champion("rentals") is None


def test_a_challenger_cannot_follow_a_champion_it_was_not_compared_with(judge) -> None:
    late, early = judge("late"), judge("early")
    first = promote.fn(early, None, AT)
    for over in (None, first):
        with pytest.raises(StaleChampion, match=r"generation 0, but version 2 serves \(generation 1\): retrain"):
            promote.fn(late, over, AT)
    assert current_champion("rentals") == first
    assert alias() == 2


def test_a_superseded_champion_does_not_return_through_its_old_verdict(judge) -> None:
    challenger = judge("a")
    first = promote.fn(challenger, None, AT)
    second = promote.fn(judge("b", over=first), first, AT)
    with pytest.raises(StaleChampion):
        promote.fn(challenger, None, AT)
    assert current_champion("rentals") == second


@pytest.mark.slow
def test_of_eight_processes_exactly_one_promotes(judge, race, rentals: Project) -> None:
    over: Champion | None = None
    for generation in (1, 2, 3):
        challengers = [judge(f"{generation}-{number}", over=over) for number in range(8)]
        answers = race(PROMOTE, 8, challengers=challengers, over=over, killed_before_alias=False)
        over = current_champion("rentals")
        assert over.generation == generation
        assert [answer for answer in answers if isinstance(answer, int)] == [over.version]
        assert sum(f"version {over.version} serves" in str(answer) for answer in answers) == 7
        assert alias() == over.version
    assert verify_ledger() == 3 * 8 + 3


def test_a_kill_between_ledger_and_alias_is_repaired(judge, race, rentals: Project) -> None:
    first = promote.fn(judge("a"), None, AT)
    challenger = judge("b", over=first)
    race(PROMOTE, 1, killed=True, challengers=[challenger], over=first, killed_before_alias=True)
    assert current_champion("rentals").version == 2
    assert alias() == 1

    assert find_champion.fn(rentals).version == 2
    assert alias() == 2
    assert promote.fn(challenger, first, AT) == current_champion("rentals")


def test_an_alias_that_somebody_moved_or_removed_is_recorded_and_set_again(judge, rentals: Project) -> None:
    promote.fn(judge("a"), None, AT)
    judge("b")
    open_mlflow().set_registered_model_alias("rentals", "champion", "2")
    assert find_champion.fn(rentals).version == alias() == 1
    open_mlflow().delete_registered_model_alias("rentals", "champion")
    assert find_champion.fn(rentals).version == alias() == 1
    assert find_champion.fn(rentals).version == 1
    assert [one.payload for one in reversed(entries(kind="alias"))] == [
        {"found": found, "expected": 1, "generation": 1, "action": "restored"} for found in (2, 0)
    ]


def test_an_alias_that_a_crash_left_behind_was_moved_by_nobody(judge, rentals: Project) -> None:
    first = promote.fn(judge("a"), None, AT)
    promote.fn(judge("b", over=first), first, AT)
    client = open_mlflow()
    client.delete_model_version_tag("rentals", "2", "refit.generation")
    client.set_registered_model_alias("rentals", "champion", "1")
    assert find_champion.fn(rentals).version == alias() == 2
    assert entries(kind="alias") == []


def test_a_version_that_a_person_chose_is_adopted_if_the_policy_says_so(judge, rentals: Project) -> None:
    adopting = rentals.model_copy(update={"gate": rentals.gate.model_copy(update={"moved_alias": "adopt"})})
    first = promote.fn(judge("a"), None, AT)
    judge("rejected", promote=False, over=first)
    judge("good", over=first)
    open_mlflow().set_registered_model_alias("rentals", "champion", "2")
    assert find_champion.fn(adopting) == first
    open_mlflow().set_registered_model_alias("rentals", "champion", "3")
    adopted = find_champion.fn(adopting)
    assert (adopted.version, adopted.generation) == (3, 2)
    assert current_champion("rentals") == adopted
    assert [one.payload["action"] for one in reversed(entries(kind="alias"))] == ["restored", "adopted"]
    verify_ledger()


def test_a_champion_whose_version_was_deleted_says_so(judge, rentals: Project) -> None:
    promote.fn(judge("a"), None, AT)
    open_mlflow().delete_model_version("rentals", "1")
    with pytest.raises(StateError, match="register it again from its files with `refit doctor rentals`"):
        find_champion.fn(rentals)


def test_a_promotion_without_room_in_the_ledger_leaves_the_state_as_it_was(
    judge, mlflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenger: Challenger = judge()
    with closing(sqlite3.connect(mlflow_home / "ledger.db")) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON champions BEGIN SELECT RAISE(ABORT, 'no room'); END")
        connection.commit()
    with pytest.raises(Exception, match="no room"):
        promote.fn(challenger, None, AT)
    assert latest("rentals", "promotion") is None
    assert not is_settled(challenger)
