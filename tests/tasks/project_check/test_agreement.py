"""What a check passes, the first retrain on the same rows does not refuse; what it fails, the retrain refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from refit import Project
from refit.errors import RefitError
from refit_tasks.ledger.record import entries
from refit_tasks.project_check.check import check
from tests.support.first_retrain import retrain_first
from tests.support.strange_projects import AS_OF, strange_project

FAST = 6
SEEDS = [*range(FAST), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FAST, 200))]
SERVING = {"parity", "latency", "size", "load_time"}
"""The rules of the gate by which no model of a project can ever pass."""


def refusal_of(definition: Project) -> str | None:
    """Gives the sentence with which the first retrain is refused; any error that is not ours fails the test."""
    try:
        verdict = retrain_first(definition, AS_OF)
    except RefitError as refusal:
        return str(refusal)
    reasons = {reason.check: reason for reason in verdict.reasons if not reason.passed}
    barred = {name: one.sentence for name, one in reasons.items() if name in SERVING}
    if "answers" in reasons and "NaN or infinite" in reasons["answers"].sentence:
        barred["answers"] = reasons["answers"].sentence
    return str(barred) if barred else None


@pytest.mark.filterwarnings("ignore")  # of numpy and scikit-learn, about numbers that are strange on purpose
@pytest.mark.parametrize("seed", SEEDS)
def test_check_and_retrain_agree(seed: int, mlflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_SERVING_FORM", "scikit-learn")
    definition = strange_project(seed)
    with threadpool_limits(1):
        results = check(definition, AS_OF)
        refused = refusal_of(definition)
    failed = {one.name: one.sentence for one in results if not one.passed and "skipped" not in one.sentence}
    assert all("\n" not in sentence for sentence in failed.values())
    if refused:
        assert "\n" not in refused.strip()
        assert entries(definition.name, "promotion") == []
    failed.pop("overlap", None)  # the first retrain loads once; what it finds harms the second one
    assert bool(failed) == bool(refused), (failed, refused)
