"""`refit report`: the HTML page about a project. `refit card`: the model card of a version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from refit_deployments.output import Result
from refit_tasks.catalog import find_project, read_declaration


def write_report(project: str, out: Path | None) -> Result:
    """Writes one self-contained HTML page.

    Args:
        project: The project's name.
        out: The file; by default `PROJECT.html` in the current directory.

    Returns:
        The file and its size.

    Raises:
        StateError: If the ledger cannot be read or the file cannot be written.
    """
    from refit_tasks.reporting.report import report_page, save_page

    definition = find_project(project, read_declaration)
    file = (out or Path(f"{definition.name}.html")).expanduser().absolute()
    size = save_page(report_page(definition, datetime.now(UTC)), file)
    return Result({"project": project, "file": str(file), "bytes": size}, [f"{file} ({size / 1000:,.0f} kB)"])


def show_card(project: str, version: int | None) -> Result:
    """Shows a model card.

    Args:
        project: The project's name.
        version: The version's number; the champion's, if `None`.

    Returns:
        The card as markdown.
    """
    from refit_tasks.reporting.model_card import render_version_card

    number, text = render_version_card(find_project(project, read_declaration), version)
    return Result({"project": project, "version": number, "card": text}, [text])
