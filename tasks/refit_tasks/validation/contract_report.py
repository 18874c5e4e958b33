"""The report on one ingest, row counts and broken rules of the data contract, as a Prefect artifact."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from refit.project import Project
from refit.records.references import Ingestion
from refit.windows import BEGINNING
from refit_tasks.presentation.markdown import artifact_key, plain, table

MAX_RULES = 50
"""The most broken rules in the report's table, those with the most rows."""


def publish_contract(definition: Project, ingestion: Ingestion) -> None:
    """Publishes the report as a Markdown artifact of the current flow run.

    Args:
        definition: The project.
        ingestion: The result of the ingest.
    """
    create_markdown_artifact(
        render_contract_page(ingestion),
        key=artifact_key(definition.name, "contract"),
        description=plain(summarize_ingestion(ingestion)),
    )


def summarize_ingestion(ingestion: Ingestion) -> str:
    """Summarizes an ingest in one line.

    Args:
        ingestion: The result of the ingest.

    Returns:
        The row counts, and the rule that the most rows broke.
    """
    if not ingestion.rows_in:
        return "no new rows"
    counts = f"{ingestion.accepted:,} of {ingestion.rows_in:,} rows accepted, {ingestion.left_out}"
    if ingestion.broken:
        worst = ingestion.broken[0]
        counts += f", most by {worst.rule} of {worst.column} ({worst.rows:,})"
    warnings = len(ingestion.warnings)
    return f"{counts}, {warnings} warning{'' if warnings == 1 else 's'}" if warnings else counts


def render_contract_page(ingestion: Ingestion) -> str:
    """Writes the report in Markdown.

    Args:
        ingestion: The result of the ingest.

    Returns:
        The row counts, the broken rules with their numbers of rows, and the warnings.
    """
    start, end = ingestion.window.start, ingestion.window.end
    since = "Loaded" if start == BEGINNING else f"Loaded from {start:%Y-%m-%d %H:%M}"
    loaded = f"{since} until {end:%Y-%m-%d %H:%M} UTC"
    counts = f"{ingestion.added:,} rows added to the table, {ingestion.corrected:,} replaced an older row."
    parts = (
        [f"## {plain(ingestion.project)}: {plain(summarize_ingestion(ingestion))}"],
        [f"{loaded}: {counts}" if ingestion.rows_in else f"{loaded}: nothing new."],
        _rules_table(ingestion),
        [f"- {plain(warning, 600)}" for warning in ingestion.warnings],
        [f"Late rows: {ingestion.late.describe(ingestion.project)}."] if ingestion.late else [],
        [f"`refit quarantine {ingestion.project} list` shows the rows with their reasons."]
        if ingestion.quarantined or ingestion.superseded
        else [],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _rules_table(ingestion: Ingestion) -> list[str]:
    if not ingestion.broken:
        return []
    rows = [(plain(one.rule), plain(one.column), f"{one.rows:,}") for one in ingestion.broken[:MAX_RULES]]
    rest = [f"And {len(ingestion.broken) - MAX_RULES} more rules."] if len(ingestion.broken) > MAX_RULES else []
    return [*table(("rule", "column", "rows"), rows, numeric=(2,)), *rest]
