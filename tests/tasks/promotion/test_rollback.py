"""The way back: one entry of the ledger, fenced, and who served at any moment in the past."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from refit import Project
from refit.errors import PromotionError, StaleChampion
from refit_tasks.ledger.generations import champion_at, current_champion
from refit_tasks.ledger.record import entries, latest, verify_ledger
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.promote import promote
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.registry.mlflow_client import open_mlflow

AT = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def alias() -> int:
    return int(open_mlflow().get_model_version_by_alias("rentals", "champion").version)


@pytest.fixture
def three(judge) -> list:
    """Three champions, one a day."""
    champions = []
    for number, key in enumerate("abc"):
        over = champions[-1] if champions else None
        champions.append(promote.fn(judge(key, over=over), over, AT + number * DAY))
    return champions


def test_the_former_champion_returns_in_one_entry(three, rentals: Project) -> None:
    before = verify_ledger()
    back = roll_back("rentals", "complaints", "ada", AT + 5 * DAY)
    assert (back.version, back.generation, back.since, back.model) == (2, 4, AT + 5 * DAY, three[1].model)
    assert current_champion("rentals") == find_champion.fn(rentals) == back
    assert alias() == 2
    assert verify_ledger() == before + 1
    entry = latest("rentals", "rollback")
    assert {name: entry.payload[name] for name in ("reason", "by", "decision")} == {
        "reason": "complaints",
        "by": "ada",
        "decision": None,
    }
    assert entry.payload["former"]["version"] == 3


def test_a_second_rollback_goes_farther_back_and_the_first_champion_is_the_end(three) -> None:
    roll_back("rentals", "r", "ada", AT + 5 * DAY)
    assert roll_back("rentals", "r", "ada", AT + 6 * DAY).version == 1
    with pytest.raises(PromotionError, match="version 1 of rentals is its first champion"):
        roll_back("rentals", "r", "ada", AT + 7 * DAY)
    assert roll_back("rentals", "r", "ada", AT + 8 * DAY, to=3).generation == 6
    assert roll_back("rentals", "r", "ada", AT + 9 * DAY).version == 2


def test_nobody_returns_who_was_never_champion(three, judge) -> None:
    judge("d", over=three[-1], promote=False)
    with pytest.raises(PromotionError, match="version 4 of rentals was never champion: return to one of 1, 2, 3"):
        roll_back("rentals", "r", "ada", AT, to=4)
    with pytest.raises(PromotionError, match="version 3 of rentals is already the champion"):
        roll_back("rentals", "r", "ada", AT, to=3)
    with pytest.raises(PromotionError, match="bikes has no champion"):
        roll_back("bikes", "r", "ada", AT)
    assert current_champion("rentals") == three[-1]


def test_a_rollback_is_fenced_and_a_decision_is_carried_out_once(three, judge) -> None:
    with pytest.raises(StaleChampion, match=r"generation 2 of rentals .* version 3 now serves \(generation 3\)"):
        roll_back("rentals", "r", "the watch", AT, over=2, decision=9)
    back = roll_back("rentals", "r", "the watch", AT + 5 * DAY, to=2, over=3, decision=9)
    assert roll_back("rentals", "r", "the watch", AT + 6 * DAY, to=2, over=3, decision=9) == back
    assert len(entries(kind="rollback")) == 1
    fourth = promote.fn(judge("d", over=back), back, AT + 7 * DAY)
    with pytest.raises(StaleChampion):
        roll_back("rentals", "r", "the watch", AT + 8 * DAY, to=2, over=3, decision=9)
    assert current_champion("rentals") == fourth


def test_a_challenger_of_the_one_that_was_taken_back_is_stale(three, judge) -> None:
    late = judge("late", over=three[-1])
    back = roll_back("rentals", "r", "ada", AT + 5 * DAY)
    with pytest.raises(StaleChampion, match="compared with generation 3, but version 2 serves"):
        promote.fn(late, three[-1], AT + 6 * DAY)
    assert promote.fn(judge("next", over=back), back, AT + 6 * DAY).generation == 5
    verify_ledger()


@pytest.mark.slow
def test_two_hundred_moments_have_the_right_champion(three, judge) -> None:
    rng = random.Random(20260302)  # noqa: S311 - moments, no secrets
    known = [(champion.since, champion) for champion in three]
    at = AT + 3 * DAY
    for number in range(7):
        at += timedelta(hours=rng.uniform(0.1, 30), microseconds=rng.randrange(2))
        over = known[-1][1]
        if rng.random() < 0.4:
            known.append((at, roll_back("rentals", "r", "ada", at, to=rng.choice(sorted({1, 2, 3} - {over.version})))))
        else:
            known.append((at, promote.fn(judge(f"more {number}", over=over), over, at)))
    for _ in range(200):
        moment = AT - DAY + (at + 2 * DAY - AT) * rng.random()
        expected = [champion for since, champion in known if since <= moment]
        assert champion_at("rentals", moment) == (expected[-1] if expected else None)
    for since, champion in known:
        assert champion_at("rentals", since) == champion
        assert champion_at("rentals", since - timedelta(microseconds=1)) != champion


def test_a_refused_rollback_brings_the_alias_along_that_a_kill_has_left_behind(three) -> None:
    roll_back("rentals", "r", "ada", AT + 5 * DAY, to=1)
    client = open_mlflow()
    client.delete_model_version_tag("rentals", "1", "refit.generation")
    client.set_registered_model_alias("rentals", "champion", "3")
    with pytest.raises(PromotionError, match="is its first champion"):
        roll_back("rentals", "r", "ada", AT + 6 * DAY)
    assert alias() == 1
