"""Rules on what a challenger may know and be: it has not seen the holdout, and it is neither the champion nor older."""

from __future__ import annotations

from datetime import timedelta

from refit.gate.evidence import Standing
from refit.records.verdicts import Reason

HOUR = timedelta(hours=1)


def unseen_rows(standing: Standing) -> Reason:
    """Asks for a challenger, and a champion, that were trained before the holdout begins.

    Args:
        standing: Until when both were trained, and where the holdout begins.

    Returns:
        The reason; its value is the hours between the newest training row and the holdout.
    """
    newest = max(standing.trained_until, standing.champion_until or standing.trained_until)
    passed = newest <= standing.holdout_from
    sentence = (
        f"trained on rows until {standing.trained_until:%Y-%m-%d %H:%M}, judged on rows from "
        f"{standing.holdout_from:%Y-%m-%d %H:%M} on{'' if passed else ', some of which were seen in training'}"
    )
    return Reason("unseen_rows", passed, (standing.holdout_from - newest) / HOUR, 0.0, sentence)


def newer_rows(standing: Standing) -> Reason:
    """Asks for a challenger whose newest row is no older than the champion's: an old model need not come back by force.

    Args:
        standing: Until when both were trained.

    Returns:
        The reason; its value is how many hours the challenger's newest row is newer.
    """
    if standing.champion_until is None:
        return Reason(
            "newer_rows", passed=True, value=None, limit=0.0, sentence="there is no champion to be newer than"
        )
    value = (standing.trained_until - standing.champion_until) / HOUR
    known = f"{standing.trained_until:%Y-%m-%d %H:%M}", f"{standing.champion_until:%Y-%m-%d %H:%M}"
    passed = value >= 0
    compared = "no older than" if passed else "stale: older than"
    sentence = f"its newest training row, of {known[0]}, is {compared} the champion's, of {known[1]}"
    return Reason("newer_rows", passed, value, 0.0, sentence)


def not_the_champion(standing: Standing) -> Reason:
    """Asks for a challenger that differs from the champion in at least one answer.

    Args:
        standing: Whether they do.

    Returns:
        The reason.
    """
    if standing.champion_until is None:
        sentence = "there is no champion that it could be"
    elif standing.same_answers:
        sentence = "it answers exactly as the champion does on all rows: it is the champion, or as good as that"
    else:
        sentence = "it is another model than the champion: some answers differ"
    return Reason("not_the_champion", not standing.same_answers, None, None, sentence)
