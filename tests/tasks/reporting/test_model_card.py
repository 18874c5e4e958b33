"""A card tells all that is on record of a version, and what is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from refit import Project
from refit.gate.evaluations import Evaluation, Judgement
from refit.gate.evidence import Calibration, Evidence, Fairness, Group, Inputs, SandboxRun, Slice
from refit.records.recipes import Recipe
from refit.records.references import Challenger, Champion
from refit.records.verdicts import Reason
from refit_tasks.reporting.model_card import draw_scores, render_card

AT = datetime(2026, 3, 2, tzinfo=UTC)
HOSTILE = "a|b <script>alert(1)</script> [c](http://d)"
MEASURED = Evidence(
    calibration=Calibration(0.0123, 0.0456, 0.001),
    slices=(Slice(HOSTILE, 1_200, 0.25, 0.375, ()),),
    fairness=Fairness(HOSTILE, (Group("north", 700, 0.5, 0.75, None),), 0.0625, 0.125),
    inputs=Inputs(("hour", HOSTILE), ("hour", HOSTILE), "hour", 0.4),
    rehearsal=SandboxRun(1_000, 0.0, (), 0.5, 1.5, 2_000_000),
)


@pytest.fixture
def judgement(rentals: Project, evidence: Callable[..., Any]) -> Judgement:
    model, comparison, verdict, ingestion = evidence()
    return Judgement(model, comparison, rentals.gate, verdict, None, ingestion)


def written(definition: Project, judgement: Judgement) -> str:
    return render_card(definition, judgement, Challenger(judgement.serving, 7, judgement.verdict, 12))


def heads(text: str) -> list[str]:
    return [line.removeprefix("## ").partition(" (")[0] for line in text.splitlines() if line.startswith("## ")]


def test_what_was_not_measured_is_left_out_and_named_a_limit(rentals: Project, judgement: Judgement) -> None:
    text = written(rentals, judgement)
    assert heads(text) == ["Data", "Scores", "Verdict", "Lineage", "Limits"]
    for limit in ("no champion", "No slice", "no probabilities", "fresh process", "No sensitive column"):
        assert limit in text.partition("## Limits")[2]


def test_all_that_was_measured_is_told(rentals: Project, judgement: Judgement) -> None:
    scored = Evaluation(-1.5, (-1.0, -2.0, -1.5, -1.0, -2.0))
    compared = replace(judgement.comparison, challenger=scored, champion=scored, evidence=MEASURED)
    recipe = Recipe("a" * 64, "b" * 64, 3, "c" * 40, "False", "abacus", "2", "beads", "3.11", '{"ridge__alpha": 2}')
    served, bound = (
        replace(judgement.model, run_id="again"),
        Reason("refit_not_worse", passed=True, value=0, limit=0, sentence="no worse"),
    )
    made = replace(
        judgement, comparison=compared, over=Champion(judgement.model, 5, 4, AT), recipe=recipe, served=served,
        bound=bound, rehearsal=MEASURED.rehearsal,
    )  # fmt: skip
    text = written(rentals, made)
    assert heads(text) == [
        "Data", "Features", "Scores", "Slices", "Fairness", "Serving", "Verdict", "Lineage", "Limits",
    ]  # fmt: skip
    # mean -1.5, standard deviation 0.5, five blocks: 1.5 -+ 2.7764 * 0.5 / sqrt(5)
    assert "| this model | -1.5 | -2.121 to -0.8792 |" in text
    assert "| champion, version 5 | -1.5 |" in text
    for told in (
        "0.0123; the champion's is 0.0456",
        "| north | 700 | 0.5 | 0.75 |  |",
        "0.0625",
        "of 5,010 rows: 10 quarantined",
    ):
        assert told in text
    for told in (
        "no worse",
        "version 5, generation 4",
        "abacus, 2 threads, beads, Python 3.11",
        "seed 3",
        'ridge\\_\\_alpha": 2',
    ):
        assert told in text.partition("## Lineage")[2]
    assert "no champion" not in text


def test_what_comes_from_outside_is_no_markup(rentals: Project, judgement: Judgement) -> None:
    hostile = replace(judgement, comparison=replace(judgement.comparison, evidence=MEASURED), reason=HOSTILE)
    text = written(rentals.model_copy(update={"description": HOSTILE}), hostile)
    assert "<script>" not in text
    assert "[c](" not in text
    (slices,) = (line for line in text.splitlines() if "1,200" in line)
    assert slices.replace("\\|", "").count("|") == 5


def test_a_model_that_did_not_serve_says_why(rentals: Project, judgement: Judgement) -> None:
    silent = Evidence(rehearsal=SandboxRun(1_000, None, (), None, None, 10, fault="the process died"))
    text = written(rentals, replace(judgement, comparison=replace(judgement.comparison, evidence=silent)))
    assert "it did not serve: the process died." in text


def test_the_picture_shows_what_blocks_there_are(judgement: Judgement) -> None:
    picture = draw_scores(judgement)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    none = replace(judgement.comparison, challenger=Evaluation(-1.0, ()), baseline=Evaluation(-2.0, ()))
    assert draw_scores(replace(judgement, comparison=none)) is None
