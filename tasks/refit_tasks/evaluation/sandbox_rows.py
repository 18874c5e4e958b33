"""Input variants of a serving check, the Arrow files for the sandbox, and the comparison of predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from refit.inference.feature_schema import MAX_EXACT_INTEGER
from refit.modelling.predictions import max_abs_difference

Array = npt.NDArray[Any]

SINGLE_ROWS = "single rows"
"""The name of the variant that predicts the first rows one at a time."""


def make_variants(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Makes the variants of the input that a serving model must handle.

    Args:
        rows: The features.

    Yields:
        The name of a variant and its rows. `missing column` lacks a feature, which a model must reject; `unseen
        category` holds a category that no training row had.
    """
    yield "as they are", rows
    yield "column order", rows[list(rows.columns[::-1])]
    yield "an extra column", rows.assign(refit_extra_column=1)
    yield "types", _change_types(rows)
    yield "missing column", rows.drop(columns=rows.columns[0])
    texts = [name for name in rows.columns if isinstance(rows[name].dtype, (pd.StringDtype, pd.CategoricalDtype))]
    if texts:
        yield "unseen category", rows.assign(**{texts[0]: pd.array(["refit unseen"] * len(rows), dtype="str")})
    zoned = [name for name in rows.columns if isinstance(rows[name].dtype, pd.DatetimeTZDtype)]
    if zoned:
        yield "time zone", rows.assign(**{name: rows[name].dt.tz_convert("+02:00") for name in zoned})


def read_frame(file: Path) -> pd.DataFrame:
    """Reads rows that `write_frame` wrote.

    Args:
        file: The Arrow file.

    Returns:
        The rows with their dtypes.
    """
    with pa.ipc.open_file(str(file)) as stream:
        rows: pd.DataFrame = stream.read_all().to_pandas()
    return rows


def write_frame(rows: pd.DataFrame, file: Path) -> None:
    """Writes rows so that another process reads the same ones.

    Args:
        rows: The rows.
        file: The Arrow file to create.
    """
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_file(str(file), table.schema) as stream:
        stream.write_table(table)


def _change_types(rows: pd.DataFrame) -> pd.DataFrame:
    """Turns integers into floats, text into categories and categories into text, as JSON and CSV readers may."""
    changed: dict[str, Any] = {}
    for name in rows.columns:
        dtype = rows[name].dtype
        if pd.api.types.is_integer_dtype(dtype) and not (rows[name].abs() > MAX_EXACT_INTEGER).any():
            changed[name] = rows[name].astype("float64")
        elif isinstance(dtype, pd.StringDtype):
            changed[name] = rows[name].astype("category")
        elif isinstance(dtype, pd.CategoricalDtype) and isinstance(dtype.categories.dtype, pd.StringDtype):
            changed[name] = rows[name].astype("str").where(rows[name].notna())
    return rows.assign(**changed)


def without_objects(predictions: Array) -> Array:
    """Converts predictions to a type that NumPy stores without pickle.

    Args:
        predictions: Numbers, or classes of any type.

    Returns:
        Numbers unchanged, everything else as text.
    """
    return predictions if predictions.dtype.kind in "fiub" else predictions.astype(str)


def largest_difference(results: Path, name: str, here: dict[str, Any]) -> float:
    """Compares the sandbox's predictions with those of this process.

    Args:
        results: The directory of the sandbox's predictions.
        name: The variant of the input.
        here: This process's predictions for all rows, by method.

    Returns:
        The largest absolute difference; infinite where classes or the number of predictions differ.
    """
    largest = 0.0
    for method, local in here.items():
        remote = np.load(results / f"{name}.{method}.npy", allow_pickle=False)
        expected = local[: len(remote)] if name == SINGLE_ROWS else local
        largest = max(largest, max_abs_difference(remote, expected) if len(remote) else math.inf)
    return largest
