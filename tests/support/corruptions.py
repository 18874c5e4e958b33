"""Twenty ways to spoil a batch, each seeded: what a source may deliver on a bad day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

START = datetime(2026, 1, 1, tzinfo=UTC)
Spoiler = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
FileSpoiler = Callable[[pd.DataFrame, np.random.Generator, Path], None]


def clean_rows(first_day: int, days: int, per_day: int = 100) -> pd.DataFrame:
    """Rows that keep the contract, the same for the same days.

    Args:
        first_day: Days after `START`.
        days: How many days.
        per_day: Rows a day.

    Returns:
        A frame with a key, numbers, text, a flag, some nulls and a label.
    """
    rng = np.random.default_rng([7, first_day])
    n = days * per_day
    minutes = first_day * 1440 + np.sort(rng.integers(0, days * 1440, n))
    return pd.DataFrame(
        {
            "order": np.arange(n) + first_day * 100_000,
            "placed_at": pd.Timestamp(START) + pd.to_timedelta(minutes, unit="min"),
            "amount": rng.gamma(3.0, 20.0, n).round(2) + 1,
            "items": rng.integers(1, 9, n),
            "channel": rng.choice(["web", "shop", "phone"], n),
            "discount": np.where(rng.random(n) < 0.2, np.nan, rng.random(n).round(3)),
            "express": rng.random(n) < 0.3,
            "late": rng.integers(0, 2, n),
        }
    )


def some(frame: pd.DataFrame, rng: np.random.Generator, share: float = 0.03) -> np.ndarray:
    """Positions of a few rows, at least one."""
    return rng.choice(len(frame), max(1, int(len(frame) * share)), replace=False)


def _set(column: str, value: object) -> Spoiler:
    def spoil(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        values = frame[column].astype(object).to_numpy(copy=True)
        for row in some(frame, rng):
            values[row] = value
        return frame.assign(**{column: pd.Series(values, dtype=object)})

    return spoil


def _scaled(share: float) -> Spoiler:
    def spoil(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        rows = some(frame, rng, share)
        amounts = frame["amount"].to_numpy(copy=True)
        amounts[rows] = (amounts[rows] + 100) * 100
        return frame.assign(amount=amounts)

    return spoil


def _infinite(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    amounts = frame["amount"].to_numpy(copy=True)
    amounts[some(frame, rng)] = rng.choice([np.inf, -np.inf])
    return frame.assign(amount=amounts)


def _repeated(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[some(frame, rng)].assign(amount=9.99)], ignore_index=True)


def _future(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    times = frame["placed_at"].to_list()
    for row in some(frame, rng):
        times[row] = times[row] + timedelta(days=20_000)
    return frame.assign(placed_at=times)


def _mixed_zones(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    zones = rng.choice(["UTC", "Europe/Berlin", "Asia/Kolkata"], len(frame))
    times = [time.tz_convert(zone) for time, zone in zip(frame["placed_at"], zones, strict=True)]
    return frame.assign(placed_at=pd.Series(times, dtype=object))


FRAMES: dict[str, tuple[Spoiler, set[str]]] = {
    "missing column": (lambda f, _: f.drop(columns="amount"), {"refused"}),
    "missing label column": (lambda f, _: f.drop(columns="late"), {"refused"}),
    "added column": (lambda f, _: f.assign(colour="red"), {"refused"}),
    "renamed column": (lambda f, _: f.rename(columns={"amount": "amount_eur"}), {"refused"}),
    "retyped column": (lambda f, _: f.assign(amount=f["express"]), {"refused"}),
    "number as words": (lambda f, _: f.assign(amount="many"), {"refused"}),
    "null key": (_set("order", None), {"quarantined"}),
    "null time": (_set("placed_at", None), {"quarantined"}),
    "null feature": (_set("channel", None), {"accepted"}),
    "infinities": (_infinite, {"quarantined"}),
    "repeated keys": (_repeated, {"quarantined"}),
    "future times": (_future, {"quarantined"}),
    "naive times": (lambda f, _: f.assign(placed_at=f["placed_at"].dt.tz_localize(None)), {"refused"}),
    "mixed time zones": (_mixed_zones, {"accepted"}),
    "unseen category": (_set("channel", "drone"), {"accepted"}),
    "units off by 100 in a few": (_scaled(0.03), {"quarantined"}),
    "units off by 100 in all": (_scaled(1.0), {"refused"}),
    "mixed types": (_set("items", "a few"), {"quarantined"}),
    "long text": (_set("channel", "x" * 10_000_000), {"quarantined"}),
    "no rows": (lambda f, _: f.iloc[:0], {"nothing"}),
}
"""From a corruption's name to what spoils a frame, and how an ingest may end."""


def _wrong_encoding(frame: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    _set("channel", "café")(frame, rng).to_csv(path, index=False, encoding="latin-1")


def _empty(frame: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    path.touch()


def _header_only(frame: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    frame.iloc[:0].to_csv(path, index=False)


def _truncated_csv(frame: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    text = frame.to_csv(index=False)
    path.write_text(text[: int(len(text) * rng.uniform(0.3, 0.9))])


def _truncated_parquet(frame: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    frame.to_parquet(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * rng.uniform(0.1, 0.95))])


FILES: dict[str, tuple[str, FileSpoiler, set[str]]] = {
    "wrong encoding": ("csv", _wrong_encoding, {"refused"}),
    "empty file": ("csv", _empty, {"nothing", "refused"}),
    "header only": ("csv", _header_only, {"nothing"}),
    "truncated csv": ("csv", _truncated_csv, {"accepted", "quarantined", "refused"}),
    "truncated parquet": ("parquet", _truncated_parquet, {"refused"}),
}
"""From a corruption's name to the file's kind, what writes the spoilt file, and how an ingest may end."""
