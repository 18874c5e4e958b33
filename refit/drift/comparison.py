"""A current window held against a champion's reference: every measure, every alarm.

Every measure of one column, from two profiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from refit.drift import calibration
from refit.drift import distances as measures
from refit.drift.alarms import AT_ONCE, holm, size_limits
from refit.drift.calibration import Counts
from refit.drift.domain_classifier import MIN_ROWS, auc_noise, classifier_auc, estimate_auc_limit
from refit.drift.numeric_bins import NumericBins
from refit.drift.profile import Profile
from refit.policies.drift_rules import apply_rules
from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import ColumnDrift, DomainDrift, Drift
from refit.windows import Window

DOMAIN_SIGNIFICANCE = 0.001
"""The chance that the columns together are called drifted without drift; the reference's own limit is stored for it."""
LONGEST_NAME = 60
"""A cell's name is cut to so many characters: it is for a picture, and goes into the ledger."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a champion was trained on, as far as monitoring needs it; tens of kilobytes."""

    data: Profile
    """The features, in blocks of time."""
    scores: Profile | None
    """What the judged model said of rows that it had not seen; `None` where it gave nothing that can be counted."""
    domain_mean: float
    """How well the reference's own parts are told apart on average, as an AUC."""
    domain_limit: float
    """What one more part stays below."""


def make_reference(data: Profile, scores: Profile | None, seed: int) -> Reference:
    """Adds to the profiles how much the columns together move within the reference.

    Args:
        data: The profile of the features.
        scores: The profile of the predictions, if there is one.
        seed: Draws the folds.

    Returns:
        The reference.
    """
    codes, blocks = data.sampled()
    mean, limit = estimate_auc_limit(codes, blocks, DOMAIN_SIGNIFICANCE, seed)
    return Reference(data, scores, mean, limit)


def compare_with_reference(
    reference: Reference, current: Profile, scores: Profile | None, window: Window, policy: DriftPolicy, seed: int = 0
) -> Drift:
    """Measures how far a window lies from the reference, and which changes are significant and large.

    Args:
        reference: The champion's.
        current: The window's features, in the reference's cells.
        scores: The champion's predictions in that window, in the reference's cells.
        window: The event times.
        policy: The project's limits, or its fixed rules in their place.
        seed: Draws the folds of the domain classifier.

    Returns:
        What was found in this window alone.

    Raises:
        ProjectError: If a fixed rule names a column that is not compared.
    """
    pairs = [_Pair(name, reference.data, current) for name in reference.data.columns]
    features = len(pairs)
    if reference.scores and scores:
        pairs += [_Pair(name, reference.scores, scores) for name in reference.scores.columns]
    tests = [calibration.compare_psi(*pair.counts()) for pair in pairs]
    p_values = [test.p_value for test in tests]
    significant, certain = (holm(p_values, policy.significance * share) for share in (1, AT_ONCE))
    found = [_judged(*each, policy) for each in zip(pairs, tests, significant, certain, strict=True)]
    drift = Drift(
        window=window,
        rows=current.rows,
        columns=tuple(found[:features]),
        scores=tuple(found[features:]),
        domain=_together(reference, current, seed),
        calibrated=all(test.calibrated for test in tests[:features]),
    )
    return apply_rules(policy.rules, drift) if policy.rules else drift


@dataclass(frozen=True, slots=True)
class _Pair:
    """One column on both sides."""

    column: str
    reference: Profile
    current: Profile

    def counts(self) -> tuple[Counts, Counts]:
        """The reference's rows per block of time and cell, and the current rows per cell."""
        return self.reference.coarse(self.column), self.current.coarse(self.column).sum(axis=0)

    def shares(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The share of the rows in each cell, of both."""
        old, new = self.counts()
        one, other = measures.shares(old.sum(axis=0)).tolist(), measures.shares(new).tolist()
        return tuple(one), tuple(other)


def _judged(
    pair: _Pair, test: calibration.PsiTest, significant: bool, certain: bool, policy: DriftPolicy
) -> ColumnDrift:
    size, huge = size_limits(policy, calibrated=test.calibrated)
    measured = measure_distances(pair.reference, pair.current, pair.column)
    drifted = significant and test.excess >= size
    names = tuple(name[:LONGEST_NAME] for name in pair.reference.cell_names(pair.column)) if drifted else ()
    shares = pair.shares() if drifted else ((), ())
    return ColumnDrift(
        column=pair.column,
        kind=pair.reference.kind(pair.column),
        psi=measured.psi,
        excess=test.excess,
        p_value=test.p_value,
        distance=measured.distance,
        jensen_shannon=measured.jensen_shannon,
        kolmogorov_smirnov=measured.kolmogorov_smirnov,
        missing_change=measured.missing_change,
        unseen=measured.unseen,
        drifted=drifted,
        huge=drifted and certain and test.excess >= huge,
        cells=names,
        reference_shares=shares[0],
        current_shares=shares[1],
    )


def _together(reference: Reference, current: Profile, seed: int) -> DomainDrift | None:
    old, new = reference.data.sampled()[0], current.sampled()[0]
    if min(len(old), len(new)) < MIN_ROWS or len(reference.data.columns) < 2:  # noqa: PLR2004 - a pair is two
        return None
    auc = classifier_auc(old, new, seed)
    noise = auc_noise(len(old), len(new), DOMAIN_SIGNIFICANCE)
    # No AUC is larger than 1: so few rows tell nothing.
    limit = min(1.0, max(reference.domain_limit, reference.domain_mean + noise))
    return DomainDrift(auc, limit, drifted=auc > limit)


@dataclass(frozen=True, slots=True)
class ColumnDistances:
    """How far one column of the current window lies from the reference, without a judgement."""

    psi: float
    """Over the coarse cells, missing and unseen values included."""
    distance: float
    """Wasserstein distance in reference standard deviations for a number, Jensen-Shannon distance for a category."""
    jensen_shannon: float
    """Over the coarse cells."""
    kolmogorov_smirnov: float | None
    """`None` for a category."""
    missing_change: float
    """Share of missing values, current minus reference."""
    unseen: float
    """Share of current values of no category of the reference."""


def measure_distances(reference: Profile, current: Profile, column: str) -> ColumnDistances:
    """Measures one column.

    Args:
        reference: The reference's profile.
        current: The current window's, counted in `reference.anchors.unblocked()`.
        column: The column.

    Returns:
        The measures; where a column is constant in the reference, its distance is in the column's own unit.
    """
    old, new = reference.coarse(column).sum(axis=0), current.coarse(column).sum(axis=0)
    shannon = measures.jensen_shannon(old, new)
    number = isinstance(reference.cells(column), NumericBins)
    return ColumnDistances(
        measures.psi(old, new),
        scaled_wasserstein(reference, current, column) if number else shannon,
        shannon,
        measures.kolmogorov_smirnov(reference.fine(column), current.fine(column)) if number else None,
        measures.missing_change(old, new),
        measures.unseen_share(new),
    )


def scaled_wasserstein(reference: Profile, current: Profile, column: str) -> float:
    """Gives the Wasserstein distance of a column of numbers, in reference standard deviations.

    Args:
        reference: The reference's profile.
        current: The current window's.
        column: The column.

    Returns:
        The distance; in the column's own unit where it is constant in the reference.
    """
    cells = reference.cells(column)
    assert isinstance(cells, NumericBins)  # noqa: S101 - what a caller asks of a category is a mistake in the code
    bounds, middles = cells.bounds, reference.middles(column)
    spread = measures.standard_deviation(reference.fine(column), bounds, middles, points=cells.points)
    apart = measures.wasserstein(reference.fine(column), current.fine(column), bounds, middles, current.middles(column))
    return apart / (spread or 1.0)
