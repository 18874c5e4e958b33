"""The verdict as one readable page, for Prefect's artifacts and the description of MLflow's version."""

from __future__ import annotations

import html

from prefect.artifacts import create_markdown_artifact

from refit.judgements import Judgement
from refit.models import Challenger
from refit.project import Project
from refit.snapshots import Ingestion
from refit.verdicts import Verdict
from tasks.links import deciding_run, linked, model_links, publish_version_link, run_page
from tasks.markdown import artifact_key

_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|~#"} | {"\n": " ", "\r": " "})
"""What is markup in a markdown table, beside HTML."""


def verdict_page(judgement: Judgement) -> str:
    """Writes a verdict as markdown.

    Args:
        judgement: The verdict and what it rests on.

    Returns:
        A headline, every rule with its value and limit, the scores, the rows and where they came from.
    """
    parts = (
        [f"## {_cell(judgement.model.project)}: {headline(judgement)}"],
        _rules(judgement.verdict),
        _scores(judgement),
        _rows(judgement),
        _ingested(judgement.ingestion),
        *(
            [[f"{_cell(judgement.bound.sentence)}: the {_who_serves(judgement)} one serves."]]
            if judgement.bound
            else []
        ),
        [
            f"MLflow run `{judgement.serving.run_id}`, where `card.md` is the model card; "
            f"run key `{judgement.model.run_key}`"
        ],
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def headline(judgement: Judgement) -> str:
    """Says in words what the verdict is.

    Args:
        judgement: The verdict and what it rests on.

    Returns:
        One line of markdown: what the challenger is to take the place of, or which rules reject it.
    """
    verdict, over = judgement.verdict, judgement.over
    if verdict.promote:
        return f"promote over version {over.version}" if over else "promote as the first champion"
    return "rejected: " + "; ".join(_cell(reason.sentence) for reason in verdict.reasons if not reason.passed)


def publish_verdict(
    definition: Project, judgement: Judgement, challenger: Challenger, decision: int | None = None
) -> None:
    """Shows the verdict, with what belongs to it, as artifacts of the flow run that this is called in.

    Args:
        definition: The project.
        judgement: The verdict and what it rests on.
        challenger: The version that was judged.
        decision: The ledger entry of the decision that started the retrain, if one did.
    """
    create_markdown_artifact(
        f"{verdict_page(judgement)}\n\n{_links(challenger, decision)}",
        key=artifact_key(definition.name, "verdict"),
        description=f"version {challenger.version}: {headline(judgement)}",
    )
    publish_version_link(challenger)


def _links(challenger: Challenger, decision: int | None) -> str:
    run = deciding_run(decision)
    decided = [linked(f"decision {decision}, the run of the monitor", run_page(run))] if run else []
    return ". ".join([model_links(challenger), *decided]) + "."


def _rules(verdict: Verdict) -> list[str]:
    head = ["| rule | outcome | value | limit | in words |", "| --- | --- | ---: | ---: | --- |"]
    return head + [
        f"| {_cell(reason.check)} | {'passed' if reason.passed else '**failed**'} | {_number(reason.value)} "
        f"| {_number(reason.limit)} | {_cell(reason.sentence)} |"
        for reason in verdict.reasons
    ]


def _scores(judgement: Judgement) -> list[str]:
    comparison = judgement.comparison
    scored = {"challenger": comparison.challenger, "trivial baseline": comparison.baseline}
    if judgement.over and comparison.champion:
        as_judged = ", as it was judged" if comparison.stand_in else ""
        scored[f"champion, version {judgement.over.version}{as_judged}"] = comparison.champion
    head = [f"| on the same unseen rows | {_cell(comparison.metric)} |", "| --- | ---: |"]
    return head + [f"| {name} | {_number(evaluation.value)} |" for name, evaluation in scored.items()]


def _rows(judgement: Judgement) -> list[str]:
    refs = {"trained on": judgement.model.trained_on, "judged on": judgement.comparison.holdout}
    if judgement.served:
        refs = {**refs, "fitted again on": judgement.served.trained_on}
    head = ["| rows | count | from | until | table version | fingerprint |", "| --- | ---: | --- | --- | ---: | --- |"]
    return head + [
        f"| {name} | {ref.rows:,} | {ref.window.start:%Y-%m-%d %H:%M} | {ref.window.end:%Y-%m-%d %H:%M} "
        f"| {ref.version} | `{ref.fingerprint}` |"
        for name, ref in refs.items()
    ]


def _ingested(ingestion: Ingestion) -> list[str]:
    counts = (
        f"Ingested before: {ingestion.rows_in:,} rows in, {ingestion.accepted:,} accepted, "
        f"{ingestion.quarantined:,} quarantined; {ingestion.added:,} added, {ingestion.corrected:,} corrected."
    )
    return [counts, *(f"- {_cell(warning)}" for warning in ingestion.warnings)]


def _who_serves(judgement: Judgement) -> str:
    return "fitted again" if judgement.served else "judged"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _cell(text: str) -> str:
    """Escapes what would be markup: names and messages come from project files and data."""
    return html.escape(text, quote=False).translate(_MARKUP)
