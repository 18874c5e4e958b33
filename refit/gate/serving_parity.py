"""Rules on the stored model in a fresh process: the same predictions, within the budgets for time and size."""

from __future__ import annotations

from refit.gate.evidence import SandboxRun
from refit.policies.gate import Budgets
from refit.records.verdicts import Reason

AGREEMENT = 1e-9
"""The largest allowed difference of a prediction: what another order of summation can cause."""
MB = 1e6


def check_parity(rehearsal: SandboxRun) -> Reason:
    """Requires the same predictions in a fresh process, for every variation of the request.

    Args:
        rehearsal: The run in that process.

    Returns:
        The reason; its value is the largest absolute difference of a prediction.
    """
    if rehearsal.fault is not None:
        sentence = f"the stored model does not serve in a fresh process: {rehearsal.fault}"
        return Reason("parity", passed=False, value=None, limit=AGREEMENT, sentence=sentence)
    difference = rehearsal.difference
    failed = [f"{case.name}: {case.sentence}" for case in rehearsal.cases if not case.passed]
    differs = difference is not None and difference > AGREEMENT
    complaints = [*([f"its predictions differ by up to {difference:.3g}"] if differs else []), *failed]
    variations = f"{rehearsal.rows:,} rows and {len(rehearsal.cases)} variations of the request"
    sentence = f"in a fresh process, {'; '.join(complaints) or f'its predictions are the same for {variations}'}"
    return Reason("parity", difference is not None and not complaints, difference, AGREEMENT, sentence)


def check_latency(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Requires a prediction of one row within the budget.

    Args:
        rehearsal: For the median time of one prediction.
        budgets: For the limit.

    Returns:
        The reason; its value is in milliseconds.
    """
    return _within("latency", "the latency of one row", "ms", rehearsal.latency_ms, budgets.latency_ms)


def check_size(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Requires a stored model within the budget.

    Args:
        rehearsal: For the size of its files.
        budgets: For the limit.

    Returns:
        The reason; its value is in millions of bytes.
    """
    return _within("size", "the size of the stored model", "MB", rehearsal.size_bytes / MB, budgets.size_mb)


def check_load_time(rehearsal: SandboxRun, budgets: Budgets) -> Reason:
    """Requires a load time within the budget.

    Args:
        rehearsal: For the load time.
        budgets: For the limit.

    Returns:
        The reason; its value is in seconds.
    """
    return _within("load_time", "the load time", "s", rehearsal.load_seconds, budgets.load_seconds)


def _within(check: str, what: str, unit: str, value: float | None, limit: float | None) -> Reason:
    if value is None:
        sentence = f"{what} is unknown, because the model does not serve in a fresh process"
        return Reason(check, limit is None, None, limit, sentence)
    if limit is None:
        sentence = f"{what} is {value:.3g} {unit}, no budget is set"
        return Reason(check, passed=True, value=value, limit=None, sentence=sentence)
    passed = value <= limit
    sentence = f"{what} is {value:.4g} {unit}, {'within' if passed else 'over'} the budget of {limit:g} {unit}"
    return Reason(check, passed, value, limit, sentence)
