"""Scores as losses, for what needs a ratio: how much is lost, and which share of it a change would save."""

from __future__ import annotations


def loss(metric: str, score: float) -> float:
    """Turns a scorer's value into what is lost against the best possible one.

    Args:
        metric: The scorer's name.
        score: Its value, higher is better.

    Returns:
        The error itself for scorers of errors (`neg_...`), whose best is 0; else one minus the score. In the metric's
        unit; 0 is perfect.

    Example:
        >>> loss("neg_mean_absolute_error", -2.5), loss("roc_auc", 0.75)
        (2.5, 0.25)
    """
    return -score if metric.startswith("neg_") else 1.0 - score
