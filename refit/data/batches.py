"""What every batch must be, whatever its contract says about rows: large enough, clean enough, fresh enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from refit.policies.training import ContractPolicy

RETYPED_CELLS = 10
"""From so many misfits on, a column without one fitting value has another type, rather than a few bad cells."""

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """The count of a batch after its rows were judged."""

    rows_in: int
    quarantined: int
    until: datetime
    """The end of the load, UTC."""
    newest: datetime | None
    """The newest accepted event time, UTC; `None` where no row was accepted."""
    faults: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    """How many faults there are of each rule and column."""
    warned: Mapping[str, int] = field(default_factory=Counter)
    """How many rows break each rule that is not critical, in words."""

    @property
    def accepted(self) -> int:
        """How many rows keep the contract."""
        return self.rows_in - self.quarantined


def problems(batch: Batch, policy: ContractPolicy, empty: Collection[str]) -> list[str]:
    """Says which rules of the policy a batch breaks.

    Args:
        batch: The count.
        policy: The limits.
        empty: The columns in which no accepted row has a value.

    Returns:
        One phrase for each broken rule, with the value and the limit.
    """
    if not batch.rows_in:  # nothing but what a batch before brought
        return []
    return [*_retyped(batch, empty), *_too_dirty(batch, policy), *_too_small(batch, policy), *_too_old(batch, policy)]


def _retyped(batch: Batch, empty: Collection[str]) -> list[str]:
    return [
        f"column {column!r} seems retyped: not one of its values ({count:,} tried) fits its type any more"
        for (rule, column), count in sorted(batch.faults.items())
        if rule == "type" and column in empty and count >= min(RETYPED_CELLS, batch.rows_in)
    ]


def _too_dirty(batch: Batch, policy: ContractPolicy) -> list[str]:
    share = batch.quarantined / max(batch.rows_in, 1)
    if share <= policy.quarantine_limit:
        return []
    often = Counter(batch.faults).most_common(_NAMED)
    causes = ", ".join(f"{rule} on {column!r} ({count:,} rows)" for (rule, column), count in often)
    return [
        f"{share:.1%} of the rows ({batch.quarantined:,} of {batch.rows_in:,}) would go to the quarantine, where "
        f"contract.quarantine_limit allows {policy.quarantine_limit:.1%}" + (f"; most often: {causes}" if often else "")
    ]


def _too_small(batch: Batch, policy: ContractPolicy) -> list[str]:
    if batch.accepted >= policy.min_rows:
        return []
    return [f"{batch.accepted:,} rows are acceptable, where contract.min_rows asks for {policy.min_rows:,}"]


def _too_old(batch: Batch, policy: ContractPolicy) -> list[str]:
    if policy.freshness is None or batch.newest is None or batch.until - batch.newest <= policy.freshness:
        return []
    return [
        f"the newest row is from {batch.newest.isoformat()}, {batch.until - batch.newest} before the end of the load, "
        f"where contract.freshness allows {policy.freshness}"
    ]
