"""The policy of the gate: what a challenger must show before it may serve.

How the gate's error budget is spent: each test gets a stated part, so that all together keep the promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from refit.policies.training import Policy

Environment = Literal["dev", "staging", "production"]
Promotion = Literal["auto", "approve"]


class Budgets(Policy):
    """What a model may cost to serve; `None` asks for nothing."""

    latency_ms: float | None = Field(1_000.0, gt=0)
    """The longest that one row may take, the median of several calls in a fresh process, in milliseconds."""
    size_mb: float | None = Field(500.0, gt=0)
    """The most that the stored model may take on disk, in units of a million bytes."""
    load_seconds: float | None = Field(30.0, gt=0)
    """The longest that loading the model may take in a fresh process, in seconds."""


class FairnessPolicy(Policy):
    """How far groups of people may be treated differently; for two classes."""

    column: str = Field(min_length=1)
    """The sensitive column; it need not be a feature."""
    demographic_parity: float | None = Field(0.1, ge=0, le=1)
    """The largest difference between groups in the share of rows that get the positive class."""
    equalized_odds: float | None = Field(0.1, ge=0, le=1)
    """The largest difference between groups in the true positive rate, or in the false positive rate."""
    min_rows: int = Field(50, ge=1)
    """Groups with fewer rows in the holdout are shown and not judged."""


class GatePolicy(Policy):
    """What a challenger must show before it may serve. Metrics are scikit-learn scorers: higher is better, always."""

    metric: str | None = None
    """The primary metric, the name of a scikit-learn scorer; by default `roc_auc` for two classes, `balanced_accuracy`
    for more, and `neg_mean_absolute_error` for regression."""
    floor: float | None = None
    """The lowest value of the primary metric that may serve; `None` asks for nothing."""
    significance: float = Field(0.05, gt=0, lt=0.5)
    """The error budget: the chance that a challenger which is as good as the champion is rejected by any of the tests
    against it (primary metric, slices, calibration), and the chance that one is promoted which is worse by the smallest
    difference that matters."""
    test: Literal["non_inferiority", "superiority"] = "non_inferiority"
    """What the primary metric is tested for against the champion: that the challenger is not worse, or that it is
    better. To ask every challenger to be better loses accuracy over many retrains."""
    difference: float | None = Field(None, gt=0)
    """The smallest difference of the primary metric that matters, in its unit: a challenger that is worse by it is
    promoted with a chance of `significance` at most; an equal one is rejected, too, where the holdout is too small to
    rule the difference out. By default the smallest that the holdout can show, so that few equal ones are rejected."""
    cycles: int = Field(50, ge=1)
    """Over how many retrains in a row the error budget of the superiority test lasts: each spends an equal part."""
    calibration: float | None = Field(0.05, ge=0, le=1)
    """How much larger than the champion's the calibration error of probabilities may be, where it is significant."""
    calibration_limit: float | None = Field(None, ge=0, le=1)
    """The largest calibration error that may serve; `None` asks for nothing."""
    slices: tuple[str, ...] | None = None
    """The columns whose values cut the holdout into slices, `time of day` among them; by default the features of few
    categories, the missing values of all features, and the time of day; none where this is empty."""
    slice_rows: int = Field(200, ge=50)
    """The fewest rows of a slice that is judged."""
    slice_loss: float = Field(0.1, ge=0)
    """By which share of the champion's loss the loss in a slice may rise, where the rise is significant."""
    fairness: FairnessPolicy | None = None
    """Limits on how differently groups are treated; none by default."""
    budgets: Budgets = Budgets()
    """What the model may cost to serve."""
    forbidden: tuple[str, ...] = ()
    """Features that no model may see: names, or patterns such as `*_id`."""
    leakage: float | None = Field(0.98, gt=0, le=1)
    """A feature that alone removes this share of the trivial model's loss is suspected to hold the label."""
    prediction_range: tuple[float, float] | None = None
    """The lowest and the highest number that a regression may predict; by default one width of the training target's
    range below and above it."""
    promotion: Promotion = "auto"
    """Whether a challenger that passes serves at once, or when a person has approved it."""
    environments: Mapping[Environment, Promotion] = {}
    """What `promotion` is in an environment (`REFIT_ENVIRONMENT`), such as `{"dev": "auto"}` where production asks."""
    four_eyes: bool = False
    """Whether somebody else has to approve a version than the person who asked for its retrain, as far as that one is
    known: a schedule, or a monitor, is nobody."""
    moved_alias: Literal["restore", "adopt"] = "restore"
    """What to do where a person has moved MLflow's alias `champion`: put it back, or make that version champion if a
    verdict has allowed it. Both are recorded."""
    min_rows: int = Field(50, ge=10)
    """The fewest holdout rows that a verdict may rest on."""


CHANGE_SHARE = 0.6
"""The part of `gate.significance` for the test against the champion by the primary metric."""
SLICES_SHARE = 0.25
"""The part for all slices together; Holm's correction shares it out among them."""
CALIBRATION_SHARE = 0.15
"""The part for calibration. All parts sum to one (Bonferroni): an equal challenger is rejected by any of the tests
with a chance of `gate.significance` at most."""
