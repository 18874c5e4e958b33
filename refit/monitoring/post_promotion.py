"""The watch after a promotion: the former champion goes on scoring, in case it was the better one."""

from __future__ import annotations

from datetime import datetime, timedelta

from refit.data.split import MIN_BLOCKS
from refit.gate.paired_tests import margin, paired_differences
from refit.monitoring.decisions import Finding
from refit.monitoring.evidence import Evidence
from refit.policies.monitoring import MonitoringPolicy
from refit.windows import Window


def find_due_look(start: datetime, mature: datetime, length: timedelta, looks: int) -> tuple[int, Window] | None:
    """Tells which look at the watched rows is due: one for each monitoring window that has matured, and no more.

    Args:
        start: Just after the newest row that either model was trained on.
        mature: Just after the newest mature row.
        length: Of one monitoring window.
        looks: How many looks there are.

    Returns:
        Its number, from 1, and the event times of all rows it rests on; `None` before the first, and the last one for
        ever after it.

    Example:
        >>> from datetime import UTC
        >>> monday, day = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
        >>> find_due_look(monday, monday + 2.5 * day, day, 4)[0]
        2
    """
    number = min(looks, (mature - start) // length)
    return (number, Window(start, start + number * length)) if number >= 1 else None


def compare_with_former(evidence: Evidence, policy: MonitoringPolicy) -> Finding:
    """Tests whether the champion is significantly worse than the former one, on rows that neither has seen.

    A paired one-sided Student t test over blocks of time, as the gate's, at an equal part of the significance for each
    look (Bonferroni), so that a champion which is as good is taken back with that chance at most in the whole watch.

    Args:
        evidence: For what both scored.
        policy: For significance and looks.

    Returns:
        The finding; it fires where the champion is worse.
    """
    watched, watch = evidence.watched, policy.watch
    if watch is None or watched is None:
        return _silent("the former champion is not watched" if watch is None else "there is nothing to watch")
    pairs = paired_differences(watched.champion, watched.former)
    if len(pairs) < MIN_BLOCKS or watched.rows < watch.min_rows:
        return _silent(
            f"the champion has {watched.rows:,} labelled rows since it was trained, in {len(pairs)} blocks: "
            f"too few to tell whether the former one was better"
        )
    value, limit = float(pairs.mean()), -margin(pairs, watch.significance / watch.looks)
    fired = value < limit
    sentence = (
        f"{watched.metric} is {watched.champion.value:.4g} against the {watched.former.value:.4g} of the former "
        f"champion, version {watched.former_version}, on {watched.rows:,} rows that neither has seen, "
        f"{'' if fired else 'not '}significantly worse ({value:+.3g} on average over {len(pairs)} blocks, "
        f"{limit:+.3g} is the lowest allowed, look {watched.look} of {watch.looks})"
    )
    return Finding("watch", fired, value, limit, sentence)


def _silent(sentence: str) -> Finding:
    return Finding("watch", fired=False, value=None, limit=None, sentence=sentence)
