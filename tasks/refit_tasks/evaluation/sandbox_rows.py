"""The rows of a serving check in other forms, the Arrow files that pass them on, and the comparison of predictions."""

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
"""The name of asking for the first rows one by one."""


def make_variants(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Writes the same rows down in other ways.

    Args:
        rows: The features.

    Yields:
        A name, and the rows so written; `missing column` lacks one, and `unseen category` has one that no training row
        had.
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
        file: Where to.
    """
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_file(str(file), table.schema) as stream:
        stream.write_table(table)


def _change_types(rows: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers as floats, text as categories, categories as text: as JSON and CSV readers give them."""
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


def without_objects(answers: Array) -> Array:
    """Gives answers in a form that is written without pickling.

    Args:
        answers: Numbers, or classes of any kind.

    Returns:
        Numbers as they are, all else as text.
    """
    return answers if answers.dtype.kind in "fiub" else answers.astype(str)


def largest_difference(results: Path, name: str, here: dict[str, Any]) -> float:
    """Compares the answers of the fresh process with those of this one.

    Args:
        results: Where the fresh process wrote its answers.
        name: How it was asked.
        here: This process's answers to all rows, by method.

    Returns:
        The largest difference of an answer; infinite where classes or the number of answers differ.
    """
    worst = 0.0
    for method, said in here.items():
        there = np.load(results / f"{name}.{method}.npy", allow_pickle=False)
        known = said[: len(there)] if name == SINGLE_ROWS else said
        worst = max(worst, max_abs_difference(there, known) if len(there) else math.inf)
    return worst
