"""What an ONNX form is proven on: the texts that it was tried with, and the columns in which values may be missing.

A row beyond that is answered by scikit-learn, so that an unseen category, a gap or a refusal is treated as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
"""From feature to its cells: lists in which `None` is missing, or of numbers arrays in which NaN is."""
NUMBERS, TEXTS = frozenset({"integer", "number", "truth value"}), frozenset({"text", "category"})
GAP = "nan"
"""How a missing text is written for ONNX, which knows none: what skl2onnx makes of it among an encoder's categories. No
text of these letters is ever proven."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The rows that an ONNX form answers as scikit-learn does."""

    kinds: Mapping[str, str]
    """The features, from `refit.inference.feature_schema.kinds_of`."""
    texts: Mapping[str, frozenset[str | None]]
    """The texts of each column of them; `None` among them where one may be missing."""
    gaps: frozenset[str]
    """The columns of numbers in which a value may be missing."""

    def tensors(self, columns: Columns) -> dict[str, npt.NDArray[Any]] | None:
        """Makes what ONNX takes: a tensor of one column for each feature.

        Args:
            columns: The rows.

        Returns:
            Doubles and texts; `None` where a row holds something that is not proven.
        """
        made: dict[str, npt.NDArray[Any]] = {}
        for name, kind in self.kinds.items():
            cells = columns[name]
            if kind in TEXTS:
                if not self.texts[name].issuperset(cells):
                    return None
                made[name] = np.array([[GAP if cell is None else cell] for cell in cells], dtype=object)
            else:
                if name not in self.gaps and _has_gap(cells):
                    return None
                made[name] = np.array(cells, "float64").reshape(-1, 1)
        return made


def columns_of(rows: pd.DataFrame, kinds: Mapping[str, str]) -> Columns:
    """Takes the columns of a frame apart.

    Args:
        rows: The features, as a model sees them.
        kinds: What they are.

    Returns:
        The cells.
    """
    return {name: _cells(rows[name], kind) for name, kind in kinds.items()}


def _cells(column: pd.Series[Any], kind: str) -> Sequence[Any] | npt.NDArray[Any]:
    if kind in NUMBERS:
        return column.to_numpy("float64", na_value=np.nan)
    return [None if missing else cell for cell, missing in zip(column, column.isna(), strict=True)]


def _has_gap(cells: Sequence[Any] | npt.NDArray[Any]) -> bool:
    return bool(np.isnan(cells).any()) if isinstance(cells, np.ndarray) else None in cells
