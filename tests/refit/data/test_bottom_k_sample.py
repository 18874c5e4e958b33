import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from refit.data.fingerprint import bottom_k_sample

ROWS = pa.table({"id": np.arange(500), "x": np.random.default_rng(0).normal(size=500)})


@given(order=st.permutations(range(10)), most=st.integers(1, 600))
def test_the_same_rows_come_out_in_whatever_parts_and_order_they_come(order, most: int) -> None:
    parts = [ROWS.slice(50 * place, 50) for place in order]
    found = bottom_k_sample(parts, ["id"], most)
    assert found == bottom_k_sample([ROWS], ["id"], most)
    assert found.num_rows == min(most, 500)


def test_the_sample_is_spread_over_all_rows() -> None:
    places = bottom_k_sample([ROWS], ["id"], 100).column("id").to_numpy()
    assert abs(places.mean() - 249.5) < 4 * 500 / np.sqrt(12 * 100)
    assert len(set(places)) == 100


def test_no_rows_are_none() -> None:
    assert bottom_k_sample([], ["id"], 5) is None
