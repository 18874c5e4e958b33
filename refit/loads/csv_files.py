"""The piecewise reader of CSV files, which changes no cell in silence.

Missing cells are the empty ones and the words that the user names. A column of whole numbers with leading zeros is text
in all files, since its digits are no amount. A column without any value has no type. What would become text only
because of a decimal mark, a separator or a word for missing numbers is an error that names the option for it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from refit.errors import LoadFailed
from refit.loads.csv_cells import describe_hidden_numbers, has_leading_zeros, is_all_whole
from refit.loads.csv_format import LOAD_OPTIONS, OptionNames, find_separator, missing_words

INDEX_COLUMN = "Unnamed: 0"
"""The name that pandas gives to a first column without a name, which is where it writes the index of a frame."""
_OWN_HEADER = {"header", "names", "skiprows", "index_col"}
"""Arguments of pandas by which the first line of a file need not be its header."""
_LEADING_ZERO = re.compile(rb"(?:^|[,;\t|\"'\n\r])[+-]?0\d")
_COMPRESSED = (b"\x1f\x8b", b"BZ", b"PK", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff")
"""The first bytes of compressed files, and of encodings with two bytes a character."""
_PROBED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CsvReading:
    """How CSV files are read."""

    timestamp: str
    """The column of event times, which is read as text."""
    settings: Mapping[str, Any]
    """Arguments of `pandas.read_csv`."""
    dtypes: Mapping[str, str]
    """The types of the columns that are not inferred."""
    piece_rows: int
    """The most rows of a piece."""
    options: OptionNames = LOAD_OPTIONS
    """The names of the options, for errors."""

    @property
    def explicit(self) -> dict[str, str]:
        """The types of the columns that are not inferred, the event time included."""
        return {**self.dtypes, self.timestamp: "str"}


def read_csv_pieces(path: str, reading: CsvReading, texts: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
    """Reads a CSV file in pieces.

    Args:
        path: The file.
        reading: How it is read.
        texts: Further columns that are text.

    Yields:
        The pieces; none for an empty file.

    Raises:
        LoadFailed: If the file has another form: separator, decimal mark, repeated columns, rows with more fields than
            the header, or a word among numbers that may mean a missing cell.
    """
    names = _read_header(path, reading)
    if names is None:
        return
    explicit = {**dict.fromkeys(texts, "str"), **reading.explicit}
    settings = {**reading.settings, **_missing_settings(reading, names), "dtype": explicit}
    with pd.read_csv(path, **settings, chunksize=reading.piece_rows) as pieces:
        for piece in pieces:
            if not (isinstance(piece.index, pd.RangeIndex) or "index_col" in settings):
                # pandas takes a surplus first field for an index
                raise LoadFailed(f"{path} has rows with more fields than its header: repair the file")
            yield _settle_columns(piece, path, reading, explicit)


def find_padded_columns(path: str, reading: CsvReading) -> list[str]:
    """Finds columns of whole numbers with leading zeros, such as postal codes.

    Args:
        path: The file.
        reading: How it is read.

    Returns:
        The columns; if a load has several files, they are text in all of them.
    """
    if not _may_be_padded(Path(path)):
        return []
    whole, padded = dict[str, bool](), set[str]()
    settings = {**reading.settings, "dtype": "str", "chunksize": reading.piece_rows}
    with suppress(pd.errors.EmptyDataError), pd.read_csv(path, **settings) as pieces:
        for piece in pieces:
            for name in (name for name in piece.columns if name not in reading.explicit and whole.get(name, True)):
                cells = pa.array(piece[name], pa.large_string(), from_pandas=True)
                whole[name] = is_all_whole(cells)
                padded |= {name} if has_leading_zeros(cells) else set()
    return [name for name, entirely in whole.items() if entirely and name in padded]


def _read_header(path: str, reading: CsvReading) -> list[str] | None:
    """Reads the columns of a file; `None` for an empty file."""
    try:
        names = [str(name) for name in pd.read_csv(path, **{**reading.settings, "nrows": 0}).columns]
    except pd.errors.EmptyDataError:
        return None
    if not _OWN_HEADER & set(reading.settings):
        _require_distinct_names(path, reading)
        if reading.timestamp not in names:
            _require_separator(path, reading)
    return names


def _require_distinct_names(path: str, reading: CsvReading) -> None:
    names = _read_first_line(path, reading)
    for name in names:
        if name and names.count(name) > 1:
            raise LoadFailed(f"{path} has {names.count(name)} columns named {name!r}: rename or drop one of them")


def _require_separator(path: str, reading: CsvReading) -> None:
    given = str(reading.settings.get("sep", ","))
    line = _read_first_line(path, reading, sep="\x01", quoting=csv.QUOTE_NONE)
    if mark := find_separator(line[0], [reading.timestamp], given):
        fix = reading.options.name("sep", mark)
        raise LoadFailed(f"{path} separates its columns by {mark!r}, not by {given!r}: {fix}")


def _read_first_line(path: str, reading: CsvReading, **changes: object) -> list[str]:
    plain: dict[str, Any] = {
        "header": None,
        "nrows": 1,
        "dtype": "str",
        "usecols": None,
        "keep_default_na": False,
        "na_values": [],
    }
    return [
        str(cell) for cell in pd.read_csv(path, **{**reading.settings, "na_values": [], **plain, **changes}).iloc[0]
    ]


def _missing_settings(reading: CsvReading, names: Sequence[str]) -> dict[str, Any]:
    if {"keep_default_na", "na_filter"} & set(reading.settings):
        return {}
    return {"keep_default_na": False, "na_values": missing_words(reading.settings.get("na_values"), names)}


def _may_be_padded(path: Path) -> bool:
    """Tells by its bytes whether a file may hold a number with a leading zero."""
    with path.open("rb") as file:
        end = b""
        while block := file.read(_PROBED_BYTES):
            if (not end and block.startswith(_COMPRESSED)) or _LEADING_ZERO.search(end + block):
                return True
            end = block[-3:]
    return False


def _settle_columns(piece: pd.DataFrame, path: str, reading: CsvReading, explicit: Mapping[str, str]) -> pd.DataFrame:
    """Drops pandas' index, leaves columns without a value untyped, and checks what became text."""
    inferred = [name for name in piece.columns if name not in explicit]
    if INDEX_COLUMN in inferred and pd.api.types.is_integer_dtype(piece[INDEX_COLUMN]):
        piece = piece.drop(columns=INDEX_COLUMN)
        inferred.remove(INDEX_COLUMN)
    empty = [name for name in inferred if piece[name].isna().all()]
    for name in inferred:
        if name not in empty and isinstance(piece[name].dtype, pd.StringDtype):
            decimal = str(reading.settings.get("decimal", "."))
            if sentence := describe_hidden_numbers(piece[name], decimal, reading.options):
                raise LoadFailed(f"{path} {sentence}")
    return piece.assign(**{name: pd.Series(None, piece.index, object) for name in empty})
