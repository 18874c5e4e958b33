"""Who answers beside the champion: the newest version that waits for approval, unless the policy is off."""

from __future__ import annotations

import pytest

from refit import GatePolicy, Project, ServingPolicy
from refit.records.references import Champion
from refit_tasks.promotion.approve import record_approval
from refit_tasks.registry.challengers import find_challenger
from tests.support.registered_models import AT, Judge


@pytest.fixture
def rentals(rentals: Project) -> Project:
    return rentals.model_copy(update={"gate": GatePolicy(promotion="approve")})


def answered(version: int, *, approved: bool) -> Champion | None:
    return record_approval.fn("rentals", version, approved=approved, who="Ada", why="", at=AT)


def test_the_newest_that_waits_answers_beside_the_champion(rentals: Project, judge: Judge) -> None:
    first = answered(judge("first").version, approved=True)
    assert find_challenger(rentals) is None
    waiting = judge("second", over=first)
    judge("rejected", over=first, promote=False)
    assert find_challenger(rentals) == waiting, "a newer one that the gate rejected changes nothing"
    off = rentals.model_copy(update={"serving": ServingPolicy(challenger="off")})
    assert find_challenger(off) is None
    newer = judge("third", over=first)
    assert find_challenger(rentals) == newer
    answered(newer.version, approved=False)
    assert find_challenger(rentals) == waiting
    answered(waiting.version, approved=True)
    assert find_challenger(rentals) is None
