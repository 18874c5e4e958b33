"""The tags by which runs and versions are found in MLflow: short, exact values, the same names for every project.

Nothing of Prefect is imported here: a rollback writes one of them and needs none.
"""

from __future__ import annotations

from refit.verdicts import Verdict

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
