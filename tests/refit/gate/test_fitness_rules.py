"""Rules on what a challenger answers, looks at, knows and costs: each finds its fault, and lets a good one by."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression

from refit import GatePolicy, Project
from refit.errors import ProjectError
from refit.gate.evidence import Case, Eligibility, Fairness, Group, SandboxRun
from refit.gate.fairness import check_fairness, measure_fairness
from refit.gate.leakage import check_forbidden_features, check_inputs, check_leakage, measure_inputs
from refit.gate.sanity import (
    check_newer_rows,
    check_not_the_champion,
    check_predictions,
    check_unseen_rows,
    measure_predictions,
)
from refit.gate.serving_parity import check_latency, check_load_time, check_parity, check_size
from refit.modelling.predictions import Predictions
from refit.policies.gate import Budgets, FairnessPolicy
from tests.support.simulation_sizes import at_most, sizes

RNG = np.random.default_rng(5)
ROWS = pd.DataFrame(
    {
        "x": RNG.normal(size=2_000),
        "town": pd.array(RNG.choice(["north", "south", "west"], 2_000), dtype="str"),
        "at": pd.date_range("2026-01-01", periods=2_000, freq="h", tz="UTC"),
    }
).assign(y=lambda rows: rows["x"] + RNG.normal(size=2_000))


class Says(BaseEstimator):
    """Gives the answers that it is made with."""

    def __init__(self, said, probabilities=None):
        self.said = said
        if probabilities is not None:
            self.predict_proba = lambda rows: np.column_stack([1 - probabilities, probabilities])[: len(rows)]
            self.classes_ = np.array([False, True])

    def predict(self, rows):
        return np.asarray(self.said)[: len(rows)]


def project(kind="regression", **policy):
    return Project(
        name="p",
        kind=kind,
        target="y",
        timestamp="at",
        load=pd.DataFrame,
        build=LinearRegression,
        features=("x", "town"),
        gate=GatePolicy(**policy),
    )


def judged(said, training=(0.0, 10.0), probabilities=None, **policy):
    definition = project("regression" if probabilities is None else "classification", **policy)
    predictions = Predictions(Says(said, probabilities), pd.DataFrame({"x": np.zeros(len(said))}))
    return check_predictions(measure_predictions(definition, predictions, pd.Series(training)))


@pytest.mark.parametrize(
    ("said", "value", "told"),
    [
        ([1.0, 2.0, np.nan, np.inf], 2, "2 are NaN or infinite"),
        ([1.0, 2.0, 20.1, -10.1], 2, "2 are outside -10 to 20"),
        ([3.0, 3.0, 3.0, 3.0], 0, "all are the same"),
        ([np.nan] * 4, 4, "4 are NaN or infinite, all are the same"),
    ],
)
def test_answers_that_are_not_sane(said, value, told):
    reason = judged(said)
    assert (reason.passed, reason.value, reason.limit) == (False, value, 0)
    assert reason.sentence == f"of 4 predictions, {told}"


def test_answers_that_are_sane_and_a_range_that_the_project_sets():
    assert judged([-10.0, 20.0]).passed
    assert not judged([-1.0, 5.0], prediction_range=(0, 10)).passed
    assert judged([0.0, 10.0], prediction_range=(0, 10)).passed


def test_probabilities_lie_between_0_and_1_but_for_rounding():
    assert judged([True, False], probabilities=np.array([1 + 1e-12, 0.0])).passed
    assert not judged([True, False], probabilities=np.array([1.01, 0.0])).passed
    assert not judged([True, True], probabilities=np.array([0.7, 0.7])).passed


def test_classes_without_probabilities_are_counted():
    definition = project("classification")
    for said, passed in ((["a", "a"], False), (["a", "b"], True)):
        predictions = Predictions(Says(said), pd.DataFrame({"x": [0, 0]}))
        assert check_predictions(measure_predictions(definition, predictions, pd.Series(["a", "b"]))).passed is passed


def looked_at(rows, features=("x", "town"), kind="regression", metric="neg_mean_absolute_error"):
    definition = project(kind).model_copy(update={"features": features})
    model = LinearRegression().fit(rows[["x"]], rows["x"])
    model.feature_names_in_ = np.array(features, dtype=object)
    return measure_inputs(definition, model, rows.iloc[:1_000], rows.iloc[1_000:], metric)


def test_an_honest_feature_is_not_suspected_and_one_that_holds_the_label_is():
    honest = looked_at(ROWS)
    assert honest.strongest == "x"
    assert 0.2 < honest.strength < 0.5
    assert check_leakage(honest, GatePolicy()).passed
    leaked = looked_at(ROWS.assign(copy=ROWS["y"] * 3 + 1), ("x", "town", "copy"))
    assert leaked.strongest == "copy"
    assert not check_leakage(leaked, GatePolicy()).passed
    assert check_leakage(leaked, GatePolicy(leakage=None)).passed


@pytest.mark.parametrize("write", [lambda late: late.map({True: "yes", False: "no"}), lambda late: late.astype(float)])
def test_the_label_is_found_however_it_is_written(write):
    late = ROWS["y"] > 0
    rows = ROWS.assign(y=late.map({True: "late", False: "soon"}), town=write(late))
    found = looked_at(rows, kind="classification", metric="roc_auc")
    assert (found.strongest, found.strength) == ("town", 1.0)
    reason = check_leakage(found, GatePolicy())
    assert not reason.passed
    assert "'town' alone removes 100.0%" in reason.sentence


def test_values_that_are_missing_infinite_or_huge_are_looked_at():
    odd = np.where(ROWS["x"] > 1, np.inf, np.where(ROWS["x"] < -1, np.nan, ROWS["x"] * 1e300))
    found = looked_at(ROWS.assign(odd=odd), ("odd", "town"))
    assert found.strongest == "odd"
    assert 0.1 < found.strength < 0.5


def test_a_column_of_times_with_missing_ones_is_looked_at():
    rows = ROWS.assign(sent=ROWS["at"].where(ROWS["x"] > 0))
    assert looked_at(rows, ("town", "sent")).strongest == "sent"


def test_features_are_the_projects_and_none_is_forbidden():
    definition = project()
    other = LinearRegression().fit(ROWS[["x"]].assign(user_id=1), ROWS["y"])
    found = measure_inputs(definition, other, ROWS.assign(user_id=1), ROWS.assign(user_id=1), "r2")
    reason = check_inputs(found)
    assert (reason.passed, reason.value) == (False, 2)
    assert reason.sentence == "'user_id' is not among the project's features; it does not use 'town'"
    assert not check_forbidden_features(found, GatePolicy(forbidden=("*_id",))).passed
    assert check_forbidden_features(found, GatePolicy(forbidden=("id_*",))).passed
    assert check_inputs(looked_at(ROWS)).passed


def treated(said, came, names, **limits):
    policy = FairnessPolicy(column="town", **limits)
    model = Says(np.array(said), np.zeros(len(said)))
    rows = pd.DataFrame({"town": pd.array(names, dtype="str")})
    found = measure_fairness(policy, Predictions(model, rows), pd.Series(came), rows)
    return found, check_fairness(found, policy)


def test_groups_that_are_treated_alike_and_unlike():
    names, came = ["a"] * 100 + ["b"] * 100, [True, False] * 100
    assert treated(came, came, names)[1].passed
    found, reason = treated([*came[:100], *[False] * 100], came, names)
    assert (found.demographic_parity, found.equalized_odds) == (0.5, 1.0)
    assert (reason.passed, reason.value, reason.limit) == (False, 0.5, 0.1)
    _, reason = treated([*came[:100], *[False] * 100], came, names, demographic_parity=None)
    assert (reason.passed, reason.value) == (False, 1.0)
    assert treated([*came[:100], *[False] * 100], came, names, demographic_parity=None, equalized_odds=None)[1].passed


@sizes(300, 20)
@pytest.mark.parametrize(("groups", "size"), [(4, 100), (8, 600)])
def test_groups_that_are_treated_alike_are_rejected_in_at_most_five_percent(
    groups: int, size: int, repeats: int
) -> None:
    """A fifth of the rows is positive, of which seven in ten are found: by the differences alone half would fail."""
    rng, failed, beyond = np.random.default_rng(groups * size), 0, 0
    for _ in range(repeats):
        came = rng.random(groups * size) < 0.2
        said = np.where(came, rng.random(groups * size) < 0.7, rng.random(groups * size) < 0.1)
        found, reason = treated(said, came, np.repeat([f"g{at}" for at in range(groups)], size))
        failed += not reason.passed
        beyond += max(found.demographic_parity, found.equalized_odds) > 0.1
    assert failed / repeats <= at_most(0.05, repeats)
    assert beyond / repeats > 0.4


def test_a_group_that_is_treated_much_worse_is_found() -> None:
    rng = np.random.default_rng(1)
    came, names = rng.random(1_200) < 0.3, np.repeat(["a", "b", "c"], 400)
    said = came & (rng.random(1_200) < np.where(names == "b", 0.3, 0.9))
    assert not treated(said, came, names)[1].passed


def test_fairness_of_a_former_record_is_judged_by_the_differences() -> None:
    former = Fairness("town", (Group("a", 100, 0.3, 0.7, 0.1), Group("b", 100, 0.42, 0.7, 0.1)), 0.12, 0.0)
    assert not check_fairness(former, FairnessPolicy(column="town")).passed


def test_a_group_without_positive_rows_has_no_rate_that_could_differ():
    came = [True, False] * 50 + [False] * 100
    found, reason = treated(came, came, ["a"] * 100 + ["b"] * 100, demographic_parity=None)
    assert found.equalized_odds == 0
    assert reason.passed


def test_small_groups_are_shown_and_not_judged_and_missing_is_one():
    came = [True, False] * 100
    found, reason = treated(came, came, ["a"] * 160 + [None] * 40)
    assert [(group.name, group.rows) for group in found.groups] == [("a", 160), ("missing", 40)]
    assert (reason.passed, reason.value) == (True, None)


def test_fairness_needs_its_column_and_two_classes():
    rows = pd.DataFrame({"x": [1.0, 2.0]})
    model = LogisticRegression().fit(rows, [0, 1])
    with pytest.raises(ProjectError, match="names the unknown column 'town': use one of x"):
        measure_fairness(FairnessPolicy(column="town"), Predictions(model, rows), pd.Series([0, 1]), rows)
    number = LinearRegression().fit(rows, [0, 1])
    with pytest.raises(ProjectError, match="two classes"):
        measure_fairness(FairnessPolicy(column="x"), Predictions(number, rows), pd.Series([0, 1]), rows)


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = Eligibility(trained_until=NOON, champion_until=NOON - DAY, holdout_from=NOON + DAY, same_answers=False)


def test_who_has_seen_the_holdout_is_not_judged_on_it():
    assert check_unseen_rows(GOOD).passed
    assert check_unseen_rows(replace(GOOD, holdout_from=NOON)).passed
    late = check_unseen_rows(replace(GOOD, holdout_from=NOON - DAY))
    assert (late.passed, late.value) == (False, -24)
    assert not check_unseen_rows(replace(GOOD, champion_until=NOON + 2 * DAY)).passed


def test_a_challenger_is_no_older_than_the_champion_and_another_model():
    assert check_newer_rows(GOOD).passed
    assert check_newer_rows(replace(GOOD, champion_until=NOON)).passed
    stale = check_newer_rows(replace(GOOD, champion_until=NOON + DAY))
    assert (stale.passed, stale.value) == (False, -24)
    assert check_newer_rows(replace(GOOD, champion_until=None)).passed
    assert check_not_the_champion(GOOD).passed
    assert not check_not_the_champion(replace(GOOD, same_answers=True)).passed


SERVED = SandboxRun(100, 1e-12, (Case("types", passed=True, sentence=""),), 0.5, 2.0, 3_000_000)


def test_a_model_serves_as_it_was_judged():
    assert check_parity(SERVED).passed
    assert not check_parity(replace(SERVED, difference=2e-9)).passed
    assert not check_parity(replace(SERVED, difference=None)).passed
    refused = check_parity(replace(SERVED, cases=(Case("types", passed=False, sentence="it refuses: no"),)))
    assert (refused.passed, refused.sentence) == (False, "in a fresh process, types: it refuses: no")
    assert "the process died" in check_parity(replace(SERVED, fault="the process died")).sentence


@pytest.mark.parametrize(
    ("rule", "setting", "value"),
    [(check_latency, "latency_ms", 2.0), (check_size, "size_mb", 3.0), (check_load_time, "load_seconds", 0.5)],
)
def test_budgets_are_kept_or_none_is_set(rule, setting, value):
    assert rule(SERVED, Budgets(**{setting: value})).passed
    over = rule(SERVED, Budgets(**{setting: value * 0.9}))
    assert (over.passed, over.value, over.limit) == (False, value, value * 0.9)
    free = rule(SERVED, Budgets(**{setting: None}))
    assert (free.passed, free.value, free.limit) == (True, value, None)
    assert "no budget is set" in free.sentence
