"""Faults in one line, for the log and for those who ask who answers."""

from __future__ import annotations

from refit.errors import RefitError

LONGEST = 500


def told(fault: Exception) -> str:
    """Says what was wrong.

    Args:
        fault: What was raised.

    Returns:
        One line: the sentence of an error of ours, of another one its kind as well.
    """
    line = " ".join(str(fault).split())[:LONGEST]
    return line if isinstance(fault, RefitError) else f"{type(fault).__name__}: {line}"
