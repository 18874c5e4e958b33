"""Stored profiles: small, and whole or refused."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.drift.binning import count_blocks, make_binning
from refit.drift.profile import build_profile
from refit.drift.serialization import profile_from_bytes, profile_to_bytes
from refit.errors import ModelError

SMALL = profile_to_bytes(build_profile([], make_binning(pa.table({"x": [1.0, 2.0]}), ["x"], None, 1), None))


@given(at=st.integers(0, len(SMALL) - 1), bit=st.integers(0, 7))
def test_one_turned_bit_is_noticed(at, bit):
    damaged = bytearray(SMALL)
    damaged[at] ^= 1 << bit
    with pytest.raises(ModelError, match="retrain the model"):
        profile_from_bytes(bytes(damaged))


@pytest.mark.parametrize("length", [0, 5, 40, len(SMALL) - 1])
def test_bytes_cut_short_are_noticed(length):
    with pytest.raises(ModelError):
        profile_from_bytes(SMALL[:length])


def test_twenty_columns_of_fifty_thousand_rows_are_tens_of_kilobytes():
    rng, rows = np.random.default_rng(0), 50_000
    numbers = {f"n{place}": rng.normal(size=rows) for place in range(15)}
    texts = {f"c{place}": rng.choice(list("abcdefgh"), rows) for place in range(5)}
    whole = pa.table({**numbers, **texts, "at": np.arange(rows)})
    columns = [*numbers, *texts]
    anchors = make_binning(whole.slice(0, 20_000), columns, np.arange(rows), count_blocks(rows))
    assert len(profile_to_bytes(build_profile([whole], anchors, "at"))) < 100_000
