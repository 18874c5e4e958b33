"""Reading a file of labels: a Parquet file, or a CSV file in the form that the user names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import family_of
from refit.data.rejected_rows import describe_masked_error
from refit.errors import LoadFailed
from refit.loads.csv_format import COMMAND_OPTIONS, EMPTY, CsvFormat, find_separator, guess_encoding

PARQUET = (".parquet", ".pq")
_START = 1 << 16
"""The number of bytes in which the first line of a CSV file has to end."""
_COMMA = r"^([+-]?\d*),(\d+([eE][+-]?\d+)?)$"


def read_label_file(
    file: Path, pii: Collection[str] = (), form: CsvFormat | None = None, wanted: Sequence[str] = ()
) -> pa.Table:
    """Reads a label file; the cells of a CSV file stay text until they are cast to the table's types.

    Args:
        file: A CSV or Parquet file.
        pii: The columns that identify a person; if there are any, errors quote no cell of the file.
        form: The form of a CSV file; only empty cells and its missing words are missing.
        wanted: The columns that it has to have.

    Returns:
        All rows of the file.

    Raises:
        LoadFailed: If the file cannot be read; the sentence names the option of a CSV file of another form.
    """
    from pyarrow import parquet

    form = form or CsvFormat()
    try:
        if file.suffix.lower() in PARQUET:
            return parquet.ParquetFile(file).read()
        _require_separator(file, form, wanted)
        return _read_csv(file, form)
    except (OSError, pa.ArrowException, UnicodeError) as error:
        reason = describe_masked_error(pii, error) if pii else str(error).splitlines()[0]
        cause = None if pii else error  # a traceback would show the message, which may quote a cell
        raise LoadFailed(f"{file} cannot be read ({reason}): {_find_fix(file, form, error)}") from cause


def write_points(rows: pa.Table, schema: pa.Schema, form: CsvFormat) -> pa.Table:
    """Writes decimal points into the texts of number columns that have another decimal mark.

    Args:
        rows: The rows of a file.
        schema: The schema of the project's table.
        form: The form of the file.

    Returns:
        The rows, unchanged if the decimal mark is a point.
    """
    if form.decimal == ".":
        return rows
    for place, name in enumerate(rows.column_names):
        is_number = name in schema.names and family_of(schema.field(name).type) == "number"
        if is_number and pa.types.is_string(rows.schema.field(place).type):
            texts = pc.replace_substring(rows.column(place), form.decimal, ",")
            points = pc.replace_substring_regex(texts, _COMMA, r"\1.\2")
            rows = rows.set_column(place, name, points)
    return rows


def _require_separator(file: Path, form: CsvFormat, wanted: Sequence[str]) -> None:
    line = _read_start(file).decode(form.encoding, "replace").split("\n", 1)[0]
    if not wanted or set(wanted) <= {name.strip(" \r\"'\ufeff") for name in line.split(form.sep)}:
        return
    if mark := find_separator(line, wanted, form.sep):
        fix = COMMAND_OPTIONS.name("sep", mark)
        raise LoadFailed(f"{file} separates its columns by {mark!r}, not by {form.sep!r}: {fix}")


def _read_start(file: Path) -> bytes:
    with pa.input_stream(str(file)) as opened:
        return bytes(opened.read(_START))


def _read_csv(file: Path, form: CsvFormat) -> pa.Table:
    from pyarrow import csv

    read, parse = csv.ReadOptions(encoding=form.encoding), csv.ParseOptions(delimiter=form.sep)
    with csv.open_csv(file, read, parse) as opened:
        names = opened.schema.names
    texts = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[EMPTY, *form.missing]
    )
    return csv.read_csv(file, read, parse, texts)


def _find_fix(file: Path, form: CsvFormat, error: Exception) -> str:
    found = (
        guess_encoding(_read_start(file)) if file.is_file() and file.suffix.lower() not in PARQUET else form.encoding
    )
    is_marked = found == "utf-16" and not form.encoding.replace("_", "-").startswith("utf-16")
    if is_marked or isinstance(error, UnicodeError) or "UTF8" in str(error):
        return f"{COMMAND_OPTIONS.name('encoding', found)}, or what the file has"
    return "give a CSV or Parquet file with a header"
