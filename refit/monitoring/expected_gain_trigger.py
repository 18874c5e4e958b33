"""The trigger of a retrain that is expected to gain more than it costs.

The price of a retrain follows from the budget: retrains that are left over make the next one cheaper, and one may be
borrowed at a higher price. So a project spends its budget where the gains are, and none of it where there are none.
"""

from __future__ import annotations

import math

from refit.monitoring.decisions import Finding
from refit.monitoring.evidence import Evidence
from refit.monitoring.expected_gain import GainEstimate
from refit.monitoring.guards import accrued_budget
from refit.monitoring.history import History, budget_period
from refit.policies.monitoring import MonitoringPolicy, ProbePolicy

SAVED_EASES = 2**-0.5
"""The price of the next retrain for each one that is left over, as a share of the price before."""
LEAST_GAIN = 0.005
"""The smallest expected gain that is worth a retrain, as a share of the loss, however many are left over."""


def judge_expected_gain(evidence: Evidence, policy: MonitoringPolicy, probe: ProbePolicy, history: History) -> Finding:
    """Compares the expected gain of a retrain with its price.

    Without a probe, as when its window had too few labels, the gain is expected from the age of the champion alone.

    Args:
        evidence: The evidence at one moment.
        policy: The project's rules.
        probe: Its rules for the probe.
        history: For the probes before, and the retrains that are left.

    Returns:
        The finding of the trigger `probe`: the expected gain and the price, as shares of the loss.
    """
    if evidence.growth is None or evidence.growth <= 1:
        return Finding(
            "probe", fired=False, value=None, limit=None, sentence="no labels have matured since the training"
        )
    estimate = history.estimate_gain(evidence)
    gain, price = estimate.expect(evidence.growth), _price(evidence, policy, probe, history, estimate)
    if price is None:
        sentence = "no probe of this champion has told its loss yet, so a gain has no price"
        return Finding("probe", fired=False, value=gain, limit=None, sentence=sentence)
    sentence = (
        f"a retrain is expected to save {gain:.1%} of the loss, and pays from {price:.1%} on; {_describe(evidence)}"
    )
    return Finding("probe", gain >= price, gain, price, sentence)


def _describe(evidence: Evidence) -> str:
    found = evidence.probe
    if found is None:
        reason = evidence.unprobed or "there were no new mature rows"
        return f"the probe could not run ({reason}), so this rests on the age of the champion and on former probes"
    return (
        f"in this window a fresh model saves {found.share:.1%} on {found.rows:,} new rows ({found.gain:.3g}, standard "
        f"error {found.error:.2g})"
    )


def _price(
    evidence: Evidence, policy: MonitoringPolicy, probe: ProbePolicy, history: History, estimate: GainEstimate
) -> float | None:
    """Returns the price of a retrain as a share of the loss; `None` if it is in units of a loss that is not known."""
    period = budget_period(policy, evidence.length)
    if probe.price is None:
        saved = accrued_budget(history, evidence.as_of, period, policy.budget) - 1
        return max(LEAST_GAIN, probe.gain * math.pow(SAVED_EASES, saved))
    losses = estimate.losses
    if not losses or losses[-1] <= 0:
        return None
    windows = period / evidence.length / max(1, policy.budget.retrains)
    unit = 1.0 if probe.price_per_error is None else probe.price_per_error * evidence.rows
    return probe.price / (losses[-1] * windows * max(unit, 1e-12))
