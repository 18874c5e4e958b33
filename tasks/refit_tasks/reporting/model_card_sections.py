"""The sections of a model card: purpose, data, features, serving, verdict, lineage, scores, slices and fairness."""

from __future__ import annotations

import math

import numpy as np

from refit.data.split import MIN_BLOCKS
from refit.gate.evaluations import Evaluation, Judgement
from refit.gate.evidence import Evidence, SandboxRun, Slice
from refit.gate.student_t import t_quantile
from refit.project import Project
from refit.records.references import Challenger, SnapshotRef
from refit_tasks.ledger.erasures import find_erased_rows
from refit_tasks.ledger.record import ALL_ENTRIES, entries
from refit_tasks.presentation.markdown import format_list, number, plain, table
from refit_tasks.registry.verdict_report import window_cells


def purpose_part(definition: Project, judgement: Judgement) -> str:
    """Says what the model is for.

    Args:
        definition: The project.
        judgement: What the verdict rests on.

    Returns:
        Markdown.
    """
    return (
        f"A {definition.kind} of `{plain(definition.target)}`; metric {plain(judgement.comparison.metric)}, higher is "
        f"better. The retrain was started as: {plain(judgement.reason)}."
    )


def data_part(judgement: Judgement) -> list[str]:
    """Lists the rows that it was trained and judged on.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    refs = {"judged model trained on": judgement.model.trained_on, "judged on": judgement.comparison.holdout}
    if judgement.served:
        refs["version trained on"] = judgement.served.trained_on
    rows = [(name, *window_cells(ref)) for name, ref in refs.items()]
    head = ("rows", "count", "from", "until", "table version", "fingerprint")
    return [
        "## Data",
        "",
        *table(head, rows, numeric=(1, 4)),
        "",
        f"In the ingest before, of {judgement.ingestion.rows_in:,} rows: {judgement.ingestion.left_out}.",
        *_list_erased(refs),
    ]


def _list_erased(refs: dict[str, SnapshotRef]) -> list[str]:
    projects = {ref.project for ref in refs.values()}
    erasures = {project: entries(project, "erasure", newest=ALL_ENTRIES) for project in projects}
    missing = {name: find_erased_rows(ref, erasures[ref.project]) for name, ref in refs.items()}
    told = (
        f"- {name}: {one.rows:,} rows were erased by {one.last:%Y-%m-%d} (`refit why {one.entry}`)"
        for name, one in missing.items()
        if one
    )
    return ["", "These rows cannot be had in full any more:", "", *lines] if (lines := list(told)) else []


def features_part(evidence: Evidence) -> list[str]:
    """Names what it looks at.

    Args:
        evidence: What was measured.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    found = evidence.inputs
    if found is None:
        return []
    names = ", ".join(plain(name, 60) for name in found.features[:100])
    strongest = (
        f" By itself {plain(found.strongest, 60)} removes {found.strength:.1%} of a trivial model's loss."
        if found.strongest is not None and found.strength is not None
        else ""
    )
    return ["## Features", "", f"{len(found.features)} columns: {names}.{strongest}"]


def serving_part(judgement: Judgement) -> list[str]:
    """Says how it serves.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    found: SandboxRun | None = judgement.rehearsal if judgement.served else judgement.comparison.evidence.rehearsal
    if found is None:
        return []
    said = (
        f"In a fresh process it loads in {number(found.load_seconds)} s, answers one row in {number(found.latency_ms)} "
        f"ms and takes {found.size_bytes / 1e6:.2f} MB; its answers differ from the judged ones by "
        f"{number(found.difference)}."
    )
    if found.fault:
        said = f"In a fresh process it did not serve: {plain(found.fault, 500)}."
    cases = [f"- {plain(one.name)}: {plain(one.sentence, 500)}" for one in found.cases]
    return ["## Serving", "", said, *(["", *cases] if cases else [])]


def verdict_part(judgement: Judgement, challenger: Challenger) -> list[str]:
    """Lists every rule of the gate.

    Args:
        judgement: What the verdict rests on.
        challenger: The version, for its entry.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    said = (
        (f"{plain(one.check)} {'passed' if one.passed else 'failed'}", plain(one.sentence, 500))
        for one in judgement.verdict.reasons
    )
    return [f"## Verdict (`refit why {challenger.verdict_id}`)", "", *format_list(said)]


def lineage_part(judgement: Judgement) -> list[str]:
    """Says where it comes from.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    recipe, model = judgement.recipe, judgement.serving
    lines = [f"- MLflow run `{model.run_id}`, model `{model.uri}`, run key `{judgement.model.run_key}`"]
    if judgement.served:
        lines.append(f"- judged as run `{judgement.model.run_id}`")
    if judgement.bound:
        lines.append(f"- the fit on all mature rows: {plain(judgement.bound.sentence, 500)}")
    if judgement.over:
        lines.append(f"- compared with version {judgement.over.version}, generation {judgement.over.generation}")
    if recipe:
        lines += [
            f"- code `{recipe.file_hash[:16]}` at commit `{plain(recipe.commit)}`, lock `{recipe.lock_hash[:16]}`, "
            f"seed {recipe.seed}",
            f"- made on {plain(recipe.cpu)}, {plain(recipe.threads)} threads, {plain(recipe.blas)}, Python "
            f"{plain(recipe.python)}",
            *([f"- hyperparameters {plain(recipe.tuned, 1_000)}"] if recipe.tuned.strip("{}") else []),
        ]
    return ["## Lineage", "", *lines]


LEVEL = 0.95
"""Of the intervals."""


def scores_part(judgement: Judgement) -> list[str]:
    """Gives the scores of all that were compared, with intervals.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    compared = judgement.comparison
    scored = {"this model": compared.challenger, "trivial model": compared.baseline}
    if judgement.over and compared.champion:
        as_judged = ", as it was judged" if compared.stand_in else ""
        scored[f"champion, version {judgement.over.version}{as_judged}"] = compared.champion
    rows = [(name, number(one.value), _format_interval(one)) for name, one in scored.items()]
    head = (f"on the same {compared.holdout.rows:,} unseen rows", plain(compared.metric), "95 % interval")
    note = "Intervals are of the mean over blocks of time, by Student's t."
    said = " ".join([note, *_describe_calibration(compared.evidence)])
    return ["## Scores", "", *table(head, rows, numeric=(1,)), "", said]


def _describe_calibration(evidence: Evidence) -> list[str]:
    found = evidence.calibration
    if found is None:
        return []
    champions = f"; the champion's is {number(found.champion)}" if found.champion is not None else ""
    return [f"The calibration error is {number(found.challenger)}{champions}."]


def _format_interval(one: Evaluation) -> str:
    blocks = np.asarray(one.blocks)[np.isfinite(one.blocks)]
    if len(blocks) < MIN_BLOCKS:
        return ""
    half = t_quantile((1 + LEVEL) / 2, len(blocks) - 1) * float(blocks.std(ddof=1)) / math.sqrt(len(blocks))
    return f"{number(float(blocks.mean()) - half)} to {number(float(blocks.mean()) + half)}"


def slices_part(judgement: Judgement) -> list[str]:
    """Gives the losses in each slice.

    Args:
        judgement: What the verdict rests on.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    slices = judgement.comparison.evidence.slices
    if not slices:
        return []
    rows = [(plain(one.name, 80), f"{one.rows:,}", *_slice_losses(one)) for one in slices]
    other = "the champion's" if judgement.comparison.champion else "the trivial model's"
    metric = slices[0].metric
    head = ("slice", "rows", f"its loss by {metric}" if metric else "its mean loss", other)
    return ["## Slices", "", *table(head, rows, numeric=(1, 2, 3))]


def _slice_losses(one: Slice) -> tuple[str, str]:
    return ("undefined", "undefined") if one.undefined else (number(one.challenger), number(one.other))


def fairness_part(evidence: Evidence) -> list[str]:
    """Says how groups are treated.

    Args:
        evidence: What was measured.

    Returns:
        Markdown, a line each; nothing where there is nothing to say.
    """
    found = evidence.fairness
    if found is None:
        return []
    rows = [
        (
            plain(one.name, 80),
            f"{one.rows:,}",
            number(one.selected),
            number(one.true_positive),
            number(one.false_positive),
        )
        for one in found.groups
    ]
    head = (plain(found.column), "rows", "positive answers", "true positives", "false positives")
    differences = (
        f"Demographic parity difference {number(found.demographic_parity)}, equalised odds difference "
        f"{number(found.equalized_odds)}."
    )
    return ["## Fairness", "", *table(head, rows, numeric=(1, 2, 3, 4)), "", differences]
