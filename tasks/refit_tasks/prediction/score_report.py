"""What a batch of predictions was and how it differs from the training rows, as a page for Prefect's artifacts."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from refit.project import Project
from refit.results.score import Counted, ScoreOutcome
from refit_tasks.monitoring.monitor_report import drift_parts
from refit_tasks.prediction.score_words import scored
from refit_tasks.presentation.markdown import artifact_key, image, plain, table
from refit_tasks.runs.links import model_links

MOST_RULES = 20
"""The most broken rules in the table."""


def publish_score(definition: Project, outcome: ScoreOutcome) -> None:
    """Shows a batch as an artifact of the flow run that this is called in.

    Args:
        definition: The project.
        outcome: What was done.
    """
    links = f"\n\nThe champion in {model_links(outcome.champion)}."
    create_markdown_artifact(
        score_markdown(outcome) + links, key=artifact_key(definition.name, "score"), description=plain(scored(outcome))
    )


def score_markdown(outcome: ScoreOutcome) -> str:
    """Writes what was done as markdown.

    Args:
        outcome: What was done.

    Returns:
        The counts, how the answers are spread, the rules that rows broke, and how far the rows are from the training.
    """
    done = outcome.scored
    parts = (
        [f"## {plain(outcome.project)}: {plain(scored(outcome))}"],
        [_rows(outcome)],
        _counts(outcome),
        _picture(outcome),
        _broken(outcome),
        [f"- {plain(warning, 600)}" for warning in done.warnings],
        ["### Training and serving", "", _skew_words(outcome)],
        *(drift_parts(done.skew) if done.skew else ()),
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _rows(outcome: ScoreOutcome) -> str:
    done, span = outcome.scored, outcome.scored.span
    times = f", of {span.start:%Y-%m-%d %H:%M} until {span.end:%Y-%m-%d %H:%M} UTC" if span else ""
    return (
        f"{done.rows_in:,} rows from {plain(outcome.sought.source, 200)}{times}. {done.quarantined:,} broke the data "
        f"contract and are in the quarantine, not scored."
    )


def _counts(outcome: ScoreOutcome) -> list[str]:
    rows = [_counted("champion", outcome.champion.version, outcome.scored.champion)]
    if outcome.shadow and outcome.scored.shadow:
        rows.append(_counted("shadow", outcome.shadow.version, outcome.scored.shadow))
    return table(("role", "version", "written", "there already"), rows, numeric=(1, 2, 3))


def _counted(role: str, version: int, found: Counted) -> tuple[str, ...]:
    return role, str(version), f"{found.scored:,}", f"{found.already:,}"


def _picture(outcome: ScoreOutcome) -> list[str]:
    from refit_tasks.prediction.spread_picture import spread_picture

    drawn = outcome.scored.spreads
    return [image("how the predictions are spread", spread_picture(drawn))] if drawn else []


def _broken(outcome: ScoreOutcome) -> list[str]:
    rows = [(plain(one.rule, 80), plain(one.column, 60), f"{one.rows:,}") for one in outcome.scored.broken[:MOST_RULES]]
    return table(("broken rule", "column", "rows"), rows, numeric=(2,)) if rows else []


def _skew_words(outcome: ScoreOutcome) -> str:
    if outcome.scored.skew is None:
        return "Nothing was compared: drift is not watched, there are too few rows, or the version has no profile."
    return "The rows that were scored, beside those that the champion was trained on."
