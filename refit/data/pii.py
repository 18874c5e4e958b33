"""What identifies a person is shown nowhere but in the tables."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from refit.data.contract import MASK
from refit.data.rejected_rows import Rejected


def shown(pii: Collection[str], columns: str, value: str) -> str:
    """Gives a value as people may see it.

    Args:
        pii: The columns that identify a person.
        columns: The column that the value is from; several are joined by commas, as their values are.
        value: The value as text.

    Returns:
        The value, or the mask.

    Example:
        >>> shown(("email",), "email,at", "ada@example.org, 2026-01-01")
        '***'
    """
    return MASK if set(columns.split(",")) & set(pii) else value


def masked(pii: Collection[str], row: Rejected) -> Rejected:
    """Gives a quarantined row as people may see it.

    Args:
        pii: The columns that identify a person.
        row: The row.

    Returns:
        The same row, whose reasons and cells show no value of these columns.
    """
    reasons = tuple({**one, "value": shown(pii, one["column"], one["value"])} for one in row.reasons)
    cells = {name: MASK if name in pii else cell for name, cell in json.loads(row.row).items()}
    return replace(row, reasons=reasons, row=json.dumps(cells, ensure_ascii=False))


def unseen(pii: Collection[str], fault: BaseException) -> str:
    """Says what foreign code has raised without its message, which may hold a value.

    Args:
        pii: The columns that identify a person.
        fault: What was raised.

    Returns:
        Its type, and why there is no more.
    """
    return f"{type(fault).__name__}, whose message is not shown, since it may hold a value of {', '.join(pii)}"
