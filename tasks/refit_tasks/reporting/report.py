"""The page about a project: one HTML file that needs no network and no script."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from refit.project import Project
from refit_tasks.ledger.history import Record, read_record
from refit_tasks.presentation.markdown import shortened
from refit_tasks.reporting.report_drift import drift_part
from refit_tasks.reporting.sections import (
    champion_part,
    decisions_part,
    newest_part,
    performance_part,
    retrains_part,
    verdicts_part,
)
from refit_tasks.saving import save


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
    return page_of(definition, read_record(definition.name), at)


def page_of(definition: Project, record: Record, at: datetime) -> str:
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
        description=shortened(definition.description, 300),
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
    return save(page.encode(), file, "--out")
