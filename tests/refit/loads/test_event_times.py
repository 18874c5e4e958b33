"""Event times become UTC; what cannot be known becomes missing instead of a guess."""

from __future__ import annotations

import pandas as pd
import pytest

from refit.loads.readers import to_utc


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-15", "2026-01-14T23:00Z"),
        ("2026-07-15 12:00", "2026-07-15T10:00Z"),
        ("2026-07-15T12:00:00.5Z", "2026-07-15T12:00:00.5Z"),
        ("2026-07-15T12:00-05", "2026-07-15T17:00Z"),
        ("20260715T120000+0100", "2026-07-15T11:00Z"),
        ("2026-03-29 02:30", None),
        ("2026-10-25 02:30", None),
        ("2026-10-25 02:30+01:00", "2026-10-25T01:30Z"),
        ("tomorrow", None),
        ("2026-13-01", None),
        ("", None),
    ],
)
def test_text_read_in_berlin(text: str, utc: str | None) -> None:
    (time,) = to_utc(pd.Series([text], dtype="str"), "Europe/Berlin")
    assert (time is pd.NaT) if utc is None else (time == pd.Timestamp(utc))


def test_a_column_of_mixed_objects_and_one_without_values() -> None:
    mixed = pd.Series([pd.Timestamp("2026-01-01", tz="Asia/Tokyo"), "2026-01-01", None, 3.5], dtype=object)
    assert list(to_utc(mixed).notna()) == [True, True, False, False]
    assert to_utc(pd.Series([None, None], dtype=object)).isna().all()
    assert str(to_utc(pd.Series([float("nan")])).dtype) == "datetime64[us, UTC]"
