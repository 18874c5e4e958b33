"""Fixed thresholds and lasting alarms: what marks a column, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from refit.drift.alarms import find_persistent, holm, size_limits
from refit.errors import ProjectError
from refit.policies.drift_rules import apply_rules, parse_rule
from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import DomainDrift, Drift
from refit.windows import Window
from tests.support.monitored_champion import START, WEEK, column

WINDOW = Window(START, START + WEEK)


def found(*drifted: str, huge: str = "", together: bool = False) -> Drift:
    columns = tuple(
        replace(column(name, drifted=name in drifted), huge=name == huge) for name in ("wind", "rain", "heat")
    )
    return Drift(WINDOW, 1_000, columns, (), DomainDrift(0.6, 0.55, drifted=together), calibrated=True)


def test_an_alarm_needs_k_of_n_windows_or_a_huge_change() -> None:
    policy = DriftPolicy(persistence=(2, 3))
    assert find_persistent([], policy) == ()
    assert find_persistent([found("wind")], policy) == ()
    assert find_persistent([found("wind"), found(), found("wind")], policy) == ("wind",)
    assert find_persistent([found("wind"), found(), found(), found("wind")], policy) == ()
    assert find_persistent([found("rain", huge="rain")], policy) == ("rain",)
    assert find_persistent([found("rain", huge="rain"), found()], policy) == ()
    assert find_persistent([found(together=True), found(together=True)], policy) == ("(together)",)


def test_holm_is_stepwise() -> None:
    assert holm([0.002, 0.004, 0.2], 0.01) == [True, True, False]
    assert holm([0.004, 0.0001, 0.011], 0.01) == [True, True, False]
    assert holm([], 0.01) == []


def test_floors_are_stricter_without_calibration() -> None:
    assert size_limits(DriftPolicy(), calibrated=True) == (0.02, 0.3)
    assert size_limits(DriftPolicy(), calibrated=False) == (0.2, 0.6)


@pytest.mark.parametrize(
    ("rules", "marked"),
    [
        (("psi > 0.2 on any",), ("rain",)),
        (("psi > 0.2 on any of [wind, heat]",), ()),
        (("psi > 0.001 on all",), ("wind", "rain", "heat")),
        (("psi > 0.2 on all of [wind, rain]",), ()),
        (("missing_change >= 1e-1 on any",), ("rain",)),
        (("share > 0.3",), ("rain",)),
        (("share > 0.5",), ()),
        (("psi > 0.2 on any", "domain_auc > 0.58"), ("rain", "(together)")),
        (("domain_auc > 0.7",), ()),
    ],
)
def test_rules_mark_in_place_of_the_alarm(rules: tuple[str, ...], marked: tuple[str, ...]) -> None:
    assert apply_rules(rules, found("rain", together=True)).drifted == marked


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("psi above 0.2", "is not a drift rule"),
        ("entropy > 1", "use one of psi, excess"),
        ("share > 0.5 on any", "remove 'on any ...'"),
        ("psi > 0.2 on any of []", "names no column"),
    ],
)
def test_a_mistake_is_a_sentence_already_when_the_policy_is_written(rule: str, said: str) -> None:
    with pytest.raises(ProjectError) as mistake:
        parse_rule(rule)
    assert said in str(mistake.value)
    with pytest.raises(ValidationError) as refused:
        DriftPolicy(rules=(rule,))
    assert said in str(refused.value)


def test_a_column_that_is_not_compared_is_named() -> None:
    with pytest.raises(ProjectError, match="'snow', which is not compared: use one of wind, rain, heat"):
        apply_rules(("psi > 0.2 on any of [snow]",), found())
