"""What came of a batch of predictions in one sentence, for the state that its run ends in."""

from __future__ import annotations

from refit.results.score import ScoreOutcome
from refit_tasks.presentation.markdown import shortened
from refit_tasks.presentation.summaries import LONGEST


def scored(outcome: ScoreOutcome) -> str:
    """Says what came of a batch.

    Args:
        outcome: What was done.

    Returns:
        How many rows the champion scored, what became of the others, and whether they look like the training rows.
    """
    done, version = outcome.scored, outcome.champion.version
    if not done.rows_in:
        return shortened(f"nothing to score: no rows in {outcome.sought.source}", LONGEST)
    others = {
        "were scored before": done.champion.already,
        "quarantined": done.quarantined,
        f"scored by the shadow, version {outcome.shadow.version}" if outcome.shadow else "": (
            done.shadow.scored if done.shadow else 0
        ),
    }
    parts = [f"{count:,} {what}" for what, count in others.items() if count]
    skew = f"; {len(done.skew.drifted)} columns differ from the training" if done.skew and done.skew.drifted else ""
    said = ", ".join((f"{done.champion.scored:,} rows scored by version {version}", *parts))
    return shortened(said + skew, LONGEST)
