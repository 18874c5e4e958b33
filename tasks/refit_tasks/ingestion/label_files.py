"""Files of labels, read whole: a label is a key and a value."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from refit.data.pii import unseen
from refit.errors import LoadFailed


def read_label_file(file: Path, pii: Collection[str] = ()) -> pa.Table:
    """Reads all rows of a file; the cells of a CSV file stay text, so that only the table says what they are.

    Args:
        file: A CSV or Parquet file.
        pii: The columns that identify a person: where there are any, no row of the file is shown.

    Returns:
        Its rows.

    Raises:
        LoadFailed: If it cannot be read.
    """
    from pyarrow import parquet

    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            return parquet.ParquetFile(file).read()
        return _read_csv(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        told = unseen(pii, error) if pii else str(error).splitlines()[0]
        cause = None if pii else error  # it would be printed, with its message
        raise LoadFailed(f"{file} cannot be read ({told}): give a CSV or Parquet file with a header") from cause


def _read_csv(file: Path) -> pa.Table:
    from pyarrow import csv

    with csv.open_csv(file) as opened:
        names = opened.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.read_csv(file, convert_options=texts)
