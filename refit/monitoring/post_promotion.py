"""Watch after a promotion: the former champion keeps being scored, in case it was the better one."""

from __future__ import annotations

from datetime import datetime, timedelta

from refit.gate.paired_tests import paired_difference
from refit.modelling.scoring import loss
from refit.monitoring.decisions import Finding
from refit.monitoring.evidence import Evidence
from refit.policies.monitoring import MonitoringPolicy
from refit.windows import Window


def find_due_look(start: datetime, mature: datetime, length: timedelta, looks: int) -> tuple[int, Window] | None:
    """Finds the look that is due: one for each monitoring window that has matured since the training.

    Args:
        start: Just after the newest row that either model was trained on, UTC.
        mature: Just after the newest mature row, UTC.
        length: The length of a monitoring window.
        looks: The number of looks.

    Returns:
        The number of the look, from 1, and the event times of all its rows; `None` before the first look, and the last
        look after that one.

    Example:
        >>> from datetime import UTC
        >>> monday, day = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
        >>> find_due_look(monday, monday + 2.5 * day, day, 4)[0]
        2
    """
    number = min(looks, (mature - start) // length)
    return (number, Window(start, start + number * length)) if number >= 1 else None


def compare_with_former(evidence: Evidence, policy: MonitoringPolicy) -> Finding:
    """Tests whether the champion is significantly worse than the former one, on rows that neither was trained on.

    A paired one-sided Student t test over blocks of time, as in the gate, at an equal part of the significance for each
    look (Bonferroni). So an equally good champion is rolled back with at most that probability in the whole watch.

    Args:
        evidence: For the scores of both.
        policy: For significance and looks.

    Returns:
        The finding; it fires if the champion is worse.
    """
    watched, watch = evidence.watched, policy.watch
    if watch is None or watched is None:
        return _not_fired(
            "the former champion is not scored" if watch is None else "there is no former champion to compare with"
        )
    pairs = paired_difference(watched.champion, watched.former)
    if not pairs.decidable or watched.rows < watch.min_rows:
        return _not_fired(
            f"the champion has {watched.rows:,} labelled rows since its training, in {pairs.count} blocks of time: "
            f"too few to compare it with the former champion"
        )
    value, limit = pairs.mean, -pairs.margin(watch.significance / watch.looks)
    harmful = pairs.is_harmful(loss(watched.metric, watched.former.value), watch.harm)
    fired = value < limit or harmful
    sentence = (
        f"{watched.metric} is {watched.champion.value:.4g} against the {watched.former.value:.4g} of the former "
        f"champion, version {watched.former_version}, on {watched.rows:,} rows that neither was trained on: "
        f"{'' if value < limit else 'not '}significantly worse ({value:+.3g} on average over {pairs.count} blocks, "
        f"the limit is {limit:+.3g}, look {watched.look} of {watch.looks})"
        f"{f', and its loss rises by more than {watch.harm:.0%}, in few blocks of time' if harmful else ''}"
    )
    return Finding("watch", fired, value, limit, sentence)


def _not_fired(sentence: str) -> Finding:
    return Finding("watch", fired=False, value=None, limit=None, sentence=sentence)
