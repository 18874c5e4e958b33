"""A column's values as plain numbers, whatever type they come in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import DataError

Floats = npt.NDArray[np.float64]


def numbers_of(values: pa.Array, name: str) -> Floats:
    """Gives a column's values as numbers.

    Args:
        values: Numbers, truth values, dates or times.
        name: The column, for the message.

    Returns:
        One number for each row, NaN where it is missing; times are microseconds.

    Raises:
        DataError: If the values are no numbers.
    """
    if pa.types.is_float64(values.type) and not values.null_count:
        return np.asarray(values.to_numpy())
    try:
        numbers = pc.cast(_whole(values), pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise DataError(
            f"column {name!r} is of type {values.type}, where the reference holds numbers: give it its old type back, "
            "or retrain the model on the new one"
        ) from error
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _whole(values: pa.Array) -> pa.Array:
    """Makes whole numbers of dates, times and truth values."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _whole(values.dictionary_decode())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pc.cast(pc.cast(values, pa.timestamp("us", getattr(kind, "tz", None)), safe=False), pa.int64())
    if pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return pc.cast(values, pa.int64())
    if pa.types.is_time32(kind) or pa.types.is_boolean(kind):
        return pc.cast(values, pa.int32())
    return values
