"""`refit report`: the page about a project."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from refit_deployments.output import Answer
from refit_tasks.catalog import find_project
from refit_tasks.reporting.report import report_page, save_page


def write_report(project: str, out: Path | None) -> Answer:
    """Writes one self-contained HTML page.

    Args:
        project: The project's name.
        out: The file; by default `PROJECT.html` in the current directory.

    Returns:
        Where it lies and how large it is.

    Raises:
        StateError: If the ledger cannot be read or the file cannot be written.
    """
    definition = find_project(project)
    file = (out or Path(f"{definition.name}.html")).expanduser().absolute()
    size = save_page(report_page(definition, datetime.now(UTC)), file)
    return Answer({"project": project, "file": str(file), "bytes": size}, [f"{file} ({size / 1000:,.0f} kB)"])
