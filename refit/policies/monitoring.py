"""The project's rules for decisions: what counts as drift, when a retrain pays, and how many are allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from refit.errors import ProjectError
from refit.policies.drift_rules import parse_rule
from refit.policies.training import Policy

TriggerAction = Literal["retrain", "alert", "nothing"]
"""What follows when a trigger fires."""


class DriftPolicy(Policy):
    """When the data counts as drifted: a change must be significant and large, and it must last."""

    significance: float = Field(0.01, gt=0, lt=0.5)
    """The chance that a window without drift has any drifted column."""
    size: float = Field(0.02, ge=0)
    """The smallest excess PSI of a column that counts."""
    huge: float = Field(0.3, gt=0)
    """The excess PSI that counts at once, without persistence."""
    persistence: tuple[int, int] = (2, 2)
    """`(k, n)`: drift is reported when the column drifted in k of the last n windows that do not overlap."""
    min_rows: int = Field(200, ge=20)
    """The fewest rows of a window that is compared at all."""
    rules: tuple[str, ...] = ()
    """Fixed thresholds such as `psi > 0.2 on any of [temperature, wind]` in place of the calibrated alarm."""
    then: TriggerAction = "alert"
    """Drift alone is a weak reason to retrain: it ranks, explains and asks for labels."""

    @field_validator("rules")
    @classmethod
    def _rules_can_be_read(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for rule in rules:
                parse_rule(rule)
        except ProjectError as mistake:
            raise ValueError(str(mistake)) from mistake
        return rules


class PerformancePolicy(Policy):
    """When the realised score counts as dropped."""

    significance: float = Field(0.01, gt=0, lt=0.5)
    """The chance that a score which has not changed counts as dropped."""
    drop: float = Field(0.05, ge=0)
    """The smallest growth of the loss that counts, as a share of the baseline's loss."""
    min_coverage: float = Field(0.9, gt=0, le=1)
    """The least share of a window's rows whose labels must be there; below it no score is given."""
    min_rows: int = Field(100, ge=10)
    """The fewest labelled rows of a window that is scored."""
    then: TriggerAction = "alert"
    """A worse score does not say that a new model would be better; the probe does."""


class ProbePolicy(Policy):
    """When a fresh model would be better by enough: what triggers a retrain by default."""

    gain: float = Field(0.02, ge=0)
    """The smallest gain that counts, as a share of the loss of the champion's small twin."""
    certainty: float = Field(3.0, ge=0)
    """How many standard errors over batch means the gain must exceed zero by; more where there are few batches."""
    huge: float = Field(0.2, gt=0)
    """The gain, as a share of that loss, for which half of that certainty is enough. So small a window that it shows a
    gain of this size by chance cannot be certain of any."""
    rows: int = Field(20_000, ge=200)
    """The most rows that the probe's small models are fitted on."""
    growth: float | None = Field(3.0, gt=1)
    """When the labelled rows have grown to so many times those that the champion was trained on, and to each further
    power of it, larger models are fitted as well: small ones cannot show what more rows are worth. `None` is never."""
    price: float | None = Field(None, gt=0)
    """What one retrain costs. With a price, gains add up from window to window until they have paid for it
    (rent or buy). In units of the loss times windows, or in money where `price_per_error` is given."""
    price_per_error: float | None = Field(None, gt=0)
    """What one unit of loss costs for one row, in the money that `price` is in."""
    then: TriggerAction = "retrain"


class WatchPolicy(Policy):
    """How long the former champion goes on scoring after a promotion, and what follows if it was the better one."""

    significance: float = Field(0.05, gt=0, lt=0.5)
    """The chance that a champion which is as good as the former one is found worse in the whole watch."""
    looks: int = Field(4, ge=1)
    """How often the two are compared: whenever another monitoring window has matured."""
    min_rows: int = Field(100, ge=10)
    """The fewest labelled rows that a comparison may rest on."""
    rollback: bool = True
    """Whether a champion that is significantly worse is rolled back; else it is an alert."""


class BudgetPolicy(Policy):
    """How much retraining is allowed; a person's `--force` goes beyond it."""

    retrains: int = Field(6, ge=0)
    """The most retrains in a period."""
    burst: int = Field(2, ge=1)
    """How many of them may follow each other closely; the others come back one by one, spread evenly over the period,
    so that a quick start does not leave the rest of it without any."""
    minutes: float | None = Field(None, gt=0)
    """The most minutes of retraining and probing in a period; `None` is no limit."""
    period: timedelta | None = Field(None, gt=timedelta(0))
    """The period; 28 monitoring windows by default."""


class MonitoringPolicy(Policy):
    """What the monitor watches and what it does about it. A part that is `None` is switched off."""

    window: timedelta | None = Field(None, gt=timedelta(0))
    """The span of event time that is judged; by default about a tenth of the champion's training window, in whole
    weeks, days or hours, so that it holds whole cycles."""
    drift: DriftPolicy | None = DriftPolicy()
    performance: PerformancePolicy | None = PerformancePolicy()
    probe: ProbePolicy | None = ProbePolicy()
    watch: WatchPolicy | None = WatchPolicy()
    schedule: timedelta | None = Field(None, gt=timedelta(0))
    """Retrain when the newest row the champion was trained on is older than this; `None` is never."""
    new_rows: int | None = Field(None, ge=1)
    """Retrain when so many rows have come in since those the champion was trained on; `None` is never."""
    cooldown: timedelta | None = Field(None, ge=timedelta(0))
    """The least time from one retrain to the next; one monitoring window by default. A person may come sooner."""
    budget: BudgetPolicy = BudgetPolicy()
    patience: timedelta = Field(timedelta(hours=1), gt=timedelta(0))
    """How long a retrain that was started and has not ended counts as under way."""
