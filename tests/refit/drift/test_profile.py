"""Profiles: exact in any split and order, whole on every type, and enough for every measure."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import measure_distances
from refit.drift.numeric_bins import TAIL
from refit.drift.profile import build_profile, merge_profiles
from refit.drift.serialization import profile_from_bytes, profile_to_bytes
from refit.errors import DataError

ROWS = 6_000


def table(seed: int = 0, rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=rows)
    normal[rng.random(rows) < 0.1] = np.nan
    normal[:3] = [np.inf, -np.inf, 1e300]
    return pa.table(
        {
            "normal": normal,
            "skewed": rng.lognormal(0, 3, rows),
            "whole": pa.array(rng.poisson(3, rows), mask=rng.random(rows) < 0.05),
            "constant": np.full(rows, 3.7),
            "none": pa.nulls(rows),
            "truth": pa.array(rng.random(rows) < 0.3, mask=rng.random(rows) < 0.1),
            "text": pa.array(rng.choice([f"v{i}" for i in range(300)], rows), mask=rng.random(rows) < 0.1),
            "coded": pa.array(rng.choice(list("abc"), rows)).dictionary_encode(),
            "decimal": [Decimal(value) / 100 for value in rng.integers(0, 9_999, rows).tolist()],
            "day": [date.fromordinal(738_000 + value) for value in rng.integers(0, 300, rows).tolist()],
            "at": pa.array(np.arange(rows) * 10**6, pa.timestamp("us", "UTC")),
        }
    )


WHOLE = table()
TIMES = WHOLE["at"].cast(pa.int64()).to_numpy()
ANCHORS = make_binning(WHOLE.slice(0, 4_000), WHOLE.column_names, TIMES, count_blocks(ROWS))
REFERENCE = build_profile([WHOLE], ANCHORS, "at")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, ROWS), max_size=5), threads=st.sampled_from([1, 3]))
def test_parts_add_up_to_the_whole_bit_for_bit(seed, cuts, threads):
    shuffled = WHOLE.take(pa.array(np.random.default_rng(seed).permutation(ROWS)))
    edges = [0, *sorted(cuts), ROWS]
    parts = [shuffled.slice(one, two - one) for one, two in pairwise(edges)]
    profiles = [build_profile(part.to_batches(), ANCHORS, "at", threads) for part in parts]
    assert profile_to_bytes(merge_profiles(profiles)) == profile_to_bytes(REFERENCE)
    assert profile_to_bytes(build_profile(parts, ANCHORS, "at", threads)) == profile_to_bytes(REFERENCE)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.5, None]), st.sampled_from(["a", "b", None])), min_size=1), st.data())
def test_rows_that_repeat_merge_exactly_too(rows, data):
    numbers, texts = zip(*rows, strict=True)
    whole = pa.table({"x": pa.array(numbers, pa.float64()), "c": pa.array(texts, pa.string())})
    anchors = make_binning(whole, ["x", "c"], None, 1)
    cut = data.draw(st.integers(0, len(rows)))
    parts = [build_profile([whole.slice(cut)], anchors, None), build_profile([whole.slice(0, cut)], anchors, None)]
    assert profile_to_bytes(merge_profiles(parts)) == profile_to_bytes(build_profile([whole], anchors, None))
    assert merge_profiles(parts).sample.weights.sum() == len(rows)


@pytest.mark.parametrize("column", WHOLE.column_names)
def test_every_row_is_counted_once(column):
    coarse = REFERENCE.coarse(column)
    assert coarse.shape == (count_blocks(ROWS), len(REFERENCE.bin_names(column)))
    assert coarse.sum() == REFERENCE.fine(column).sum() + REFERENCE.missing(column) == ROWS
    assert (coarse.sum(axis=1) == ROWS / count_blocks(ROWS)).all()
    assert coarse[:, -2].sum() == 0


def test_missing_values_and_infinities_have_their_places():
    values = WHOLE["normal"].to_numpy()
    assert REFERENCE.missing("normal") == np.isnan(values).sum()
    assert REFERENCE.missing("none") == ROWS
    assert REFERENCE.missing("text") == WHOLE["text"].null_count
    fine = REFERENCE.fine("normal")
    assert fine[0] == 1  # minus infinity
    assert fine[-1] == 2  # infinity, and what is as far away
    assert fine[:TAIL].sum() < 0.01 * ROWS


def test_blocked_counts_and_later_ones_agree():
    later = build_profile(WHOLE.to_batches(1_000), REFERENCE.current_binning(), "at")
    for column in WHOLE.column_names:
        assert (later.coarse(column) == REFERENCE.coarse(column).sum(axis=0)).all()
        found = measure_distances(REFERENCE, later, column)
        assert (found.psi, found.distance, found.unseen, found.missing_change) == (0.0, 0.0, 0.0, 0.0)


def test_a_category_that_the_sample_missed_is_not_unseen():
    reference = pa.table({"c": ["a"] * 5_000 + ["rare"] * 40})
    anchors = make_binning(reference.slice(0, 5_000), ["c"], None, 1)
    cells = build_profile([reference], anchors, None).current_binning()
    current = build_profile([pa.table({"c": ["a", "rare", "rare", "new", None]})], cells, None)
    assert dict(zip(current.bin_names("c"), current.coarse("c")[0].tolist(), strict=True)) == {
        "a": 1,
        "other": 2,
        "unseen": 1,
        "missing": 1,
    }


def test_where_new_categories_are_a_habit_they_are_no_news():
    names = [f"order {number}" for number in range(3_000)]
    reference = build_profile(
        [pa.table({"c": names})], make_binning(pa.table({"c": names[:500]}), ["c"], None, 1), None
    )
    current = build_profile([pa.table({"c": ["order 3001", "order 3002"]})], reference.current_binning(), None)
    assert current.coarse("c")[0, -2] == 0


def test_a_constant_notices_any_other_value():
    cells = REFERENCE.current_binning()
    changed = WHOLE.set_column(3, "constant", pa.array(np.where(np.arange(ROWS) % 2, 3.7, 3.8)))
    found = measure_distances(REFERENCE, build_profile([changed], cells, "at"), "constant")
    assert found.psi > 0.5
    assert found.distance == pytest.approx(0.05, rel=1e-3)  # in its own unit


def test_the_sample_is_even_over_time_and_bounded():
    codes, blocks = REFERENCE.sample_rows()
    assert codes.shape == (2_000, len(WHOLE.column_names))
    expected = 2_000 / count_blocks(ROWS)
    assert np.abs(np.bincount(blocks) - expected).max() < 5 * np.sqrt(expected)
    truth = REFERENCE.columns.index("truth")
    whole = REFERENCE.coarse("truth").sum(axis=0) / ROWS
    assert np.bincount(codes[:, truth], minlength=5) / 2_000 == pytest.approx(whole, abs=0.05)


def test_a_row_that_repeats_is_sampled_as_often_as_it_stands():
    rows = pa.table({"c": ["a"] * 9_000 + ["b"] * 1_000})
    codes, _ = build_profile([rows], make_binning(rows, ["c"], None, 1), None).sample_rows()
    assert np.bincount(codes[:, 0]).tolist() == [1_800, 200]


def test_other_cells_and_other_types_are_refused():
    other = make_binning(WHOLE.slice(0, 100), WHOLE.column_names, TIMES, 2)
    with pytest.raises(ValueError, match="different bins"):
        merge_profiles([REFERENCE, build_profile([WHOLE], other, "at")])
    with pytest.raises(DataError, match="'constant' is of type string"):
        build_profile([WHOLE.set_column(3, "constant", pa.array(["x"] * ROWS))], ANCHORS, "at")


def test_no_rows_have_a_profile():
    nothing = build_profile([WHOLE.slice(0, 0)], REFERENCE.current_binning(), "at")
    assert nothing.rows == 0
    assert nothing.sample_rows()[0].shape == (0, len(WHOLE.column_names))
    assert all(measure_distances(REFERENCE, nothing, column).psi == 0 for column in WHOLE.column_names)
    assert profile_to_bytes(merge_profiles([REFERENCE, build_profile([], ANCHORS, "at")])) == profile_to_bytes(
        REFERENCE
    )


def test_stored_bytes_give_the_profile_back():
    data = profile_to_bytes(REFERENCE, {"limit": 0.6})
    again, extra = profile_from_bytes(data)
    assert extra == {"limit": 0.6}
    assert profile_to_bytes(again, extra) == data
    assert again.current_binning() == REFERENCE.current_binning()
    assert profile_to_bytes(build_profile([WHOLE], again.binning, "at")) == profile_to_bytes(REFERENCE)


def test_the_last_sampled_row_is_counted_in_every_part():
    values = np.random.default_rng(1).permutation(np.repeat(np.arange(3_000.0), 4))
    rows = pa.table({"x": values})
    anchors = make_binning(rows, ["x"], None, 1)
    assert (build_profile([rows], anchors, None).sample.weights == 4).all()
    assert (build_profile([rows, rows], anchors, None).sample.weights == 8).all()
