"""What a comparison of two profiles found: one value per column, and the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refit.windows import Window


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How far one column of the current window lies from the reference."""

    column: str
    kind: str
    """`number` or `category`."""
    psi: float
    """Population stability index over the reference's coarse cells, missing and unseen values included."""
    excess: float
    """The part of `psi` beyond what sampling and the reference's natural movement explain; 0 at least."""
    p_value: float
    """The chance of so large a `psi` without drift, before the correction for the number of columns."""
    distance: float
    """Wasserstein distance in reference standard deviations for a number, Jensen-Shannon distance for a category."""
    jensen_shannon: float
    """Jensen-Shannon distance over the coarse cells, natural logarithm, 0 to sqrt(ln 2)."""
    kolmogorov_smirnov: float | None
    """Largest gap between the two distribution functions; `None` for a category."""
    missing_change: float
    """Share of missing values, current minus reference."""
    unseen: float
    """Share of current values that are of no category of the reference; 0 for a number."""
    drifted: bool
    """Whether the change is both significant, after the correction, and large enough, in this window alone."""
    huge: bool
    """Whether it is so large that it counts at once."""
    cells: tuple[str, ...] = ()
    """What the coarse cells hold, for pictures: intervals or categories, then unseen and missing; only of a column
    that drifted."""
    reference_shares: tuple[float, ...] = ()
    """The share of the reference's rows in each cell."""
    current_shares: tuple[float, ...] = ()
    """The share of the current rows in each cell."""

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit monitor --json`."""
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
    """How well a classifier tells current rows from reference rows: drift of columns together."""

    auc: float
    """On rows that the classifier was not fitted on; 0.5 is no difference."""
    limit: float
    """What the reference's own parts reach among each other, at the policy's significance."""
    drifted: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """What a comparison of the current window with the reference found, before any persistence."""

    window: Window
    rows: int
    """Rows of the current window."""
    columns: tuple[ColumnDrift, ...]
    """The features, in the table's order."""
    scores: tuple[ColumnDrift, ...]
    """The champion's predictions, one per output; empty where the reference has none."""
    domain: DomainDrift | None
    """`None` where the sample is too small."""
    calibrated: bool
    """Whether the reference is large enough to know its own natural movement; else stricter floors were used."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """What drifted in this window: names of columns, `prediction`s, and `(together)` for the domain classifier."""
        names = [found.column for found in (*self.columns, *self.scores) if found.drifted]
        return (*names, "(together)") if self.domain and self.domain.drifted else tuple(names)

    @property
    def huge(self) -> tuple[str, ...]:
        """Those of them whose change is so large that it counts at once."""
        return tuple(found.column for found in (*self.columns, *self.scores) if found.huge)

    @property
    def share(self) -> float:
        """The share of feature columns that drifted; 0 without columns."""
        return sum(found.drifted for found in self.columns) / len(self.columns) if self.columns else 0.0
