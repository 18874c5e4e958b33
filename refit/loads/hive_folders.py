"""Columns that are folders: files below `region=north` have a column `region` with the value `north`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""The name of a folder whose rows have no value."""
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")
FolderColumns: TypeAlias = Mapping[str, pa.Scalar]
"""The column that each folder of a path stands for, with its value."""
Piece = TypeVar("Piece", pd.DataFrame, pa.Table)


def read_folder_columns(paths: Sequence[str]) -> dict[str, FolderColumns]:
    """Reads the columns that the folders of files stand for.

    A column is a whole number if it is one in all files, without leading zeros; else it is text.

    Args:
        paths: The files.

    Returns:
        The columns of each file, in the order of the paths.

    Example:
        >>> read_folder_columns(["/data/year=2026/a.csv"])["/data/year=2026/a.csv"]["year"].as_py()
        2026
    """
    texts = {path: _read_folders(path) for path in paths}
    words = [item for columns in texts.values() for item in columns.items() if item[1] is not None]
    not_whole = {name for name, text in words if not _WHOLE.fullmatch(str(text))}
    return {
        path: {name: _to_scalar(text, whole=name not in not_whole) for name, text in columns.items()}
        for path, columns in texts.items()
    }


def add_folder_columns(piece: Piece, columns: FolderColumns) -> Piece:
    """Adds the columns of a file's folders to its rows; a column that the file has itself stays as it is.

    Args:
        piece: Rows of the file.
        columns: The columns of its folders.

    Returns:
        The rows with these columns after their own.
    """
    if isinstance(piece, pd.DataFrame):
        new = {name: value for name, value in columns.items() if name not in piece.columns}
        return piece.assign(
            **{name: _repeat(value, len(piece)).to_pandas().set_axis(piece.index) for name, value in new.items()}
        )
    for name, value in columns.items():
        if name not in piece.column_names:
            piece = piece.append_column(name, _repeat(value, piece.num_rows))
    return piece


def _read_folders(path: str) -> dict[str, str | None]:
    pairs = (folder.partition("=") for folder in Path(path).parent.parts)
    return {unquote(name): None if text == NO_VALUE else unquote(text) for name, mark, text in pairs if mark and name}


def _to_scalar(text: str | None, *, whole: bool) -> pa.Scalar:
    kind = pa.int64() if whole else pa.string()
    return pa.scalar(int(text) if whole and text is not None else text, kind)


def _repeat(value: pa.Scalar, rows: int) -> pa.Array:
    return pa.repeat(value, rows) if value.is_valid else pa.nulls(rows)
