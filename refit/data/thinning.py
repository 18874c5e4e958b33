"""A bounded number of rows that stand for all of them, from one pass, whatever order they come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa


def thinned(batches: Iterable[pa.Table], identity: Sequence[str], most: int) -> pa.Table | None:
    """Keeps the rows whose hashes are smallest: a uniform sample (bottom-k, Cohen and Kaplan 2007, PODC).

    Args:
        batches: The rows, some thousand at a time.
        identity: The columns that tell one row from another; only they are hashed.
        most: How many rows to keep at most.

    Returns:
        The same rows in the same order whatever the order and the parts they came in, all of them where they are few
        enough; `None` where there are none.
    """
    kept, marks = None, np.empty(0, np.uint64)
    for batch in batches:
        both = batch if kept is None else pa.concat_tables([kept, batch])
        hashes = np.concatenate([marks, _hashes(batch, identity)])
        smallest = np.argsort(hashes, kind="stable")[:most]
        kept, marks = both.take(pa.array(smallest)), hashes[smallest]
    return kept


def _hashes(batch: pa.Table, identity: Sequence[str]) -> npt.NDArray[np.uint64]:
    rows = batch.select(list(identity)).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)
