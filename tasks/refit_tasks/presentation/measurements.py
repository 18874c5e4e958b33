"""What the monitor measured, in sentences: drift, the realised score and the benefit probe."""

from __future__ import annotations

from refit.monitoring.evidence import Performance, Probe
from refit.records.drift_findings import ColumnDrift, Drift
from refit_tasks.presentation.markdown import number


def sort_columns_by_drift(drift: Drift) -> list[ColumnDrift]:
    """Sorts columns by how much they changed.

    Args:
        drift: What a comparison found.

    Returns:
        Features and predictions, those that drifted first, then by excess PSI: a large one can be natural movement.
    """
    return sorted((*drift.columns, *drift.scores), key=lambda found: (not found.drifted, -found.excess, -found.psi))


COLUMN_LEGEND = (
    "PSI is how far the shares of values lie from the reference's, excess PSI the part of it that sampling noise and "
    "natural movement do not explain, p the chance of so large a PSI without drift. Distance is Wasserstein's in "
    "standard deviations of the reference for numbers, Jensen-Shannon's for categories. Missing is the change of the "
    "share of missing values, unseen the share of values that the reference never had. Drifted: significant among so "
    "many columns, and large enough, in this window alone; a huge change counts at once."
)
"""What the numbers of a column mean."""


def summarize_drift(drift: Drift) -> str:
    """Says how much of the data changed.

    Args:
        drift: What a comparison found.

    Returns:
        Sentences.
    """
    count = sum(found.drifted for found in drift.columns)
    scores = f" The predictions drifted: {_join_drifted(drift.scores)}." if any(f.drifted for f in drift.scores) else ""
    together = (
        f" By what pairs of columns show together, beyond each column's own change, current rows are told from "
        f"reference rows with an AUC of {drift.domain.auc:.3f}; up to {drift.domain.limit:.3f} is natural."
        if drift.domain
        else ""
    )
    sure = (
        "" if drift.calibrated else " The reference is too small to know its own movement: stricter floors were used."
    )
    return f"{count} of {len(drift.columns)} feature columns drifted in this window alone.{scores}{together}{sure}"


def describe_performance(found: Performance | None) -> list[str]:
    """Says how well the champion did where labels are known.

    Args:
        found: The realised score; `None` where nothing was measured.

    Returns:
        Sentences about the score, or why there is none, about labels, and about the estimate.
    """
    if found is None:
        return []
    labels = (
        f"{found.rows_mature:,} of {found.rows:,} rows from {found.window.start:%Y-%m-%d %H:%M} until "
        f"{found.window.end:%Y-%m-%d %H:%M} UTC have their labels ({100 * found.coverage:.1f} %)."
    )
    estimate = (
        f"An estimate without labels for the current window, never a realised score: {found.estimate.metric} "
        f"{number(found.estimate.value)} on {found.estimate.rows:,} rows, from the model's own confidence."
        if found.estimate
        else ""
    )
    return [" ".join(part for part in (_describe_score(found), labels) if part), *([estimate] if estimate else [])]


def describe_probe(found: Probe | None) -> list[str]:
    """Says what a fresh model would gain.

    Args:
        found: The benefit probe; `None` where none was made.

    Returns:
        One sentence, or none.
    """
    if found is None:
        return []
    verb = "lowers" if found.gain >= 0 else "raises"
    return [
        f"A small fresh model {verb} the loss of the champion's equally small twin, {number(found.loss)}, by "
        f"{number(abs(found.gain))} ({100 * abs(found.share):.1f} %), with a standard error of {found.error:.2g}, on "
        f"{found.rows:,} rows from {found.window.start:%Y-%m-%d %H:%M} until {found.window.end:%Y-%m-%d %H:%M} UTC."
    ]


def _describe_score(found: Performance) -> str:
    if found.current is None:
        return f"No score ({found.metric}) is given: {found.withheld or 'there is nothing to score'}."
    interval = f", 95 % interval {number(found.interval[0])} to {number(found.interval[1])}" if found.interval else ""
    known = found.reference is not None
    against = f" against a baseline of {number(found.reference)}" if known else "; there is no baseline yet"
    dropped = " It has dropped." if found.dropped else ""
    return f"Realised {found.metric} (higher is better) {number(found.current)}{interval}{against}.{dropped}"


def _join_drifted(found: tuple[ColumnDrift, ...]) -> str:
    return ", ".join(column.column for column in found if column.drifted)
