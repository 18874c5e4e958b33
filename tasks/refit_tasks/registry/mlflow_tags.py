"""The tags by which runs and versions are found in MLflow: short, exact values, the same names for every project.

Nothing of Prefect is imported here: a rollback writes one of them and needs none.
"""

from __future__ import annotations

from refit.inference.onnx_choice import SKLEARN, ServingForm
from refit.records.verdicts import Verdict

VERDICT = "refit.verdict"
"""`rejected`, or `fit` to serve; a version that has been champion is `promoted`."""
REJECTED, FIT, PROMOTED = "rejected", "fit", "promoted"
FAILED = "refit.failed"
"""The names of the rules that failed, joined by commas; `none`."""
ENTRY = "refit.entry"
"""The ledger entry of the verdict: `refit why` tells more."""
FORM = "refit.serving_form"
"""In which form a version serves: `onnx` or `scikit-learn`."""
LONGEST = 200
"""The most characters of a value: longer ones are cut off."""


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """Says what the gate concluded, on a run and on a version alike.

    Args:
        verdict: The outcome of all rules.

    Returns:
        One word, and the rules that failed.

    Example:
        >>> from refit.records.verdicts import Reason
        >>> verdict_tags(Verdict((Reason("beats_baseline", False, 0.5, 0.6, "0.5 is less than 0.6"),)))
        {'refit.verdict': 'rejected', 'refit.failed': 'beats_baseline'}
    """
    failed = ",".join(reason.check for reason in verdict.reasons if not reason.passed)
    return {VERDICT: FIT if verdict.promote else REJECTED, FAILED: failed[:LONGEST] or "none"}


def form_tags(form: ServingForm | None) -> dict[str, str]:
    """Says in which form a version serves, and by which measurement.

    Args:
        form: The choice; `None` where none was made.

    Returns:
        The form and why; where both were compared the largest difference, and how many times as fast ONNX is.

    Example:
        >>> form_tags(ServingForm("scikit-learn", "there is no ONNX form: it is ours"))
        {'refit.serving_form': 'scikit-learn', 'refit.serving_form_why': 'there is no ONNX form: it is ours'}
    """
    if form is None:
        return {FORM: SKLEARN}
    measured = {
        f"{FORM}_difference": None if form.difference is None else f"{form.difference:.3g}",
        f"{FORM}_faster": None if form.faster is None else f"{form.faster:.1f}",
        f"{FORM}_sha256": form.sha256 or None,
    }
    told = {name: value for name, value in measured.items() if value is not None}
    return {FORM: form.name, f"{FORM}_why": form.why[:LONGEST], **told}
