"""One-sentence summaries of outcomes, shown as the messages of final states in Prefect's list of runs."""

from __future__ import annotations

from math import isfinite

from refit.backtest.results import BacktestResult
from refit.monitoring.decisions import Decision
from refit.records.recipes import Reproduction
from refit.records.references import Champion
from refit.records.verdicts import Reason, Verdict
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit.results.score import ScoreOutcome
from refit_tasks.presentation.markdown import number, shorten

LONGEST = 200
"""The most characters of a summary."""
LOSS_DIGITS = 5
"""The significant digits of a policy's loss."""
MOST_RULES = 3
"""The most failed rules that are named."""

AGAINST_CHAMPION = ("not_worse_than_champion", "better_than_champion")
AGAINST_BASELINE = "beats_baseline"
GUARDS = ("under_way", "cooldown", "rejected_before", "budget")


def summarize_retrain(outcome: RetrainOutcome) -> str:
    """Summarizes a retrain.

    Args:
        outcome: The outcome of the retrain.

    Returns:
        Promoted, rejected or pending, with the version and the decisive numbers.
    """
    version, verdict = outcome.challenger.version, outcome.challenger.verdict
    metric = outcome.judgement.comparison.metric if outcome.judgement else "score"
    compared = _describe_comparison(verdict, metric)
    if outcome.pending:
        return shorten(f"waits for approval: version {version}{compared}", LONGEST)
    if outcome.promotion is None:
        return shorten(f"rejected: version {version}, {_describe_failed_rules(verdict)}", LONGEST)
    over = describe_succession(outcome.compared_with)
    return shorten(f"promoted: version {version} {over}, generation {outcome.generation}{compared}", LONGEST)


def describe_succession(former: Champion | None) -> str:
    """Describes which champion a challenger replaces.

    Args:
        former: The champion that it was compared with, if any.

    Returns:
        A phrase that follows "promote" or "promoted".
    """
    return f"over version {former.version}" if former else "as the first champion"


def summarize_verdict(verdict: Verdict) -> str:
    """Summarizes a verdict.

    Args:
        verdict: The verdict.

    Returns:
        Promote, with the decisive comparison; or reject, with the failed rules.
    """
    if not verdict.promote:
        return shorten(f"reject: {_describe_failed_rules(verdict)}", LONGEST)
    decisive = _find_decisive_rule(verdict)
    return f"promote: {_describe_rule(decisive)}" if decisive else "promote"


def summarize_monitor(outcome: MonitorOutcome) -> str:
    """Summarizes a monitor run.

    Args:
        outcome: The outcome of the monitor run.

    Returns:
        The decision with its reason, and the retrain or rollback that followed.
    """
    followed = f"; {_describe_ending(outcome.retrain)}" if outcome.retrain else ""
    if outcome.rolled_back:
        followed = f"; version {outcome.rolled_back.version} serves again"
    if outcome.nothing_new:
        followed += f" (nothing new since decision {outcome.decision_id})"
    return shorten(summarize_decision(outcome.decision), LONGEST - len(followed)) + followed


def summarize_decision(decision: Decision) -> str:
    """Summarizes a decision.

    Args:
        decision: The decision.

    Returns:
        The action with its trigger; for a retrain that is held back, the guards that hold it back.
    """
    fired = {found.check: found.sentence for found in decision.fired}
    held = [sentence for check, sentence in fired.items() if check in GUARDS]
    if decision.trigger is None:
        return f"{decision.action}: {'; '.join(fired.values()) or 'nothing fired'}"
    if decision.action == "wait":
        return (
            f"wait: {_format_check(decision.trigger)} calls for a retrain, but {'; '.join(held) or 'it is held back'}"
        )
    return f"{decision.action}: {_format_check(decision.trigger)}, {fired.get(decision.trigger, 'decided before')}"


def summarize_rollback(champion: Champion, reason: str) -> str:
    """Summarizes a rollback.

    Args:
        champion: The restored champion.
        reason: The reason for the rollback.

    Returns:
        A sentence.
    """
    return shorten(f"version {champion.version} serves again, generation {champion.generation}: {reason}", LONGEST)


def summarize_approval(version: int, champion: Champion | None, who: str) -> str:
    """Summarizes an approval or a refusal.

    Args:
        version: The version that was pending.
        champion: The new champion; `None` after a refusal.
        who: The name of the person who answered.

    Returns:
        A sentence.
    """
    approved = (
        f"approved by {who}: version {version} is champion, generation {champion.generation}" if champion else None
    )
    return shorten(approved or f"refused by {who}: version {version} is not promoted", LONGEST)


def summarize_reproduction(found: Reproduction) -> str:
    """Summarizes the reproduction of a version.

    Args:
        found: The result of the reproduction.

    Returns:
        A sentence.
    """
    causes = ", ".join(dict.fromkeys(one.what for one in found.differs))
    other = f"; different from the record: {causes}" if causes else ""
    result = "is reproduced" if found.reproduced else "differs"
    by = "nothing was fitted" if found.difference is None else f"predictions differ by {found.difference:.3g} at most"
    return shorten(f"version {found.version} {result}: {by}, on {found.rows:,} rows{other}", LONGEST)


def name_best_policy(result: BacktestResult) -> str:
    """Names the policy with the least loss.

    Args:
        result: The result of the backtest.

    Returns:
        One line.
    """
    finite = {name: policy for name, policy in result.policies.items() if isfinite(policy.loss)}
    if not finite:
        return "backtest without a scored window"
    best = min(finite, key=lambda name: (finite[name].loss, finite[name].trainings))
    least = number(finite[best].loss, LOSS_DIGITS)
    return f"backtest: least loss with {best}, {least} at {finite[best].trainings} trainings"


def summarize_score(outcome: ScoreOutcome) -> str:
    """Summarizes a batch of predictions.

    Args:
        outcome: The outcome of the scoring run.

    Returns:
        The number of rows that the champion scored, of other rows by kind, and of columns with skew.
    """
    done, version = outcome.scored, outcome.champion.version
    if not done.rows_in:
        return shorten(f"nothing to score: no rows in {outcome.request.source}", LONGEST)
    others = {
        "were scored before": done.champion.already,
        "quarantined": done.quarantined,
        f"scored by the shadow, version {outcome.shadow.version}" if outcome.shadow else "": (
            done.shadow.scored if done.shadow else 0
        ),
    }
    parts = [f"{count:,} {what}" for what, count in others.items() if count]
    skew = (
        f"; {len(done.skew.drifted)} columns differ from the training data" if done.skew and done.skew.drifted else ""
    )
    counts = ", ".join((f"{done.champion.scored:,} rows scored by version {version}", *parts))
    return shorten(counts + skew, LONGEST)


def summarize_backtest(result: BacktestResult) -> str:
    """Summarizes a backtest.

    Args:
        result: The result of the backtest.

    Returns:
        A sentence.
    """
    return shorten(f"{name_best_policy(result)}; {len(result.policies)} policies compared", LONGEST)


def _describe_ending(outcome: RetrainOutcome) -> str:
    ending = "waits for approval" if outcome.ending == "pending" else outcome.ending
    return f"{ending}: version {outcome.challenger.version}"


def _describe_comparison(verdict: Verdict, metric: str) -> str:
    reason = _find_decisive_rule(verdict)
    if reason is None or reason.value is None or reason.limit is None:
        return ""
    above = " above the trivial model's" if reason.check == AGAINST_BASELINE else ""
    return f", {metric} {reason.value:+.3g}{above} (at least {reason.limit:+.3g})"


def _find_decisive_rule(verdict: Verdict) -> Reason | None:
    """Finds the rule that compares with the champion or, without one, with the baseline."""
    by_check = {reason.check: reason for reason in verdict.reasons}
    return next((by_check[check] for check in (*AGAINST_CHAMPION, AGAINST_BASELINE) if check in by_check), None)


def _describe_failed_rules(verdict: Verdict) -> str:
    failed = [reason for reason in verdict.reasons if not reason.passed]
    more = f"; and {len(failed) - MOST_RULES} more rules" if len(failed) > MOST_RULES else ""
    return "; ".join(_describe_rule(reason) for reason in failed[:MOST_RULES]) + more


def _describe_rule(reason: Reason) -> str:
    if reason.value is None or reason.limit is None:
        return f"{_format_check(reason.check)}: {reason.sentence}"
    difference = reason.check in (*AGAINST_CHAMPION, AGAINST_BASELINE)
    value, limit = (f"{one:+.3g}" if difference else number(one) for one in (reason.value, reason.limit))
    return f"{_format_check(reason.check)} {value}, limit {limit}"


def _format_check(check: str) -> str:
    return check.replace("_", " ")
