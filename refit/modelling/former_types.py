"""Rows in the types that a table had when a model was trained on it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from refit.data.column_types import cast_stored
from refit.data.schema import CATEGORY
from refit.modelling.preparation import fill_empty_columns


def cast_to_former_types(rows: pd.DataFrame, former: pa.Schema, now: pa.Schema) -> pd.DataFrame:
    """Casts rows to the types that a table had when a model was trained on it.

    A value that the former type cannot hold is missing; a column without any value left is the constant that a model is
    fitted on in place of an empty column.

    Args:
        rows: Rows of the table.
        former: The table's schema then.
        now: The table's schema now.

    Returns:
        The rows; the same object if no column has another type.
    """
    changed = [field for field in former if field.name in now.names and now.field(field.name).type != field.type]
    changed = [field for field in changed if field.name in rows.columns]
    if not changed:
        return rows
    schema, names = pa.schema(changed), [field.name for field in changed]
    cells = pa.Table.from_pandas(rows[names], preserve_index=False)
    frame = cast_stored(cells, schema)[0].to_pandas().set_axis(rows.index)
    categories = [field.name for field in changed if field.metadata and CATEGORY.items() <= field.metadata.items()]
    return rows.assign(**fill_empty_columns(frame.astype(dict.fromkeys(categories, "category")), names))
