"""The table that all benchmarks use: 20 columns, numbers, text, nulls, an event time, a key and a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PIECE = 100_000


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Writes a seeded table as Parquet, piece by piece.

    Args:
        path: The file to write.
        rows: How many rows.
        seed: Seeds every value.
    """
    writer = None
    for first in range(0, rows, PIECE):
        piece = pa.Table.from_pandas(_piece(first, min(PIECE, rows - first), seed), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    if writer:
        writer.close()


def _piece(first: int, rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng([seed, first])
    numbers = {f"number_{i:02}": rng.normal(i, 1 + i, rows) for i in range(12)}
    numbers["number_11"][rng.random(rows) < 0.1] = np.nan
    text = {f"text_{i}": rng.choice([f"{i}{letter}" for letter in "abcdefgh"], rows) for i in range(5)}
    signal = numbers["number_00"] + 0.3 * numbers["number_01"] * (text["text_0"] == "0a")
    return pd.DataFrame(
        {
            "row": np.arange(first, first + rows),
            "seen_at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(first, first + rows), unit="s"),
            **numbers,
            **text,
            "label": (signal + rng.normal(0, 1, rows) > 0).astype(int),
        }
    )
