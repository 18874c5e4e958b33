"""How often a project's alarms fire: without a change, and after planted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.drift.alarms import lasting
from refit.drift.findings import Drift
from refit.monitoring.policies import DriftPolicy

LIMIT = 0.01
"""The share of windows without drift that may alarm."""
MEAN, SCALE, SHARE = 0.2, 1.25, 0.1
"""What is planted: standard deviations, a factor about the mean, and a share of the rows."""
CHANGES = ("mean + 0.2 sd", "scale x 1.25", "missing + 10 points", "category shares 0.1")
"""The names of the planted changes."""


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """What a calibration measured."""

    project: str
    windows: int
    """Windows without a change that were judged, each with the one before it."""
    false_alarm_rate: float
    """The share of them in which an alarm fired, persistence included."""
    calibrated: bool
    """Whether the reference knows its own natural movement; else stricter floors were used."""
    power: Mapping[str, float]
    """By change: how often it was found within two windows, over columns and stretches of time."""

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit calibrate --json`."""
        return {
            "project": self.project,
            "windows": self.windows,
            "false_alarm_rate": self.false_alarm_rate,
            "limit": LIMIT,
            "calibrated": self.calibrated,
            "power": dict(self.power),
        }


def alarmed(windows: Sequence[Drift], policy: DriftPolicy) -> bool:
    """Says whether an alarm has fired by the end of neighbouring windows.

    Args:
        windows: Oldest first, none overlapping.
        policy: For persistence.

    Returns:
        Whether something lasted, or was huge at once in any of them.
    """
    return any(lasting(windows[: place + 1], policy) for place in range(len(windows)))


def plantable(values: pa.ChunkedArray) -> tuple[str, ...]:
    """Names the changes that can be planted in a column.

    Args:
        values: The column.

    Returns:
        Some of `CHANGES`.
    """
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    varied = len(pc.unique(values.drop_null())) > 1
    if numeric:
        return CHANGES[:3] if varied else CHANGES[2:3]
    textual = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return CHANGES[2:] if textual and varied else CHANGES[2:3]


def plant(values: pa.ChunkedArray, change: str, whole: pa.ChunkedArray, rng: np.random.Generator) -> pa.ChunkedArray:
    """Plants a change in the values of a window.

    Args:
        values: The window's values.
        change: One of `plantable`.
        whole: The reference's values, which give mean, standard deviation and categories.
        rng: Draws the rows that go missing or to another category.

    Returns:
        The changed values.
    """
    hit = pa.array(rng.random(len(values)) < SHARE)
    if change == CHANGES[2]:
        return pc.if_else(hit, pa.scalar(None, values.type), values)
    if change == CHANGES[3]:
        return _to_rarest(values, whole, rng)
    known = pc.cast(whole, pa.float64(), safe=False)
    known = known.filter(pc.fill_null(pc.is_finite(known), False))  # noqa: FBT003 - the value to fill with
    mean, spread = pc.mean(known).as_py(), pc.stddev(known).as_py()
    numbers = pc.cast(values, pa.float64(), safe=False)
    if change == CHANGES[0]:
        return pc.add(numbers, MEAN * spread)
    return pc.add(pc.multiply(pc.subtract(numbers, mean), SCALE), mean)


def _to_rarest(values: pa.ChunkedArray, whole: pa.ChunkedArray, rng: np.random.Generator) -> pa.ChunkedArray:
    """Moves a tenth of all rows from the most frequent category to the rarest: total variation 0.1."""
    counts = sorted(pc.value_counts(whole.drop_null()).to_pylist(), key=lambda each: (each["counts"], each["values"]))
    rarest, common = counts[0]["values"], counts[-1]["values"]
    share = min(1.0, SHARE * len(whole) / counts[-1]["counts"])
    from_common = pc.fill_null(pc.equal(values, common), False)  # noqa: FBT003 - the value to fill with
    return pc.if_else(pc.and_(from_common, pa.array(rng.random(len(values)) < share)), rarest, values)
