"""The page about a monitor run, as a Prefect artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.drift_findings import ColumnDrift, Drift
from refit.records.references import Champion
from refit.windows import format_window
from refit_tasks.ledger.history import ProjectHistory, event_marks, read_history, score_points
from refit_tasks.presentation.markdown import artifact_key, format_list, image, number, plain, table
from refit_tasks.presentation.measurements import (
    COLUMN_LEGEND,
    describe_performance,
    describe_probe,
    sort_columns_by_drift,
    summarize_drift,
)
from refit_tasks.runs.links import format_model_links

if TYPE_CHECKING:
    from refit_tasks.decision.decide import RecordedDecision

MOST_COLUMNS = 50
"""The most columns in the table; those with the largest changes come first."""

MOST_PICTURES = 12
"""The most columns with a chart."""

SAMPLED = 120
"""The most decisions from which the chart of scores over time is drawn."""


def publish_monitor(
    definition: Project, evidence: Evidence, recorded: RecordedDecision, champion: Champion | None = None
) -> None:
    """Publishes a decision and its evidence as an artifact of the current flow run.

    Args:
        definition: The project.
        evidence: The evidence.
        recorded: The decision and its ledger entry.
        champion: The champion, if any.
    """
    from prefect.artifacts import create_markdown_artifact

    past = read_history(definition.name, SAMPLED)
    links = f"\n\nThe champion in {format_model_links(champion)}." if champion else ""
    create_markdown_artifact(
        monitor_markdown(evidence, recorded.id, recorded.decision, past) + links,
        key=artifact_key(definition.name, "drift"),
        description=format_headline(recorded.id, recorded.decision),
    )


def monitor_markdown(evidence: Evidence, number_of: int, decision: Decision, past: ProjectHistory | None = None) -> str:
    """Renders a decision and its evidence as markdown.

    Args:
        evidence: The evidence.
        number_of: The decision's ledger entry.
        decision: The decision.
        past: The project's record, for the scores over time.

    Returns:
        A headline, all triggers and guards, the realised score now and over time, the probe, and the columns with
        their charts.
    """
    measured = (*describe_performance(evidence.performance), *describe_probe(evidence.probe), *evidence.withheld)
    parts = (
        [f"## {plain(evidence.project)}: {format_headline(number_of, decision)}"],
        [_describe_window(evidence)],
        _list_findings(decision),
        ["### Measured", "", *(f"- {plain(sentence, 600)}" for sentence in measured)] if measured else [],
        _chart_scores(past) if past else [],
        *(describe_drift_columns(evidence.drift) if evidence.drift else ()),
        [f"`refit why {number_of}` explains this decision."],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def format_headline(number_of: int, decision: Decision) -> str:
    """Formats a decision and its reason in one line.

    Args:
        number_of: The decision's ledger entry.
        decision: The decision.

    Returns:
        Markdown.
    """
    return f"{plain(str(decision), 400)} (decision {number_of})"


def _describe_window(evidence: Evidence) -> str:
    return (
        f"{evidence.rows:,} rows, {format_window(evidence.window)} UTC, table version {evidence.table_version}, "
        f"champion of generation {evidence.generation}."
    )


def _list_findings(decision: Decision) -> list[str]:
    rows = [
        (plain(found.check), "**fired**" if found.fired else "quiet", number(found.value), number(found.limit))
        for found in decision.findings
    ]
    lines = format_list((plain(found.check), plain(found.sentence)) for found in decision.findings)
    return [*table(("check", "outcome", "value", "limit"), rows, numeric=(2, 3)), "", *lines]


def _chart_scores(past: ProjectHistory) -> list[str]:
    from refit_tasks.presentation.charts import draw_performance

    metric, scored = score_points(past)
    if not scored:
        return []
    drawn = draw_performance(metric, scored, event_marks(past))
    return ["### Performance over time", "", image(f"{metric} over time, with its interval and the decisions", drawn)]


def describe_drift_columns(drift: Drift) -> tuple[list[str], ...]:
    """Describes the drift of all columns.

    Args:
        drift: The drift.

    Returns:
        Paragraphs of markdown: a summary, a table of columns, a legend, and charts of the columns that drifted.
    """
    found = sort_columns_by_drift(drift)
    rest = [f"And {len(found) - MOST_COLUMNS} columns that changed less."] if len(found) > MOST_COLUMNS else []
    head = ("column", "drifted", "excess PSI", "PSI", "distance", "missing", "unseen", "p")
    rows = table(head, (_format_column(column) for column in found[:MOST_COLUMNS]), numeric=range(2, 8))
    words = ["### Drift", "", plain(summarize_drift(drift), 900)]
    return words, rows, rest, [plain(COLUMN_LEGEND, 900)], _chart_columns(found)


def _format_column(found: ColumnDrift) -> tuple[str, ...]:
    return (
        plain(found.column, 60),
        "**huge**" if found.huge else "**yes**" if found.drifted else "no",
        f"{found.excess:.4f}",
        f"{found.psi:.4f}",
        f"{found.distance:.3f}",
        f"{100 * found.missing_change:+.1f} points",
        f"{100 * found.unseen:.1f} %",
        f"{found.p_value:.2g}",
    )


def _chart_columns(found: list[ColumnDrift]) -> list[str]:
    from refit_tasks.presentation.charts import draw_column

    drifted = [column for column in found if column.drifted]
    drawn = ((column.column, draw_column(column)) for column in drifted[:MOST_PICTURES])
    rest = [f"Only the first {MOST_PICTURES} of {len(drifted)} drifted columns have a chart."]
    return [
        *(image(f"{name}: reference and current shares", png) + "\n" for name, png in drawn if png),
        *(rest if len(drifted) > MOST_PICTURES else ()),
    ]
