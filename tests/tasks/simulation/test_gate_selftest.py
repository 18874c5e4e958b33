"""The gate's self-test: it stops every planted fault, lets honest challengers pass, and tells when it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from refit import Budgets, GatePolicy, Project
from refit_tasks.catalog import discover
from refit_tasks.simulation import gate_selftest as selftest_module
from refit_tasks.simulation.faulty_challengers import FAULTS
from refit_tasks.simulation.gate_selftest import SelfTestResult, run_selftest
from tests.support import paths

EXAMPLES = discover(paths.EXAMPLES).projects
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


QUICK = GatePolicy(budgets=Budgets(latency_ms=200))
"""The slow challenger need not be slower than that."""


def tried(definition: Project, rounds: int = 1) -> dict[str, SelfTestResult]:
    return {one.name: one for one in run_selftest(definition, JUNE, rounds)}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_bad_challenger_is_stopped_by_a_rule_that_is_there_for_it(name: str) -> None:
    found = tried(EXAMPLES[name].model_copy(update={"gate": QUICK}))
    assert list(found) == [*FAULTS, "honest 1"]
    assert [one.name for one in found.values() if not one.right] == []
    assert all(one.verdict is not None for one in found.values())
    assert found["honest 1"].verdict is not None
    assert found["honest 1"].verdict.promote


def test_a_limit_that_is_not_set_leaves_its_challenger_out() -> None:
    free = Budgets(latency_ms=None, size_mb=None)
    found = tried(EXAMPLES["late_delivery"].model_copy(update={"gate": GatePolicy(budgets=free)}))
    assert [name for name, one in found.items() if one.verdict is None] == ["slow", "huge"]


LACKING = {"leakage", "newer_rows", "unseen_rows", "not_the_champion", "size", "latency", "inputs"}


@pytest.mark.slow
def test_a_gate_without_some_of_its_rules_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks the gate on purpose: what those rules alone stop has to pass."""
    whole: Callable[..., object] = selftest_module.decide

    def lacking(*arguments: object) -> object:
        verdict = whole(*arguments)
        return type(verdict)(tuple(reason for reason in verdict.reasons if reason.check not in LACKING))

    monkeypatch.setattr(selftest_module, "decide", lacking)
    few = small(EXAMPLES["late_delivery"])
    assert [one.name for one in run_selftest(few, JUNE, 1) if not one.right] == [
        name for name, (_, expected) in FAULTS.items() if expected <= LACKING
    ]


def small(definition: Project) -> Project:
    """The project on its newest weeks alone, so that its history is made quickly."""

    def load(window: object) -> pd.DataFrame:
        frame = pd.concat(list(definition.load(window)), ignore_index=True)
        return frame.tail(12_000)

    return definition.model_copy(update={"load": load, "gate": QUICK})


def test_a_history_that_is_too_short_is_said_to_be() -> None:
    from refit.errors import NotEnoughData

    def load(window: object) -> pd.DataFrame:
        at = pd.date_range("2026-01-01", periods=100, freq="h", tz="UTC")
        return pd.DataFrame({"at": at, "x": range(100), "y": [0, 1] * 50})

    definition = Project(
        name="few", kind="classification", target="y", timestamp="at", load=load, build=LogisticRegression
    )
    with pytest.raises(NotEnoughData, match="100 labelled rows, too few for a self-test"):
        list(run_selftest(definition, JUNE, 1))
