"""Triggers of a retrain or an alert: each with its finding and the action that the policy gives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from refit.drift.alarms import find_persistent
from refit.monitoring.decisions import Finding, Trigger
from refit.monitoring.evidence import Evidence, Probe
from refit.monitoring.expected_gain_trigger import judge_expected_gain
from refit.monitoring.history import History
from refit.monitoring.post_promotion import compare_with_former
from refit.policies.monitoring import DriftPolicy, MonitoringPolicy, ProbePolicy, TriggerAction
from refit.records.drift_findings import Drift

DAY = timedelta(days=1)
HUGE_EASES = 1 / 2
"""The share of the certainty that is required for a huge gain."""
GROWN_EASES = 2 / 3
"""The same if the history has large: more rows are known to help, and the probe runs only once per growth."""


@dataclass(frozen=True, slots=True)
class TriggerResult:
    """A trigger, its finding, and the action that follows if it fired."""

    trigger: Trigger
    finding: Finding
    then: TriggerAction = "retrain"


def check_triggers(evidence: Evidence, policy: MonitoringPolicy, history: History) -> tuple[TriggerResult, ...]:
    """Checks every trigger, the strongest first.

    Args:
        evidence: The evidence at one moment.
        policy: The project's rules.
        history: For persistence and accrued gain.

    Returns:
        The result of every trigger, fired or not.
    """
    probe, performance, drift = policy.probe, policy.performance, policy.drift
    return (
        TriggerResult("first", _first(evidence)),
        TriggerResult("manual", _request("manual", evidence)),
        TriggerResult("event", _request("event", evidence)),
        TriggerResult("watch", compare_with_former(evidence, policy), "alert"),
        TriggerResult("probe", _probe(evidence, policy, history), probe.then if probe else "nothing"),
        TriggerResult("performance", _performance(evidence, policy), performance.then if performance else "nothing"),
        TriggerResult("drift", _drift(evidence, policy, history), drift.then if drift else "nothing"),
        TriggerResult("schedule", _schedule(evidence, policy)),
        TriggerResult("new_rows", _new_rows(evidence, policy)),
    )


def _not_fired(check: str, sentence: str) -> Finding:
    return Finding(check, fired=False, value=None, limit=None, sentence=sentence)


def _first(evidence: Evidence) -> Finding:
    fired = evidence.generation == 0
    sentence = "there is no champion yet" if fired else f"champion generation {evidence.generation} serves"
    return Finding("first", fired, float(evidence.generation), 1.0, sentence)


def _request(by: Trigger, evidence: Evidence) -> Finding:
    kind, request = "person" if by == "manual" else "event", evidence.request
    if request is None or request.by != by:
        return _not_fired(by, f"no {kind} requested a retrain")
    return Finding(
        by,
        fired=True,
        value=None,
        limit=None,
        sentence=f"{'an' if kind == 'event' else 'a'} {kind} requested a retrain: {request.reason}",
    )


def _drift(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Finding:
    if policy.drift is None or evidence.drift is None:
        return _not_fired("drift", "drift is not monitored" if policy.drift is None else "drift could not be measured")
    found = evidence.drift
    names = find_persistent((*history.disjoint_windows(evidence), found), policy.drift)
    columns = (*found.columns, *found.scores)
    relevant = [column for column in columns if column.column in (names or found.drifted)] or columns
    largest = max((column.excess for column in relevant), default=0.0)
    return Finding("drift", bool(names), largest, policy.drift.size, _drift_sentence(names, found, policy.drift))


def _drift_sentence(names: tuple[str, ...], found: Drift, policy: DriftPolicy) -> str:
    least, of = policy.persistence
    if names:
        return f"{_listed(names)} drifted in {least} of the last {of} windows, or by a huge amount in this one"
    if found.drifted:
        return f"{_listed(found.drifted)} drifted in this window, but not in {least} of the last {of}"
    return "no column drifted"


def _listed(names: tuple[str, ...], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _performance(evidence: Evidence, policy: MonitoringPolicy) -> Finding:
    measured = evidence.performance
    if policy.performance is None or measured is None:
        return _not_fired(
            "performance",
            "performance is not monitored" if policy.performance is None else "performance could not be measured",
        )
    if measured.current is None or measured.reference is None:
        return _not_fired("performance", f"no score to compare: {measured.withheld or 'there is no baseline'}")
    sentence = (
        f"{measured.metric} is {measured.current:.4g} on {measured.rows_mature:,} labelled rows against a baseline of "
        f"{measured.reference:.4g}, {'a significant drop' if measured.dropped else 'no significant drop'}"
    )
    return Finding("performance", measured.dropped, measured.current, measured.reference, sentence)


def _probe(evidence: Evidence, policy: MonitoringPolicy, history: History) -> Finding:
    found = evidence.probe
    if policy.probe is None:
        return _not_fired("probe", "the benefit probe is off")
    if policy.probe.certainty is None:
        return judge_expected_gain(evidence, policy, policy.probe, history)
    if found is None:
        reason = evidence.unprobed or "there were no new mature rows"
        return _not_fired("probe", f"the benefit probe could not run: {reason}")
    if policy.probe.price is not None:
        return _rent_or_buy(evidence, policy.probe, policy.probe.price, history)
    return _judge_gain(found, policy.probe, policy.probe.certainty)


def _judge_gain(found: Probe, policy: ProbePolicy, certainty: float) -> Finding:
    large = max(found.fitted) > policy.rows
    huge = policy.huge is not None and found.share >= policy.huge
    share = HUGE_EASES if huge else GROWN_EASES if large else 1.0
    needed = _required_errors(certainty * share, found.blocks)
    sentence = (
        f"a {'' if large else 'small '}fresh model saves {found.share:.1%} of the loss on "
        f"{found.rows:,} new rows ({found.gain:.3g}, standard error {found.error:.2g}); at least {policy.gain:.1%} and "
        f"{needed:.3g} standard errors are required"
    )
    fired = found.share >= policy.gain and found.gain > needed * found.error
    return Finding("probe", fired, found.share, policy.gain, sentence)


def _required_errors(certainty: float, blocks: int) -> float:
    """Returns the standard errors that give the same certainty with few blocks: Student's t for the normal z."""
    from scipy import stats

    return float(stats.t.isf(stats.norm.sf(certainty), blocks - 1))


def _rent_or_buy(evidence: Evidence, policy: ProbePolicy, price: float, history: History) -> Finding:
    """Fires when the gain missed since the last promotion has reached the price of a retrain (ski rental)."""
    gained = history.accrue_gain(evidence)
    value = gained.loss if policy.price_per_error is None else gained.errors * policy.price_per_error
    sentence = f"a retrain would have gained {value:.4g} since the last promotion, and costs {price:.4g}"
    return Finding("probe", value >= price, value, price, sentence)


def _schedule(evidence: Evidence, policy: MonitoringPolicy) -> Finding:
    if policy.schedule is None or evidence.trained_until is None:
        return _not_fired(
            "schedule", "no retraining schedule is set" if policy.schedule is None else "there is no champion yet"
        )
    age = evidence.as_of - evidence.trained_until
    sentence = f"the champion's newest row is {age / DAY:.1f} days old, the limit is {policy.schedule / DAY:g} days"
    return Finding("schedule", age > policy.schedule, age / DAY, policy.schedule / DAY, sentence)


def _new_rows(evidence: Evidence, policy: MonitoringPolicy) -> Finding:
    if policy.new_rows is None or evidence.trained_until is None:
        return _not_fired(
            "new_rows", "no number of new rows is set" if policy.new_rows is None else "there is no champion yet"
        )
    sentence = f"{evidence.new_rows:,} rows are newer than the champion's, a retrain is due at {policy.new_rows:,}"
    fired = evidence.new_rows >= policy.new_rows
    return Finding("new_rows", fired, float(evidence.new_rows), float(policy.new_rows), sentence)
