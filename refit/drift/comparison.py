"""Comparison of a current window with a champion's reference: distances, tests and alarms of every column."""

from __future__ import annotations

from dataclasses import dataclass

from refit.drift import calibration, distances
from refit.drift.alarms import AT_ONCE, holm, size_limits
from refit.drift.calibration import Counts
from refit.drift.domain_classifier import MIN_ROWS, auc_noise, classifier_auc, estimate_auc_limit
from refit.drift.numeric_bins import NumericBins
from refit.drift.profile import Profile
from refit.policies.drift_rules import apply_rules
from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import ColumnDrift, DomainDrift, Drift
from refit.records.references import ComparedModel
from refit.windows import Window

DOMAIN_SIGNIFICANCE = 0.001
"""The false-alarm rate of the domain classifier, which the reference's limit is stored for."""
LONGEST_NAME = 60
"""The most characters of a bin's name, which is for pictures and goes into the ledger."""


@dataclass(frozen=True, slots=True)
class ScoreProfile:
    """The profile of one model's predictions on rows that it was not fitted on."""

    profile: Profile
    model: ComparedModel
    """The model that predicted."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The profile of a champion's training rows and of predictions on unseen ones, in tens of kilobytes."""

    data: Profile
    """The features, in blocks of time."""
    scores: ScoreProfile | None
    """The predictions on the holdout; `None` without predictions that can be counted."""
    domain_mean: float
    """The mean AUC at which the classifier tells parts of the reference apart."""
    domain_limit: float
    """The AUC that one more part of the reference stays below."""


def make_reference(data: Profile, scores: ScoreProfile | None, seed: int) -> Reference:
    """Makes a reference from profiles, with the domain classifier's limits.

    Args:
        data: The profile of the features.
        scores: The profile of the predictions, if there is one.
        seed: Draws the folds.

    Returns:
        The reference.
    """
    codes, blocks = data.sample_rows()
    mean, limit = estimate_auc_limit(codes, blocks, DOMAIN_SIGNIFICANCE, seed)
    return Reference(data, scores, mean, limit)


def compare_with_reference(
    reference: Reference,
    current: Profile,
    scores: ScoreProfile | None,
    window: Window,
    policy: DriftPolicy,
    seed: int = 0,
) -> Drift:
    """Compares a window with the reference, column by column and by the domain classifier.

    Args:
        reference: The champion's.
        current: The window's features, in the reference's bins.
        scores: The predictions in that window, in the reference's bins, by the model of the reference's predictions.
        window: The event times.
        policy: The project's limits, or its fixed rules in their place.
        seed: Draws the folds of the domain classifier.

    Returns:
        The drift in this window alone.

    Raises:
        ProjectError: If a fixed rule names a column that is not compared.
        ValueError: If another model predicted in the window than in the reference.
    """
    pairs = [_ColumnPair(name, reference.data, current) for name in reference.data.columns]
    features = len(pairs)
    pairs += _pair_scores(reference.scores, scores)
    tests = [calibration.compare_psi(*pair.counts()) for pair in pairs]
    p_values = [test.p_value for test in tests]
    significant, certain = (holm(p_values, policy.significance * share) for share in (1, AT_ONCE))
    found = [_judge_column(*each, policy) for each in zip(pairs, tests, significant, certain, strict=True)]
    drift = Drift(
        window=window,
        rows=current.rows,
        columns=tuple(found[:features]),
        scores=tuple(found[features:]),
        domain=_domain_drift(reference, current, seed),
        calibrated=all(test.calibrated for test in tests[:features]),
        scored_by=scores.model if scores and len(pairs) > features else None,
    )
    return apply_rules(policy.rules, drift) if policy.rules else drift


@dataclass(frozen=True, slots=True)
class ColumnDistances:
    """The distances of one column between reference and current window, without a test."""

    psi: float
    """Over the coarse bins, including missing and unseen values."""
    distance: float
    """Wasserstein distance in reference standard deviations for a number, Jensen-Shannon distance for a category."""
    jensen_shannon: float
    """Over the coarse bins."""
    kolmogorov_smirnov: float | None
    """`None` for a category."""
    missing_change: float
    """Share of missing values, current minus reference."""
    unseen: float
    """Share of current values of no category of the reference."""


def measure_distances(reference: Profile, current: Profile, column: str) -> ColumnDistances:
    """Measures the distances of one column.

    Args:
        reference: The reference's profile.
        current: The current window's, counted in `reference.current_binning()`.
        column: The column.

    Returns:
        The distances; `distance` is in the column's own unit if the column is constant in the reference.
    """
    old, new = reference.coarse(column).sum(axis=0), current.coarse(column).sum(axis=0)
    shannon = distances.jensen_shannon(old, new)
    number = isinstance(reference.bins(column), NumericBins)
    return ColumnDistances(
        distances.psi(old, new),
        scaled_wasserstein(reference, current, column) if number else shannon,
        shannon,
        distances.kolmogorov_smirnov(reference.fine(column), current.fine(column)) if number else None,
        distances.missing_change(old, new),
        distances.unseen_share(new),
    )


def scaled_wasserstein(reference: Profile, current: Profile, column: str) -> float:
    """Computes the Wasserstein distance of a column of numbers, in standard deviations of the reference.

    Args:
        reference: The reference's profile.
        current: The current window's.
        column: The column.

    Returns:
        The distance; in the column's own unit where it is constant in the reference.
    """
    bins = reference.bins(column)
    assert isinstance(bins, NumericBins)  # noqa: S101 - what a caller asks of a category is a mistake in the code
    bounds, middles = bins.bounds, reference.middles(column)
    spread = distances.standard_deviation(reference.fine(column), bounds, middles, points=bins.points)
    apart = distances.wasserstein(
        reference.fine(column), current.fine(column), bounds, middles, current.middles(column)
    )
    return apart / (spread or 1.0)


@dataclass(frozen=True, slots=True)
class _ColumnPair:
    """One column of the reference and the current window."""

    column: str
    reference: Profile
    current: Profile

    def counts(self) -> tuple[Counts, Counts]:
        """The reference's rows per block of time and bin, and the current rows per bin."""
        return self.reference.coarse(self.column), self.current.coarse(self.column).sum(axis=0)

    def shares(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The share of the rows in each bin, of both."""
        old, new = self.counts()
        one, other = distances.shares(old.sum(axis=0)).tolist(), distances.shares(new).tolist()
        return tuple(one), tuple(other)


def _pair_scores(reference: ScoreProfile | None, current: ScoreProfile | None) -> list[_ColumnPair]:
    if reference is None or current is None:
        return []
    if reference.model != current.model:
        raise ValueError(f"predictions of {current.model} cannot be compared with those of {reference.model}")
    names = reference.profile.columns
    return [_ColumnPair(name, reference.profile, current.profile) for name in names]


def _judge_column(
    pair: _ColumnPair, test: calibration.PsiTest, significant: bool, certain: bool, policy: DriftPolicy
) -> ColumnDrift:
    size, huge = size_limits(policy, calibrated=test.calibrated)
    measured = measure_distances(pair.reference, pair.current, pair.column)
    drifted = significant and test.excess >= size
    names = tuple(name[:LONGEST_NAME] for name in pair.reference.bin_names(pair.column)) if drifted else ()
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


def _domain_drift(reference: Reference, current: Profile, seed: int) -> DomainDrift | None:
    old, new = reference.data.sample_rows()[0], current.sample_rows()[0]
    if min(len(old), len(new)) < MIN_ROWS or len(reference.data.columns) < 2:  # noqa: PLR2004 - a pair is two
        return None
    auc = classifier_auc(old, new, seed)
    noise = auc_noise(len(old), len(new), DOMAIN_SIGNIFICANCE)
    # No AUC is larger than 1: so few rows tell nothing.
    limit = min(1.0, max(reference.domain_limit, reference.domain_mean + noise))
    return DomainDrift(auc, limit, drifted=auc > limit)
