from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.data.fingerprint import (
    Fingerprint,
    IdentityIndex,
    count_common,
    fingerprint,
    not_in,
    row_hashes,
    row_identities,
)
from refit.errors import DataError

SCHEMA = pa.schema(
    [
        ("k", pa.int64()),
        ("x", pa.float64()),
        ("c", pa.string()),
        ("b", pa.bool_()),
        ("t", pa.timestamp("us", tz="UTC")),
    ]
)
row = st.fixed_dictionaries(
    {
        "k": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(),
        "c": st.none() | st.text(max_size=5),
        "b": st.none() | st.booleans(),
        "t": st.none() | st.datetimes(timezones=st.just(UTC)),
    }
)
rows = st.lists(row, max_size=20)


def table(given: list[dict], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(given, schema=schema)


@given(rows, st.randoms(), st.integers(1, 7))
def test_order_and_parts_do_not_matter(found: list[dict], random, size: int) -> None:
    whole = fingerprint([table(found)], SCHEMA)
    shuffled = random.sample(found, len(found))
    parts = [table(shuffled[start : start + size]) for start in range(0, len(shuffled), size)]
    columns = pa.schema(random.sample(list(SCHEMA), len(SCHEMA)))
    assert fingerprint([part.select(columns.names) for part in parts], columns) == whole
    assert sum((fingerprint([part], SCHEMA) for part in parts), start=fingerprint([], SCHEMA)) == whole


@given(rows, rows)
def test_other_rows_have_another_fingerprint(one: list[dict], other: list[dict]) -> None:
    def content(found: list[dict]) -> Counter:
        kept = [single | {"x": 0.0 if single["x"] == 0 else single["x"]} for single in found]
        return Counter(repr(sorted(single.items())) for single in kept)

    equal = fingerprint([table(one)], SCHEMA) == fingerprint([table(other)], SCHEMA)
    assert equal == (content(one) == content(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.table({"a": [1, 2], "b": [2, 1]}), pa.table({"a": [2, 1], "b": [2, 1]})),
        (pa.table({"a": [1]}), pa.table({"b": [1]})),
        (pa.table({"a": [1]}), pa.table({"a": [1.0]})),
        (pa.table({"a": [0]}), pa.table({"a": pa.array([None], pa.int64())})),
        (pa.table({"a": [""]}), pa.table({"a": pa.array([None], pa.string())})),
        (pa.table({"a": ["x"]}), pa.table({"a": ["x", "x"]})),
        (pa.table({"a": ["x", None], "b": [None, "x"]}), pa.table({"a": ["x", None], "b": ["x", None]})),
    ],
)
def test_what_must_differ(one: pa.Table, other: pa.Table) -> None:
    assert str(fingerprint([one], one.schema)) != str(fingerprint([other], other.schema))


def test_the_fingerprint_never_changes_between_releases() -> None:
    found = [{"k": 1, "x": 0.5, "c": "é", "b": True, "t": datetime(2026, 1, 1, tzinfo=UTC)}]
    assert str(fingerprint([table(found)], SCHEMA)) == "581d39acdfcd1b1e7add12e6641eadbf"


def test_fingerprints_of_different_columns_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="different columns"):
        Fingerprint(("a: int64",)) + Fingerprint(("b: int64",))


def test_both_hashes_are_spread_and_independent() -> None:
    hashes = row_hashes(pa.table({"k": np.arange(10_000)}))
    bits = np.unpackbits(hashes.view(np.uint8), axis=1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 0.03
    first, second = (hashes[:, lane] >> np.uint64(40) for lane in (0, 1))
    assert abs(np.corrcoef(first.astype(float), second.astype(float))[0, 1]) < 0.05


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
def test_index_finds_repeats_and_common_rows(one: list[int], other: list[int]) -> None:
    names, others = (row_identities(pa.table({"k": pa.array(found, pa.int64())})) for found in (one, other))
    index = IdentityIndex(names)
    assert index.find(others).tolist() == [one.index(k) if k in one else -1 for k in other]
    assert index.superseded().tolist() == [k in one[place + 1 :] for place, k in enumerate(one)]
    assert count_common(names, others) == (Counter(one) & Counter(other)).total()


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_rows_beyond_the_known_ones_are_counted_as_often_as_they_are(new: list[int], known: list[int]) -> None:
    schema = pa.schema([("k", pa.int64())])
    one, other = (row_identities(table([{"k": k} for k in found], schema)) for found in (new, known))
    mask = not_in(one, other)
    left = Counter(k for k, fresh in zip(new, mask, strict=True) if fresh)
    assert left == Counter(new) - Counter(known)
    for k in set(new):  # of equal rows the first are the known ones
        fresh = [bool(found) for found, row in zip(mask, new, strict=True) if row == k]
        assert fresh == sorted(fresh)


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_text_has_one_identity_whatever_arrow_calls_its_type(kind: pa.DataType) -> None:
    plain = pa.table({"id": pa.array(["001490", "1490", None], pa.string())})
    other = pa.table({"id": plain["id"].cast(kind)})
    assert list(row_identities(other)) == list(row_identities(plain))


def test_a_type_that_no_table_stores_is_refused() -> None:
    with pytest.raises(DataError, match=r"values of the type list<item: int64> cannot identify a row: convert them"):
        row_hashes(pa.table({"id": pa.array([[1], [2]])}))
