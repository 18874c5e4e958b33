"""The part of the page about a project that shows which columns drifted, and how."""

from __future__ import annotations

from refit.monitoring.evidence import Evidence
from refit.records.drift_findings import ColumnDrift
from refit.records.ledger import from_payload
from refit_tasks.ledger.history import Record
from refit_tasks.monitoring.monitor_report import MOST_COLUMNS
from refit_tasks.presentation.markdown import data_uri, shortened
from refit_tasks.presentation.monitor_words import COLUMN_WORDS, columns_by_size, drift_words
from refit_tasks.reporting.sections import SHARP, Part

MOST_PICTURES = 24
"""The most columns of which the page has a picture."""


def drift_part(record: Record) -> Part | None:
    """Shows the columns at the newest decision that compared any.

    Args:
        record: The project's past.

    Returns:
        A row for every column, the largest changes first, and the pictures; `None` without a comparison.
    """
    entry = next((entry for entry in record.decisions if entry.payload["evidence"]["drift"]), None)
    drift = from_payload(Evidence, entry.payload["evidence"]).drift if entry else None
    if entry is None or drift is None:
        return None
    found = columns_by_size(drift)
    drifted = [column for column in found if column.drifted]
    return {
        "id": entry.id,
        "window": f"{drift.window.start:%Y-%m-%d %H:%M} to {drift.window.end:%Y-%m-%d %H:%M}",
        "rows": f"{drift.rows:,}",
        "sentence": shortened(drift_words(drift), 900),
        "columns": [_column(column) for column in found[:MOST_COLUMNS]],
        "more": max(0, len(found) - MOST_COLUMNS),
        "words": COLUMN_WORDS,
        "drifted": len(drifted),
        "pictures": _pictures(drifted[:MOST_PICTURES]),
    }


def _column(found: ColumnDrift) -> Part:
    return {
        "name": shortened(found.column, 60),
        "psi": f"{found.psi:.4f}",
        "excess": f"{found.excess:.4f}",
        "distance": f"{found.distance:.3f}",
        "missing": f"{100 * found.missing_change:+.1f}",
        "unseen": f"{100 * found.unseen:.1f}",
        "p": f"{found.p_value:.2g}",
        "drifted": "huge" if found.huge else "yes" if found.drifted else "no",
    }


def _pictures(found: list[ColumnDrift]) -> list[Part]:
    from refit_tasks.presentation.charts import column_picture

    drawn = ((shortened(column.column, 60), column_picture(column, SHARP)) for column in found)
    return [{"name": name, "uri": data_uri(png)} for name, png in drawn if png]
