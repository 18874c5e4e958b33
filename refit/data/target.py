"""The target of a regression: numbers, or texts that are numbers."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from refit.data.casting import cast_table, family_of, value_type
from refit.data.rejected_rows import mask_value
from refit.errors import ContractViolation
from refit.project import Project


def require_number_target(definition: Project, pieces: Iterable[pa.Table]) -> None:
    """Requires that a regression has numbers to learn, before a table is made for them.

    Args:
        definition: The project.
        pieces: The rows of a first batch, or of a history.

    Raises:
        ContractViolation: If every target is text that is not a number.
    """
    if definition.kind != "regression":
        return
    shown = None
    for piece in pieces:
        texts = _texts(piece, definition.target)
        if texts is None or _has_number(texts, definition.target):
            return
        shown = shown or next((text for text in texts.to_pylist() if text is not None), None)
    if shown is not None:
        raise ContractViolation(
            f"column {definition.target!r} (the target) of {definition.name} holds text such as "
            f"{mask_value(definition.pii, definition.target, shown)!r}, but regression needs numbers: convert it, or "
            f"set kind='classification'"
        )


def _texts(piece: pa.Table, target: str) -> pa.ChunkedArray | None:
    """Returns the targets of a piece if they are texts or missing."""
    if target not in piece.column_names or family_of(piece.schema.field(target).type) not in ("text", "nothing"):
        return None
    column = piece[target]
    return column.cast(value_type(column.type)).cast(pa.string())


def _has_number(texts: pa.ChunkedArray, target: str) -> bool:
    rows, _ = cast_table(pa.table({target: texts}), pa.schema([(target, pa.float64())]))
    return bool(rows[target].null_count < rows.num_rows)
