"""Harm that a few blocks of time have is limited by its size, and chance is not mistaken for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from refit import GatePolicy, Window
from refit.data.split import fine_blocks
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.harm_limit import check_harm
from refit.gate.paired_tests import check_champion, check_refit
from refit.records.contributions import Contributions, Stratum
from refit.records.ledger import as_payload, from_payload
from refit.records.references import SnapshotRef
from refit.records.verdicts import Reason
from tests.support.simulated_challengers import wandering
from tests.support.simulation_sizes import at_most, sizes

ROWS, BLOCK = 2_000, 50
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
HOLDOUT = SnapshotRef("m", 1, WINDOW, ROWS, "f", labelled=True)


def evaluation(losses: np.ndarray) -> Evaluation:
    """The losses of single rows, in the blocks that the gate compares."""
    parts = fine_blocks(pd.Series(pd.date_range(WINDOW.start, periods=len(losses), freq="h")))
    sums = np.add.reduceat(-losses, [part.start for part in parts]).tolist()
    found = Stratum(tuple(part.stop - part.start for part in parts), tuple(sums), float(losses.var()))
    return Evaluation(-losses.mean(), tuple(-losses[part].mean() for part in parts), Contributions((found,)))


def compared(challenger: np.ndarray, champion: np.ndarray, metric: str = "neg_mean_absolute_error") -> Comparison:
    one, other, trivial = (evaluation(each) for each in (challenger, champion, champion + 100 + np.arange(ROWS) % 7))
    return Comparison(metric, HOLDOUT, one, trivial, other)


def harm(challenger: np.ndarray, champion: np.ndarray, policy: GatePolicy | None = None) -> Reason:
    found = compared(challenger, champion)
    assert found.champion is not None
    reason = check_harm(found, found.champion, policy or GatePolicy())
    assert reason is not None
    return reason


def worse_in(blocks: int, times: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two models that are alike but for some blocks of 50 rows, in which one has so many times the loss more."""
    rng = np.random.default_rng(seed)
    champion = np.abs(rng.normal(size=ROWS))
    challenger = np.abs(champion + 0.2 * rng.normal(size=ROWS))
    for block in range(blocks):
        at = slice(300 + block * 500, 300 + block * 500 + BLOCK)
        challenger[at] += times * champion.mean()
    return challenger, champion


@pytest.mark.parametrize(("blocks", "times"), [(1, 40.0), (1, 8.0), (2, 10.0), (3, 5.0)])
def test_a_challenger_that_is_far_worse_in_few_of_forty_blocks_is_not_promoted(blocks: int, times: float) -> None:
    challenger, champion = worse_in(blocks, times)
    found = compared(challenger, champion)
    assert found.champion is not None
    if blocks == 1:
        assert check_champion(found, found.champion, GatePolicy()).passed, "a t test does not see it"
    assert not decide(found, GatePolicy()).promote
    reason = harm(challenger, champion)
    assert not reason.passed
    assert reason.value == pytest.approx(times * blocks / 40, abs=0.05)
    assert "rises most in block" in reason.sentence


def test_a_final_fit_that_fails_in_one_block_does_not_serve() -> None:
    refitted, judged = worse_in(1, 40.0)
    found = compared(judged, judged)
    reason = check_refit(evaluation(refitted), found, GatePolicy())
    assert not reason.passed
    assert "not significantly worse" in reason.sentence
    assert "its loss rises by more than 10%" in reason.sentence


def test_the_limit_is_the_policys() -> None:
    assert harm(*worse_in(1, 8.0), GatePolicy(harm=0.3)).passed
    found = compared(*worse_in(1, 8.0))
    assert found.champion is not None
    assert check_harm(found, found.champion, GatePolicy(harm=None)) is None


def test_a_few_more_wrong_classes_are_chance() -> None:
    """The champion errs in 20 of 2,000 rows, the challenger in four more, in blocks that are else alike."""
    champion = np.zeros(ROWS)
    champion[::100] = 1
    challenger = champion.copy()
    challenger[[7, 507, 1_007, 1_507]] = 1
    reason = harm(challenger, champion)
    assert reason.passed
    assert reason.value == pytest.approx(0.2)
    assert "rows like these differ as much by chance" in reason.sentence


@sizes(2_000, 200)
@pytest.mark.parametrize("own", [0.0, 0.5, 0.95, 0.98])
@pytest.mark.parametrize("spread", [0.4, 2.0])
def test_an_equal_challenger_is_hardly_ever_called_harmful(own: float, spread: float, repeats: int) -> None:
    rng, found = np.random.default_rng(9), 0
    for _ in range(repeats):
        hard = wandering(rng, 0.9, ROWS)
        one, other = (np.abs(hard + spread * wandering(rng, own, ROWS)) for _ in range(2))
        found += not harm(one, other).passed
    assert found / repeats <= at_most(0.005, repeats)


def test_a_record_of_a_release_without_contributions_is_judged_as_it_was() -> None:
    found = compared(*worse_in(1, 40.0))
    former = replace(
        found,
        **{name: replace(getattr(found, name), contributions=None) for name in ("challenger", "baseline", "champion")},
    )
    read = from_payload(Comparison, as_payload(former))
    assert "harm" not in {reason.check for reason in decide(read, GatePolicy()).reasons}
    assert decide(read, GatePolicy()) == decide(former, GatePolicy())
