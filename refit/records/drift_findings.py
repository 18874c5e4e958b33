"""The results of a drift measurement: one value per column, one for all columns together, and the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refit.records.references import ComparedModel
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """The distances of one column between the current window and the reference."""

    column: str
    kind: str
    """`number` or `category`."""
    psi: float
    """Population stability index over the reference's coarse bins, including missing and unseen values."""
    excess: float
    """The part of `psi` beyond sampling error and the reference's natural variation; at least 0."""
    p_value: float
    """The chance of a `psi` this large without drift, before the correction for the number of columns."""
    distance: float
    """Wasserstein distance in reference standard deviations for a number, Jensen-Shannon distance for a category."""
    jensen_shannon: float
    """Jensen-Shannon distance over the coarse bins, natural logarithm, 0 to sqrt(ln 2)."""
    kolmogorov_smirnov: float | None
    """The largest difference between the two distribution functions; `None` for a category."""
    missing_change: float
    """The share of missing values, current minus reference."""
    unseen: float
    """The share of current values in no category of the reference; 0 for a number."""
    drifted: bool
    """Whether the change is significant after the correction, and large enough, in this window alone."""
    huge: bool
    """Whether the change is so large that it is reported at once."""
    cells: tuple[str, ...] = ()
    """The coarse bins for pictures: intervals or categories, then unseen and missing; only of a column that drifted."""
    reference_shares: tuple[float, ...] = ()
    """The share of the reference's rows in each bin."""
    current_shares: tuple[float, ...] = ()
    """The share of the current rows in each bin."""

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit monitor --json`."""
        return {
            "psi": self.psi,
            "distance": self.distance,
            "missing_change": self.missing_change,
            "p_value": self.p_value,
            "drifted": self.drifted,
            "excess": self.excess,
            "jensen_shannon": self.jensen_shannon,
            "ks": self.kolmogorov_smirnov,
            "unseen": self.unseen,
            "huge": self.huge,
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True)
class DomainDrift:
    """The performance of a classifier that separates current from reference rows: drift of columns together."""

    auc: float
    """The AUC on rows that the classifier was not fitted on; 0.5 is no difference."""
    limit: float
    """The largest AUC expected without drift, from parts of the reference, at the policy's significance."""
    drifted: bool
    """Whether the AUC exceeds the limit."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift between the current window and the reference, before any persistence."""

    window: Window
    rows: int
    """The rows of the current window."""
    columns: tuple[ColumnDrift, ...]
    """The features, in the table's order."""
    scores: tuple[ColumnDrift, ...]
    """The predictions of `scored_by`, one per output; empty if the reference has none."""
    domain: DomainDrift | None
    """`None` if the sample is too small."""
    calibrated: bool
    """Whether the reference is large enough to estimate its natural variation; otherwise stricter floors were used."""
    scored_by: ComparedModel | None = None
    """The model that predicted both the reference's rows and the current ones; `None` without `scores`, and in records
    of former releases, which compared the judged model's predictions with those of the served one."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """What drifted in this window: columns, predictions, and `(together)` for the domain classifier."""
        names = [found.column for found in (*self.columns, *self.scores) if found.drifted]
        return (*names, "(together)") if self.domain and self.domain.drifted else tuple(names)

    @property
    def huge(self) -> tuple[str, ...]:
        """The columns and predictions whose change is so large that it is reported at once."""
        return tuple(found.column for found in (*self.columns, *self.scores) if found.huge)

    @property
    def share(self) -> float:
        """The share of feature columns that drifted, from 0 to 1; 0 without columns."""
        return sum(found.drifted for found in self.columns) / len(self.columns) if self.columns else 0.0
