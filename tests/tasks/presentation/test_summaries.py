from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from refit import Project
from refit.gate.evaluations import Judgement
from refit.monitoring.decisions import Decision, Finding
from refit.records.recipes import RecipeChange, Reproduction
from refit.records.references import Challenger, Champion, Ingestion
from refit.records.verdicts import Reason, Verdict
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit.windows import Window
from refit_tasks.presentation.summaries import (
    LONGEST,
    name_best_policy,
    summarize_approval,
    summarize_backtest,
    summarize_monitor,
    summarize_reproduction,
    summarize_retrain,
    summarize_rollback,
    summarize_verdict,
)
from tests.support.monitored_champion import backtest, evidence

AT = datetime(2026, 3, 2, tzinfo=UTC)
KEPT = Reason("not_worse_than_champion", passed=True, value=0.012, limit=-0.005, sentence="a long story")
FLOOR = Reason("floor", passed=True, value=0.9, limit=0.8, sentence="0.9 is at or above 0.8")
ALONE = Reason("beats_baseline", passed=True, value=0.4, limit=0.02, sentence="a long story")
INGESTION = Ingestion("rentals", Window(AT, AT), 3, 0, 0, 0, 0, 0)


def failed(reason: Reason, value: float | None) -> Reason:
    return replace(reason, passed=False, value=value)


@pytest.fixture
def outcome(rentals: Project, request: pytest.FixtureRequest):
    evidence_of = request.getfixturevalue("evidence")

    def make(*reasons: Reason, over: bool = True, promoted: bool = True) -> RetrainOutcome:
        model, comparison, _, ingestion = evidence_of()
        champion = Champion(model, 2, 1, AT)
        verdict = Verdict(reasons)
        judgement = Judgement(model, comparison, rentals.gate, verdict, champion if over else None, ingestion)
        return RetrainOutcome(
            project="rentals",
            run_id="run",
            as_of=AT,
            snapshot=model.trained_on,
            ingestion=ingestion,
            challenger=Challenger(model, 3, verdict, 7),
            compared_with=champion if over else None,
            promotion=Champion(model, 3, 2 if over else 1, AT) if promoted else None,
            seconds=1.0,
            judgement=judgement,
        )

    return make


def test_a_promotion_names_both_versions_and_the_comparison_that_was_decisive(outcome) -> None:
    metric = outcome(FLOOR).judgement.comparison.metric
    assert summarize_retrain(outcome(FLOOR, KEPT)) == (
        f"promoted: version 3 over version 2, generation 2, {metric} +0.012 (at least -0.005)"
    )
    assert summarize_retrain(outcome(FLOOR, ALONE, over=False)) == (
        f"promoted: version 3 as the first champion, generation 1, {metric} +0.4 above the trivial model's (at least "
        f"+0.02)"
    )
    assert summarize_retrain(outcome(FLOOR, KEPT, promoted=False)).startswith("waits for approval: version 3, ")


def test_a_rejection_names_the_rules_that_failed_with_value_and_limit(outcome) -> None:
    one = outcome(failed(KEPT, -0.0142), FLOOR, promoted=False)
    assert summarize_retrain(one) == "rejected: version 3, not worse than champion -0.0142, limit -0.005"
    many = outcome(*[failed(FLOOR, 0.1)] * 5, promoted=False)
    assert summarize_retrain(many).endswith("floor 0.1, limit 0.8; and 2 more rules")
    blind = Reason("parity", passed=False, value=None, limit=1e-9, sentence="it does not answer " + "at all " * 90)
    assert summarize_retrain(outcome(blind, promoted=False)).startswith(
        "rejected: version 3, parity: it does not answer at"
    )
    assert len(summarize_retrain(outcome(blind, promoted=False))) == LONGEST


def test_a_verdict_in_short_leaves_out_what_passed_without_being_decisive() -> None:
    assert summarize_verdict(Verdict((FLOOR, ALONE, KEPT))) == "promote: not worse than champion +0.012, limit -0.005"
    assert summarize_verdict(Verdict((FLOOR, failed(ALONE, 0.01)))) == "reject: beats baseline +0.01, limit +0.02"
    assert summarize_verdict(Verdict((FLOOR,))) == "promote"


def finding(check: str, sentence: str, *, fired: bool = True) -> Finding:
    return Finding(check, fired, None, None, sentence)


def watched(action: str, trigger: str | None, *findings: Finding) -> MonitorOutcome:
    return MonitorOutcome(
        evidence=evidence(),
        ingestion=INGESTION,
        champion=None,
        decision_id=12,
        decision=Decision(action, trigger, findings),
        nothing_new=False,
        retrain=None,
        started_run=None,
        seconds=1.0,
    )


def test_the_monitor_says_what_it_decided_and_why() -> None:
    drift = finding("drift", "weight drifted in 3 of the last 4 windows, or by a huge amount in this one")
    quiet = finding("schedule", "no retraining schedule is set", fired=False)
    cooldown = finding("cooldown", "the cooldown of 5 days lasts until 2026-03-04 00:00 UTC")
    assert summarize_monitor(watched("wait", None, quiet)) == "wait: nothing fired"
    assert summarize_monitor(watched("retrain", "drift", drift, quiet)) == f"retrain: drift, {drift.sentence}"
    assert summarize_monitor(watched("alert", "drift", drift, quiet)) == f"alert: drift, {drift.sentence}"
    held = summarize_monitor(watched("wait", "new_rows", finding("new_rows", "9 rows are newer"), cooldown))
    assert held == f"wait: new rows calls for a retrain, but {cooldown.sentence}"


def test_what_followed_is_told_however_long_the_reason(outcome) -> None:
    long = watched("retrain", "event", finding("event", "an event requested a retrain: " + "far " * 100))
    told = summarize_monitor(replace(long, retrain=outcome(FLOOR, KEPT), started_run="run"))
    assert told.endswith("…; promoted: version 3")
    assert len(told) == LONGEST
    same = summarize_monitor(replace(watched("wait", None), nothing_new=True))
    assert same == "wait: nothing fired (nothing new since decision 12)"


def test_the_other_flows_say_what_came_of_them(outcome) -> None:
    champion = outcome(FLOOR).promotion
    assert summarize_rollback(champion, "it is wrong") == "version 3 serves again, generation 2: it is wrong"
    assert summarize_approval(3, champion, "Ada") == "approved by Ada: version 3 is champion, generation 2"
    assert summarize_approval(3, None, "Ada") == "refused by Ada: version 3 is not promoted"
    again = Reproduction(
        project="rentals",
        version=3,
        reproduced=True,
        difference=1e-12,
        rows=4_000,
        used_code="today's",
        differs=(),
        seconds=1.0,
    )
    assert (
        summarize_reproduction(again) == "version 3 is reproduced: predictions differ by 1e-12 at most, on 4,000 rows"
    )
    other = replace(
        again,
        reproduced=False,
        difference=None,
        differs=(RecipeChange("rows", "a", "b"), RecipeChange("lock", "c", "d")),
    )
    assert summarize_reproduction(other) == (
        "version 3 differs: nothing was fitted, on 4,000 rows; different from the record: rows, lock"
    )
    assert summarize_backtest(backtest()) == f"{name_best_policy(backtest())}; 3 policies compared"
