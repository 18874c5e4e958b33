"""The HTML report of a project, one file without network access or scripts, and its section about drift."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.drift_findings import ColumnDrift
from refit.records.ledger import from_payload
from refit_tasks.errors import save_file
from refit_tasks.ledger.history import ProjectHistory, read_history
from refit_tasks.monitoring.monitor_report import MOST_COLUMNS
from refit_tasks.presentation.markdown import data_uri, shorten
from refit_tasks.presentation.measurements import COLUMN_LEGEND, sort_columns_by_drift, summarize_drift
from refit_tasks.reporting.sections import (
    SHARP,
    Part,
    champion_part,
    decisions_part,
    newest_part,
    performance_part,
    retrains_part,
    verdicts_part,
)


def report_page(definition: Project, at: datetime) -> str:
    """Writes the page about a project from the ledger.

    Args:
        definition: The project.
        at: The present, UTC; the page says when it was written.

    Returns:
        HTML.

    Raises:
        StateError: If the ledger cannot be read.
    """
    return render_page(definition, read_history(definition.name), at)


def render_page(definition: Project, record: ProjectHistory, at: datetime) -> str:
    """Lays out what was read.

    Args:
        definition: The project.
        record: Its past.
        at: The present, UTC.

    Returns:
        HTML in which everything that comes from data or project files is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("refit_tasks.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("report.html.j2").render(
        project=definition.name,
        description=shorten(definition.description, 300),
        at=f"{at:%Y-%m-%d %H:%M}",
        champion=champion_part(record.champion),
        newest=newest_part(record),
        drift=drift_part(record),
        performance=performance_part(record),
        decisions=decisions_part(record),
        decided=record.decided,
        retrains=retrains_part(record),
        verdicts=verdicts_part(record),
    )


def save_page(page: str, file: Path) -> int:
    """Writes a page to a file in one step, so that no reader ever finds half of it.

    Args:
        page: HTML.
        file: Where to write it; a file that is there is replaced.

    Returns:
        Its size in bytes.

    Raises:
        StateError: If it cannot be written there.
    """
    return save_file(page.encode(), file, "--out")


MOST_PICTURES = 24
"""The most columns of which the page has a picture."""


def drift_part(record: ProjectHistory) -> Part | None:
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
    found = sort_columns_by_drift(drift)
    drifted = [column for column in found if column.drifted]
    return {
        "id": entry.id,
        "window": f"{drift.window.start:%Y-%m-%d %H:%M} to {drift.window.end:%Y-%m-%d %H:%M}",
        "rows": f"{drift.rows:,}",
        "sentence": shorten(summarize_drift(drift), 900),
        "columns": [_column_cells(column) for column in found[:MOST_COLUMNS]],
        "more": max(0, len(found) - MOST_COLUMNS),
        "words": COLUMN_LEGEND,
        "drifted": len(drifted),
        "pictures": _draw_columns(drifted[:MOST_PICTURES]),
    }


def _column_cells(found: ColumnDrift) -> Part:
    return {
        "name": shorten(found.column, 60),
        "psi": f"{found.psi:.4f}",
        "excess": f"{found.excess:.4f}",
        "distance": f"{found.distance:.3f}",
        "missing": f"{100 * found.missing_change:+.1f}",
        "unseen": f"{100 * found.unseen:.1f}",
        "p": f"{found.p_value:.2g}",
        "drifted": "huge" if found.huge else "yes" if found.drifted else "no",
    }


def _draw_columns(found: list[ColumnDrift]) -> list[Part]:
    from refit_tasks.presentation.charts import draw_column

    drawn = ((shorten(column.column, 60), draw_column(column, SHARP)) for column in found)
    return [{"name": name, "uri": data_uri(png)} for name, png in drawn if png]
