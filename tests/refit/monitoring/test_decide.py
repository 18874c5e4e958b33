"""The decision: which trigger fires when, what holds a retrain back, and that both are said."""

from __future__ import annotations

import pytest

from refit import MonitoringPolicy
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.monitoring.history import History
from refit.policies.monitoring import BudgetPolicy, DriftPolicy, PerformancePolicy, ProbePolicy
from tests.support.decision_situations import (
    DAY,
    HOUR,
    START,
    WEEK,
    decided,
    drift_at,
    finding,
    probe_at,
    quiet,
    score,
)

END = START + 10 * WEEK
EVERY_TRIGGER = ("first", "manual", "event", "watch", "probe", "performance", "drift", "schedule", "new_rows")
EVERY_GUARD = ("under_way", "cooldown", "rejected_before", "budget")
DEFAULT = MonitoringPolicy()
CERTAIN = MonitoringPolicy(probe=ProbePolicy(gain=0.02, certainty=3.0))
FORMER = MonitoringPolicy(probe=ProbePolicy(gain=0.02, certainty=3.0, huge=0.2))
"""The default of former releases, by which their decisions are replayed."""
RETRAIN_ON_DRIFT = MonitoringPolicy(drift=DriftPolicy(then="retrain"))


def test_a_quiet_week_is_a_wait_with_every_reason() -> None:
    decision, history = decided(quiet())
    assert (decision.action, decision.trigger) == ("wait", None)
    assert tuple(one.check for one in decision.findings) == (*EVERY_TRIGGER, *EVERY_GUARD)
    assert not any(one.fired for one in decision.findings)
    assert all(one.sentence for one in decision.findings)
    assert str(decision) == "wait: nothing fired"
    assert history.attempts == ()


@pytest.mark.parametrize(
    ("trigger", "evidence", "policy", "action"),
    [
        ("first", quiet(generation=0, trained_until=None), DEFAULT, "retrain"),
        ("manual", quiet(request=RetrainRequest("manual", "a person")), DEFAULT, "retrain"),
        ("event", quiet(request=RetrainRequest("event", "a new price list")), DEFAULT, "retrain"),
        ("probe", quiet(probe=probe_at(END)), DEFAULT, "retrain"),
        ("performance", quiet(performance=score(dropped=True)), DEFAULT, "alert"),
        (
            "performance",
            quiet(performance=score(dropped=True)),
            MonitoringPolicy(performance=PerformancePolicy(then="retrain")),
            "retrain",
        ),
        ("drift", quiet(drift=drift_at(END, "wind", huge=True)), DEFAULT, "alert"),
        ("drift", quiet(drift=drift_at(END, "wind", huge=True)), RETRAIN_ON_DRIFT, "retrain"),
        ("schedule", quiet(), MonitoringPolicy(schedule=9 * WEEK), "retrain"),
        ("new_rows", quiet(), MonitoringPolicy(new_rows=10_000), "retrain"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_trigger_fires(trigger: str, evidence: Evidence, policy: MonitoringPolicy, action: str) -> None:
    decision, _ = decided(evidence, policy)
    assert (decision.action, decision.trigger) == (action, trigger)
    assert [one.check for one in decision.findings if one.fired] == [trigger]


@pytest.mark.parametrize(
    ("trigger", "evidence", "policy", "sentence"),
    [
        ("probe", quiet(probe=probe_at(END, gain=0.1)), DEFAULT, "and pays from 5.7% on; in this window a fresh model"),
        ("probe", quiet(probe=probe_at(END, gain=0.3, error=0.2)), DEFAULT, "in this window a fresh model saves 30.0%"),
        ("probe", quiet(), DEFAULT, "the probe could not run (there were no new mature rows)"),
        ("probe", quiet(growth=None), DEFAULT, "no labels have matured"),
        ("probe", quiet(probe=probe_at(END, gain=0.019, error=0.001)), CERTAIN, "at least 2.0%"),
        ("probe", quiet(probe=probe_at(END, gain=0.1, error=0.04)), CERTAIN, "standard errors are required"),
        ("probe", quiet(probe=probe_at(END, gain=0.3, error=0.2)), FORMER, "1.53 standard errors"),
        ("probe", quiet(probe=probe_at(END, gain=0.3, error=0.2)), CERTAIN, "3.16 standard errors"),
        ("probe", quiet(probe=probe_at(END)), MonitoringPolicy(probe=None), "the benefit probe is off"),
        ("performance", quiet(performance=score()), DEFAULT, "no significant drop"),
        ("performance", quiet(performance=score(None)), DEFAULT, "half of the labels"),
        ("drift", quiet(drift=drift_at(END, "wind")), DEFAULT, "not in 2 of the last 2"),
        ("drift", quiet(drift=drift_at(END)), DEFAULT, "no column drifted"),
        ("drift", quiet(drift=drift_at(END, "wind", huge=True)), MonitoringPolicy(drift=None), "not monitored"),
        ("schedule", quiet(), MonitoringPolicy(schedule=10 * WEEK), "the limit is 70 days"),
        ("new_rows", quiet(), MonitoringPolicy(new_rows=10_001), "due at 10,001"),
        ("new_rows", quiet(), DEFAULT, "no number of new rows is set"),
    ],
)
def test_a_trigger_that_does_not_fire_says_why(
    trigger: str, evidence: Evidence, policy: MonitoringPolicy, sentence: str
) -> None:
    decision, _ = decided(evidence, policy)
    assert (decision.action, decision.trigger) == ("wait", None)
    assert sentence in finding(decision, trigger).sentence


def test_a_trigger_whose_answer_is_nothing_is_still_told() -> None:
    policy = MonitoringPolicy(drift=DriftPolicy(then="nothing"))
    decision, _ = decided(quiet(drift=drift_at(END, "wind", huge=True)), policy)
    assert (decision.action, decision.trigger) == ("wait", None)
    assert finding(decision, "drift").fired


def test_of_all_that_fires_at_once_the_strongest_names_one_retrain() -> None:
    everything = quiet(
        request=RetrainRequest("event", "prices"),
        probe=probe_at(END),
        performance=score(dropped=True),
        drift=drift_at(END),
    )
    decision, history = decided(everything, MonitoringPolicy(schedule=DAY, new_rows=1))
    assert (decision.action, decision.trigger) == ("retrain", "event")
    assert len(history.attempts) == 1
    assert [one.check for one in decision.findings if one.fired] == [
        "event",
        "probe",
        "performance",
        "schedule",
        "new_rows",
    ]


def test_an_alert_is_given_while_a_retrain_is_held_back() -> None:
    both = quiet(probe=probe_at(END), performance=score(dropped=True), under_way=True)
    decision, _ = decided(both)
    assert (decision.action, decision.trigger) == ("alert", "performance")
    assert finding(decision, "under_way").fired


def after_a_retrain(ending: str = "promoted", weeks: float = 10, **changes: object) -> History:
    """A history with one retrain by the probe; the evidence after a promotion is of the next generation."""
    evidence = quiet(weeks, probe=probe_at(START + weeks * WEEK), **changes)
    decision, history = decided(evidence)
    assert decision.action == "retrain"
    return history.finished(ending, 5.0)  # type: ignore[arg-type]


def test_the_cooldown_lasts_a_window_and_a_person_passes_it() -> None:
    history = after_a_retrain()
    soon = quiet(10.9, generation=2, probe=probe_at(START + 10.9 * WEEK))
    decision, _ = decided(soon, history=history)
    assert (decision.action, decision.trigger) == ("wait", "probe")
    assert [one.check for one in decision.findings if one.fired] == ["probe", "cooldown"]
    later = quiet(11, generation=2, probe=probe_at(START + 11 * WEEK))
    assert decided(later, history=history)[0].action == "retrain"
    assert decided(soon, MonitoringPolicy(cooldown=DAY), history)[0].action == "retrain"
    person = quiet(10.9, generation=2, request=RetrainRequest("manual", "a person"))
    decision, _ = decided(person, history=history)
    assert (decision.action, decision.trigger) == ("retrain", "manual")
    event = quiet(10.9, generation=2, request=RetrainRequest("event", "prices"))
    assert decided(event, history=history)[0].action == "wait"


def test_nothing_passes_a_retrain_that_is_under_way() -> None:
    forced = RetrainRequest("manual", "a person", force=True)
    assert decided(quiet(under_way=True, request=forced))[0].action == "wait"
    running = decided(quiet(probe=probe_at(END)))[1]
    minutes_later = quiet(10 + 0.004, request=forced)  # about 40 minutes
    decision, _ = decided(minutes_later, history=running)
    assert decision.action == "wait"
    assert finding(decision, "under_way").fired
    given_up = quiet(10 + 0.007, request=forced)  # about 70 minutes: more than the patience
    assert decided(given_up, history=running)[0].action == "retrain"


def test_what_was_measured_about_a_former_champion_starts_no_retrain() -> None:
    forced = RetrainRequest("manual", "a person", force=True)
    for evidence in (quiet(probe=probe_at(END)), quiet(request=forced)):
        decision, history = decided(evidence, history=History(serving=2))
        assert decision.action == "wait"
        assert finding(decision, "under_way").sentence == (
            "the champion changed during the measurement: generation 2 serves now"
        )
        assert history.attempts == ()
        assert decided(evidence, history=History(serving=1))[0].action == "retrain"


def test_the_budget_counts_retrains_and_only_force_passes_it() -> None:
    policy = MonitoringPolicy(budget=BudgetPolicy(retrains=1, burst=1, period=4 * WEEK), cooldown=HOUR)
    history = after_a_retrain()
    for request, action in (
        (RetrainRequest("event", "prices"), "wait"),
        (RetrainRequest("manual", "a person"), "wait"),
        (RetrainRequest("manual", "a person", force=True), "retrain"),
        (RetrainRequest("event", "prices", force=True), "wait"),
    ):
        decision, _ = decided(quiet(12, generation=2, request=request), policy, history)
        assert decision.action == action
        assert finding(decision, "budget").fired == (action == "wait")
    assert (
        decided(quiet(14, generation=2, request=RetrainRequest("event", "prices")), policy, history)[0].action
        == "retrain"
    )


def test_the_budget_counts_minutes_of_retrains_and_probes() -> None:
    history = after_a_retrain()  # 5 minutes, and a second of probing
    event = RetrainRequest("event", "prices")
    for minutes, action in ((9.0, "wait"), (10.1, "retrain")):
        policy = MonitoringPolicy(budget=BudgetPolicy(minutes=minutes))
        decision, _ = decided(quiet(12, generation=2, request=event), policy, history)
        assert decision.action == action
    costly = quiet(12, generation=2, probe=probe_at(START + 12 * WEEK, seconds=60.0))
    policy = MonitoringPolicy(budget=BudgetPolicy(minutes=10.1))
    assert finding(decided(costly, policy, history)[0], "budget").fired


def test_a_refused_retrain_does_not_count_in_the_budget() -> None:
    policy = MonitoringPolicy(budget=BudgetPolicy(retrains=1, burst=1), cooldown=HOUR)
    event = quiet(12, generation=1, request=RetrainRequest("event", "prices"))
    assert decided(event, policy, after_a_retrain("rejected"))[0].action == "wait"
    assert decided(event, policy, after_a_retrain("refused"))[0].action == "retrain"


def after_two_in_vain() -> History:
    """A history with two rejected retrains by the probe, the newest in week 11."""
    history = after_a_retrain("rejected")
    decision, history = decided(quiet(11, probe=probe_at(START + 11 * WEEK)), history=history)
    assert decision.action == "retrain"  # the first may have come too early to see enough of a change
    return history.finished("rejected", 5.0)


def test_rejections_hold_their_own_trigger_back_and_no_other() -> None:
    policy = MonitoringPolicy(budget=BudgetPolicy(burst=6))
    history, soon = after_two_in_vain(), START + 12.5 * WEEK
    decision, _ = decided(quiet(12.5, probe=probe_at(soon)), policy, history)
    assert (decision.action, decision.trigger) == ("wait", "probe")
    assert [one.check for one in decision.findings if one.fired] == ["probe", "rejected_before"]
    event = quiet(12.5, probe=probe_at(soon), request=RetrainRequest("event", "prices"))
    assert decided(event, policy, history)[0].trigger == "event"
    due = quiet(13, probe=probe_at(START + 13 * WEEK))
    assert decided(due, policy, history)[0].action == "retrain"
    stale = quiet(13, probe=probe_at(START + 13 * WEEK), mature_until=START + 11 * WEEK)
    assert decided(stale, policy, history)[0].action == "wait"
    promoted_since = quiet(12.5, generation=2, probe=probe_at(soon))
    assert decided(promoted_since, policy, history)[0].action == "retrain"


def test_drift_persists_over_windows_that_do_not_overlap() -> None:
    history = History()
    for hours in range(7 * 24):  # one window looked at every hour overlaps itself: it counts once
        end = END + hours * HOUR
        evidence = quiet(10 + hours / 168, drift=drift_at(end, "wind"))
        decision, history = decided(evidence, RETRAIN_ON_DRIFT, history)
        assert decision.action == "wait"
    evidence = quiet(11, drift=drift_at(END + WEEK, "wind"))
    decision, _ = decided(evidence, RETRAIN_ON_DRIFT, history)
    assert (decision.action, decision.trigger) == ("retrain", "drift")
    assert len(history.windows) <= 3 * 9


def test_drift_of_another_column_or_another_champion_is_no_persistence() -> None:
    _, history = decided(quiet(10, drift=drift_at(END, "wind")))
    for changes in ({"drift": drift_at(END + WEEK, "sun")}, {"drift": drift_at(END + WEEK, "wind"), "generation": 2}):
        assert decided(quiet(11, **changes), RETRAIN_ON_DRIFT, history)[0].action == "wait"
    assert decided(quiet(11, drift=drift_at(END + WEEK, "wind")), RETRAIN_ON_DRIFT, history)[0].action == "retrain"


@pytest.mark.parametrize(
    ("probe", "weeks_to_wait"),
    [
        (ProbePolicy(price=0.45, certainty=3.0), 5),  # 0.1 of loss a window: paid for in the fifth
        (ProbePolicy(price=450.0, price_per_error=1.0, certainty=3.0), 5),  # 0.1 for each of 1,000 rows, in money
        (ProbePolicy(price=450.0, price_per_error=3.0, certainty=3.0), 2),
    ],
)
def test_rent_or_buy_waits_until_the_gains_have_paid(probe: ProbePolicy, weeks_to_wait: int) -> None:
    policy, history = MonitoringPolicy(probe=probe), History()
    for week in range(1, weeks_to_wait + 1):
        for half in (0.0, 0.5):  # half a window later the judged rows overlap: their gain is not counted twice
            weeks = 10 + week + half
            evidence = quiet(weeks, probe=probe_at(START + weeks * WEEK, 0.1, error=1.0))
            decision, history = decided(evidence, policy, history)
            assert decision.action == ("retrain" if week == weeks_to_wait else "wait")
            if decision.action == "retrain":
                return


def test_losses_are_not_saved_up_against_later_gains() -> None:
    policy, history = MonitoringPolicy(probe=ProbePolicy(price=0.25, certainty=3.0)), History()
    actions = []
    for week, gain in enumerate((-5.0, -5.0, 0.1, 0.1, 0.1)):
        evidence = quiet(10 + week, probe=probe_at(END + week * WEEK, gain))
        decision, history = decided(evidence, policy, history)
        actions.append(decision.action)
    assert actions == ["wait", "wait", "wait", "wait", "retrain"]
