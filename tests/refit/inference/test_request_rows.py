"""Rows of a request become what the door makes of the same values, or one sentence that names the column."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refit.errors import DataError, ModelError
from refit.inference.feature_schema import cast_features, feature_kinds
from refit.inference.request_rows import (
    FeatureSpec,
    dummy_row,
    join_requests,
    measure_table,
    parse_columns,
    parse_rows,
    parse_table,
)

KINDS = {
    "whole": "integer",
    "real": "number",
    "true": "truth value",
    "text": "text",
    "class": "category",
    "local": "zoneless time",
    "at": "time",
}
WANTED = FeatureSpec(KINDS, {"id": "integer", "sent": "time"})
ROW = {
    "whole": 3,
    "real": 2.5,
    "true": True,
    "text": "a",
    "class": "b",
    "local": "2026-01-01T12:00:00",
    "at": "2026-01-01T12:00:00+02:00",
}
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
CELLS = st.fixed_dictionaries(
    {
        "whole": st.one_of(st.integers(-(2**52), 2**52), st.none(), st.booleans(), st.sampled_from([1.0, 2.5])),
        "real": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60), st.none()),
        "true": st.one_of(st.booleans(), st.sampled_from([0, 1, 1.0])),
        "text": st.one_of(st.text(max_size=5), st.none()),
        "class": st.one_of(st.sampled_from(["b", "c"]), st.none()),
        "local": st.one_of(st.datetimes().map(lambda moment: moment.isoformat()), st.none()),
        "at": st.one_of(st.datetimes(timezones=ZONES).map(lambda moment: moment.isoformat()), st.none()),
    }
)


def as_a_reader_gives(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The same rows as pandas has them, with times read."""
    frame = pd.DataFrame(rows)
    for name, zoned in (("local", False), ("at", True)):
        frame[name] = pd.to_datetime(frame[name], utc=zoned, format="ISO8601").dt.as_unit("us")
    return frame


def test_a_row_is_what_the_door_makes_of_it() -> None:
    for rows in ([ROW], [ROW, {**ROW, "whole": 4}], [ROW, dict.fromkeys(ROW) | {"true": False}]):
        made = parse_rows(WANTED, rows).features
        pd.testing.assert_frame_equal(made, cast_features(KINDS, as_a_reader_gives(rows)))


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_values_are_those_of_the_door(rows: list[dict[str, Any]]) -> None:
    try:
        made = parse_rows(WANTED, rows).features
        expected = cast_features(KINDS, as_a_reader_gives(rows))
    except (DataError, ModelError, pd.errors.OutOfBoundsDatetime, OverflowError):
        return  # a time that no table holds, or a mixture that only a JSON reader keeps apart
    for name in KINDS:
        one, other = made[name], expected[name]
        assert list(one.isna()) == list(other.isna())
        kept = ~one.isna()
        assert one[kept].tolist() == other[kept].tolist()


def test_rows_joined_are_the_rows() -> None:
    parts = [
        parse_rows(WANTED, [ROW]),
        parse_rows(WANTED, [{**ROW, "id": 2**60 + 1, "sent": ROW["at"]}, {**ROW, "id": None}]),
    ]
    together = join_requests(WANTED, [part.cells for part in parts if part.cells])
    assert len(together) == 3
    assert together.others["id"].to_pylist() == [None, 2**60 + 1, None]
    assert together.others["sent"][1].as_py() == pd.Timestamp(ROW["at"])
    assert feature_kinds(dummy_row(WANTED).features) == KINDS


def test_an_arrow_table_is_the_same() -> None:
    frame = as_a_reader_gives([ROW, ROW]).assign(id=[1, None])
    made = parse_table(WANTED, pa.Table.from_pandas(frame))
    pd.testing.assert_frame_equal(made.features, cast_features(KINDS, frame))
    assert made.others["id"].to_pylist() == [1, None]


WRONG: dict[str, tuple[str, Any]] = {
    "text for whole": ("whole", "1"),
    "too many bits": ("whole", 2**63),
    "NaN": ("real", float("nan")),
    "infinite": ("real", float("inf")),
    "huge": ("real", 10**400),
    "two": ("true", 2),
    "number for text": ("text", 1),
    "long text": ("text", "x" * 1_000_001),
    "number for category": ("class", 1),
    "zone where none was": ("local", ROW["at"]),
    "no zone": ("at", ROW["local"]),
    "no time": ("at", "noon"),
    "before all time": ("at", "0001-01-01T00:00:00+14:00"),
    "a list": ("real", [1]),
    "an object": ("text", {}),
    "whole key": ("id", 1.5),
}


@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"^column '{name}' ") as refused:
        parse_rows(WANTED, [ROW | {name: value}])
    assert len(str(refused.value)) < 250


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="'at' is missing in row 1"):
        parse_rows(WANTED, [ROW, {name: value for name, value in ROW.items() if name != "at"}])
    with pytest.raises(DataError, match="'whole' is missing"):
        parse_columns(WANTED, {})


def test_text_that_is_sent_once_and_named_often_is_measured_as_often() -> None:
    many = FeatureSpec({f"text{place}": "text" for place in range(20)} | {"number": "number"}, {})
    bomb = pa.DictionaryArray.from_arrays(np.zeros(1_000, "int8"), ["x" * 10_000])
    table = pa.table({**dict.fromkeys(many.features, bomb), "number": np.zeros(1_000), "beside": bomb})
    assert 20 * 10_000_000 < measure_table(many, table) < 5 * 20 * 10_000_000
    plain = pa.table({"number": np.zeros(1_000), "beside": bomb})
    assert measure_table(many, plain) < 100_000


def test_a_column_of_another_kind_is_named() -> None:
    with pytest.raises(ModelError, match="'text'"):
        parse_table(FeatureSpec({"text": "text"}, {}), pa.table({"text": [1]}))
