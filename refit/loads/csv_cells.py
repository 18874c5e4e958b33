"""Numbers that a CSV file writes in another form than it is read: with a decimal comma, or beside a missing word."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.loads.csv_format import MISSING_WORDS, OptionNames

_TRIED = 100
"""The number of cells of a text column that are looked at before all of them."""
_WHOLE = r"^[+-]?\d+$"
_PADDED = r"^[+-]?0\d+$"
_NUMBERS = {
    ".": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    ",": r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$",
}
"""Numbers by their decimal mark."""
_GROUPED = {
    ".": r"^[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?$",
    ",": r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d*)?$",
}
"""Numbers with a mark between groups of three digits, by their decimal mark."""


def describe_hidden_numbers(column: pd.Series[Any], decimal: str, options: OptionNames) -> str:
    """Describes a text column whose cells are numbers in another form, or numbers beside a word for missing ones.

    Args:
        column: A column that was read as text.
        decimal: The decimal mark by which it was read.
        options: The names of the options, for the fix.

    Returns:
        The rest of a sentence that begins with the file; empty for a column that is text.

    Example:
        >>> from refit.loads.csv_format import LOAD_OPTIONS
        >>> describe_hidden_numbers(pd.Series(["1,5", "2"], name="n"), ".", LOAD_OPTIONS)
        "has '1,5' in column 'n': set decimal=',' if it is a number, or dtypes={'n': 'str'} if it is text"
    """
    filled, name = column.dropna(), str(column.name)
    if not _describe(pa.array(list(islice(filled, _TRIED)), pa.large_string()), name, decimal, options):
        return ""
    return _describe(pa.array(filled, pa.large_string()), name, decimal, options)


def is_all_whole(cells: pa.Array) -> bool:
    """Tells whether all cells of text are whole numbers.

    Args:
        cells: Text; missing cells do not count.

    Returns:
        Whether no cell is anything else.
    """
    return _all_match(cells, _WHOLE)


def has_leading_zeros(cells: pa.Array) -> bool:
    """Tells whether a cell of text is a whole number with a leading zero.

    Args:
        cells: Text.

    Returns:
        Whether there is one.
    """
    return bool(pc.any(pc.match_substring_regex(cells, _PADDED)).as_py())


def _describe(cells: pa.Array, name: str, decimal: str, options: OptionNames) -> str:
    texts = pc.unique(pc.utf8_trim_whitespace(cells))
    is_word = pc.is_in(texts, value_set=pa.array(MISSING_WORDS, texts.type))
    numbers, words = texts.filter(pc.invert(is_word)), texts.filter(is_word).to_pylist()
    if not len(numbers):
        return ""
    shown, fix = _find_fix(numbers, decimal, options)
    if fix == "" and words:
        shown, fix = words[0], options.name("missing", words[0], name) + " if it means a missing number"
    elif fix:
        fix += " if it is a number"
    return f"has {shown!r} in column {name!r}: {fix}, or {options.name('text', '', name)} if it is text" if fix else ""


def _find_fix(numbers: pa.Array, decimal: str, options: OptionNames) -> tuple[str, str | None]:
    """Finds the first number that is read as text, and its option: none if there is no such number, `None` for text."""
    if decimal not in _NUMBERS or _all_match(numbers, _NUMBERS[decimal]):
        return "", ""
    other = "," if decimal == "." else "."
    shown = next(text for text in numbers.to_pylist() if not re.match(_NUMBERS[decimal], text))
    if _all_match(numbers, _NUMBERS[other]):
        return shown, options.name("decimal", other)
    if _all_match(numbers, _GROUPED[decimal]):
        return shown, options.name("thousands", other)
    if _all_match(numbers, _GROUPED[other]):
        return shown, f"{options.name('decimal', other)} and {options.name('thousands', decimal)}"
    return "", None


def _all_match(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern), min_count=0).as_py())
