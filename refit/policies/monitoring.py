"""The monitoring policy: when data counts as drifted, when a retrain pays off, and how many retrains are allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from refit.errors import ProjectError
from refit.policies.drift_rules import parse_rule
from refit.policies.training import Policy

TriggerAction = Literal["retrain", "alert", "nothing"]
"""The action when a trigger fires."""


class DriftPolicy(Policy):
    """The conditions for drift: a change must be significant, large and persistent."""

    significance: float = Field(0.01, gt=0, lt=0.5)
    """The chance of a false alarm for any column in a window without drift."""
    size: float = Field(0.02, ge=0)
    """The smallest excess PSI of a column that counts."""
    huge: float = Field(0.3, gt=0)
    """The excess PSI that is reported at once, without persistence."""
    persistence: tuple[int, int] = (2, 2)
    """`(k, n)`: drift is reported if a column drifted in k of the last n windows that do not overlap."""
    min_rows: int = Field(200, ge=20)
    """The fewest rows of a window that is compared."""
    rules: tuple[str, ...] = ()
    """Fixed thresholds such as `psi > 0.2 on any of [temperature, wind]` in place of the calibrated alarm."""
    then: TriggerAction = "alert"
    """The action. Drift alone is a weak reason to retrain: it ranks and explains columns, and calls for labels."""

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
    """The conditions for a drop of the realised score."""

    significance: float = Field(0.01, gt=0, lt=0.5)
    """The chance that an unchanged score counts as dropped."""
    drop: float = Field(0.05, ge=0)
    """The smallest increase of the loss that counts, as a share of the baseline's loss."""
    min_coverage: float = Field(0.9, gt=0, le=1)
    """The smallest share of a window's rows with labels, from 0 to 1; below it no score is computed."""
    min_rows: int = Field(100, ge=10)
    """The fewest labelled rows of a window that is scored."""
    then: TriggerAction = "alert"
    """The action. A worse score does not show that a new model would be better; the probe does."""


class ProbePolicy(Policy):
    """The conditions under which a new model would be better by enough: the default trigger of a retrain."""

    gain: float = Field(0.08, ge=0)
    """The expected gain at which a retrain pays, as a share of the loss, when the budget is used evenly. With retrains
    left over a smaller gain is enough, and with few left it takes a larger one."""
    certainty: float | None = Field(None, ge=0)
    """The number of standard errors by which the gain in the newest window alone must exceed zero. `None` weighs the
    probes of all windows, and what models of this age have gained, instead."""
    huge: float | None = Field(None, gt=0)
    """With `certainty`: the gain, as a share of the loss, for which half of that certainty is enough."""
    rows: int = Field(20_000, ge=200)
    """The most rows that the probe's small models are fitted on."""
    growth: float | None = Field(3.0, gt=1)
    """If the labelled rows have grown by this factor since the champion was trained, and by each further power of it,
    larger models are fitted as well: small ones cannot show the value of more rows. `None` is never."""
    price: float | None = Field(None, gt=0)
    """The cost of one retrain, in place of `gain`: a retrain pays if the expected gain in the windows until the next
    one, as the budget spaces them, is larger. In units of the loss times windows, or in money if `price_per_error` is
    set."""
    price_per_error: float | None = Field(None, gt=0)
    """The cost of one unit of loss for one row, in the currency of `price`."""
    then: TriggerAction = "retrain"
    """The action."""


class WatchPolicy(Policy):
    """How long the former champion is still scored after a promotion, and what follows if it was better."""

    significance: float = Field(0.05, gt=0, lt=0.5)
    """The chance that a champion as good as the former one is found worse during the whole watch."""
    looks: int = Field(4, ge=1)
    """The number of comparisons: one whenever another monitoring window has matured."""
    min_rows: int = Field(100, ge=10)
    """The fewest labelled rows of a comparison."""
    harm: float | None = Field(0.1, ge=0)
    """The largest rise of the loss over the former champion's, as a share of it, that is not explained by the chance of
    rows, also where a few blocks of time have all of it; `None` is no limit."""
    rollback: bool = True
    """Whether a champion that is significantly worse is rolled back; otherwise an alert is raised."""


class BudgetPolicy(Policy):
    """Limits on the number and cost of retrains; a person's `--force` overrides them."""

    retrains: int = Field(6, ge=0)
    """The most retrains in a period."""
    burst: int = Field(2, ge=1)
    """The number of retrains that may follow each other closely; the others become available one by one, evenly over
    the period, so that an early burst leaves some for the rest of it."""
    minutes: float | None = Field(None, gt=0)
    """The most minutes of retraining and probing in a period; `None` is no limit."""
    period: timedelta | None = Field(None, gt=timedelta(0))
    """The period; 28 monitoring windows by default."""


class MonitoringPolicy(Policy):
    """What the monitor checks and what follows. A part that is `None` is switched off."""

    window: timedelta | None = Field(None, gt=timedelta(0))
    """The length of the monitoring window; by default about a tenth of the champion's training window, in whole weeks,
    days or hours, so that it contains whole cycles."""
    drift: DriftPolicy | None = DriftPolicy()
    performance: PerformancePolicy | None = PerformancePolicy()
    probe: ProbePolicy | None = ProbePolicy()
    watch: WatchPolicy | None = WatchPolicy()
    schedule: timedelta | None = Field(None, gt=timedelta(0))
    """Retrain if the newest row that the champion was trained on is older than this; `None` is never."""
    new_rows: int | None = Field(None, ge=1)
    """Retrain if this many rows have arrived since those that the champion was trained on; `None` is never."""
    cooldown: timedelta | None = Field(None, ge=timedelta(0))
    """The shortest time between two retrains; one monitoring window by default. A person may start one sooner."""
    budget: BudgetPolicy = BudgetPolicy()
    patience: timedelta = Field(timedelta(hours=1), gt=timedelta(0))
    """How long a started retrain that has not ended counts as running."""
