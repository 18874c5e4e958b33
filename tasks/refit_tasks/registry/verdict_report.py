"""The verdict as a markdown page, for Prefect's artifacts and the description of the version in MLflow."""

from __future__ import annotations

from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.references import Challenger, Ingestion, SnapshotRef
from refit.records.verdicts import Verdict
from refit_tasks.presentation.markdown import artifact_key, format_list, number, plain, table
from refit_tasks.presentation.summaries import describe_succession
from refit_tasks.runs.links import (
    find_deciding_run,
    flow_run_url,
    format_markdown_link,
    format_model_links,
    publish_version_link,
)

MAX_SENTENCE = 600
"""Characters of a sentence; longer ones are truncated."""


def render_verdict(judgement: Judgement) -> str:
    """Renders a verdict as markdown.

    Args:
        judgement: The verdict and its evidence.

    Returns:
        A headline, the scores, every rule with its value, limit and sentence, the rows and their ingestion.
    """
    parts = (
        [f"## {plain(judgement.model.project)}: {write_headline(judgement)}"],
        _render_scores(judgement),
        _render_rules(judgement.verdict),
        format_list((plain(one.check), plain(one.sentence, MAX_SENTENCE)) for one in judgement.verdict.reasons),
        _render_rows(judgement),
        _render_ingestion(judgement.ingestion),
        *(
            [[f"{plain(judgement.bound.sentence, MAX_SENTENCE)}: the {_name_serving_fit(judgement)} one serves."]]
            if judgement.bound
            else []
        ),
        [
            f"MLflow run `{judgement.serving.run_id}`, where `card.md` is the model card; "
            f"run key `{judgement.model.run_key}`"
        ],
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def write_headline(judgement: Judgement) -> str:
    """Writes the headline of a verdict.

    Args:
        judgement: The verdict and its evidence.

    Returns:
        One line of markdown: the champion that the challenger replaces, or the rules that rejected it.
    """
    verdict = judgement.verdict
    if verdict.promote:
        return f"promote {describe_succession(judgement.over)}"
    return "rejected: " + "; ".join(
        plain(reason.sentence, MAX_SENTENCE) for reason in verdict.reasons if not reason.passed
    )


def publish_verdict(
    definition: Project, judgement: Judgement, challenger: Challenger, decision: int | None = None
) -> None:
    """Publishes the verdict, with links, as artifacts of the current flow run.

    Args:
        definition: The project.
        judgement: The verdict and its evidence.
        challenger: The judged version.
        decision: The ledger entry of the decision that started the retrain, if one did.
    """
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        f"{render_verdict(judgement)}\n\n{_render_links(challenger, decision)}",
        key=artifact_key(definition.name, "verdict"),
        description=f"version {challenger.version}: {write_headline(judgement)}",
    )
    publish_version_link(challenger)


def _render_links(challenger: Challenger, decision: int | None) -> str:
    run = find_deciding_run(decision)
    decided = [format_markdown_link(f"decision {decision}, by a monitor run", flow_run_url(run))] if run else []
    return ". ".join([format_model_links(challenger), *decided]) + "."


def _render_rules(verdict: Verdict) -> list[str]:
    rows = [
        (
            plain(reason.check),
            "passed" if reason.passed else "**failed**",
            number(reason.value),
            number(reason.limit),
        )
        for reason in verdict.reasons
    ]
    return table(("rule", "outcome", "value", "limit"), rows, numeric=(2, 3))


def _render_scores(judgement: Judgement) -> list[str]:
    comparison = judgement.comparison
    scored = {"challenger": comparison.challenger, "trivial baseline": comparison.baseline}
    if judgement.over and comparison.champion:
        as_judged = ", as it was judged" if comparison.stand_in else ""
        scored[f"champion, version {judgement.over.version}{as_judged}"] = comparison.champion
    rows = [(name, number(evaluation.value)) for name, evaluation in scored.items()]
    return table(("on the same unseen rows", plain(comparison.metric)), rows, numeric=(1,))


def _render_rows(judgement: Judgement) -> list[str]:
    refs = {"trained on": judgement.model.trained_on, "judged on": judgement.comparison.holdout}
    if judgement.served:
        refs = {**refs, "fitted again on": judgement.served.trained_on}
    head = ("rows", "count", "from", "until", "table version", "fingerprint")
    return table(head, [(name, *window_cells(ref)) for name, ref in refs.items()], numeric=(1, 4))


def window_cells(ref: SnapshotRef) -> tuple[str, ...]:
    """Makes the table cells of a snapshot.

    Args:
        ref: The snapshot.

    Returns:
        Number of rows, start, end, version of the table, and the first characters of the fingerprint.
    """
    start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in (ref.window.start, ref.window.end))
    return f"{ref.rows:,}", start, end, str(ref.version), f"`{ref.fingerprint[:12]}`"


def _render_ingestion(ingestion: Ingestion) -> list[str]:
    counts = (
        f"Ingested before: {ingestion.rows_in:,} rows in, {ingestion.accepted:,} accepted, "
        f"{ingestion.left_out}; {ingestion.added:,} added, {ingestion.corrected:,} corrected."
    )
    return [counts, *(f"- {plain(warning, MAX_SENTENCE)}" for warning in ingestion.warnings)]


def _name_serving_fit(judgement: Judgement) -> str:
    return "fitted again" if judgement.served else "judged"
