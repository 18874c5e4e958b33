"""The policy of the gate, and the split of its error budget among the tests.

Each test gets a fixed share of `gate.significance`, so that all of them together keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from refit.policies.training import Policy

Environment = Literal["dev", "staging", "production"]
Promotion = Literal["auto", "approve"]
CHANGE_SHARE = 0.6
"""The share of `gate.significance` for the test against the champion by the primary metric."""
SLICES_SHARE = 0.25
"""The share for all slices together; Holm's correction distributes it among them."""
CALIBRATION_SHARE = 0.15
"""The share for calibration. All shares sum to one (Bonferroni): an equal challenger is rejected by any of the tests
with a chance of at most `gate.significance`."""


class Budgets(Policy):
    """Limits on the cost of serving a model; `None` is no limit."""

    latency_ms: float | None = Field(1_000.0, gt=0)
    """The longest time to predict one row, as the median of several calls in a fresh process, in milliseconds."""
    size_mb: float | None = Field(500.0, gt=0)
    """The largest size of the stored model on disk, in megabytes (10**6 bytes)."""
    load_seconds: float | None = Field(30.0, gt=0)
    """The longest time to load the model in a fresh process, in seconds."""


class FairnessPolicy(Policy):
    """Limits on how differently groups of people are treated; for two classes."""

    column: str = Field(min_length=1)
    """The sensitive column; it need not be a feature."""
    demographic_parity: float | None = Field(0.1, ge=0, le=1)
    """The largest difference between groups in the share of rows predicted as the positive class, from 0 to 1, that a
    difference must significantly exceed to fail."""
    equalized_odds: float | None = Field(0.1, ge=0, le=1)
    """The largest difference between groups in the true positive rate or the false positive rate, from 0 to 1."""
    min_rows: int = Field(50, ge=1)
    """The fewest holdout rows of a group; smaller groups are shown but not tested."""
    significance: float = Field(0.05, gt=0, lt=0.5)
    """The chance that groups that are treated alike are found to be treated differently by any of the comparisons."""


_MEANS = ("", "_macro", "_micro", "_samples", "_weighted")
NUMBER_METRICS = frozenset(
    {
        *("r2", "explained_variance", "d2_absolute_error_score", "neg_max_error", "neg_median_absolute_error"),
        *("neg_mean_absolute_error", "neg_mean_absolute_percentage_error", "neg_mean_squared_error"),
        *("neg_root_mean_squared_error", "neg_mean_squared_log_error", "neg_root_mean_squared_log_error"),
        *("neg_mean_gamma_deviance", "neg_mean_poisson_deviance"),
    }
)
"""The scorers of scikit-learn that compare numbers, for a regression."""
CLASS_METRICS = frozenset(
    {
        *("accuracy", "balanced_accuracy", "matthews_corrcoef", "average_precision", "top_k_accuracy"),
        *("neg_brier_score", "neg_log_loss", "d2_brier_score", "d2_log_loss_score"),
        *("positive_likelihood_ratio", "neg_negative_likelihood_ratio"),
        *("roc_auc", "roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr", "roc_auc_ovr_weighted"),
        *(one + mean for one in ("f1", "jaccard", "precision", "recall") for mean in _MEANS),
    }
)
"""The scorers of scikit-learn that compare classes or their probabilities, for a classification."""


class GatePolicy(Policy):
    """The rules that a challenger must pass to serve; metrics are scikit-learn scorers, so higher is always better."""

    metric: str | None = None
    """The primary metric, the name of a scikit-learn scorer; by default `roc_auc` for two classes, `balanced_accuracy`
    for more, and `neg_mean_absolute_error` for regression."""
    floor: float | None = None
    """The lowest value of the primary metric that may serve; `None` is no limit."""
    significance: float = Field(0.05, gt=0, lt=0.5)
    """The error budget: the chance that a challenger as good as the champion is rejected by any of the tests against it
    (primary metric, slices, calibration), and the chance that a challenger that is worse by the smallest difference
    that matters is promoted."""
    test: Literal["non_inferiority", "superiority"] = "non_inferiority"
    """Whether the challenger must be shown not to be worse than the champion in the primary metric, or to be better.
    Requiring every challenger to be better loses accuracy over many retrains."""
    difference: float | None = Field(None, gt=0)
    """The smallest difference of the primary metric that matters, in its unit. A challenger that is worse by it is
    promoted with a chance of at most `significance`; an equal one is also rejected if the holdout is too small to rule
    the difference out. By default the smallest difference that the holdout can show, so that few equal challengers are
    rejected."""
    harm: float | None = Field(0.1, ge=0)
    """The largest rise of the loss over the champion's, as a share of it, that is not explained by the chance of rows,
    also where a few blocks of time have all of it and no test finds it significant; `None` is no limit."""
    cycles: int = Field(50, ge=1)
    """The number of consecutive retrains over which the superiority test spends the error budget, in equal parts."""
    calibration: float | None = Field(0.05, ge=0, le=1)
    """The largest increase of the calibration error of probabilities over the champion's, if it is significant."""
    calibration_limit: float | None = Field(None, ge=0, le=1)
    """The largest calibration error that may serve; `None` is no limit."""
    slices: tuple[str, ...] | None = None
    """The columns whose values divide the holdout into slices; may include `time of day`. By default the features with
    few categories, the missing values of all features, and the time of day; an empty tuple is no slices."""
    slice_rows: int = Field(200, ge=50)
    """The fewest rows of a slice; smaller slices are not tested."""
    slice_loss: float = Field(0.1, ge=0)
    """The largest rise of the loss in a slice, as a share of the champion's loss, if the rise is significant."""
    fairness: FairnessPolicy | None = None
    """Limits on how differently groups are treated; none by default."""
    budgets: Budgets = Budgets()
    """Limits on the cost of serving the model."""
    forbidden: tuple[str, ...] = ()
    """Features that no model may use: names, or patterns such as `*_id`."""
    leakage: float | None = Field(0.98, gt=0, le=1)
    """A feature that alone removes this share of the baseline model's loss is suspected to contain the label."""
    prediction_range: tuple[float, float] | None = None
    """The lowest and the highest number that a regression may predict; by default the range of the training target,
    extended by its width on both sides."""
    promotion: Promotion = "auto"
    """Whether a challenger that passes is promoted at once, or after a person's approval."""
    environments: Mapping[Environment, Promotion] = {}
    """`promotion` by environment (`REFIT_ENVIRONMENT`), such as `{"dev": "auto"}` if production requires approval."""
    four_eyes: bool = False
    """Whether a version must be approved by another person than the one who started its retrain. Schedules and monitors
    are not persons, so anyone may approve their versions."""
    moved_alias: Literal["restore", "adopt"] = "restore"
    """What to do if a person has moved MLflow's alias `champion`: restore it, or make that version champion if a
    verdict has allowed it. Both are recorded."""
    min_rows: int = Field(50, ge=10)
    """The fewest holdout rows for a verdict."""
