"""What came of a run in one sentence, for the state that it ends in: what a person sees of it in a list of runs.

What the monitor measured, in sentences; the artifact and the page of the project say the same.
"""

from __future__ import annotations

from refit.backtest.results import BacktestResult
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Performance, Probe
from refit.records.drift_findings import ColumnDrift, Drift
from refit.records.recipes import Reproduction
from refit.records.references import Champion
from refit.records.verdicts import Reason, Verdict
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit_tasks.presentation.markdown import number, shortened

LONGEST = 200
"""The most characters of a sentence: a list of runs shows no more."""
MOST_RULES = 3
"""The most failed rules that are named; the verdict's page has all of them."""

AGAINST_CHAMPION = ("not_worse_than_champion", "better_than_champion")
AGAINST_BASELINE = "beats_baseline"
GUARDS = ("under_way", "cooldown", "rejected_before", "budget")


def retrained(outcome: RetrainOutcome) -> str:
    """Says what came of a retrain.

    Args:
        outcome: What it did.

    Returns:
        Promoted, rejected or waiting, with the version and the numbers that were decisive.
    """
    version, verdict = outcome.challenger.version, outcome.challenger.verdict
    metric = outcome.judgement.comparison.metric if outcome.judgement else "score"
    compared = _compared(verdict, metric)
    if outcome.pending:
        return shortened(f"waits for approval: version {version}{compared}", LONGEST)
    if outcome.promotion is None:
        return shortened(f"rejected: version {version}, {_failed(verdict)}", LONGEST)
    over = f"over version {outcome.compared_with.version}" if outcome.compared_with else "as the first champion"
    return shortened(f"promoted: version {version} {over}, generation {outcome.generation}{compared}", LONGEST)


def verdict_in_short(verdict: Verdict) -> str:
    """Says in short what the gate concluded.

    Args:
        verdict: The outcome of all rules.

    Returns:
        To promote, with the comparison that was decisive; or to reject, with the rules that failed.
    """
    if not verdict.promote:
        return shortened(f"reject: {_failed(verdict)}", LONGEST)
    decisive = _decisive(verdict)
    return f"promote: {_short(decisive)}" if decisive else "promote"


def monitored(outcome: MonitorOutcome) -> str:
    """Says what the monitor decided, and why.

    Args:
        outcome: What it found and started.

    Returns:
        The decision, its trigger, what holds it back, and what followed.
    """
    followed = f"; {_ended(outcome.retrain)}" if outcome.retrain else ""
    if outcome.rolled_back:
        followed = f"; version {outcome.rolled_back.version} serves again"
    if outcome.nothing_new:
        followed += f" (nothing new since decision {outcome.decision_id})"
    return shortened(decided(outcome.decision), LONGEST - len(followed)) + followed


def decided(decision: Decision) -> str:
    """Says what was decided and what it answers; what holds a retrain back is told before what asks for it.

    Args:
        decision: What was concluded.

    Returns:
        A sentence.
    """
    fired = {found.check: found.sentence for found in decision.findings if found.fired}
    held = [sentence for check, sentence in fired.items() if check in GUARDS]
    if decision.trigger is None:
        return f"{decision.action}: {'; '.join(fired.values()) or 'nothing fired'}"
    if decision.action == "wait":
        return f"wait: {_spoken(decision.trigger)} asks for a retrain, but {'; '.join(held) or 'it is held back'}"
    return f"{decision.action}: {_spoken(decision.trigger)}, {fired.get(decision.trigger, 'decided before')}"


def rolled_back(champion: Champion, reason: str) -> str:
    """Says who came back.

    Args:
        champion: The version that serves again.
        reason: Why.

    Returns:
        A sentence.
    """
    return shortened(f"version {champion.version} serves again, generation {champion.generation}: {reason}", LONGEST)


def summarize_approval(version: int, champion: Champion | None, who: str) -> str:
    """Says what a person answered.

    Args:
        version: The version that waited.
        champion: The new champion; `None` after a refusal.
        who: The person.

    Returns:
        A sentence.
    """
    said = f"approved by {who}: version {version} is champion, generation {champion.generation}" if champion else None
    return shortened(said or f"refused by {who}: version {version} is not promoted", LONGEST)


def reproduced(found: Reproduction) -> str:
    """Says whether a version could be made again.

    Args:
        found: What came of it.

    Returns:
        A sentence.
    """
    causes = ", ".join(dict.fromkeys(one.what for one in found.differs))
    other = f"; different from the record: {causes}" if causes else ""
    said = "is reproduced" if found.reproduced else "differs"
    by = "nothing was fitted" if found.difference is None else f"by {found.difference:.3g} at most"
    return shortened(f"version {found.version} {said}: {by}, on {found.rows:,} rows{other}", LONGEST)


def backtested(result: BacktestResult, best: str) -> str:
    """Says which policy lost least.

    Args:
        result: What the replay showed.
        best: The same in words, the headline of its page.

    Returns:
        A sentence.
    """
    return shortened(f"{best}; {len(result.policies)} policies compared", LONGEST)


def _ended(outcome: RetrainOutcome) -> str:
    ending = "waits for approval" if outcome.pending else "promoted" if outcome.promotion else "rejected"
    return f"{ending}: version {outcome.challenger.version}"


def _compared(verdict: Verdict, metric: str) -> str:
    reason = _decisive(verdict)
    if reason is None or reason.value is None or reason.limit is None:
        return ""
    above = " above the trivial model's" if reason.check == AGAINST_BASELINE else ""
    return f", {metric} {reason.value:+.3g}{above} (at least {reason.limit:+.3g})"


def _decisive(verdict: Verdict) -> Reason | None:
    """Finds the comparison that people ask about first."""
    by_check = {reason.check: reason for reason in verdict.reasons}
    return next((by_check[check] for check in (*AGAINST_CHAMPION, AGAINST_BASELINE) if check in by_check), None)


def _failed(verdict: Verdict) -> str:
    failed = [reason for reason in verdict.reasons if not reason.passed]
    more = f"; and {len(failed) - MOST_RULES} more rules" if len(failed) > MOST_RULES else ""
    return "; ".join(_short(reason) for reason in failed[:MOST_RULES]) + more


def _short(reason: Reason) -> str:
    if reason.value is None or reason.limit is None:
        return f"{_spoken(reason.check)}: {reason.sentence}"
    difference = reason.check in (*AGAINST_CHAMPION, AGAINST_BASELINE)
    value, limit = (f"{one:+.3g}" if difference else number(one) for one in (reason.value, reason.limit))
    return f"{_spoken(reason.check)} {value}, limit {limit}"


def _spoken(check: str) -> str:
    return check.replace("_", " ")


def columns_by_size(drift: Drift) -> list[ColumnDrift]:
    """Sorts columns by how much they changed.

    Args:
        drift: What a comparison found.

    Returns:
        Features and predictions, those that drifted first, then by excess PSI: a large one can be natural movement.
    """
    return sorted((*drift.columns, *drift.scores), key=lambda found: (not found.drifted, -found.excess, -found.psi))


COLUMN_WORDS = (
    "PSI is how far the shares of values lie from the reference's, excess PSI the part of it that sampling noise and "
    "natural movement do not explain, p the chance of so large a PSI without drift. Distance is Wasserstein's in "
    "standard deviations of the reference for numbers, Jensen-Shannon's for categories. Missing is the change of the "
    "share of missing values, unseen the share of values that the reference never had. Drifted: significant among so "
    "many columns, and large enough, in this window alone; a huge change counts at once."
)
"""What the numbers of a column mean."""


def drift_words(drift: Drift) -> str:
    """Says how much of the data changed.

    Args:
        drift: What a comparison found.

    Returns:
        Sentences.
    """
    count = sum(found.drifted for found in drift.columns)
    scores = f" The predictions drifted: {_joined(drift.scores)}." if any(f.drifted for f in drift.scores) else ""
    together = (
        f" By what pairs of columns show together, beyond each column's own change, current rows are told from "
        f"reference rows with an AUC of {drift.domain.auc:.3f}; up to {drift.domain.limit:.3f} is natural."
        if drift.domain
        else ""
    )
    sure = (
        "" if drift.calibrated else " The reference is too small to know its own movement: stricter floors were used."
    )
    return f"{count} of {len(drift.columns)} feature columns drifted in this window alone.{scores}{together}{sure}"


def performance_words(found: Performance | None) -> list[str]:
    """Says how well the champion did where labels are known.

    Args:
        found: The realised score; `None` where nothing was measured.

    Returns:
        Sentences about the score, or why there is none, about labels, and about the estimate.
    """
    if found is None:
        return []
    labels = (
        f"{found.rows_mature:,} of {found.rows:,} rows from {found.window.start:%Y-%m-%d %H:%M} until "
        f"{found.window.end:%Y-%m-%d %H:%M} UTC have their labels ({100 * found.coverage:.1f} %)."
    )
    estimate = (
        f"An estimate without labels for the current window, never a realised score: {found.estimate.metric} "
        f"{number(found.estimate.value)} on {found.estimate.rows:,} rows, from the model's own confidence."
        if found.estimate
        else ""
    )
    return [" ".join(part for part in (_score(found), labels) if part), *([estimate] if estimate else [])]


def probe_words(found: Probe | None) -> list[str]:
    """Says what a fresh model would gain.

    Args:
        found: The benefit probe; `None` where none was made.

    Returns:
        One sentence, or none.
    """
    if found is None:
        return []
    verb = "lowers" if found.gain >= 0 else "raises"
    return [
        f"A small fresh model {verb} the loss of the champion's equally small twin, {number(found.loss)}, by "
        f"{number(abs(found.gain))} ({100 * abs(found.share):.1f} %), with a standard error of {found.error:.2g}, on "
        f"{found.rows:,} rows from {found.window.start:%Y-%m-%d %H:%M} until {found.window.end:%Y-%m-%d %H:%M} UTC."
    ]


def _score(found: Performance) -> str:
    if found.current is None:
        return f"No score ({found.metric}) is given: {found.withheld or 'there is nothing to score'}."
    interval = f", 95 % interval {number(found.interval[0])} to {number(found.interval[1])}" if found.interval else ""
    known = found.reference is not None
    against = f" against a baseline of {number(found.reference)}" if known else "; there is no baseline yet"
    dropped = " It has dropped." if found.dropped else ""
    return f"Realised {found.metric} (higher is better) {number(found.current)}{interval}{against}.{dropped}"


def _joined(found: tuple[ColumnDrift, ...]) -> str:
    return ", ".join(column.column for column in found if column.drifted)
