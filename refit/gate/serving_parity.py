"""Rules on the stored model as it would serve: the same answers in a fresh process, within time and space."""

from __future__ import annotations

from refit.gate.evidence import SandboxRun
from refit.policies.gate import Budgets
from refit.records.verdicts import Reason

AGREEMENT = 1e-9
"""How far answers in a fresh process may lie from those of the judging one: all that another order of sums can do."""
MB = 1e6


def check_parity(rehearsal: SandboxRun) -> Reason:
    """Asks for the same answers in a fresh process, however the rows are written down.

    Args:
        rehearsal: What came of it.

    Returns:
        The reason; its value is the largest difference of an answer.
    """
    if rehearsal.fault is not None:
        sentence = f"in a fresh process it does not serve: {rehearsal.fault}"
        return Reason("parity", passed=False, value=None, limit=AGREEMENT, sentence=sentence)
    difference = rehearsal.difference
    failed = [f"{case.name}: {case.sentence}" for case in rehearsal.cases if not case.passed]
    apart = difference is not None and difference > AGREEMENT
    told = [*([f"its answers differ by up to {difference:.3g}"] if apart else []), *failed]
    fine = (
        f"it gives the same answers to {rehearsal.rows:,} rows, and in {len(rehearsal.cases)} ways to write them down"
    )
    sentence = f"in a fresh process {'; '.join(told) or fine}"
    return Reason("parity", difference is not None and not told, difference, AGREEMENT, sentence)


def check_latency(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Asks for answers to single rows within the budget.

    Args:
        rehearsal: For the median time of one.
        budgets: For the limit.

    Returns:
        The reason, in milliseconds.
    """
    return _within("latency", "a prediction of one row takes", "ms", rehearsal.latency_ms, budgets.latency_ms)


def check_size(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Asks for a stored model within the budget.

    Args:
        rehearsal: For the size of its files.
        budgets: For the limit.

    Returns:
        The reason, in millions of bytes.
    """
    return _within("size", "the stored model takes", "MB", rehearsal.size_bytes / MB, budgets.size_mb)


def check_load_time(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Asks for a model that is loaded within the budget.

    Args:
        rehearsal: For the time it took.
        budgets: For the limit.

    Returns:
        The reason, in seconds.
    """
    return _within("load_time", "loading it takes", "s", rehearsal.load_seconds, budgets.load_seconds)


def _within(check: str, what: str, unit: str, value: float | None, limit: float | None) -> Reason:
    if value is None:
        return Reason(
            check, limit is None, None, limit, f"{what} an unknown time: it does not serve in a fresh process"
        )
    if limit is None:
        return Reason(
            check, passed=True, value=value, limit=None, sentence=f"{what} {value:.3g} {unit}, no limit is set"
        )
    passed = value <= limit
    sentence = f"{what} {value:.4g} {unit}, {limit:g} {unit} {'are' if passed else 'were'} allowed"
    return Reason(check, passed, value, limit, sentence)
