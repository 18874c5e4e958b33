"""What a challenger and the champion said of rows, held against their labels: cases whose answer is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from refit import GatePolicy, Project, ServingPolicy
from refit.errors import ProjectError
from refit.gate.online_comparison import ComparisonReport
from refit_deployments.actions.predictions import describe_comparison
from refit_tasks.ledger.generations import current_champion
from refit_tasks.prediction import labelled_predictions as reading
from refit_tasks.prediction.compare import compare_challenger, render_comparison
from refit_tasks.promotion.approve import record_approval
from refit_tasks.storage.delta import write
from refit_tasks.storage.predictions_table import append
from tests.support.registered_models import AT, Judge

ROWS, HOUR = 1_000, timedelta(hours=1)
START = AT - ROWS * HOUR
NOW = AT + timedelta(days=60)
RNG = np.random.default_rng(5)
TRUTH = RNG.normal(size=ROWS).round(3)


@pytest.fixture
def rentals(rentals: Project) -> Project:
    policy = {"key": ("town", "id"), "gate": GatePolicy(promotion="approve"), "label_delay": timedelta(days=2)}
    return rentals.model_copy(update=policy)


@pytest.fixture
def waiting(rentals: Project, judge: Judge) -> Project:
    """Version 1 serves, version 2 waits."""
    first = record_approval.fn("rentals", judge("first").version, approved=True, who="Ada", why="", at=AT)
    judge("second", over=first)
    return rentals


def keep(target: Any, kind: pa.DataType = pa.float64()) -> None:  # noqa: B008 - a type
    rows = {"town": ["x"] * ROWS, "id": pa.array(range(ROWS), pa.int32()), "observed_at": times()}
    table = pa.table({**rows, "rentals": pa.array(target, kind, from_pandas=True)})
    write("rentals", None, [table], table.schema)


def times() -> pa.Array:
    return pa.array([START + number * HOUR for number in range(ROWS)], pa.timestamp("us", "UTC"))


def say(version: int, role: str, ids: Any, predictions: Any, day: float = 1.0, **more: Any) -> None:
    """Appends what a version said some days after the first was promoted, a second apart."""
    ids = np.asarray(ids)
    at = pd.Series(AT + timedelta(days=day) + pd.to_timedelta(np.arange(len(ids)), unit="s"))
    rows = {
        "key__town": pa.array(["x"] * len(ids)),
        "key__id": pa.array(ids, pa.int64()),
        "event_time": pa.nulls(len(ids), pa.timestamp("us", "UTC")),
        "scored_at": pa.array(at, pa.timestamp("us", "UTC")),
        "scored_on": pa.array(at.dt.date, pa.date32()),
        "version": pa.array([version] * len(ids), pa.int64()),
        "generation": pa.array([1] * len(ids), pa.int64()),
        "role": pa.array([role] * len(ids)),
        "source": pa.array(["http"] * len(ids)),
        "prediction": pa.array(predictions),
        **{name: pa.array(values) for name, values in more.items()},
    }
    append("rentals", pa.table(rows), f"{version} {role} {day}")


def found(definition: Project) -> ComparisonReport:
    compared = compare_challenger(definition, current_champion("rentals"), NOW)
    assert compared is not None
    return compared


def test_a_shadow_that_is_nearer_is_better(waiting: Project) -> None:
    target = TRUTH.copy()
    target[::10] = np.nan
    keep(target)
    ids = np.arange(ROWS)
    say(1, "champion", ids, TRUTH + 0.5)
    say(2, "shadow", ids, TRUTH + 9.0)
    say(2, "shadow", ids[::-1], (TRUTH + RNG.normal(0, 0.01, ROWS))[::-1], day=2)  # the newest answer counts, once
    say(2, "shadow", [5_000, 5_001], [0.0, 0.0], day=3)  # rows that the champion did not answer
    compared = found(waiting)
    (met,) = compared.met
    assert (met.role, met.metric, met.answered, met.mature, met.labelled) == (
        "shadow", "neg_mean_absolute_error", 1000, 1000, 900,
    )  # fmt: skip
    assert met.contest is not None
    assert met.contest.verdict == "better"
    kept = np.isfinite(target)
    assert met.contest.champion == pytest.approx(-0.5)
    assert met.contest.difference == pytest.approx(0.5 + (met.contest.challenger or 0), abs=0.01)
    assert met.share == pytest.approx(kept.mean())
    assert "better" in compared.words
    facts = compared.as_json()["comparisons"]["shadow"]
    assert (facts["labelled_share"], facts["verdict"], len(facts["interval"])) == (0.9, "better", 2)


def test_what_is_not_mature_does_not_count(waiting: Project) -> None:
    keep(TRUTH)
    say(1, "champion", range(ROWS), TRUTH + 0.5)
    say(2, "shadow", range(ROWS), TRUTH)
    (met,) = compare_challenger(
        waiting, current_champion("rentals"), AT + timedelta(days=1, hours=-100, minutes=30), end=NOW
    ).met
    assert (met.answered, met.mature, met.labelled) == (1000, 876 + 1, 876 + 1)
    assert compare_challenger(waiting, current_champion("rentals"), NOW, end=AT + timedelta(hours=1)).met == ()


def test_a_canary_is_held_against_the_champions_other_rows(waiting: Project) -> None:
    keep(TRUTH)
    ids = np.arange(ROWS)
    mine = ids % 4 == 0
    say(1, "champion", ids[~mine], (TRUTH + 0.5)[~mine])
    at = ids[mine]
    say(2, "canary", at, (TRUTH + 1.0)[mine])
    compared = found(waiting.model_copy(update={"serving": ServingPolicy(challenger="canary", share=0.25)}))
    (met,) = compared.met
    assert (met.role, met.answered, met.labelled) == ("canary", 250, 250)
    assert met.contest is not None
    assert (met.contest.verdict, met.contest.difference) == ("worse", pytest.approx(-0.5))
    assert compared.words.startswith("version 2 answers 25% of the requests: as a canary worse")


@pytest.mark.parametrize("kind", ["text", "whole", "truth"])
def test_classes_are_scored_by_their_probabilities(waiting: Project, kind: str) -> None:
    positive = TRUTH > 0
    target, stored, answers = {
        "text": (np.where(positive, "late", "in time"), pa.string(), np.where(positive, "late", "in time").tolist()),
        "whole": (positive.astype(int), pa.int32(), positive.astype(float)),
        "truth": (positive, pa.bool_(), positive),
    }[kind]
    if kind == "text":  # the second in sorted order is the positive one
        positive = target == "late"
    keep(target, stored)
    says_well = 1 / (1 + np.exp(-3 * TRUTH))
    blurred = 1 / (1 + np.exp(-3 * TRUTH - RNG.normal(0, 3, ROWS)))
    say(1, "champion", range(ROWS), answers, score=blurred)
    say(2, "shadow", range(ROWS), answers, score=says_well)
    (met,) = found(waiting.model_copy(update={"kind": "classification"})).met
    assert met.metric == "roc_auc"
    assert met.contest is not None
    assert (met.contest.challenger, met.contest.verdict) == (1.0, "better")
    assert 0.6 < (met.contest.champion or 0) < 0.95


def test_more_classes_have_a_column_each(waiting: Project) -> None:
    truth = np.array(["a", "b", "c"])[np.arange(ROWS) % 3]
    keep(truth, pa.string())
    classes = [["a", "b", "c"]] * ROWS
    sure = np.eye(3)[np.arange(ROWS) % 3] * 0.7 + 0.1
    unsure = (np.eye(3)[np.arange(ROWS) % 3] + RNG.uniform(0, 2, (ROWS, 3))) / 10
    unsure /= unsure.sum(axis=1, keepdims=True)
    say(1, "champion", range(ROWS), truth.tolist(), scores=unsure.tolist(), classes=classes)
    say(2, "shadow", range(ROWS), truth.tolist(), scores=sure.tolist(), classes=classes)
    gate = GatePolicy(promotion="approve", metric="roc_auc_ovr")
    (met,) = found(waiting.model_copy(update={"kind": "classification", "gate": gate})).met
    assert met.contest is not None
    assert (met.contest.challenger, met.contest.verdict) == (1.0, "better")


def test_of_many_keys_some_stand_for_all(waiting: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(TRUTH)
    say(1, "champion", range(ROWS), TRUTH + 0.5)
    say(2, "shadow", range(ROWS), TRUTH)
    monkeypatch.setattr(reading, "MAX_KEYS", 300)
    compared = found(waiting)
    assert compared.looked_at in (0.25, 0.125)
    (met,) = compared.met
    assert abs(met.answered / ROWS - compared.looked_at) < 0.05
    assert met.contest is not None
    assert met.contest.verdict == "better"


def test_without_labels_or_a_key_or_a_challenger(waiting: Project) -> None:
    assert found(waiting).met == ()
    keep(np.full(ROWS, np.nan))
    say(1, "champion", range(ROWS), TRUTH)
    say(2, "shadow", range(ROWS), TRUTH)
    (met,) = found(waiting).met
    assert (met.contest, met.metric, met.labelled) == (None, None, 0)
    assert "0 of 1,000 mature rows have a label" in found(waiting).words
    with pytest.raises(ProjectError, match="has no key"):
        compare_challenger(waiting.model_copy(update={"key": ()}), current_champion("rentals"), NOW)
    off = waiting.model_copy(update={"serving": ServingPolicy(challenger="off")})
    assert compare_challenger(off, current_champion("rentals"), NOW) is None


def test_a_comparison_is_a_page_with_a_picture(waiting: Project) -> None:
    keep(TRUTH)
    say(1, "champion", range(ROWS), TRUTH + 0.5)
    say(2, "shadow", range(ROWS), TRUTH)
    compared = found(waiting)
    page = render_comparison(compared)
    assert "## rentals: version 2 shadows: as a shadow better" in page
    assert "| shadow | neg\\_mean\\_absolute\\_error | -0 | -0.5 | 0.5 |" in page
    assert "data:image/png;base64," in page
    assert describe_comparison(compared)[0].startswith("rentals: version 2 shadows: as a shadow better")
