"""Sentences about the monitor's measurements: drift, realised performance and the benefit probe."""

from __future__ import annotations

from refit.monitoring.evidence import Performance, Probe
from refit.records.drift_findings import ColumnDrift, Drift
from refit.windows import format_window
from refit_tasks.presentation.markdown import number


def sort_columns_by_drift(drift: Drift) -> list[ColumnDrift]:
    """Sorts columns by the size of their change.

    Args:
        drift: The drift.

    Returns:
        Features and predictions: drifted columns first, then by excess PSI.
    """
    return sorted((*drift.columns, *drift.scores), key=lambda found: (not found.drifted, -found.excess, -found.psi))


COLUMN_LEGEND = (
    "PSI measures how far the distribution of values is from the reference; excess PSI is the part of it that "
    "sampling noise and natural variation do not explain; p is the probability of so large a PSI without drift. "
    "Distance is the Wasserstein distance in standard deviations of the reference for numbers, and the Jensen- "
    "Shannon distance for categories. Missing is the change in the share of missing values; unseen is the share of "
    "values that the reference does not contain. A column has drifted if its change is significant, corrected for "
    "the number of columns, and large enough, in this window alone; a huge change counts at once."
)
"""The meaning of a column's numbers."""


def summarize_drift(drift: Drift) -> str:
    """Summarizes drift.

    Args:
        drift: The drift.

    Returns:
        Sentences.
    """
    count = sum(found.drifted for found in drift.columns)
    together = (
        f" From pairs of columns, beyond each column's own change, a classifier distinguishes current from reference "
        f"rows with an AUC of {drift.domain.auc:.3f}; up to {drift.domain.limit:.3f} is expected without drift."
        if drift.domain
        else ""
    )
    sure = (
        ""
        if drift.calibrated
        else " The reference is too small to estimate its natural variation: stricter floors were used."
    )
    columns = f"{count} of {len(drift.columns)} feature columns drifted in this window alone."
    return f"{columns}{_describe_scores(drift)}{together}{sure}"


def describe_performance(found: Performance | None) -> list[str]:
    """Describes realised performance.

    Args:
        found: The realised performance; `None` if it was not measured.

    Returns:
        Sentences about the score, or why there is none, about label coverage, and about the estimate.
    """
    if found is None:
        return []
    labels = (
        f"{found.rows_mature:,} of {found.rows:,} rows, {format_window(found.window)} UTC, have labels "
        f"({100 * found.coverage:.1f} %)."
    )
    estimate = (
        f"Estimate without labels for the current window, not a realised score: {found.estimate.metric} "
        f"{number(found.estimate.value)} on {found.estimate.rows:,} rows, from the model's predicted probabilities."
        if found.estimate
        else ""
    )
    return [" ".join(part for part in (_describe_score(found), labels) if part), *([estimate] if estimate else [])]


def describe_probe(found: Probe | None) -> list[str]:
    """Describes the benefit probe.

    Args:
        found: The probe; `None` if it was not run.

    Returns:
        One sentence, or none.
    """
    if found is None:
        return []
    verb = "lowers" if found.gain >= 0 else "raises"
    return [
        f"A small model on fresh rows {verb} the loss of an equally small one on the champion's rows, "
        f"{number(found.loss)}, by "
        f"{number(abs(found.gain))} ({100 * abs(found.share):.1f} %), with a standard error of {found.error:.2g}, on "
        f"{found.rows:,} rows, {format_window(found.window)} UTC."
    ]


def _describe_score(found: Performance) -> str:
    if found.current is None:
        return f"The score ({found.metric}) is withheld: {found.withheld or 'there is nothing to score'}."
    interval = f", 95 % interval {number(found.interval[0])} to {number(found.interval[1])}" if found.interval else ""
    known = found.reference is not None
    against = f" against a baseline of {number(found.reference)}" if known else "; there is no baseline yet"
    dropped = " It has dropped." if found.dropped else ""
    return f"Realised {found.metric} (higher is better) {number(found.current)}{interval}{against}.{dropped}"


def _describe_scores(drift: Drift) -> str:
    if not any(found.drifted for found in drift.scores):
        return ""
    of = f" of the {drift.scored_by.role} model" if drift.scored_by else ""
    return f" The predictions{of} drifted: {_join_drifted(drift.scores)}."


def _join_drifted(found: tuple[ColumnDrift, ...]) -> str:
    return ", ".join(column.column for column in found if column.drifted)
