"""Files of labels, read whole: a label is a key and a value."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from refit.errors import LoadFailed


def read_label_file(file: Path) -> pa.Table:
    """Reads all rows of a file; the cells of a CSV file stay text, so that only the table says what they are.

    Args:
        file: A CSV or Parquet file.

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
        raise LoadFailed(
            f"{file} cannot be read ({str(error).splitlines()[0]}): give a CSV or Parquet file with a header"
        ) from error


def _read_csv(file: Path) -> pa.Table:
    from pyarrow import csv

    with csv.open_csv(file) as opened:
        names = opened.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.read_csv(file, convert_options=texts)
