"""What a row that somebody sends is known by: the cells of the project's key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from refit.errors import DataError
from refit.inference.json_columns import cells_of


def known_by(kind: str, name: str, values: Sequence[Any], pii: Collection[str] = ()) -> pa.Array:
    """Gives a column of the key, in which a whole number stays one though others are missing.

    Args:
        kind: What it is in the project's table.
        name: Its name, for the message.
        values: Its cells, `None` where one is missing.
        pii: The columns whose values no message shows.

    Returns:
        The column.

    Raises:
        DataError: If a cell is of another kind.
    """
    found = _cells(kind, name, values, pii)
    if kind == "time":
        return pa.array(found.tz_localize(None).to_numpy(), pa.timestamp("us", "UTC"))
    if kind != "integer":
        return pa.array(found, from_pandas=True)
    if not all(value is None or value % 1 == 0 for value in values):
        raise DataError(f"the column {name!r} holds a number that is not whole: send whole numbers")
    return pa.array([None if value is None else int(value) for value in values], pa.int64())


def _cells(kind: str, name: str, values: Sequence[Any], pii: Collection[str]) -> Any:  # noqa: ANN401
    try:
        return cells_of(kind, name, values)
    except DataError:
        if name not in pii:
            raise
        raise DataError(f"the column {name!r} holds a value that is no {kind}: send what its table has") from None
