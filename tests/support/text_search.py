"""Looks for a text in all files of a directory, also where bytes of it are not its letters."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq


def traces(root: Path, *texts: str, without: tuple[str, ...] = ()) -> list[str]:
    """Names the files that hold one of these texts: as bytes, as a cell of Parquet, or packed.

    Directories whose names are given are left out.
    """
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and not {*file.parts} & {*without}]
    return [
        str(file.relative_to(root))
        for file in files
        if any(text.encode() in content for content in _contents(file) for text in texts)
        or any(text in str(file.relative_to(root)) for text in texts)
    ]


def _contents(file: Path) -> Iterator[bytes]:
    content = file.read_bytes()
    yield content
    if content.startswith(b"PAR1"):
        table = pq.ParquetFile(file)
        yield str((table.read().to_pylist(), table.metadata.to_dict())).encode()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    for unpack in (zlib.decompress, gzip.decompress):
        try:
            yield unpack(content)
        except (OSError, EOFError, zlib.error):
            continue
