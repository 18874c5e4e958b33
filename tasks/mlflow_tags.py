"""The tags by which runs and versions are found in MLflow: short, exact values, the same names for every project."""

from __future__ import annotations

from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from refit.judgements import Judgement
from refit.project import Project
from refit.recipes import UNKNOWN
from refit.verdicts import Verdict
from tasks.provenance import CodeState

VERDICT = "refit.verdict"
"""`rejected`, or `fit` to serve; a version that has been champion is `promoted`."""
REJECTED, FIT, PROMOTED = "rejected", "fit", "promoted"
FAILED = "refit.failed"
"""The names of the rules that failed, joined by commas; `none`."""
ENTRY = "refit.entry"
"""The ledger entry of the verdict: `refit why` tells more."""
LONGEST = 200
"""The most characters of a value: longer ones are cut off."""


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """Says what the gate concluded, on a run and on a version alike.

    Args:
        verdict: The outcome of all rules.

    Returns:
        One word, and the rules that failed.

    Example:
        >>> from refit.verdicts import Reason
        >>> verdict_tags(Verdict((Reason("beats_baseline", False, 0.5, 0.6, "0.5 is less than 0.6"),)))
        {'refit.verdict': 'rejected', 'refit.failed': 'beats_baseline'}
    """
    failed = ",".join(reason.check for reason in verdict.reasons if not reason.passed)
    return {VERDICT: FIT if verdict.promote else REJECTED, FAILED: failed[:LONGEST] or "none"}


def version_tags(judgement: Judgement) -> dict[str, str]:
    """Says what a version is, from the moment that it exists.

    Args:
        judgement: Its verdict, and what that rests on.

    Returns:
        The tags; the ledger entry and what becomes of it later are added when they are known.
    """
    rows, compared = judgement.serving.trained_on, judgement.comparison
    return {
        **verdict_tags(judgement.verdict),
        "refit.metric": compared.metric,
        "refit.value": repr(compared.challenger.value),
        "refit.over": str(judgement.over.version) if judgement.over else "none",
        "refit.reason": judgement.reason[:LONGEST],
        "refit.run_key": judgement.model.run_key,
        "refit.fingerprint": rows.fingerprint,
        "refit.table_version": str(rows.version),
        "refit.trained_from": rows.window.start.isoformat(),
        "refit.trained_until": rows.window.end.isoformat(),
        **flow_run_tags(),
    }


def flow_run_tags() -> dict[str, str]:
    """Names the Prefect flow run that this is called in.

    Returns:
        Its id, and its page where one is known; nothing outside of a run.
    """
    if flow_run.id is None:
        return {}
    page = url_for("flow-run", obj_id=flow_run.id)
    return {"refit.flow_run_id": str(flow_run.id), **({"refit.flow_run_url": page} if page else {})}


def source_tags(definition: Project, code: CodeState) -> dict[str, str]:
    """Fills the columns of MLflow's own table of runs that say what code made a model.

    Args:
        definition: The project.
        code: Where its code stands.

    Returns:
        The project file's name and the commit, as far as they are known.
    """
    file = {"mlflow.source.name": definition.file.name, "mlflow.source.type": "LOCAL"} if definition.file else {}
    return {**file, **({"mlflow.source.git.commit": code.commit} if code.commit != UNKNOWN else {})}
