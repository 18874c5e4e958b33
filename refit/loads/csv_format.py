"""The form of CSV files: missing words, separators, encodings, and the option that mends a file of another form."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EMPTY = ""
"""The only cell that is missing unless the user names other words."""
MISSING_WORDS = (
    *("NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "#N/A N/A", "-NaN", "-nan", "NaN", "nan", "NULL", "null", "None"),
    *("1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN", "?", "-", "--", ".", "missing"),
)
"""Words that other programs write for missing numbers."""
SEPARATORS = (",", ";", "\t", "|")
"""The separators that an error may propose."""


@dataclass(frozen=True, slots=True)
class OptionNames:
    """How an error names the option that mends a file: templates of `{column}` and `{value}`, both already quoted."""

    sep: str
    decimal: str
    thousands: str
    encoding: str
    missing: str
    text: str

    def name(self, option: str, value: str, column: str = "") -> str:
        """Names an option with its value.

        Args:
            option: A field of this class.
            value: The value that mends the file.
            column: The column, for `missing` and `text`.

        Returns:
            The fix, such as `set sep=';'`.
        """
        template: str = getattr(self, option)
        return template.format(value=repr(value), column=repr(column))


LOAD_OPTIONS = OptionNames(
    sep="set sep={value}",
    decimal="set decimal={value}",
    thousands="set thousands={value}",
    encoding="set encoding={value}",
    missing="set na_values={{{column}: [{value}]}}",
    text="dtypes={{{column}: 'str'}}",
)
"""The options of `refit.sources.csv`, as a project file writes them."""


COMMAND_OPTIONS = OptionNames(
    sep="give --sep {value}",
    decimal="give --decimal {value}",
    thousands="write it without {value} between its digits",
    encoding="give --encoding {value}",
    missing="give --missing {value}",
    text="correct column {column}",
)
"""The options of the commands that read a file, as a shell takes them."""


class CsvFormat(BaseModel):
    """The form of one CSV file that a command reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sep: str = Field(",", title="Separator", min_length=1, max_length=1)
    """The mark between two cells."""
    decimal: str = Field(".", title="Decimal mark", min_length=1, max_length=1)
    """The mark before the decimal places."""
    encoding: str = Field("utf-8", title="Encoding", min_length=1)
    """The encoding, as Python names it."""
    missing: tuple[str, ...] = Field((), title="Words for missing cells")
    """The words that mean a missing cell; empty cells always do."""


def guess_encoding(start: bytes) -> str:
    """Guesses the encoding of a file that is not UTF-8.

    Args:
        start: The first bytes of the file.

    Returns:
        The name of the encoding: UTF-16 by its mark, else the usual one of western Windows.

    Example:
        >>> guess_encoding("at,n".encode("utf-16")), guess_encoding(b"at,n")
        ('utf-16', 'cp1252')
    """
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "cp1252"


def missing_words(given: Any, names: Sequence[str]) -> dict[str, list[Any]]:  # noqa: ANN401 - as pandas takes it
    """Lists the words for missing cells of each column: those that the user named, and the empty cell.

    Args:
        given: The argument `na_values` of `pandas.read_csv`: nothing, a word, several, or several for each column.
        names: The columns of the file.

    Returns:
        The words by column.

    Example:
        >>> missing_words({"a": "NA"}, ["a", "b"])
        {'a': ['', 'NA'], 'b': ['']}
    """
    by_column = given if isinstance(given, Mapping) else dict.fromkeys(names, given)
    return {name: [EMPTY, *_as_list(by_column.get(name))] for name in names}


def find_separator(header: str, wanted: Sequence[str], given: str) -> str | None:
    """Finds the separator by which a header has the wanted columns.

    Args:
        header: The first line of a file.
        wanted: The columns.
        given: The separator that does not give them.

    Returns:
        The separator; `None` if there is none.

    Example:
        >>> find_separator("at;n", ["at"], ",")
        ';'
    """
    for mark in SEPARATORS:
        names = [name.strip(" \"'") for name in header.strip("\ufeff\r\n").split(mark)]
        if mark != given and len(names) > 1 and set(wanted) <= set(names):
            return mark
    return None


def _as_list(given: Any) -> list[Any]:  # noqa: ANN401 - as pandas takes it
    if given is None:
        return []
    return [given] if isinstance(given, str | int | float) else list(given)
