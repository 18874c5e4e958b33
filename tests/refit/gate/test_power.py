"""How often the gate finds a ruined slice, or probabilities that are too sure, by simulation."""

from __future__ import annotations

import numpy as np

from refit import GatePolicy
from refit.gate.calibration import check_calibration
from refit.gate.slices import check_slices
from tests.support.simulated_challengers import classified, evidence_of, noisy, too_sure

REPEATS, ROWS = 100, 3_000


def test_a_slice_of_a_tenth_of_the_rows_whose_answers_are_shuffled_is_found() -> None:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(REPEATS):
        truth, chance, places = classified(rng, ROWS)
        said, other = noisy(rng, chance), noisy(rng, chance)
        said[places["town = c"]] = rng.permutation(said[places["town = c"]])
        found = evidence_of(truth, said, other, places).slices or ()
        reason = check_slices(found, GatePolicy(), with_champion=True)
        hits += not reason.passed and "where town = c (300 rows)" in reason.sentence
    assert hits >= 0.95 * REPEATS


def test_probabilities_that_are_too_sure_are_found_though_their_order_is_right() -> None:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(REPEATS):
        truth, chance, places = classified(rng, ROWS)
        said, other = noisy(rng, chance), noisy(rng, chance)
        found = evidence_of(truth, too_sure(said), other, places).calibration
        assert found is not None
        hits += not check_calibration(found, GatePolicy()).passed
    assert hits >= 0.95 * REPEATS
