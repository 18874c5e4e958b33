"""What the data contract said of the rows of one ingest, as a readable page for Prefect's artifacts."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from refit.project import Project
from refit.records.references import Ingestion
from refit.windows import BEGINNING
from refit_tasks.presentation.markdown import artifact_key, plain, table

MAX_RULES = 50
"""The most broken rules in the table; those that most rows broke come first."""


def publish_contract(definition: Project, ingestion: Ingestion) -> None:
    """Shows the result as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        ingestion: What the ingest did.
    """
    create_markdown_artifact(
        render_contract_page(ingestion),
        key=artifact_key(definition.name, "contract"),
        description=plain(summarize_ingestion(ingestion)),
    )


def summarize_ingestion(ingestion: Ingestion) -> str:
    """Says in one line how the rows did.

    Args:
        ingestion: What the ingest did.

    Returns:
        The counts, and the rule that most rows broke.
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
    """Writes the result as markdown.

    Args:
        ingestion: What the ingest did.

    Returns:
        The counts, every row rule that was broken and how often, and the warnings.
    """
    start, end = ingestion.window.start, ingestion.window.end
    since = "Loaded" if start == BEGINNING else f"Loaded from {start:%Y-%m-%d %H:%M}"
    loaded = f"{since} until {end:%Y-%m-%d %H:%M} UTC"
    counts = f"{ingestion.added:,} rows are new in the table, {ingestion.corrected:,} took the place of an older one."
    parts = (
        [f"## {plain(ingestion.project)}: {plain(summarize_ingestion(ingestion))}"],
        [f"{loaded}: {counts}" if ingestion.rows_in else f"{loaded}: nothing new."],
        _rules_table(ingestion),
        [f"- {plain(warning, 600)}" for warning in ingestion.warnings],
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
